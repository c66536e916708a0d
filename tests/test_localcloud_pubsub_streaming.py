"""StreamingPull, as Google's subscriber uses it and by hand."""

import threading

from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.pubsub_v1 import types
from test_localcloud_pubsub import PROJECT, ack, largest_message, numbers, send


class TestStreamingPull:
    def receive(self, subscriber, name, wanted, handle, **limits):
        """Run the client's subscriber until ``handle`` was called ``wanted`` times."""
        done, seen = threading.Event(), []

        def callback(message):
            seen.append(message)
            handle(message)
            if len(seen) >= wanted:
                done.set()

        flow = pubsub_v1.types.FlowControl(**limits)
        future = subscriber.subscribe(name, callback, flow_control=flow)
        assert done.wait(15), f"only {len(seen)} of {wanted} came"
        future.cancel()
        future.result(timeout=10)
        return seen

    def test_every_message_comes_once_when_acknowledged(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        expected = {str(n) for n in range(2000)}
        send(publisher, topic, *expected)
        seen = self.receive(subscriber, name, 2000, lambda message: message.ack())
        assert {message.data.decode() for message in seen} == expected
        assert len(seen) == 2000

    def test_the_largest_local_message_reaches_google_s_subscriber_even_as_a_dead_letter(
        self, publisher, subscriber, subscribe, topic
    ):
        name, dead_topic = subscribe(), f"{PROJECT}/topics/{'d' * 249}-{next(numbers)}"
        publisher.create_topic(name=dead_topic)
        dead_name = f"{PROJECT}/subscriptions/{'d' * 249}-{next(numbers)}"
        subscriber.create_subscription(name=dead_name, topic=dead_topic)
        tried = f"{PROJECT}/subscriptions/{'t' * 249}-{next(numbers)}"
        policy = {"dead_letter_topic": dead_topic, "max_delivery_attempts": 5}
        subscriber.create_subscription(request={"name": tried, "topic": topic, "dead_letter_policy": policy})
        publisher.publish(topic, **largest_message()).result(timeout=10)
        self.receive(subscriber, name, 1, lambda message: message.ack())
        self.receive(subscriber, tried, 5, lambda message: message.nack())
        (dead,) = self.receive(subscriber, dead_name, 1, lambda message: message.ack())
        assert (dead.data, len(dead.attributes)) == (largest_message()["data"], 4)

    def test_a_nacked_message_comes_again(self, publisher, subscriber, subscribe, topic):
        name = subscribe()
        send(publisher, topic, "x")
        answers = iter(["nack", "ack"])
        seen = self.receive(subscriber, name, 2, lambda message: getattr(message, next(answers))())
        assert [message.data for message in seen] == [b"x", b"x"]

    def test_messages_of_a_key_come_in_order(self, publisher, subscriber, subscribe, topic):
        name = subscribe(enable_message_ordering=True)
        expected = [str(n) for n in range(200)]
        send(publisher, topic, *expected, ordering_key="car")
        seen = self.receive(subscriber, name, 200, lambda message: message.ack())
        assert [message.data.decode() for message in seen] == expected

    def test_it_holds_no_more_messages_than_its_flow_control_says(self, subscriber, publisher, subscribe, topic):
        name = subscribe()
        send(publisher, topic, *map(str, range(20)))
        with Stream(subscriber, name, max_outstanding_messages=5) as stream:
            held = stream.take(5)
            assert stream.is_idle()
            ack(subscriber, name, held[:3])
            assert len(stream.take(3)) == 3
            assert stream.is_idle()

    def test_it_holds_no_more_bytes_than_its_flow_control_says(self, subscriber, publisher, subscribe, topic):
        name = subscribe()
        send(publisher, topic, *["x" * 1000] * 10)
        with Stream(subscriber, name, max_outstanding_bytes=3000) as stream:
            assert len(stream.take(3)) == 3
            assert stream.is_idle()

    def test_acknowledgements_and_nacks_in_the_stream_count(self, subscriber, publisher, subscribe, topic):
        name = subscribe()
        send(publisher, topic, *"ab")
        with Stream(subscriber, name) as stream:
            first, second = stream.take(2)
            stream.say(ack_ids=[first.ack_id], modify_deadline_ack_ids=[second.ack_id], modify_deadline_seconds=[0])
            (again,) = stream.take(1)
            assert again.message.data == second.message.data
            stream.say(ack_ids=[again.ack_id])
            assert stream.is_idle()

    def test_of_a_deleted_subscription_it_ends_with_not_found(self, subscriber, subscribe):
        name = subscribe()
        with Stream(subscriber, name) as stream:
            subscriber.delete_subscription(subscription=name)
            assert isinstance(stream.error(), exceptions.NotFound)

    def test_a_deadline_out_of_range_is_invalid_argument(self, subscriber, subscribe):
        with Stream(subscriber, subscribe(), stream_ack_deadline_seconds=9) as stream:
            assert isinstance(stream.error(), exceptions.InvalidArgument)


class Stream:
    """One StreamingPull call by hand: what it says is told to it, what comes is collected."""

    def __init__(self, subscriber, name, **first):
        self._requests = []
        self._changed = threading.Condition()
        self._received = []
        self._error = None
        self._closed = False
        request = {"subscription": name, "stream_ack_deadline_seconds": 10} | first
        self.say(**request)
        self._subscriber = subscriber

    def __enter__(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(10)
        assert not self._thread.is_alive()

    def say(self, **request):
        with self._changed:
            self._requests.append(types.StreamingPullRequest(request))
            self._changed.notify_all()

    def take(self, n, timeout_s=5):
        with self._changed:
            self._changed.wait_for(lambda: len(self._received) >= n or self._error, timeout_s)
            taken, self._received = self._received[:n], self._received[n:]
        return taken

    def is_idle(self, for_s=0.4):
        with self._changed:
            return not self._changed.wait_for(lambda: self._received, for_s)

    def error(self):
        with self._changed:
            self._changed.wait_for(lambda: self._error, 5)
            return self._error

    def _asked(self):
        at = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda at=at: self._closed or len(self._requests) > at)
                if len(self._requests) <= at:
                    return
                request = self._requests[at]
            at += 1
            yield request

    def _run(self):
        try:
            for response in self._subscriber.streaming_pull(requests=self._asked(), timeout=30):
                with self._changed:
                    self._received += response.received_messages
                    self._changed.notify_all()
        except exceptions.GoogleAPICallError as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()
