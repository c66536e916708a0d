"""Topics and subscriptions of Pub/Sub as resources of a deployment."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta

from google.api_core.exceptions import NotFound
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient, types
from google.protobuf.field_mask_pb2 import FieldMask

from pipeline.deployment.plan import SubscriptionPlan, TopicPlan
from pipeline.deployment.steps import Found, Resource, Value
from pipeline.patience import PATIENCE


class Topic(Resource):
    """A topic; what was published can be replayed for a while."""

    kind, service = "topic", "pubsub"

    def __init__(self, client: PublisherClient, project: str, plan: TopicPlan) -> None:
        self._client, self._plan = client, plan
        self.name = f"projects/{project}/topics/{plan.name}"
        self.wanted = {"replayable_s": plan.replayable_s, "labels": plan.labels}

    def find(self) -> Found | None:
        """Its settings, or None."""
        try:
            topic = self._client.get_topic(topic=self.name, **PATIENCE)
        except NotFound:
            return None
        return {"replayable_s": _seconds(topic.message_retention_duration), "labels": dict(topic.labels)}

    def make(self) -> None:
        """Make it as planned."""
        self._client.create_topic(request=self._settings(self._plan.labels), **PATIENCE)

    def may_change(self, name: str, found: Value) -> bool:
        """Labels, and the time of retention if it becomes longer."""
        return name == "labels" or _is_longer(found, self._plan.replayable_s)

    def change(self, names: Collection[str], found: Found) -> None:
        """Give these settings their planned values; other labels stay."""
        paths = {"replayable_s": "message_retention_duration", "labels": "labels"}
        mask = FieldMask(paths=[paths[name] for name in names])
        settings = self._settings(_united(found["labels"], self._plan.labels))
        self._client.update_topic(request={"topic": settings, "update_mask": mask}, **PATIENCE)

    def remove(self) -> None:
        """Remove it; its subscriptions stay without a topic."""
        self._client.delete_topic(topic=self.name, **PATIENCE)

    def _settings(self, labels: Mapping[str, str]) -> types.Topic:
        kept = timedelta(seconds=self._plan.replayable_s)
        return types.Topic(name=self.name, labels=dict(labels), message_retention_duration=kept)


_PATHS = {
    "ack_deadline_s": "ack_deadline_seconds",
    "unread_kept_s": "message_retention_duration",
    "expires_after_s": "expiration_policy",
    "retry_s": "retry_policy",
    "dead_letters": "dead_letter_policy",
    "labels": "labels",
}


class Subscription(Resource):
    """A subscription that never expires, retries with growing waits, and may have a dead-letter topic."""

    kind, service = "subscription", "pubsub"

    def __init__(self, client: SubscriberClient, project: str, plan: SubscriptionPlan) -> None:
        self._client, self._plan = client, plan
        self._topics = f"projects/{project}/topics"
        self.name = f"projects/{project}/subscriptions/{plan.name}"
        dead_letter = plan.dead_letter_topic
        self.wanted = {
            "topic": f"{self._topics}/{plan.topic}",
            "ack_deadline_s": plan.ack_deadline_s,
            "unread_kept_s": plan.unread_kept_s,
            "expires_after_s": None,
            "retry_s": plan.retry_s,
            "labels": plan.labels,
            "filter": plan.filter or None,
        }
        if dead_letter:
            self.wanted["dead_letters"] = (f"{self._topics}/{dead_letter}", plan.delivery_attempts)

    def find(self) -> Found | None:
        """Its settings, or None."""
        try:
            found = self._client.get_subscription(subscription=self.name, **PATIENCE)
        except NotFound:
            return None
        retry, dead = found.retry_policy, found.dead_letter_policy
        return {
            "topic": found.topic,
            "ack_deadline_s": found.ack_deadline_seconds,
            "unread_kept_s": _seconds(found.message_retention_duration),
            "expires_after_s": _seconds(found.expiration_policy.ttl) or None,
            "retry_s": (_seconds(retry.minimum_backoff), _seconds(retry.maximum_backoff)) if retry else None,
            "dead_letters": (dead.dead_letter_topic, dead.max_delivery_attempts) if dead.dead_letter_topic else None,
            "labels": dict(found.labels),
            "filter": found.filter or None,
        }

    def make(self) -> None:
        """Make it as planned."""
        self._client.create_subscription(request=self._settings(self._plan.labels), **PATIENCE)

    def may_change(self, name: str, found: Value) -> bool:
        """All but its topic, its filter, a dead-letter topic that somebody chose, and a longer time of retention."""
        if name == "unread_kept_s":
            return _is_longer(found, self._plan.unread_kept_s)
        if name == "dead_letters":
            return found is None or (isinstance(found, tuple) and found[0] == self._dead_letter_topic())
        return name not in ("topic", "filter")

    def change(self, names: Collection[str], found: Found) -> None:
        """Give these settings their planned values; other labels stay."""
        mask = FieldMask(paths=[_PATHS[name] for name in names])
        settings = self._settings(_united(found["labels"], self._plan.labels))
        self._client.update_subscription(request={"subscription": settings, "update_mask": mask}, **PATIENCE)

    def remove(self) -> None:
        """Remove it with the messages that it holds."""
        self._client.delete_subscription(subscription=self.name, **PATIENCE)

    def _settings(self, labels: Mapping[str, str]) -> types.Subscription:
        least_s, most_s = self._plan.retry_s
        settings = types.Subscription(
            name=self.name,
            topic=f"{self._topics}/{self._plan.topic}",
            ack_deadline_seconds=self._plan.ack_deadline_s,
            message_retention_duration=timedelta(seconds=self._plan.unread_kept_s),
            expiration_policy=types.ExpirationPolicy(),  # without a time: never
            retry_policy=types.RetryPolicy(
                minimum_backoff=timedelta(seconds=least_s), maximum_backoff=timedelta(seconds=most_s)
            ),
            labels=dict(labels),
            filter=self._plan.filter,
        )
        if topic := self._dead_letter_topic():
            settings.dead_letter_policy = types.DeadLetterPolicy(
                dead_letter_topic=topic, max_delivery_attempts=self._plan.delivery_attempts
            )
        return settings

    def _dead_letter_topic(self) -> str | None:
        name = self._plan.dead_letter_topic
        return f"{self._topics}/{name}" if name else None


def _seconds(duration: timedelta | None) -> int:
    return round(duration.total_seconds()) if duration else 0


def _is_longer(found: Value, planned_s: int) -> bool:
    return isinstance(found, int) and planned_s > found


def _united(found: Value, planned: Mapping[str, str]) -> dict[str, str]:
    return {**(found if isinstance(found, Mapping) else {}), **planned}
