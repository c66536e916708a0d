"""The Pub/Sub server against Google's documented behaviour, through Google's own clients.

It departs from it in the size of a message: 4 MB here, 10 MB there. Google's client receives no more from an emulator.
"""

import itertools
import time

import pytest
from google.api_core import exceptions
from google.protobuf import duration_pb2, field_mask_pb2
from google.pubsub_v1 import PublisherClient as GapicPublisher
from google.pubsub_v1 import types

from localcloud.pubsub import limits

PROJECT = "projects/local-project"
numbers = itertools.count()
pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated")


def send(publisher, topic, *texts, **attributes):
    futures = [publisher.publish(topic, text.encode(), **attributes) for text in texts]
    return [future.result(timeout=10) for future in futures]


def pulled(subscriber, subscription, n=1, timeout_s=8.0):
    """The next n messages, pulled until they are there; fewer when the time is over."""
    got = []
    until = time.monotonic() + timeout_s
    while len(got) < n and time.monotonic() < until:
        request = {"subscription": subscription, "max_messages": n - len(got)}
        got += subscriber.pull(request=request, timeout=10).received_messages
    return got


def texts(received):
    return [one.message.data.decode() for one in received]


def ack(subscriber, subscription, received):
    subscriber.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in received])


def give_back(subscriber, subscription, received):
    ids = [one.ack_id for one in received]
    subscriber.modify_ack_deadline(subscription=subscription, ack_ids=ids, ack_deadline_seconds=0)


def nothing_left(subscriber, subscription):
    return not subscriber.pull(
        request={"subscription": subscription, "max_messages": 1, "return_immediately": True}
    ).received_messages


class TestTopics:
    def test_a_created_topic_is_got_listed_and_deleted(self, publisher):
        name = f"{PROJECT}-list/topics/one"
        publisher.create_topic(request={"name": name, "labels": {"a": "b"}})
        assert publisher.get_topic(topic=name).labels == {"a": "b"}
        assert [topic.name for topic in publisher.list_topics(project=f"{PROJECT}-list")] == [name]
        publisher.delete_topic(topic=name)
        assert not list(publisher.list_topics(project=f"{PROJECT}-list"))

    def test_lists_go_on_page_by_page(self, publisher):
        names = [f"{PROJECT}-pages/topics/topic-{n}" for n in range(5)]
        for name in names:
            publisher.create_topic(name=name)
        pages = publisher.list_topics(request={"project": f"{PROJECT}-pages", "page_size": 2})
        assert [[topic.name for topic in page.topics] for page in pages.pages] == [names[:2], names[2:4], names[4:]]

    def test_creating_a_topic_twice_is_already_exists(self, publisher, topic):
        with pytest.raises(exceptions.AlreadyExists):
            publisher.create_topic(name=topic)

    @pytest.mark.parametrize("bad", ["ab", "1abc", "goog-topic", "with space", "x" * 256])
    def test_a_name_against_the_rules_is_invalid_argument(self, publisher, bad):
        with pytest.raises(exceptions.InvalidArgument):
            publisher.create_topic(name=f"{PROJECT}/topics/{bad}")

    @pytest.mark.parametrize("good", ["abc", "x" * 255, "a-b_c.d~e+f%g"])
    def test_a_name_at_the_edge_of_the_rules_is_taken(self, publisher, good):
        assert publisher.create_topic(name=f"{PROJECT}/topics/{good}").name.endswith(good)

    def test_an_unknown_topic_is_not_found(self, publisher):
        with pytest.raises(exceptions.NotFound):
            publisher.get_topic(topic=f"{PROJECT}/topics/nowhere")
        with pytest.raises(exceptions.NotFound):
            publisher.delete_topic(topic=f"{PROJECT}/topics/nowhere")
        with pytest.raises(exceptions.NotFound):
            publisher.publish(f"{PROJECT}/topics/nowhere", b"x").result(timeout=10)

    def test_update_changes_only_what_the_mask_names(self, publisher, topic):
        changed = types.Topic(name=topic, labels={"a": "1"}, kms_key_name="ignored")
        updated = publisher.update_topic(topic=changed, update_mask=field_mask_pb2.FieldMask(paths=["labels"]))
        assert updated.labels == {"a": "1"}
        assert not updated.kms_key_name

    def test_update_of_the_name_is_invalid_argument(self, publisher, topic):
        with pytest.raises(exceptions.InvalidArgument):
            publisher.update_topic(topic=types.Topic(name=topic), update_mask=field_mask_pb2.FieldMask(paths=["name"]))


class TestSubscriptions:
    def test_defaults_are_the_documented_ones(self, subscriber, subscribe, topic):
        settings = subscriber.get_subscription(subscription=subscribe())
        assert settings.topic == topic
        assert settings.ack_deadline_seconds == 10
        assert settings.message_retention_duration.total_seconds() == 7 * 86_400

    def test_it_is_listed_under_its_project_and_its_topic(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        assert name in [one.name for one in subscriber.list_subscriptions(project=PROJECT)]
        assert list(publisher.list_topic_subscriptions(topic=topic)) == [name]

    def test_of_an_unknown_topic_is_not_found(self, subscriber):
        with pytest.raises(exceptions.NotFound):
            subscriber.create_subscription(name=f"{PROJECT}/subscriptions/lost", topic=f"{PROJECT}/topics/nowhere")

    def test_created_twice_is_already_exists(self, subscriber, subscribe, topic):
        with pytest.raises(exceptions.AlreadyExists):
            subscriber.create_subscription(name=subscribe(), topic=topic)

    @pytest.mark.parametrize(
        "settings",
        [
            {"ack_deadline_seconds": 9},
            {"ack_deadline_seconds": 601},
            {"message_retention_duration": duration_pb2.Duration(seconds=599)},
            {"dead_letter_policy": {"dead_letter_topic": f"{PROJECT}/topics/dead", "max_delivery_attempts": 4}},
            {"dead_letter_policy": {"dead_letter_topic": "dead", "max_delivery_attempts": 5}},
            {"retry_policy": {"minimum_backoff": duration_pb2.Duration(seconds=601)}},
        ],
    )
    def test_a_setting_out_of_its_range_is_invalid_argument(self, subscribe, settings):
        with pytest.raises(exceptions.InvalidArgument):
            subscribe(**settings)

    @pytest.mark.parametrize(
        "settings",
        [{"push_config": {"push_endpoint": "https://example.com"}}, {"enable_exactly_once_delivery": True}],
    )
    def test_what_is_not_done_here_is_refused_not_ignored(self, subscribe, settings):
        with pytest.raises(exceptions.MethodNotImplemented):
            subscribe(**settings)

    def test_update_changes_the_deadline_but_not_the_filter(self, subscriber, subscribe):
        name = subscribe(filter="attributes:a")
        changed = types.Subscription(name=name, ack_deadline_seconds=60, filter="attributes:b")
        mask = field_mask_pb2.FieldMask(paths=["ack_deadline_seconds"])
        assert subscriber.update_subscription(subscription=changed, update_mask=mask).ack_deadline_seconds == 60
        with pytest.raises(exceptions.InvalidArgument):
            subscriber.update_subscription(subscription=changed, update_mask=field_mask_pb2.FieldMask(paths=["filter"]))

    def test_outlives_its_topic(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        send(publisher, topic, "kept")
        publisher.delete_topic(topic=topic)
        assert subscriber.get_subscription(subscription=name).topic == "_deleted-topic_"
        assert texts(pulled(subscriber, name)) == ["kept"]

    def test_deleted_it_is_not_found(self, subscriber, subscribe):
        name = subscribe()
        subscriber.delete_subscription(subscription=name)
        for call in (
            lambda: subscriber.get_subscription(subscription=name),
            lambda: subscriber.pull(subscription=name, max_messages=1),
            lambda: subscriber.acknowledge(subscription=name, ack_ids=["1"]),
            lambda: subscriber.delete_subscription(subscription=name),
        ):
            with pytest.raises(exceptions.NotFound):
                call()


class TestPublish:
    def test_data_attributes_id_and_time_arrive(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        before = time.time()
        (message_id,) = send(publisher, topic, "hello", camera="G1")
        message = pulled(subscriber, name)[0].message
        assert (message.data, dict(message.attributes), message.message_id) == (b"hello", {"camera": "G1"}, message_id)
        assert before - 1 < message.publish_time.timestamp() < time.time() + 1

    def test_every_subscription_gets_each_message_published_after_it_was_made(
        self, publisher, subscriber, subscribe, topic
    ):
        first = subscribe()
        send(publisher, topic, "early")
        second = subscribe()
        send(publisher, topic, "late")
        assert sorted(texts(pulled(subscriber, first, 2))) == ["early", "late"]
        assert texts(pulled(subscriber, second)) == ["late"]
        assert nothing_left(subscriber, second)

    def test_a_message_of_attributes_alone_is_taken(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        send(publisher, topic, "", only="attribute")
        assert pulled(subscriber, name)[0].message.attributes == {"only": "attribute"}

    @pytest.mark.parametrize(
        "message",
        [
            {},
            {"data": b"x", "attributes": {"k" * 257: "v"}},
            {"data": b"x", "attributes": {"k": "v" * 1025}},
            {"data": b"x", "attributes": {"goog-key": "v"}},
            {"data": b"x", "attributes": {str(n): "v" for n in range(101)}},
            {"data": b"x", "ordering_key": "k" * 1025},
        ],
        ids=["empty", "long-key", "long-value", "goog-key", "101-attributes", "long-ordering-key"],
    )
    def test_a_message_over_a_limit_is_invalid_argument(self, raw_publish, topic, message):
        with pytest.raises(exceptions.InvalidArgument):
            raw_publish(topic, [message])

    def test_a_message_at_the_limits_is_taken(self, raw_publish, topic):
        attributes = {"k" * 256: "v" * 1024} | {str(n): "v" for n in range(99)}
        assert raw_publish(topic, [{"data": b"x", "attributes": attributes, "ordering_key": "k" * 1024}])

    def test_a_bad_message_rejects_its_whole_request(self, raw_publish, subscriber, subscribe, topic):
        name = subscribe()
        with pytest.raises(exceptions.InvalidArgument):
            raw_publish(topic, [{"data": b"good"}, {}])
        assert nothing_left(subscriber, name)

    def test_1000_messages_are_taken_1001_are_not(self, raw_publish, topic):
        assert len(raw_publish(topic, [{"data": b"x"}] * 1000)) == 1000
        with pytest.raises(exceptions.InvalidArgument):
            raw_publish(topic, [{"data": b"x"}] * 1001)

    def test_a_request_of_nearly_10_mb_is_taken_and_more_is_invalid_argument(
        self, raw_publish, subscriber, subscribe, topic
    ):
        name = subscribe()
        raw_publish(topic, [{"data": b"x" * 3_330_000}] * 3)
        assert [len(one.message.data) for one in pulled(subscriber, name, 3)] == [3_330_000] * 3
        with pytest.raises(exceptions.InvalidArgument, match="10000000"):
            raw_publish(topic, [{"data": b"x" * 3_340_000}] * 3)

    def test_the_largest_local_message_arrives_alone(self, raw_publish, subscriber, subscribe, topic):
        name = subscribe()
        raw_publish(topic, [{"data": b"small"}])
        raw_publish(topic, [largest_message()])
        raw_publish(topic, [{"data": b"after"}])
        sizes = [
            [len(one.message.data) for one in subscriber.pull(subscription=name, max_messages=3).received_messages]
            for _ in range(3)
        ]
        assert sizes == [[5], [len(largest_message()["data"])], [5]]

    def test_one_byte_more_is_refused_at_once_though_the_real_service_takes_10_mb(
        self, raw_publish, subscriber, subscribe, topic
    ):
        name = subscribe()
        with pytest.raises(exceptions.InvalidArgument, match=r"4000001 bytes.* 4000000,.* 10000000\.") as refused:
            raw_publish(topic, [{"data": b"small"}, largest_message(more=1)])
        assert "\n" not in refused.value.message
        assert nothing_left(subscriber, name)


def largest_message(more=0):
    """The largest message that is taken here, or so many bytes more."""
    return {"data": b"x" * (limits.MAX_MESSAGE_BYTES - 5 + more)}  # protobuf adds a tag and a length


@pytest.fixture
def raw_publish(publisher):
    """One Publish call as it is, without the client's own batching and checks."""

    def call(topic, messages):
        request = types.PublishRequest(topic=topic, messages=[types.PubsubMessage(one) for one in messages])
        return list(GapicPublisher.publish(publisher, request=request, timeout=20).message_ids)

    return call


def test_everything_is_allowed_on_what_exists_and_nothing_on_what_does_not(publisher, topic):
    def allowed(resource):
        question = {"resource": resource, "permissions": ["pubsub.topics.publish"]}
        return list(publisher.test_iam_permissions(request=question).permissions)

    assert allowed(topic) == ["pubsub.topics.publish"]
    assert allowed(f"{topic}-absent") == []


def test_subscription_expires_after_a_month_unless_asked_never_to(subscriber, subscribe):
    def expires_after(**settings):
        name = subscribe(**settings)
        return subscriber.get_subscription(subscription=name).expiration_policy.ttl

    assert expires_after().days == 31
    assert not expires_after(expiration_policy={})
