"""What a subscription has still to deliver, and to whom it lent what until when.

There is no clock in here: times come in, as seconds. Source: https://cloud.google.com/pubsub/docs/subscription-properties
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from localcloud.proto import Proto

# Deadlines are kept in buckets of this length: cheap to move and to find, whatever the number of messages out.
BUCKET_S = 0.1


@dataclass(slots=True, eq=False)
class Message:
    """A published message: its serialized PubsubMessage, which all subscriptions share, and what delivery must know."""

    body: bytes
    ordering_key: str
    published_s: float


@dataclass(slots=True, eq=False)
class Delivery:
    """A message on its way through one subscription; ``attempt`` counts how often it was lent, ``holder`` has it."""

    message: Message
    attempt: int = 0
    ack_id: str = ""
    deadline_s: float = 0.0
    holder: "Holder | None" = None


class Holder:
    """One that messages are lent to, with the number and bytes of those it holds."""

    def __init__(self) -> None:
        self.held = 0
        self.held_bytes = 0

    def take(self, delivery: Delivery) -> None:
        self.held += 1
        self.held_bytes += len(delivery.message.body)

    def give_back(self, delivery: Delivery) -> None:
        self.held -= 1
        self.held_bytes -= len(delivery.message.body)


@dataclass(slots=True)
class Lane:
    """The messages of one ordering key: those waiting, and the one batch that is out, both in order."""

    waiting: deque[Delivery] = field(default_factory=deque)
    out: dict[str, Delivery] = field(default_factory=dict)


class Subscription:
    """At-least-once delivery: what is lent and not acknowledged in time is delivered again.

    settings: the google.pubsub.v1.Subscription message it was made from.
    on_ready: called when there may be something to deliver that was not there before.
    on_exhausted: called with a message that used up its delivery attempts; returns True if it found another home.
    """

    def __init__(
        self,
        settings: Proto,
        on_ready: Callable[[], None],
        on_exhausted: Callable[[Delivery], bool],
    ) -> None:
        self.settings = settings
        self._on_ready = on_ready
        self._on_exhausted = on_exhausted
        # A string stands for the lane of that ordering key: it has messages waiting and none out.
        self._ready: deque[Delivery | str] = deque()
        self._delayed: dict[int, list[Delivery | str]] = {}
        self._lanes: dict[str, Lane] = {}
        self._out: dict[str, Delivery] = {}
        self._due: dict[int, dict[str, Delivery]] = {}
        self._acked: deque[Message] = deque()
        self._numbers = count(1)

    @property
    def backlog(self) -> int:
        """The number of messages neither acknowledged nor dropped."""
        return len(self._everything())

    def add(self, messages: Iterable[Message]) -> None:
        """Queue published messages for delivery."""
        ordered = self.settings.enable_message_ordering
        for message in messages:
            if ordered and message.ordering_key:
                self._append_to_lane(Delivery(message))
            else:
                self._ready.append(Delivery(message))
        self._on_ready()

    def lend(self, now_s: float, limit: int, max_bytes: int, deadline_s: float, holder: Holder) -> list[Delivery]:
        """Up to ``limit`` messages and ``max_bytes`` (a larger one goes alone), to acknowledge in ``deadline_s``."""
        lent: list[Delivery] = []
        room_bytes = max_bytes
        oldest_s = now_s - self.settings.message_retention_duration.seconds
        while self._ready and len(lent) < limit and room_bytes > 0:
            batch = self._next(limit - len(lent), room_bytes, alone=not lent)
            if not batch:
                break
            for delivery in batch:
                if delivery.message.published_s < oldest_s:
                    self._leave_lane(delivery)
                    continue
                self._lend_one(delivery, now_s + deadline_s, holder)
                room_bytes -= len(delivery.message.body)
                lent.append(delivery)
        return lent

    def acknowledge(self, ack_ids: Iterable[str]) -> None:
        """Be done with these. An ack_id past its deadline counts for nothing: its message is delivered again."""
        for ack_id in ack_ids:
            delivery = self._out.get(ack_id)
            if delivery is None:
                continue
            self._end_loan(delivery)
            self._leave_lane(delivery)
            if self.settings.retain_acked_messages:
                self._acked.append(delivery.message)

    def modify_deadline(self, now_s: float, ack_ids: Iterable[str], deadline_s: float) -> None:
        """Make these due in ``deadline_s`` from now; 0 gives them back at once. Unknown ack_ids are ignored."""
        known = [self._out[ack_id] for ack_id in ack_ids if ack_id in self._out]
        if deadline_s <= 0:
            self._take_back(known, now_s)
            return
        for delivery in known:
            self._due[_bucket(delivery.deadline_s)].pop(delivery.ack_id)
            self._set_deadline(delivery, now_s + deadline_s)

    def sweep(self, now_s: float) -> None:
        """Take back what is overdue, let go what waited for its retry, forget what was retained long enough."""
        last = int(now_s / BUCKET_S)
        for bucket in [bucket for bucket in self._due if bucket <= last]:
            self._take_back(list(self._due.pop(bucket).values()), now_s)
        for bucket in [bucket for bucket in self._delayed if bucket <= last]:
            self._ready.extend(self._delayed.pop(bucket))
            self._on_ready()
        oldest_s = now_s - self.settings.message_retention_duration.seconds
        while self._acked and self._acked[0].published_s < oldest_s:
            self._acked.popleft()

    def seek(self, time_s: float) -> None:
        """Count what was published before this time as acknowledged, and what is retained from then on as not."""
        messages = [delivery.message for delivery in self._everything()] + list(self._acked)
        messages.sort(key=lambda message: message.published_s)
        for delivery in list(self._out.values()):
            self._end_loan(delivery)
        for queue in (self._ready, self._delayed, self._lanes, self._acked):
            queue.clear()
        if self.settings.retain_acked_messages:
            self._acked.extend(message for message in messages if message.published_s < time_s)
        self.add(message for message in messages if message.published_s >= time_s)

    def _everything(self) -> list[Delivery]:
        queued = [self._ready, *self._delayed.values()]
        single = [item for items in queued for item in items if isinstance(item, Delivery)]
        waiting = [delivery for lane in self._lanes.values() for delivery in lane.waiting]
        return [*self._out.values(), *single, *waiting]

    def _next(self, limit: int, room_bytes: int, *, alone: bool) -> list[Delivery]:
        """Take from the head of the queue what fits, but at least one message when it would travel alone."""
        head = self._ready[0]
        waiting = deque([head]) if isinstance(head, Delivery) else self._lanes[head].waiting
        taken: list[Delivery] = []
        while waiting and len(taken) < limit:
            size = len(waiting[0].message.body)
            if size > room_bytes and (taken or not alone):
                break
            room_bytes -= size
            taken.append(waiting.popleft())
        if taken:
            self._ready.popleft()
        return taken

    def _lend_one(self, delivery: Delivery, due_s: float, holder: Holder) -> None:
        delivery.attempt += 1
        delivery.ack_id = str(next(self._numbers))
        delivery.holder = holder
        holder.take(delivery)
        self._out[delivery.ack_id] = delivery
        lane = self._lane_of(delivery)
        if lane is not None:
            lane.out[delivery.ack_id] = delivery
        self._set_deadline(delivery, due_s)

    def _set_deadline(self, delivery: Delivery, due_s: float) -> None:
        delivery.deadline_s = due_s
        self._due.setdefault(_bucket(due_s), {})[delivery.ack_id] = delivery

    def _end_loan(self, delivery: Delivery) -> None:
        del self._out[delivery.ack_id]
        self._due.get(_bucket(delivery.deadline_s), {}).pop(delivery.ack_id, None)
        if delivery.holder is not None:
            delivery.holder.give_back(delivery)
            delivery.holder = None
            self._on_ready()

    def _take_back(self, deliveries: Iterable[Delivery], now_s: float) -> None:
        for delivery in deliveries:
            if delivery.ack_id not in self._out:
                continue  # came back with an earlier message of its ordering key
            self._end_loan(delivery)
            policy = self.settings.dead_letter_policy
            spent = policy.dead_letter_topic and delivery.attempt >= policy.max_delivery_attempts
            if spent and self._on_exhausted(delivery):
                self._leave_lane(delivery)
            else:
                self._queue_again(delivery, now_s)

    def _queue_again(self, delivery: Delivery, now_s: float) -> None:
        lane = self._lane_of(delivery)
        item: Delivery | str = delivery
        if lane is not None:
            self._return_to_lane(lane, delivery)
            if lane.out:
                return
            item = delivery.message.ordering_key
        backoff_s = self._backoff_s(delivery.attempt)
        if backoff_s > 0:
            self._delayed.setdefault(_bucket(now_s + backoff_s), []).append(item)
        else:
            self._ready.append(item)
            self._on_ready()

    def _return_to_lane(self, lane: Lane, delivery: Delivery) -> None:
        # The documented rule: with a message, those after it of its key are delivered again too, in the same order.
        ids = list(lane.out)
        returned = [lane.out.pop(ack_id) for ack_id in ids[ids.index(delivery.ack_id) :]]
        for later in returned[1:]:
            self._end_loan(later)
        lane.waiting.extendleft(reversed(returned))

    def _backoff_s(self, attempt: int) -> float:
        if not self.settings.HasField("retry_policy"):
            return 0.0
        policy = self.settings.retry_policy
        least, most = policy.minimum_backoff, policy.maximum_backoff
        least_s, most_s = (duration.seconds + duration.nanos / 1e9 for duration in (least, most))
        return float(min(most_s, least_s * 2.0 ** min(attempt - 1, 30)))

    def _lane_of(self, delivery: Delivery) -> Lane | None:
        return self._lanes.get(delivery.message.ordering_key) if delivery.message.ordering_key else None

    def _append_to_lane(self, delivery: Delivery) -> None:
        key = delivery.message.ordering_key
        lane = self._lanes.setdefault(key, Lane())
        if not lane.waiting and not lane.out:
            self._ready.append(key)
        lane.waiting.append(delivery)

    def _leave_lane(self, delivery: Delivery) -> None:
        lane = self._lane_of(delivery)
        if lane is None:
            return
        lane.out.pop(delivery.ack_id, None)
        if lane.out:
            return
        if lane.waiting:
            self._ready.append(delivery.message.ordering_key)
            self._on_ready()
        else:
            del self._lanes[delivery.message.ordering_key]


def _bucket(due_s: float) -> int:
    return int(due_s / BUCKET_S) + 1
