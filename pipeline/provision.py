"""Make what a run needs: topics, subscriptions, buckets, dataset, tables and views. What exists is left as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from google.api_core.exceptions import AlreadyExists, Conflict
from google.cloud import bigquery, pubsub_v1

from pipeline import endpoints
from pipeline.warehouse import tables

ACK_DEADLINE_S = 60


class Resources(NamedTuple):
    """Names of a deployment: short names inside one project; buckets are global."""

    project: str
    input_topic: str
    input_subscription: str
    output_topic: str
    output_subscription: str
    rejected_topic: str
    rejected_subscription: str
    camera_bucket: str
    evidence_bucket: str
    dataset: str

    @classmethod
    def named_after(cls, project: str) -> Resources:
        """The default names in a project."""
        return cls(
            project=project,
            input_topic="sightings",
            input_subscription="sightings-pipeline",
            output_topic="fines",
            output_subscription="fines-inbox",
            rejected_topic="rejected",
            rejected_subscription="rejected-inbox",
            camera_bucket=f"{project}-camera",
            evidence_bucket=f"{project}-evidence",
            dataset="section_speed",
        )


def provision(resources: Resources) -> Iterator[str]:
    """Make each resource; a line for each that says whether it was made or existed."""
    yield from _topics(resources)
    yield from _buckets(resources)
    yield from _warehouse(resources)


def _made(what: str, make: Callable[[], Any]) -> str:
    try:
        make()
    except (AlreadyExists, Conflict):
        return f"exists  {what}"
    return f"made    {what}"


def _topics(resources: Resources) -> Iterator[str]:
    publisher, subscriber = endpoints.publisher(), endpoints.subscriber()
    pairs = (
        (resources.input_topic, resources.input_subscription),
        (resources.output_topic, resources.output_subscription),
        (resources.rejected_topic, resources.rejected_subscription),
    )
    with subscriber:
        for topic, subscription in pairs:
            topic_path = publisher.topic_path(resources.project, topic)
            path = subscriber.subscription_path(resources.project, subscription)
            yield _made(f"topic {topic_path}", partial(publisher.create_topic, name=topic_path))
            request = pubsub_v1.types.Subscription(name=path, topic=topic_path, ack_deadline_seconds=ACK_DEADLINE_S)
            yield _made(f"subscription {path}", partial(subscriber.create_subscription, request=request))


def _buckets(resources: Resources) -> Iterator[str]:
    client = endpoints.storage_client(resources.project)
    for name in (resources.camera_bucket, resources.evidence_bucket):
        yield _made(f"bucket gs://{name}", partial(client.create_bucket, name))


def _warehouse(resources: Resources) -> Iterator[str]:
    client = endpoints.bigquery_client(resources.project)
    dataset = f"{resources.project}.{resources.dataset}"
    yield _made(f"dataset {dataset}", partial(client.create_dataset, bigquery.Dataset(dataset)))
    made = [tables.table(dataset, name) for name in tables.TABLES] + [
        tables.view(dataset, name) for name in tables.VIEWS
    ]
    for table in made:
        kind = "view" if table.view_query else "table"
        yield _made(f"{kind} {table.reference}", partial(client.create_table, table))
