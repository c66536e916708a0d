"""Fixtures that several test files share."""

import itertools
from collections.abc import Iterator

import pytest
from google.cloud import pubsub_v1

import localcloud

_numbers = itertools.count()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[localcloud.LocalCloud]:
    """All local services, started once for the session."""
    with localcloud.running(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture
def publisher(cloud, monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", cloud.env["PUBSUB_EMULATOR_HOST"])
    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    with pubsub_v1.PublisherClient(publisher_options=options) as client:
        yield client


@pytest.fixture
def subscriber(cloud, monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", cloud.env["PUBSUB_EMULATOR_HOST"])
    with pubsub_v1.SubscriberClient() as client:
        yield client


@pytest.fixture
def topic(publisher):
    name = f"projects/local-project/topics/topic-{next(_numbers)}"
    publisher.create_topic(name=name)
    return name


@pytest.fixture
def subscribe(subscriber, topic):
    """Makes a subscription of the topic with these settings and returns its name."""

    def create(**settings):
        name = f"projects/local-project/subscriptions/subscription-{next(_numbers)}"
        subscriber.create_subscription(request={"name": name, "topic": topic} | settings)
        return name

    return create
