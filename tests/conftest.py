"""Fixtures that several test files share."""

import itertools
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from google.api_core.exceptions import Conflict
from google.cloud import pubsub_v1
from google.cloud import storage as cloud_storage
from signing_samples import PRIVATE_PEM

import localcloud
from pipeline import endpoints

ROOT = Path(__file__).parents[1]
_numbers = itertools.count()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[localcloud.LocalCloud]:
    """All local services, started once for the session."""
    with localcloud.running(tmp_path_factory.mktemp("cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def storage(cloud) -> Iterator[cloud_storage.Client]:
    """A client of the local storage with a bucket of the cameras' pictures and one for evidence."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", cloud.env["STORAGE_EMULATOR_HOST"])
        client = endpoints.storage_client()
        for name in ("archive-camera", "archive-evidence"):
            with suppress(Conflict):
                client.create_bucket(name)
        yield client


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


@pytest.fixture(scope="module")
def dataflow_bucket(cloud) -> Iterator[cloud_storage.Bucket]:
    """A bucket of the local storage with what a job on Dataflow reads before it starts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", cloud.env["STORAGE_EMULATOR_HOST"])
        bucket = endpoints.storage_client().create_bucket(f"dataflow-{next(_numbers)}")
        bucket.blob("privacy.secret").upload_from_string("0123456789abcdef")
        bucket.blob("signing.key").upload_from_string(PRIVATE_PEM)
        bucket.blob("sections.yaml").upload_from_filename(ROOT / "templates" / "sections.yaml")
        yield bucket
