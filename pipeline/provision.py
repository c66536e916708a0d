"""Make what a run needs: topics, subscriptions, buckets, dataset, tables, views; or remove it, but never evidence."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import endpoints
from pipeline.deployment import plan as planning
from pipeline.deployment.buckets import Bucket
from pipeline.deployment.dataset import warehouse
from pipeline.deployment.messaging import Subscription, Topic
from pipeline.deployment.plan import Plan, Resources
from pipeline.deployment.steps import Resource, Step, reconcile


def provision(deployment: Resources | Plan, *, dry_run: bool = False) -> Iterator[Step]:
    """Make what is missing, change what differs where that is safe; a step for each resource.

    In a dry run nothing is changed, and the steps say what would be.
    """
    wanted = planning.plan(deployment) if isinstance(deployment, Resources) else deployment
    for resource in resources(wanted):
        yield reconcile(resource, dry_run=dry_run)


def removable(wanted: Plan) -> list[Resource]:
    """What of the plan exists and may be removed, in the order in which it can be. The evidence bucket never may."""
    return [one for one in reversed(list(resources(wanted))) if not _is_evidence(one, wanted) and _is_whole(one)]


def resources(wanted: Plan) -> Iterator[Resource]:
    """Each resource of the plan, in the order in which they can be made."""
    publisher, subscriber = endpoints.publisher(), endpoints.subscriber()
    yield from (Topic(publisher, wanted.project, topic) for topic in wanted.topics)
    yield from (Subscription(subscriber, wanted.project, one) for one in wanted.subscriptions)
    storage = endpoints.storage_client(wanted.project)
    yield from (Bucket(storage, bucket) for bucket in wanted.buckets)
    yield from warehouse(endpoints.bigquery_client(wanted.project), wanted.project, wanted.dataset)


def _is_evidence(resource: Resource, wanted: Plan) -> bool:
    return resource.name in {f"gs://{bucket.name}" for bucket in wanted.buckets if bucket.kept_days is not None}


def _is_whole(resource: Resource) -> bool:
    """Whether it exists, and is not removed with another: tables and views go with their dataset."""
    return resource.kind not in ("table", "view") and resource.find() is not None
