"""Make what a run needs: topics, subscriptions, buckets, dataset, tables, views; or remove it, but never evidence."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import endpoints
from pipeline.deployment import plan as planning
from pipeline.deployment.buckets import Bucket
from pipeline.deployment.dataset import warehouse
from pipeline.deployment.messaging import Subscription, Topic
from pipeline.deployment.plan import Plan, Resources
from pipeline.deployment.steps import Found, Resource, Step, reconcile, refuse_another_role, role
from pipeline.patience import told


def provision(deployment: Resources | Plan, *, dry_run: bool = False) -> Iterator[Step]:
    """Make what is missing, change what differs where that is safe; a step for each resource.

    In a dry run nothing is changed, and the steps say what would be. Raises RoleError before anything is changed,
    and SilentServiceError.
    """
    wanted = planning.plan(deployment) if isinstance(deployment, Resources) else deployment
    planned = list(resources(wanted))
    for resource in planned:
        with told(resource.service, resource.name):
            refuse_another_role(resource)
    for resource in planned:
        with told(resource.service, resource.name):
            step = reconcile(resource, dry_run=dry_run)
        yield step


def standing(wanted: Plan) -> tuple[list[Resource], list[Resource]]:
    """What of the plan exists: what may be removed, in the order in which it can be, and the evidence, which never may.

    Tables and views go with their dataset. Raises SilentServiceError.
    """
    removable: list[Resource] = []
    evidence: list[Resource] = []
    for one in reversed(list(resources(wanted))):
        if one.kind in ("table", "view"):
            continue
        with told(one.service, one.name):
            found = one.find()
        if found is not None:
            (evidence if _is_evidence(one, found, wanted) else removable).append(one)
    return removable, evidence


def remove(resource: Resource) -> None:
    """Remove it with all it holds. Raises SilentServiceError."""
    with told(resource.service, resource.name):
        resource.remove()


def resources(wanted: Plan) -> Iterator[Resource]:
    """Each resource of the plan, in the order in which they can be made."""
    publisher, subscriber = endpoints.publisher(), endpoints.subscriber()
    yield from (Topic(publisher, wanted.project, topic) for topic in wanted.topics)
    yield from (Subscription(subscriber, wanted.project, one) for one in wanted.subscriptions)
    storage = endpoints.storage_client(wanted.project)
    yield from (Bucket(storage, bucket) for bucket in wanted.buckets)
    yield from warehouse(endpoints.bigquery_client(wanted.project), wanted.project, wanted.dataset)


def _is_evidence(resource: Resource, found: Found, wanted: Plan) -> bool:
    """By the plan, or by its own label: somebody may have named a bucket of evidence as that of the cameras."""
    kept = {f"gs://{one.name}" for one in wanted.buckets if one.kept_days is not None}
    return role(found) == planning.EVIDENCE or resource.name in kept
