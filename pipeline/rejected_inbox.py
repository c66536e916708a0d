"""The rejected messages of a subscription: each once, and none lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError

from pipeline import endpoints
from pipeline.option_values import OptionError

PULL_TIMEOUT_S = 5.0
PULL_MESSAGES = 500
LEASE_S = 600  # the longest that Pub/Sub gives
QUIET_PULLS = 10


class Found(NamedTuple):
    """The bytes of a rejected record, where they are, and how to tell that place that they are dealt with.

    attributes: those of a message that could not be delivered, which is no record but is sent as it was.
    """

    data: bytes
    where: str
    ack_id: str | None = None
    attributes: Mapping[str, str] | None = None


class Inbox:
    """What a subscription holds of before this began: what is refused again comes back to it, and is not looked at.

    What is looked at and not acknowledged is kept from coming again until the end, and then given back.
    """

    def __init__(self, subscription: str, option: str, *, as_they_are: bool = False) -> None:
        self._subscription, self._option, self._as_they_are = subscription, option, as_they_are
        self._client: Any = endpoints.subscriber()
        self._began = datetime.now(UTC)
        self._known: set[str] = set()
        self._sent: set[str] = set()
        self._held: list[str] = []

    def batches(self) -> Iterator[list[Found]]:
        """Until a pull finds nothing, or QUIET_PULLS in a row nothing that is to be looked at. Raises OptionError."""
        quiet = 0
        try:
            while quiet < QUIET_PULLS and (pulled := self._pull()):
                new = {one.message.message_id: one for one in pulled if self._is_new(one.message)}
                self._put_aside([one for one in pulled if new.get(one.message.message_id) is not one])
                self._known.update(new)
                quiet = 0 if new else quiet + 1
                if new:
                    yield [self._found(one) for one in new.values()]
        finally:
            self._lease(self._held, 0)

    def acknowledge(self, batch: Sequence[Found], sent: Sequence[Found]) -> None:
        """Take what was sent off the subscription; hold the others of the batch."""
        self._sent.update(found.where.removeprefix("message ") for found in sent)
        done = {found.ack_id for found in sent}
        if ack_ids := [found.ack_id for found in sent if found.ack_id]:
            self._client.acknowledge(subscription=self._subscription, ack_ids=ack_ids)
        self._hold([found.ack_id for found in batch if found.ack_id and found.ack_id not in done])

    def _found(self, received: Any) -> Found:  # noqa: ANN401 (a received message)
        message = received.message
        attributes = dict(message.attributes) if self._as_they_are else None
        return Found(message.data, f"message {message.message_id}", received.ack_id, attributes)

    def _pull(self) -> Sequence[Any]:
        request = {"subscription": self._subscription, "max_messages": PULL_MESSAGES}
        try:
            return list(self._client.pull(**request, timeout=PULL_TIMEOUT_S, retry=None).received_messages)
        except DeadlineExceeded:
            return []
        except GoogleAPIError as error:
            raise OptionError(f"{self._option}: {self._subscription}: {error.message}") from error

    def _is_new(self, message: Any) -> bool:  # noqa: ANN401 (a PubsubMessage)
        return message.publish_time < self._began and message.message_id not in self._known

    def _put_aside(self, others: Sequence[Any]) -> None:
        """Acknowledge again what was sent, since that came too late the first time; hold the rest."""
        again = [one.ack_id for one in others if one.message.message_id in self._sent]
        if again:
            self._client.acknowledge(subscription=self._subscription, ack_ids=again)
        self._hold([one.ack_id for one in others if one.ack_id not in again])

    def _hold(self, ack_ids: Sequence[str]) -> None:
        self._held.extend(ack_ids)
        self._lease(ack_ids, LEASE_S)

    def _lease(self, ack_ids: Sequence[str], seconds: int) -> None:
        for start in range(0, len(ack_ids), PULL_MESSAGES):
            some = list(ack_ids[start : start + PULL_MESSAGES])
            self._client.modify_ack_deadline(
                subscription=self._subscription, ack_ids=some, ack_deadline_seconds=seconds
            )
