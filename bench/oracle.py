"""The passages that every participant must find, computed once more on its own, and the comparison with them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise
from math import isclose
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import NamedTuple

from bench.peers import job

GAP_US = job.GAP_S * 1_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TOLERANCE_KMH = 1e-6


class Passage(NamedTuple):
    """Times in microseconds since 1970, the speed in km/h."""

    entry_us: int
    exit_us: int
    vehicle_id: str
    avg_speed: float


def expected(source: Path) -> list[Passage]:
    """From the sightings in `source`. Whole microseconds: no rounding but that of the speed."""
    with source.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    seen = sorted((row["vehicle_id"], time_us(row["timestamp"]), row["camera_id"]) for row in rows)
    return [
        passage
        for vehicle_id, times in groupby(seen, itemgetter(0))
        for passage in _of_vehicle(vehicle_id, [(time, camera) for _, time, camera in times])
    ]


def _of_vehicle(vehicle_id: str, seen: list[tuple[int, str]]) -> Iterator[Passage]:
    starts = [n for n in range(len(seen)) if n == 0 or _is_new(*seen[n - 1], *seen[n])]
    for start, end in pairwise([*starts, len(seen)]):
        entries = [time for time, camera in seen[start:end] if camera == job.ENTRY]
        exits = [time for time, camera in seen[start:end] if camera == job.EXIT]
        if entries and exits and min(entries) < max(exits):
            travel_us = max(exits) - min(entries)
            yield Passage(min(entries), max(exits), vehicle_id, job.LENGTH_M * 3_600_000 / travel_us)


def _is_new(before_us: int, before: str, now_us: int, now: str) -> bool:
    return now_us - before_us >= GAP_US or (before, now) == (job.EXIT, job.ENTRY)


def time_us(text: str) -> int:
    """ISO 8601 as microseconds since 1970; what has no zone is in UTC."""
    time = datetime.fromisoformat(text)
    return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - EPOCH) // timedelta(microseconds=1)


def found(paths: Iterable[Path]) -> list[Passage]:
    """What a participant wrote. Ours writes unmeasurable passages too, which no other one has."""
    rows = [json.loads(line) for path in paths for line in path.open(encoding="utf-8")]
    return [
        Passage(time_us(row["entry_time"]), time_us(row["exit_time"]), row["vehicle_id"], row["avg_speed"])
        for row in rows
        if row.get("basis", "distance_time") == "distance_time"
    ]


def difference(these: list[Passage], those: list[Passage], *, pseudonyms: bool = False) -> str | None:
    """What is wrong with `these`, in words; None if they are `those`, whatever their order.

    pseudonyms: `these` have them for vehicle ids, so that times and speeds alone are compared.
    """
    if len(these) != len(those):
        return f"{len(these):,} passages, expected {len(those):,}"
    order = attrgetter("entry_us", "exit_us") if pseudonyms else attrgetter("entry_us", "exit_us", "vehicle_id")
    pairs = list(zip(sorted(these, key=order), sorted(those, key=order), strict=True))
    wrong = sum(not _same(this, that, pseudonyms=pseudonyms) for this, that in pairs)
    return f"{wrong:,} of {len(those):,} passages differ" if wrong else None


def _same(this: Passage, that: Passage, *, pseudonyms: bool) -> bool:
    return (
        (this.entry_us, this.exit_us) == (that.entry_us, that.exit_us)
        and isclose(this.avg_speed, that.avg_speed, rel_tol=0, abs_tol=TOLERANCE_KMH)
        and (pseudonyms or this.vehicle_id == that.vehicle_id)
    )
