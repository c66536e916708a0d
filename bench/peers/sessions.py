"""One vehicle's sightings -> its passages, for those peers that are written in Python."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from bench.peers import job

GAP = timedelta(seconds=job.GAP_S)
Seen = tuple[datetime, str]  # when, and by which camera


class Passage(NamedTuple):
    """First sighting at the entry, last at the exit, km/h."""

    entry: datetime
    exit: datetime
    avg_speed: float


def passages(seen: list[Seen]) -> Iterator[Passage]:
    """Those of the sessions that have an entry and a later exit. Sightings may be in any order."""
    for session in _sessions(sorted(seen)):
        entry = next((time for time, camera in session if camera == job.ENTRY), None)
        leaving = next((time for time, camera in reversed(session) if camera == job.EXIT), None)
        if entry and leaving and entry < leaving:
            yield Passage(entry, leaving, job.LENGTH_M / (leaving - entry).total_seconds() * 3.6)


def _sessions(seen: list[Seen]) -> list[list[Seen]]:
    """Cut where the vehicle was away, or enters again."""
    found = [seen[:1]]
    for before, now in pairwise(seen):
        if now[0] - before[0] >= GAP or (before[1] == job.EXIT and now[1] == job.ENTRY):
            found.append([])
        found[-1].append(now)
    return found
