"""What the Pub/Sub server delivers, when, to whom and in which order, through Google's own client."""

import threading
import time

import pytest
from google.api_core import exceptions
from google.protobuf import duration_pb2, timestamp_pb2
from test_localcloud_pubsub import PROJECT, ack, give_back, nothing_left, numbers, pulled, send, texts

pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated")


class TestPull:
    def test_acknowledged_is_not_delivered_again(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        send(publisher, topic, "once")
        received = pulled(subscriber, name)
        ack(subscriber, name, received)
        give_back(subscriber, name, received)
        assert nothing_left(subscriber, name)

    def test_lent_is_not_lent_to_another(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        send(publisher, topic, "one")
        assert len(pulled(subscriber, name)) == 1
        assert nothing_left(subscriber, name)

    def test_nacked_comes_back_at_once(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        send(publisher, topic, "again")
        received = pulled(subscriber, name)
        give_back(subscriber, name, received)
        second = pulled(subscriber, name)
        assert texts(second) == ["again"]
        assert second[0].ack_id != received[0].ack_id

    def test_not_acknowledged_in_time_it_comes_back(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        send(publisher, topic, "late")
        received = pulled(subscriber, name)
        ids = [one.ack_id for one in received]
        subscriber.modify_ack_deadline(subscription=name, ack_ids=ids, ack_deadline_seconds=1)
        before = time.monotonic()
        assert texts(pulled(subscriber, name)) == ["late"]
        assert 0.5 < time.monotonic() - before < 4

    def test_an_acknowledgement_after_the_deadline_does_not_stop_the_next_delivery(
        self, publisher, subscriber, subscribe, topic
    ):
        name = subscribe()
        send(publisher, topic, "late")
        received = pulled(subscriber, name)
        give_back(subscriber, name, received)
        ack(subscriber, name, received)
        assert texts(pulled(subscriber, name)) == ["late"]

    def test_gives_no_more_than_asked(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        send(publisher, topic, *"abc")
        assert len(subscriber.pull(subscription=name, max_messages=2).received_messages) == 2

    def test_idle_it_answers_empty_within_a_second(self, subscriber, subscribe):
        name = subscribe()
        before = time.monotonic()
        assert not subscriber.pull(subscription=name, max_messages=1).received_messages
        assert 0.3 < time.monotonic() - before < 1.5

    def test_return_immediately_does_not_wait(self, subscriber, subscribe):
        name = subscribe()
        before = time.monotonic()
        assert nothing_left(subscriber, name)
        assert time.monotonic() - before < 0.3

    def test_waiting_it_answers_as_soon_as_there_is_a_message(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        timer = threading.Timer(0.1, send, (publisher, topic, "now"))
        timer.start()
        before = time.monotonic()
        assert len(subscriber.pull(subscription=name, max_messages=10).received_messages) == 1
        assert time.monotonic() - before < 0.45
        timer.join()

    @pytest.mark.parametrize("n", [0, -1])
    def test_of_no_messages_is_invalid_argument(self, subscriber, subscribe, n):
        with pytest.raises(exceptions.InvalidArgument):
            subscriber.pull(subscription=subscribe(), max_messages=n)

    @pytest.mark.parametrize("seconds", [-1, 601])
    def test_a_deadline_out_of_range_is_invalid_argument(self, subscriber, subscribe, seconds):
        with pytest.raises(exceptions.InvalidArgument):
            subscriber.modify_ack_deadline(subscription=subscribe(), ack_ids=["1"], ack_deadline_seconds=seconds)

    def test_after_a_seek_to_now_nothing_is_left(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        send(publisher, topic, *"abc")
        now = timestamp_pb2.Timestamp()
        now.GetCurrentTime()
        subscriber.seek(request={"subscription": name, "time": now})
        assert nothing_left(subscriber, name)

    def test_after_a_seek_to_the_past_retained_messages_come_again(self, publisher, subscriber, subscribe, topic):
        name = subscribe(retain_acked_messages=True)
        send(publisher, topic, "again")
        ack(subscriber, name, pulled(subscriber, name))
        subscriber.seek(request={"subscription": name, "time": timestamp_pb2.Timestamp(seconds=1)})
        assert texts(pulled(subscriber, name)) == ["again"]


class TestDelivery:
    def test_attempts_are_counted_only_with_a_dead_letter_policy(self, publisher, subscriber, subscribe, topic):
        policy = {"dead_letter_topic": f"{PROJECT}/topics/never-made", "max_delivery_attempts": 5}
        counted, plain = subscribe(dead_letter_policy=policy), subscribe()
        send(publisher, topic, "x")
        for expected in (1, 2):
            for name, attempt in ((counted, expected), (plain, 0)):
                received = pulled(subscriber, name)
                assert received[0].delivery_attempt == attempt
                give_back(subscriber, name, received)

    def test_after_its_attempts_a_message_goes_to_the_dead_letter_topic(self, publisher, subscriber, subscribe, topic):
        dead_topic = f"{PROJECT}/topics/dead-{next(numbers)}"
        dead_name = f"{PROJECT}/subscriptions/dead-{next(numbers)}"
        publisher.create_topic(name=dead_topic)
        subscriber.create_subscription(name=dead_name, topic=dead_topic)
        name = subscribe(dead_letter_policy={"dead_letter_topic": dead_topic, "max_delivery_attempts": 5})
        send(publisher, topic, "poison", camera="G1")
        for _ in range(5):
            assert nothing_left(subscriber, dead_name)
            give_back(subscriber, name, pulled(subscriber, name))
        dead = pulled(subscriber, dead_name)[0].message
        assert (dead.data, dead.attributes["camera"]) == (b"poison", "G1")
        assert dead.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] == "5"
        assert dead.attributes["CloudPubSubDeadLetterSourceSubscription"] == name.rpartition("/")[2]
        assert dead.attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] == "local-project"
        assert dead.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"].endswith("Z")
        assert nothing_left(subscriber, name)

    def test_without_its_dead_letter_topic_a_message_goes_on_being_delivered(
        self, publisher, subscriber, subscribe, topic
    ):
        policy = {"dead_letter_topic": f"{PROJECT}/topics/never-made", "max_delivery_attempts": 5}
        name = subscribe(dead_letter_policy=policy)
        send(publisher, topic, "x")
        for attempt in range(1, 8):
            received = pulled(subscriber, name)
            assert received[0].delivery_attempt == attempt
            give_back(subscriber, name, received)

    def test_a_retry_policy_delays_what_is_given_back(self, publisher, subscriber, subscribe, topic):
        backoff = duration_pb2.Duration(seconds=1)
        name = subscribe(retry_policy={"minimum_backoff": backoff, "maximum_backoff": backoff})
        send(publisher, topic, "x")
        give_back(subscriber, name, pulled(subscriber, name))
        before = time.monotonic()
        assert nothing_left(subscriber, name)
        assert len(pulled(subscriber, name)) == 1
        assert time.monotonic() - before > 0.7

    @pytest.mark.parametrize(
        ("text", "matching"),
        [
            ("attributes:lane", {"a", "b"}),
            ('attributes.lane = "1"', {"a"}),
            ('attributes.lane != "1"', {"b", "c"}),
            ('hasPrefix(attributes.camera, "G")', {"a", "c"}),
            ("NOT attributes:lane", {"c"}),
            ('attributes:lane AND NOT attributes.camera = "G1"', {"b"}),
            ('attributes.lane = "2" OR (attributes.camera = "G2" AND -attributes:lane)', {"b", "c"}),
        ],
    )
    def test_a_filter_lets_only_its_messages_through(self, publisher, subscriber, subscribe, topic, text, matching):
        name = subscribe(filter=text)
        send(publisher, topic, "a", lane="1", camera="G1")
        send(publisher, topic, "b", lane="2", camera="H1")
        send(publisher, topic, "c", camera="G2")
        assert set(texts(pulled(subscriber, name, len(matching)))) == matching
        assert nothing_left(subscriber, name)

    @pytest.mark.parametrize(
        "text",
        [
            "lane",
            "attributes.lane",
            'attributes.lane > "1"',
            "attributes:a AND",
            "attributes:a attributes:b",
            "attributes:a AND attributes:b OR attributes:c",
            "(attributes:a",
            "attributes:" + "a" * 256,
            '"',
        ],
    )
    def test_a_filter_that_is_none_is_invalid_argument(self, subscribe, text):
        with pytest.raises(exceptions.InvalidArgument, match="filter"):
            subscribe(filter=text)


class TestOrdering:
    @pytest.fixture
    def ordered(self, subscribe):
        return subscribe(enable_message_ordering=True)

    def test_messages_of_a_key_come_in_the_order_they_were_published(self, publisher, subscriber, ordered, topic):
        expected = [str(n) for n in range(300)]
        send(publisher, topic, *expected, ordering_key="car")
        got = []
        while len(got) < len(expected):
            received = pulled(subscriber, ordered, 60)
            got += texts(received)
            ack(subscriber, ordered, received)
        assert got == expected

    def test_a_second_batch_waits_until_the_first_is_acknowledged(self, publisher, subscriber, ordered, topic):
        send(publisher, topic, *"abc", ordering_key="car")
        first = subscriber.pull(subscription=ordered, max_messages=2).received_messages
        assert texts(first) == ["a", "b"]
        ack(subscriber, ordered, first[:1])
        assert nothing_left(subscriber, ordered)
        ack(subscriber, ordered, first[1:])
        assert texts(pulled(subscriber, ordered)) == ["c"]

    def test_keys_do_not_wait_for_each_other(self, publisher, subscriber, ordered, topic):
        send(publisher, topic, "a1", ordering_key="a")
        send(publisher, topic, "b1", ordering_key="b")
        send(publisher, topic, "free")
        assert texts(pulled(subscriber, ordered)) == ["a1"]
        assert sorted(texts(pulled(subscriber, ordered, 2))) == ["b1", "free"]

    def test_with_a_message_those_after_it_come_again_in_order(self, publisher, subscriber, ordered, topic):
        send(publisher, topic, *"abcd", ordering_key="car")
        received = pulled(subscriber, ordered, 4)
        ack(subscriber, ordered, received[:1])
        give_back(subscriber, ordered, received[1:2])
        assert texts(pulled(subscriber, ordered, 3)) == ["b", "c", "d"]

    def test_without_ordering_on_the_subscription_a_key_holds_nothing_back(
        self, publisher, subscriber, subscribe, topic
    ):
        name = subscribe()
        send(publisher, topic, *"ab", ordering_key="car")
        assert len(pulled(subscriber, name)) == 1
        assert len(pulled(subscriber, name)) == 1
