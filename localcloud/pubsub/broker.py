"""Topics and subscriptions, and the way of a message from one to the other."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import count

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from google.pubsub_v1 import types

from localcloud.proto import Proto
from localcloud.pubsub import limits
from localcloud.pubsub.filters import FilterError, Predicate, parse
from localcloud.pubsub.limits import PubSubError, invalid
from localcloud.pubsub.subscription import Delivery, Message, Subscription

PubsubMessage = types.PubsubMessage.pb()
SubscriptionSettings = types.Subscription.pb()
TopicSettings = types.Topic.pb()

DELETED_TOPIC = "_deleted-topic_"
SOURCE_ATTRIBUTE = "CloudPubSubDeadLetterSource"
FIXED_SUBSCRIPTION_FIELDS = {"name", "topic", "filter", "enable_message_ordering"}


class Attached:
    """A subscription with its filter, and the events of those who wait for its messages."""

    def __init__(self, settings: Proto, accepts: Predicate, on_exhausted: Callable[[Delivery], bool]) -> None:
        self.accepts = accepts
        self.queue = Subscription(settings, self.wake, on_exhausted)
        self.waiters: set[asyncio.Event] = set()
        self.deleted = False

    @property
    def settings(self) -> Proto:
        return self.queue.settings

    def wake(self) -> None:
        for event in self.waiters:
            event.set()


class Broker:
    """Everything the server knows, in memory. Not for several threads: the server's event loop is its only user."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.topics: dict[str, Proto] = {}
        self.subscriptions: dict[str, Attached] = {}
        self._followers: dict[str, list[Attached]] = {}
        self._numbers = count(1)

    def topic(self, name: str) -> Proto:
        if name not in self.topics:
            raise PubSubError(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={name.rpartition('/')[2]}).")
        return self.topics[name]

    def subscription(self, name: str) -> Attached:
        if name not in self.subscriptions:
            raise PubSubError(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={name.rpartition('/')[2]}).")
        return self.subscriptions[name]

    def create_topic(self, settings: Proto) -> Proto:
        limits.check_name("topics", settings.name)
        _require_new(settings.name, self.topics)
        settings.state = 1
        self.topics[settings.name] = settings
        self._followers[settings.name] = []
        return settings

    def update_topic(self, changed: Proto, mask: Proto) -> Proto:
        self.topics[changed.name] = _merged(self.topic(changed.name), changed, mask, {"name"})
        return self.topics[changed.name]

    def delete_topic(self, name: str) -> None:
        self.topic(name)
        del self.topics[name]
        for attached in self._followers.pop(name):
            attached.settings.topic = DELETED_TOPIC

    def create_subscription(self, settings: Proto) -> Proto:
        limits.check_name("subscriptions", settings.name)
        _require_new(settings.name, self.subscriptions)
        self.topic(settings.topic)
        limits.check_supported(settings)
        limits.complete_subscription(settings)
        try:
            accepts = parse(settings.filter)
        except FilterError as error:
            raise invalid(f"Invalid filter: {error}") from None
        attached = Attached(settings, accepts, lambda delivery: self._dead_letter(settings.name, delivery))
        self.subscriptions[settings.name] = attached
        self._followers[settings.topic].append(attached)
        return settings

    def update_subscription(self, changed: Proto, mask: Proto) -> Proto:
        attached = self.subscription(changed.name)
        settings = _merged(attached.settings, changed, mask, FIXED_SUBSCRIPTION_FIELDS)
        limits.check_supported(settings)
        limits.complete_subscription(settings)
        attached.queue.settings = settings
        return settings

    def delete_subscription(self, name: str) -> None:
        attached = self.subscription(name)
        del self.subscriptions[name]
        attached.deleted = True
        if attached.settings.topic in self._followers:
            self._followers[attached.settings.topic].remove(attached)
        attached.wake()

    def publish(self, topic: str, messages: Iterable[Proto]) -> list[str]:
        """Give each message its id and its time, and queue it at every subscription whose filter accepts it."""
        self.topic(topic)
        now_s = self.clock()
        publish_time = Timestamp()
        publish_time.FromMicroseconds(int(now_s * 1e6))
        stored: list[tuple[Mapping[str, str], Message]] = []
        ids = []
        for message in messages:
            message.message_id = str(next(self._numbers))
            message.publish_time.CopyFrom(publish_time)
            ids.append(message.message_id)
            stored.append((message.attributes, Message(message.SerializeToString(), message.ordering_key, now_s)))
        for attached in self._followers[topic]:
            attached.queue.add([kept for attributes, kept in stored if attached.accepts(attributes)])
        return ids

    def sweep(self) -> None:
        for attached in list(self.subscriptions.values()):
            attached.queue.sweep(self.clock())

    def _dead_letter(self, subscription: str, delivery: Delivery) -> bool:
        """Forward to the dead-letter topic. https://cloud.google.com/pubsub/docs/handling-failures#track-delivery-attempts"""
        topic = self.subscriptions[subscription].settings.dead_letter_policy.dead_letter_topic
        if topic not in self.topics:
            return False
        message = PubsubMessage.FromString(delivery.message.body)
        _, project, _, name = subscription.split("/")
        source = {
            "DeliveryCount": str(delivery.attempt),
            "Subscription": name,
            "SubscriptionProject": project,
            "TopicPublishTime": message.publish_time.ToJsonString(),
        }
        for key, value in source.items():
            message.attributes[SOURCE_ATTRIBUTE + key] = value
        self.publish(topic, [message])
        return True


def _require_new(name: str, existing: Mapping[str, object]) -> None:
    if name in existing:
        short = name.rpartition("/")[2]
        raise PubSubError(grpc.StatusCode.ALREADY_EXISTS, f"Resource already exists in the project (resource={short}).")


def _merged(current: Proto, changed: Proto, mask: FieldMask, fixed: set[str]) -> Proto:
    known = set(type(current).DESCRIPTOR.fields_by_name)
    for path in mask.paths:
        if path.partition(".")[0] not in known - fixed:
            raise invalid(f"Invalid update_mask: {path!r} does not exist or cannot be changed.")
    if not mask.paths:
        raise invalid("The update_mask in the request must be set.")
    merged = type(current)()
    merged.CopyFrom(current)
    mask.MergeMessage(changed, merged, True, True)
    return merged
