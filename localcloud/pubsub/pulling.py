"""Pull and StreamingPull: lending a subscription's messages to those who ask. https://cloud.google.com/pubsub/docs/pull"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import grpc
from google.pubsub_v1 import types

from localcloud.proto import Proto
from localcloud.pubsub.broker import Attached, Broker
from localcloud.pubsub.limits import PubSubError, invalid
from localcloud.pubsub.subscription import Delivery, Holder

PullResponse = types.PullResponse.pb()
StreamingPullResponse = types.StreamingPullResponse.pb()

MAX_RESPONSE_MESSAGES = 1000
MAX_RESPONSE_BYTES = 2 * 1024 * 1024
# The real service may wait longer; a reader that takes an empty answer for its clock, as Beam's does, would stall.
IDLE_PULL_S = 0.5
UNLIMITED = 1 << 62


async def pull(broker: Broker, request: Proto) -> Proto:
    """Answer a Pull as soon as there is a message, or empty after IDLE_PULL_S (at once with return_immediately)."""
    attached = broker.subscription(request.subscription)
    if request.max_messages < 1:
        raise invalid(f"Invalid max_messages: {request.max_messages}; it must be 1 or more.")
    limit = min(request.max_messages, MAX_RESPONSE_MESSAGES)
    lent: Sequence[Delivery] = ()
    with _waiting(attached) as changed:
        until = asyncio.get_running_loop().time() + (0 if request.return_immediately else IDLE_PULL_S)
        while not lent:
            changed.clear()
            _require_alive(attached)
            deadline_s = attached.settings.ack_deadline_seconds
            lent = attached.queue.lend(broker.clock(), limit, MAX_RESPONSE_BYTES, deadline_s, Holder())
            if not lent and not await _set_before(changed, until):
                break
    return _fill(PullResponse(), attached, lent)


class Stream(Holder):
    """One StreamingPull: its flow control and the deadline of what it is lent."""

    def __init__(self, broker: Broker, first: Proto) -> None:
        super().__init__()
        self.broker = broker
        self.attached = broker.subscription(first.subscription)
        self.deadline_s = _stream_deadline(first.stream_ack_deadline_seconds)
        self._max_messages = first.max_outstanding_messages if first.max_outstanding_messages > 0 else UNLIMITED
        self._max_bytes = first.max_outstanding_bytes if first.max_outstanding_bytes > 0 else UNLIMITED

    def lend(self) -> Sequence[Delivery]:
        _require_alive(self.attached)
        room = min(self._max_messages - self.held, MAX_RESPONSE_MESSAGES)
        room_bytes = min(self._max_bytes - self.held_bytes, MAX_RESPONSE_BYTES)
        return self.attached.queue.lend(self.broker.clock(), room, room_bytes, self.deadline_s, self)

    def obey(self, request: Proto) -> None:
        """Do what a later request of the stream says."""
        if request.subscription:
            raise invalid("subscription: only the first request of a stream may name it")
        if len(request.modify_deadline_ack_ids) != len(request.modify_deadline_seconds):
            raise invalid("modify_deadline_ack_ids and modify_deadline_seconds differ in length")
        if request.stream_ack_deadline_seconds:
            self.deadline_s = _stream_deadline(request.stream_ack_deadline_seconds)
        queue = self.attached.queue
        queue.acknowledge(request.ack_ids)
        for ack_id, seconds in zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True):
            queue.modify_deadline(self.broker.clock(), [ack_id], seconds)


async def streaming_pull(
    broker: Broker,
    requests: AsyncIterator[Proto],
    write: Callable[[Proto], Awaitable[None]],
) -> None:
    """Serve one stream until the client closes its side. What it still holds then comes back at its deadline."""
    first = await anext(requests, None)
    if first is None:
        raise invalid("subscription: the first request of a stream must name it")
    stream = Stream(broker, first)
    with _waiting(stream.attached) as changed:
        reader = asyncio.create_task(_obey_all(stream, requests))
        reader.add_done_callback(lambda _task: changed.set())
        try:
            while not reader.done():
                changed.clear()
                lent = stream.lend()
                if lent:
                    await write(_fill(StreamingPullResponse(), stream.attached, lent))
                else:
                    await changed.wait()
            await reader
        finally:
            reader.cancel()


async def _obey_all(stream: Stream, requests: AsyncIterator[Proto]) -> None:
    async for request in requests:
        stream.obey(request)


def _stream_deadline(seconds: int) -> int:
    if not 10 <= seconds <= 600:
        raise invalid(f"Invalid stream_ack_deadline_seconds: {seconds}; allowed: 10 to 600.")
    return seconds


def _require_alive(attached: Attached) -> None:
    if attached.deleted:
        raise PubSubError(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={attached.settings.name}).")


@contextmanager
def _waiting(attached: Attached) -> Iterator[asyncio.Event]:
    changed = asyncio.Event()
    attached.waiters.add(changed)
    try:
        yield changed
    finally:
        attached.waiters.discard(changed)


async def _set_before(event: asyncio.Event, until: float) -> bool:
    left_s = until - asyncio.get_running_loop().time()
    try:
        await asyncio.wait_for(event.wait(), max(0.0, left_s))
    except TimeoutError:
        return False
    return True


def _fill(response: Proto, attached: Attached, lent: Sequence[Delivery]) -> Proto:
    # As documented, attempts are told only where a dead-letter policy counts them.
    counted = attached.settings.HasField("dead_letter_policy")
    for delivery in lent:
        received = response.received_messages.add(ack_id=delivery.ack_id)
        received.message.MergeFromString(delivery.message.body)
        if counted:
            received.delivery_attempt = delivery.attempt
    if isinstance(response, StreamingPullResponse):
        response.subscription_properties.message_ordering_enabled = attached.settings.enable_message_ordering
    return response
