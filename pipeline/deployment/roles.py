"""Who may do what: the least role on the single resource, with its reason, as a command line to run.

terraform/iam.tf grants the same; a test compares them. Vision has no roles of its own: its API must be enabled, and who
calls it must be allowed to use the project's quota.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.deployment.plan import Resources

TOPIC, SUBSCRIPTION, BUCKET, TABLE, PROJECT = "topic", "subscription", "bucket", "table", "project"
REPOSITORY = "repository"
WORKER, CAMERAS, FINES_READER, OPERATOR, ANALYST = "worker", "cameras", "fines-reader", "operator", "analyst"
REVIEWER = "reviewer"
PUBSUB = "pubsub"  # Pub/Sub's own service agent
PSEUDONYMOUS = ("sightings", "passages", "latest_sightings", "latest_passages")

_GROUPS = {
    TOPIC: "pubsub topics",
    SUBSCRIPTION: "pubsub subscriptions",
    BUCKET: "storage buckets",
    REPOSITORY: "artifacts repositories",
    PROJECT: "projects",
}


class Grant(NamedTuple):
    """A role for an account on one resource (for a project: on all of it), and why. A repository is REGION/NAME."""

    account: str
    role: str
    kind: str
    resource: str
    reason: str


def grants(names: Resources) -> tuple[Grant, ...]:
    """All grants of a deployment."""
    return (*_worker(names), *_dataflow(names), *_cameras(names), *_people(names), *_service_agent(names))


def _worker(names: Resources) -> Iterator[Grant]:
    yield Grant(WORKER, "roles/pubsub.subscriber", SUBSCRIPTION, names.input_subscription, "takes sightings")
    for kind, name in (
        (SUBSCRIPTION, names.input_subscription),
        (TOPIC, names.output_topic),
        (TOPIC, names.rejected_topic),
        (TOPIC, names.alarms_topic),
    ):
        yield Grant(WORKER, "roles/pubsub.viewer", kind, name, "preflight looks whether it is there")
    yield Grant(WORKER, "roles/pubsub.publisher", TOPIC, names.output_topic, "sends fines and cases for review")
    yield Grant(WORKER, "roles/pubsub.publisher", TOPIC, names.rejected_topic, "sends what it could not process")
    yield Grant(WORKER, "roles/pubsub.publisher", TOPIC, names.alarms_topic, "sends alarms")
    yield Grant(
        WORKER, "roles/storage.objectViewer", BUCKET, names.camera_bucket, "fetches pictures of suspected cases"
    )
    yield Grant(WORKER, "roles/storage.objectCreator", BUCKET, names.evidence_bucket, "keeps them; cannot replace any")
    yield Grant(WORKER, "roles/storage.objectViewer", BUCKET, names.evidence_bucket, "compares what is kept already")
    for table in ("sightings", "passages", "fines", "alarms", "rejected"):
        yield Grant(WORKER, "roles/bigquery.dataEditor", TABLE, f"{names.dataset}.{table}", "adds rows")
    yield Grant(
        WORKER,
        "roles/serviceusage.serviceUsageConsumer",
        PROJECT,
        names.project,
        "has plates read: Vision has no role, it counts against the project's quota",
    )


def _dataflow(names: Resources) -> Iterator[Grant]:
    """What the same account needs as the launcher of a template and as a worker on Dataflow, and nowhere else."""
    images = f"{names.region}/{names.image_repository}"
    yield Grant(WORKER, "roles/dataflow.worker", PROJECT, names.project, "runs as a Dataflow worker")
    yield Grant(WORKER, "roles/artifactregistry.reader", REPOSITORY, images, "launcher and workers fetch their image")
    yield Grant(
        WORKER,
        "roles/storage.objectUser",
        BUCKET,
        names.dataflow_bucket,
        "reads its configuration, keeps the staged graph and temporary files, and deletes them",
    )


def _cameras(names: Resources) -> Iterator[Grant]:
    yield Grant(CAMERAS, "roles/pubsub.publisher", TOPIC, names.input_topic, "send sightings; read nothing")
    yield Grant(CAMERAS, "roles/storage.objectCreator", BUCKET, names.camera_bucket, "upload pictures; read none")


def _people(names: Resources) -> Iterator[Grant]:
    fines, evidence = names.output_subscription, names.evidence_bucket
    yield Grant(FINES_READER, "roles/pubsub.subscriber", SUBSCRIPTION, fines, "takes fines and cases for review")
    yield Grant(FINES_READER, "roles/pubsub.subscriber", SUBSCRIPTION, names.alarms_subscription, "takes alarms")
    yield Grant(FINES_READER, "roles/storage.objectViewer", BUCKET, evidence, "sees the pictures they rest on")
    yield from _reviewer(names)
    rejected, undelivered = names.rejected_subscription, names.dead_letter_subscription
    yield Grant(OPERATOR, "roles/pubsub.subscriber", SUBSCRIPTION, rejected, "takes what was rejected, to republish it")
    yield Grant(OPERATOR, "roles/pubsub.subscriber", SUBSCRIPTION, undelivered, "takes what could not be delivered")
    yield Grant(OPERATOR, "roles/pubsub.publisher", TOPIC, names.input_topic, "sends it again")
    for table in PSEUDONYMOUS:
        yield Grant(
            ANALYST,
            "roles/bigquery.dataViewer",
            TABLE,
            f"{names.dataset}.{table}",
            "sees pseudonyms, unless privacy is off",
        )
    yield Grant(ANALYST, "roles/bigquery.jobUser", PROJECT, names.project, "runs queries")


def _reviewer(names: Resources) -> Iterator[Grant]:
    """Whoever runs python -m pipeline review. A view is read with its reader's own rights on the tables below it."""
    reviews, evidence = names.review_subscription, names.evidence_bucket
    yield Grant(REVIEWER, "roles/pubsub.subscriber", SUBSCRIPTION, reviews, "is told of cases that wait")
    yield Grant(REVIEWER, "roles/pubsub.publisher", TOPIC, names.output_topic, "sends confirmed and rejected cases")
    yield Grant(REVIEWER, "roles/storage.objectViewer", BUCKET, evidence, "looks at the pictures")
    for table in ("latest_fines", "review_queue", "camera_misreads"):
        yield Grant(REVIEWER, "roles/bigquery.dataViewer", TABLE, f"{names.dataset}.{table}", "reads the cases")
    yield Grant(REVIEWER, "roles/bigquery.dataViewer", TABLE, f"{names.dataset}.alarms", "reads the alarms")
    for table in ("fines", "reviews"):
        yield Grant(REVIEWER, "roles/bigquery.dataEditor", TABLE, f"{names.dataset}.{table}", "reads, and adds rows")
    yield Grant(REVIEWER, "roles/bigquery.jobUser", PROJECT, names.project, "runs queries")


def _service_agent(names: Resources) -> Iterator[Grant]:
    topic, subscription = names.dead_letter_topic, names.input_subscription
    yield Grant(PUBSUB, "roles/pubsub.publisher", TOPIC, topic, "moves there what could not be delivered")
    yield Grant(PUBSUB, "roles/pubsub.subscriber", SUBSCRIPTION, subscription, "acknowledges what it moved")


def member(account: str, project: str) -> str:
    """The IAM member of an account. Pub/Sub's own has the project's number in its name, which the shell asks for."""
    if account == PUBSUB:
        number = f"$(gcloud projects describe {shlex.quote(project)} --format='value(projectNumber)')"
        return f'"serviceAccount:service-{number}@gcp-sa-pubsub.iam.gserviceaccount.com"'
    return shlex.quote(f"serviceAccount:section-speed-{account}@{project}.iam.gserviceaccount.com")


def command(grant: Grant, project: str) -> str:
    """The command that grants it."""
    who = member(grant.account, project)
    if grant.kind == TABLE:
        return (
            f"bq add-iam-policy-binding --project_id={shlex.quote(project)} --member={who} --role={grant.role} "
            f"--table=true {shlex.quote(grant.resource)}"
        )
    region, _, short = grant.resource.rpartition("/")
    name = f"gs://{short}" if grant.kind == BUCKET else short
    line = f"gcloud {_GROUPS[grant.kind]} add-iam-policy-binding {shlex.quote(name)} --member={who} --role={grant.role}"
    if grant.kind == PROJECT:
        return f"{line} --condition=None"
    place = f" --location={shlex.quote(region)}" if region else ""
    return f"{line}{place} --project={shlex.quote(project)}"


def lines(names: Resources) -> Iterator[str]:
    """The commands, under a heading for each account, each with its reason: a shell script."""
    project, last = names.project, None
    for grant in grants(names):
        if grant.account != last:
            last = grant.account
            yield f"# {_heading(last)}"
            if last != PUBSUB:
                yield f"gcloud iam service-accounts create section-speed-{last} --project={shlex.quote(project)}"
        yield f"{command(grant, project)}  # {grant.reason}"


def _heading(account: str) -> str:
    return {
        WORKER: "worker: runs the pipeline",
        CAMERAS: "cameras: send sightings and upload pictures",
        FINES_READER: "fines-reader: issues the fines and looks at the cases for review",
        REVIEWER: "reviewer: confirms or rejects the cases for review",
        OPERATOR: "operator: sends again what was rejected",
        ANALYST: "analyst: queries, without a plate",
        PUBSUB: "Pub/Sub itself: the dead-letter topic does nothing without these two",
    }[account]
