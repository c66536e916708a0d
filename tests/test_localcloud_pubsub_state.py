"""A subscription's state with the time passed in: what would take minutes or days against the server."""

import pytest
from google.pubsub_v1 import types

from localcloud.pubsub.filters import FilterError, parse
from localcloud.pubsub.subscription import Holder, Message, Subscription

DAY_S = 86_400


def subscription(exhausted=lambda _delivery: True, **settings):
    full = types.Subscription.pb()(
        ack_deadline_seconds=10, message_retention_duration={"seconds": 7 * DAY_S}, **settings
    )
    return Subscription(full, lambda: None, exhausted)


def message(body=b"x", key="", published_s=0.0):
    return Message(body, key, published_s)


def lend(queue, now_s, limit=100, max_bytes=1 << 20, holder=None):
    return queue.lend(now_s, limit, max_bytes, 10, holder or Holder())


class TestDeadlines:
    def test_before_its_deadline_a_message_stays_lent(self):
        queue = subscription()
        queue.add([message()])
        lend(queue, 0)
        queue.sweep(9.8)
        assert lend(queue, 9.8) == []

    def test_after_its_deadline_it_is_lent_again_with_a_new_ack_id(self):
        queue = subscription()
        queue.add([message()])
        (first,) = lend(queue, 0)
        old_id = first.ack_id
        queue.sweep(10.2)
        (second,) = lend(queue, 10.2)
        assert second.message is first.message
        assert second.ack_id != old_id
        assert second.attempt == 2

    def test_a_deadline_that_was_moved_counts_from_the_move(self):
        queue = subscription()
        queue.add([message()])
        (lent,) = lend(queue, 0)
        queue.modify_deadline(9, [lent.ack_id], 60)
        queue.sweep(68.8)
        assert lend(queue, 68.8) == []
        queue.sweep(69.2)
        assert len(lend(queue, 69.2)) == 1

    def test_who_holds_a_message_no_more_has_room_again(self):
        queue, holder = subscription(), Holder()
        queue.add([message(b"abc"), message(b"de")])
        lent = lend(queue, 0, holder=holder)
        assert (holder.held, holder.held_bytes) == (2, 5)
        queue.acknowledge([lent[0].ack_id])
        assert (holder.held, holder.held_bytes) == (1, 2)
        queue.sweep(20)
        assert (holder.held, holder.held_bytes) == (0, 0)

    def test_acknowledged_messages_are_freed(self):
        queue = subscription()
        for _ in range(3):
            queue.add([message(key=str(n % 3)) for n in range(100)])
            while lent := lend(queue, 0):
                queue.acknowledge([one.ack_id for one in lent])
        assert queue.backlog == 0
        kept = (queue._out, queue._lanes, queue._ready, queue._acked, queue._delayed, *queue._due.values())
        assert not any(kept)


class TestRetention:
    def test_within_the_retention_a_message_is_delivered(self):
        queue = subscription()
        queue.add([message(published_s=0)])
        assert len(lend(queue, 7 * DAY_S)) == 1

    def test_past_the_retention_it_is_dropped(self):
        queue = subscription()
        queue.add([message(published_s=0), message(published_s=10)])
        assert [one.message.published_s for one in lend(queue, 7 * DAY_S + 5)] == [10]
        assert queue.backlog == 1

    def test_a_dropped_message_of_a_key_does_not_block_those_after_it(self):
        queue = subscription(enable_message_ordering=True)
        queue.add([message(b"old", "car", 0), message(b"new", "car", 10)])
        assert [one.message.body for one in lend(queue, 7 * DAY_S + 5)] == [b"new"]

    def test_retained_acknowledged_messages_are_forgotten_with_the_retention(self):
        queue = subscription(retain_acked_messages=True)
        queue.add([message(published_s=0)])
        queue.acknowledge([lend(queue, 0)[0].ack_id])
        queue.sweep(7 * DAY_S + 1)
        queue.seek(0)
        assert lend(queue, 7 * DAY_S + 1) == []


class TestSize:
    def test_messages_that_fit_together_go_together(self):
        queue = subscription()
        queue.add([message(b"x" * 50)] * 3)
        assert len(lend(queue, 0, max_bytes=100)) == 2

    def test_one_larger_than_the_room_goes_alone(self):
        queue = subscription()
        queue.add([message(b"x"), message(b"x" * 500), message(b"x")])
        assert [len(lend(queue, 0, max_bytes=100)) for _ in range(4)] == [1, 1, 1, 0]

    def test_a_key_keeps_its_order_when_its_batch_does_not_fit(self):
        queue = subscription(enable_message_ordering=True)
        bodies = [b"a" * 60, b"b" * 60, b"c"]
        queue.add([message(body, "car") for body in bodies])
        got = []
        while lent := lend(queue, 0, max_bytes=100):
            got += [one.message.body for one in lent]
            queue.acknowledge([one.ack_id for one in lent])
        assert got == bodies


class TestRetry:
    @pytest.mark.parametrize(("attempts", "expected_s"), [(1, 1), (2, 2), (3, 4), (5, 8)])
    def test_the_wait_doubles_up_to_the_maximum(self, attempts, expected_s):
        queue = subscription(retry_policy={"minimum_backoff": {"seconds": 1}, "maximum_backoff": {"seconds": 8}})
        queue.add([message()])
        now_s = 0.0
        for attempt in range(attempts):
            (lent,) = lend(queue, now_s)
            queue.modify_deadline(now_s, [lent.ack_id], 0)
            if attempt < attempts - 1:
                now_s += 20
                queue.sweep(now_s)
        queue.sweep(now_s + expected_s - 0.2)
        assert lend(queue, now_s) == []
        queue.sweep(now_s + expected_s + 0.2)
        assert len(lend(queue, now_s)) == 1

    def test_used_up_attempts_hand_a_message_over_once(self):
        handed = []
        policy = {"dead_letter_topic": "projects/p/topics/dead", "max_delivery_attempts": 5}
        queue = subscription(lambda delivery: handed.append(delivery.attempt) or True, dead_letter_policy=policy)
        queue.add([message()])
        for n in range(5):
            assert len(lend(queue, 20 * n)) == 1
            queue.sweep(20 * n + 11)
        assert handed == [5]
        assert queue.backlog == 0


class TestFilters:
    @pytest.mark.parametrize(
        ("text", "attributes", "expected"),
        [
            ("", {}, True),
            ("attributes:a", {"a": ""}, True),
            ("attributes:a", {"A": ""}, False),
            ('attributes."a b" = "c d"', {"a b": "c d"}, True),
            ('attributes:"a.b"', {"a.b": "1"}, True),
            ('attributes.a-b_1 = "x"', {"a-b_1": "x"}, True),
            (r'attributes.a = "say \"hi\" \u0041"', {"a": 'say "hi" A'}, True),
            ('hasPrefix(attributes.a, "")', {}, False),
            ('hasPrefix(attributes.a,"ab")', {"a": "abc"}, True),
            ('hasPrefix(attributes.a,"ab")', {"a": "xab"}, False),
            ("NOT NOT attributes:a", {"a": ""}, True),
            ("NOT (attributes:a OR attributes:b)", {"c": ""}, True),
            ("(attributes:a AND attributes:b) OR attributes:c", {"c": ""}, True),
            ("attributes:a AND attributes:b AND attributes:c", {"a": "", "b": ""}, False),
        ],
    )
    def test_the_language_means_what_is_documented(self, text, attributes, expected):
        assert parse(text)(attributes) is expected

    @pytest.mark.parametrize(
        "text", ["attributes:a and attributes:b", "NOT", "()", "attributes.a = b", "attributes: ", '"\\q"']
    )
    def test_other_texts_are_refused(self, text):
        with pytest.raises(FilterError):
            parse(text)

    def test_256_bytes_are_taken_and_257_are_not(self):
        parse("attributes:" + "a" * 245)
        with pytest.raises(FilterError, match="257"):
            parse("attributes:" + "a" * 246)
