"""The plan of a deployment: each resource with its settings. terraform/ describes the same; a test compares them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

DAY_S = 86_400
ACK_DEADLINE_S = 60
REPLAYABLE_S = 7 * DAY_S  # so far back a topic can be replayed, after a fix
UNREAD_KEPT_S = 31 * DAY_S  # the longest that Pub/Sub keeps what nobody has fetched
RETRY_S = (10, 600)  # least and longest wait before a message is delivered again
# The most that Pub/Sub allows: a restart of the pipeline hands messages back too, and must not part with them.
DELIVERY_ATTEMPTS = 100
CAMERA_PICTURES_KEPT_DAYS = 1
LOCATION = "US"
REGION = "us-central1"
EVIDENCE_KEPT_DAYS = 365
APPLICATION = "section-speed"
ROLE = "component"  # the label that says what a resource is for
REVIEWS_ONLY = 'attributes.status = "review"'
EVIDENCE = "evidence"  # the role of what is never removed

Labels = Mapping[str, str]


class Resources(NamedTuple):
    """Names of a deployment: short names inside one project; buckets are global.

    Dataflow's own bucket and the repository of its image, in its region, are made before the image is: here they are
    only granted.
    """

    project: str
    input_topic: str
    input_subscription: str
    output_topic: str
    output_subscription: str
    review_subscription: str
    rejected_topic: str
    rejected_subscription: str
    alarms_topic: str
    alarms_subscription: str
    dead_letter_topic: str
    dead_letter_subscription: str
    camera_bucket: str
    evidence_bucket: str
    dataset: str
    dataflow_bucket: str
    image_repository: str
    region: str

    @classmethod
    def named_after(cls, project: str) -> Resources:
        """The default names in a project."""
        return cls(
            project=project,
            input_topic="sightings",
            input_subscription="sightings-pipeline",
            output_topic="fines",
            output_subscription="fines-inbox",
            review_subscription="reviews",
            rejected_topic="rejected",
            rejected_subscription="rejected-inbox",
            alarms_topic="alarms",
            alarms_subscription="alarms-inbox",
            dead_letter_topic="undelivered",
            dead_letter_subscription="undelivered-inbox",
            camera_bucket=f"{project}-camera",
            evidence_bucket=f"{project}-evidence",
            dataset="section_speed",
            dataflow_bucket=f"{project}-dataflow",
            image_repository="section-speed",
            region=REGION,
        )


class TopicPlan(NamedTuple):
    """A topic, by its short name."""

    name: str
    labels: Labels
    replayable_s: int = REPLAYABLE_S


class SubscriptionPlan(NamedTuple):
    """A subscription that never expires; `dead_letter_topic` takes what could not be delivered in so many attempts.

    filter: only messages whose attributes it accepts; empty: all.
    """

    name: str
    topic: str
    labels: Labels
    dead_letter_topic: str | None = None
    delivery_attempts: int = DELIVERY_ATTEMPTS
    ack_deadline_s: int = ACK_DEADLINE_S
    unread_kept_s: int = UNREAD_KEPT_S
    retry_s: tuple[int, int] = RETRY_S
    filter: str = ""


class BucketPlan(NamedTuple):
    """A bucket with uniform access that can never be public.

    deleted_after_days: its objects then go, for good. kept_days: before that none can be deleted or replaced.
    """

    name: str
    labels: Labels
    location: str
    deleted_after_days: int | None = None
    kept_days: int | None = None


class DatasetPlan(NamedTuple):
    """The dataset; its tables and views are those of pipeline/warehouse."""

    name: str
    labels: Labels
    location: str


class Plan(NamedTuple):
    """All resources, in the order in which they can be made."""

    project: str
    topics: tuple[TopicPlan, ...]
    subscriptions: tuple[SubscriptionPlan, ...]
    buckets: tuple[BucketPlan, ...]
    dataset: DatasetPlan


def labels(component: str) -> Labels:
    """Labels by which costs and metrics can be told apart."""
    return {"application": APPLICATION, ROLE: component}


def plan(names: Resources, location: str = LOCATION, evidence_kept_days: int = EVIDENCE_KEPT_DAYS) -> Plan:
    """The plan of a deployment of these names."""
    ways = (
        (names.input_topic, names.input_subscription, "sightings", names.dead_letter_topic),
        (names.output_topic, names.output_subscription, "fines", None),
        (names.rejected_topic, names.rejected_subscription, "rejected", None),
        (names.alarms_topic, names.alarms_subscription, "alarms", None),
        (names.dead_letter_topic, names.dead_letter_subscription, "undelivered", None),
    )
    return Plan(
        project=names.project,
        topics=tuple(TopicPlan(topic, labels(component)) for topic, _, component, _ in ways),
        subscriptions=(
            *(
                SubscriptionPlan(subscription, topic, labels(component), dead_letter)
                for topic, subscription, component, dead_letter in ways
            ),
            SubscriptionPlan(names.review_subscription, names.output_topic, labels("reviews"), filter=REVIEWS_ONLY),
        ),
        buckets=(
            BucketPlan(names.camera_bucket, labels("camera"), location, deleted_after_days=CAMERA_PICTURES_KEPT_DAYS),
            BucketPlan(names.evidence_bucket, labels(EVIDENCE), location, kept_days=evidence_kept_days),
        ),
        dataset=DatasetPlan(names.dataset, labels("warehouse"), location),
    )
