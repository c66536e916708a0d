"""Watch a run until every sighting and every passage is accounted for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from google.api_core.exceptions import GoogleAPICallError
from requests.exceptions import ConnectionError as NoConnection

from demo.inbox import Inbox, latest
from demo.ledger import Published, missing
from demo.progress import Live, Screen, fine_line
from demo.stages import DemoError, Stage, died
from demo.warehouse import Stored, Warehouse
from generator.truth import TruthRecord
from localcloud import LocalCloud
from pipeline.enforcement.model import Status

Answered = TypeVar("Answered")

COUNT_EVERY_S = 4.0
DEATH_NOTICE_S = 3.0  # a service may refuse calls a moment before its process has ended
SPARE_S = 60.0  # for whatever is slow on a busy machine, after the last session has ended
CALM_COUNTS = 2  # what is complete may still change while a late sighting is on its way


@dataclass
class Watch:
    """Follows the fines and the counts of a run. gap_s: the session gap."""

    cloud: LocalCloud
    pipeline: Stage
    cameras: Stage
    inbox: Inbox
    warehouse: Warehouse
    screen: Screen
    check_interrupt: Callable[[], None]
    gap_s: float
    first_fine_s: float | None = None
    stored: Stored = field(default_factory=Stored)
    _sent: Live = field(default_factory=Live)
    _count_at_s: float = 0.0

    def until_sent(self) -> None:
        """Until the cameras are switched off. Raises DemoError if a process ends too soon."""
        while not self.cameras.ended:
            self._follow("cameras running")

    def until_settled(self, truth: Iterable[TruthRecord]) -> list[str]:
        """Until nothing is missing and nothing changes, or the deadline; what is missing then."""
        published = Published.of(truth)
        deadline_s = time.monotonic() + 2 * self.gap_s + SPARE_S
        lost, calm = ["nothing was counted"], 0
        while calm < CALM_COUNTS and time.monotonic() < deadline_s:
            before = self.stored
            if self._follow("waiting for the last sessions to end"):
                lost = self._missing(published)
                calm = calm + 1 if not lost and self.stored == before else 0
        return lost

    def _missing(self, published: Published) -> list[str]:
        received = latest(self.inbox.received)
        lost = missing(published, self.stored, 0, received)
        # The costly question only when everything else is in place.
        return lost or missing(published, self.stored, self._asked(self.warehouse.undecided), received)

    def _follow(self, doing: str) -> bool:
        """Receive what has come, and count if it is time to; whether it was."""
        self._check_stages()
        for fine in self._asked(self.inbox.receive):
            if fine.status is Status.ISSUED and self.first_fine_s is None:
                self.first_fine_s = time.monotonic()
            self.screen.say(f"{self.screen.clock():>5}  {fine_line(fine)}")
        counted = time.monotonic() >= self._count_at_s
        if counted:
            self.stored = self._asked(self.warehouse.counts)
            self._count_at_s = time.monotonic() + COUNT_EVERY_S
        self.screen.status(self._live(), doing)
        return counted

    def _live(self) -> Live:
        sent = last_progress(self.cameras)
        stored = self.stored
        return Live(
            vehicles=sent.get("vehicles", 0),
            sightings=sent.get("items", 0),
            stored=stored.sightings + stored.rejected,
            passages=stored.passages,
            fines=stored.issued,
            reviews=stored.for_a_person,
        )

    def _check_stages(self) -> None:
        self.check_interrupt()
        for name in self.cloud.dead():
            raise died(f"{name} (local service)", self.cloud.log_path(name), "while it was needed")
        if self.pipeline.ended:
            raise died(self.pipeline.name, self.pipeline.log, "exit code 0, while it was needed")

    def _asked(self, ask: Callable[[], Answered]) -> Answered:
        """The answer of a service; if it has none, the process to blame is named."""
        try:
            return ask()
        except (GoogleAPICallError, NoConnection, OSError) as error:
            deadline_s = time.monotonic() + DEATH_NOTICE_S
            while time.monotonic() < deadline_s:
                self._check_stages()
                time.sleep(0.1)
            told = str(error).splitlines()[0]
            raise DemoError(
                f"a local service does not answer: {told}; logs in {self.cloud.data_dir / 'logs'}"
            ) from error


def last_progress(cameras: Stage) -> dict[str, int]:
    """The last whole line of what the cameras told, empty before the first."""
    whole, _, _ = cameras.output.read_text().rpartition("\n")
    _, _, last = whole.rpartition("\n")
    found: dict[str, int] = json.loads(last) if last else {}
    return found
