"""The published fines, received as any office would receive them: from a subscription, by the Pub/Sub client."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import msgspec
from google.api_core import exceptions

from pipeline import endpoints
from pipeline.enforcement.records import Fine

PULL_TIMEOUT_S = 5.0
MAX_MESSAGES = 100


class Inbox:
    """A subscription to the topic of fines. A context manager."""

    def __init__(self, project: str, subscription: str) -> None:
        self._client = endpoints.subscriber()
        self._path = self._client.subscription_path(project, subscription)
        self._received: dict[tuple[str, int, str], Fine] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    @property
    def received(self) -> list[Fine]:
        """Every message so far, each once, in order of arrival."""
        return list(self._received.values())

    def receive(self) -> list[Fine]:
        """The messages that are new; waits up to half a second for one."""
        try:
            answer = self._client.pull(
                subscription=self._path, max_messages=MAX_MESSAGES, timeout=PULL_TIMEOUT_S, retry=None
            )
        except exceptions.DeadlineExceeded:
            return []
        if answer.received_messages:
            ids = [message.ack_id for message in answer.received_messages]
            self._client.acknowledge(subscription=self._path, ack_ids=ids, timeout=PULL_TIMEOUT_S)
        found = [msgspec.json.decode(message.message.data, type=Fine) for message in answer.received_messages]
        return [fine for fine in found if self._is_new(fine)]

    def _is_new(self, fine: Fine) -> bool:
        # Pub/Sub delivers at least once.
        key = (fine.fine_id, fine.revision, fine.status)
        known = key in self._received
        self._received.setdefault(key, fine)
        return not known


def latest(fines: list[Fine]) -> list[Fine]:
    """The last word on each fine, in order of entry."""
    found: dict[str, Fine] = {}
    for fine in fines:
        if fine.fine_id not in found or fine.revision >= found[fine.fine_id].revision:
            found[fine.fine_id] = fine
    return sorted(found.values(), key=lambda fine: (fine.entry_time, fine.fine_id))
