"""How the local runner reads Pub/Sub: nothing is acknowledged early, and the watermark waits for the backlog."""

import threading
import time

import pytest
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from google.api_core.exceptions import DeadlineExceeded, NotFound, ServiceUnavailable
from google.pubsub_v1 import types

from pipeline import local_reader


class Subscription:
    """Answers pulls in the order in which the test gives the answers: lists of times of publishing, or errors."""

    def __init__(self):
        self.acknowledged, self._answers, self._more = [], [], threading.Condition()

    def give(self, *answers):
        with self._more:
            self._answers += answers
            self._more.notify()

    def pull(self, **_):
        with self._more:
            self._more.wait_for(lambda: self._answers, 10)
            answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        response = types.PullResponse()
        for at_s in answer:
            message = types.PubsubMessage(data=str(at_s).encode(), attributes={"a": "b"}, message_id=f"m{at_s}")
            pb = types.PubsubMessage.pb(message)
            pb.publish_time.FromMicroseconds(round(at_s * 1_000_000))
            response.received_messages.append(types.ReceivedMessage(ack_id=f"ack{at_s}", message=message))
        return response

    def acknowledge(self, *, subscription, ack_ids):
        assert subscription == "projects/p/subscriptions/s"
        self.acknowledged += ack_ids


@pytest.fixture
def subscription(monkeypatch):
    monkeypatch.setattr(local_reader, "GATHER_S", 0.0)
    return Subscription()


def reader(subscription):
    return local_reader.Reader(subscription, "projects/p/subscriptions/s")


def taken(reader):
    """What the next answer brings."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        before = reader.watermark
        if (found := reader.take()) or reader.watermark != before:
            return found
    raise AssertionError("no answer")


def test_messages_come_at_their_time_of_publishing_and_whole(subscription):
    subscription.give([1000.25, 1001])
    (first, message), (second, _) = taken(reader(subscription))
    assert (first, second) == (Timestamp(1000.25), Timestamp(1001))
    assert (message.data, message.attributes, message.message_id) == (b"1000.25", {"a": "b"}, "m1000.25")
    assert message.publish_time.timestamp() == 1000.25


def test_watermark_is_that_of_the_oldest_message_in_hand(subscription):
    """However long they have waited: a backlog is not late."""
    read = reader(subscription)
    assert read.watermark == MIN_TIMESTAMP
    subscription.give([1005, 1000, 1002], [1003, 1004])
    taken(read)
    assert read.watermark == Timestamp(1000)
    taken(read)
    assert read.watermark == Timestamp(1003)


def test_message_that_comes_back_is_not_older_than_the_watermark(subscription):
    """It is late, and must be seen to be late: an element behind the watermark would be dropped in silence."""
    read = reader(subscription)
    subscription.give([1000], [900, 1001])
    taken(read)
    assert [at for at, _ in read.take() or taken(read)] == [Timestamp(1000), Timestamp(1001)]
    assert read.watermark == Timestamp(1000)


def test_empty_answer_moves_the_watermark_to_its_time(subscription):
    read = reader(subscription)
    subscription.give([])
    before = time.time()
    assert taken(read) == []
    assert before <= float(read.watermark) <= time.time()


def test_pull_that_finds_nothing_in_time_is_an_empty_answer(subscription):
    read = reader(subscription)
    subscription.give(DeadlineExceeded("nothing"))
    assert taken(read) == []
    assert float(read.watermark) > time.time() - 10


def test_watermark_follows_the_clock_while_a_pull_waits(subscription, monkeypatch):
    monkeypatch.setattr(local_reader, "QUIET_S", 0.1)
    read = reader(subscription)
    assert taken(read) == []
    assert time.time() - 10 < float(read.watermark) < time.time() - 0.1
    subscription.give([])


def test_messages_are_acknowledged_after_they_were_handed_over(subscription):
    read = reader(subscription)
    subscription.give([1000, 1001])
    while not read._answer.done():
        time.sleep(0.01)
    assert subscription.acknowledged == []
    taken(read)
    subscription.give([])
    taken(read)
    assert subscription.acknowledged == ["ack1000", "ack1001"]


def test_error_that_stays_is_told_each_time(subscription):
    """So that the runner, which does a bundle four times, ends."""
    read = reader(subscription)
    subscription.give(NotFound("no such subscription"))
    for _ in range(4):
        with pytest.raises(NotFound):
            taken(read)


def test_watermark_stands_still_while_pubsub_cannot_be_reached(subscription, monkeypatch, caplog):
    """What is published meanwhile is not late."""
    monkeypatch.setattr(local_reader, "QUIET_S", 0.05)
    monkeypatch.setattr(local_reader, "AGAIN_S", 0.1)
    read = reader(subscription)
    subscription.give([1000], *[ServiceUnavailable("connection refused")] * 3, [1001])
    found = taken(read)
    while len(found) < 2:
        found += read.take()
        assert read.watermark <= Timestamp(1001)
    assert [at for at, _ in found] == [Timestamp(1000), Timestamp(1001)]
    assert "Pub/Sub cannot be reached" in caplog.text


def test_watermark_stands_still_while_messages_are_acknowledged(subscription, monkeypatch):
    monkeypatch.setattr(local_reader, "QUIET_S", 0.05)
    monkeypatch.setattr(local_reader, "GATHER_S", 0.5)
    read = reader(subscription)
    subscription.give([1000], [1001])
    taken(read)
    while not (found := read.take()):
        assert read.watermark == Timestamp(1000)
    assert [at for at, _ in found] == [Timestamp(1001)]
