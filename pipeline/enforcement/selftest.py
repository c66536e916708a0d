"""The self-test of a section: its cameras are tested by the traffic that they see.

Each check compares with days that passed. Where there are none, the day's own first passages stand for them, and what
was wrong from the start is not found, but for the two directions of a road.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.enforcement import camera_checks, clock_checks
from pipeline.enforcement.clock_checks import Direction
from pipeline.enforcement.free_flow import FREE_FLOW_NEEDS, FreeFlow, points_of
from pipeline.enforcement.model import fine_id
from pipeline.enforcement.sections import Network, Section
from pipeline.enforcement.selftest_records import (
    Check,
    Day,
    Passages,
    Thresholds,
    Traffic,
    Verdict,
)
from pipeline.enforcement.times import parse_rfc3339_us


class Examined(NamedTuple):
    """What a section's self-test found. day: what may be kept of this day, if it passed; None: too little was seen.
    quarantined_from_us: when the earliest change began at the earliest. issued_since: ids of fines issued since."""

    checks: tuple[Check, ...]
    verdict: Verdict
    day: Day | None
    quarantined_from_us: int | None
    issued_since: tuple[str, ...]
    found_within: dict[str, int | None]


def examine(
    section: Section,
    day: str,
    traffic: Traffic,
    past: Sequence[Day],
    thresholds: Thresholds,
    opposite: tuple[Section, Traffic, Sequence[Day]] | None = None,
) -> Examined:
    """All checks of a section. past: days that passed, the last of them last; opposite: the other direction between the
    same two cameras, with what was seen of it and its past."""
    if not section.cameras:
        said = "a radar track has one clock, and nothing to compare it with"
        check = Check(clock_checks.CLOCK, Verdict.NOT_JUDGED, None, None, None, "s", said)
        return Examined((check,), Verdict.NOT_JUDGED, None, None, (), {})
    days, judged = _reference(section, traffic, past, thresholds)
    if not days:
        return Examined((_too_few(traffic, thresholds),), Verdict.NOT_JUDGED, None, None, (), {})
    flow, peaks = _flow(days), reached([day.peaks for day in days])
    checks = [*_clocks(section, judged, flow, peaks, thresholds), *_cameras(section, judged, days, peaks, thresholds)]
    if opposite is not None:
        checks += _both_ways(section, traffic, past, opposite, thresholds)
    from_us = _from_us(checks, traffic)
    return Examined(
        tuple(checks),
        _verdict(checks),
        summary(section, day, traffic, past, thresholds),
        from_us,
        _issued_since(traffic, from_us),
        _found_within(section, flow, peaks, thresholds),
    )


def _too_few(traffic: Traffic, thresholds: Thresholds) -> Check:
    found, needed = len(_measured(traffic.passages).ids), thresholds.reference_passages + thresholds.least_passages
    said = f"{found} measured passages and no day to compare with; {needed} are needed"
    return Check(clock_checks.CLOCK, Verdict.NOT_JUDGED, None, None, None, "s", said)


def _measured(passages: Passages) -> Passages:
    return passages.select(~np.isnan(passages.travel_time_s))


def _flow(days: Sequence[Day]) -> FreeFlow:
    """The past's travel times, each day by its passages."""
    passages = sum(day.passages for day in days)
    least = min(day.passages for day in days)
    points = [day.travel_time_s * max(1, round(day.passages / least)) for day in days]
    return FreeFlow(np.concatenate(points), passages)


def reached(peaks: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How high each sum may go by itself: the most of the days, and more where they are few. Behind n days the next one
    is the highest of all with a chance of 1 in n + 1."""
    names = {name for one in peaks for name in one}
    return {name: max(one.get(name, 0.0) for one in peaks) * (1 + 1 / len(peaks)) for name in names}


def _reference(
    section: Section, traffic: Traffic, past: Sequence[Day], thresholds: Thresholds
) -> tuple[Sequence[Day], Traffic]:
    """The days to compare with, and what is compared with them."""
    if past:
        return past, traffic
    measured = _measured(traffic.passages)
    if len(measured.ids) < thresholds.reference_passages + thresholds.least_passages:
        return (), traffic
    until_us = int(measured.last_us[thresholds.reference_passages - 1])
    passages, sightings = traffic.passages, traffic.sightings
    first = Traffic(passages.select(passages.last_us <= until_us), sightings.select(sightings.time_us <= until_us))
    rest = Traffic(passages.select(passages.last_us > until_us), sightings.select(sightings.time_us > until_us))
    own = summary(section, "", first, (), thresholds)
    return ((own,) if own else ()), rest


def summary(section: Section, day: str, traffic: Traffic, past: Sequence[Day], thresholds: Thresholds) -> Day | None:
    """What is kept of a day; None: too little was seen. Its sums are measured by the past, or by itself."""
    passages, sightings, cameras = traffic.passages, traffic.sightings, section.cameras
    times_s = _measured(passages).travel_time_s
    if len(times_s) < FREE_FLOW_NEEDS:
        return None
    found = Day(
        day,
        len(times_s),
        points_of(times_s),
        {},
        camera_checks.shares_of(passages) | camera_checks.place_shares(sightings, cameras),
        camera_checks.levels_of(sightings, cameras),
        camera_checks.gaps_of(sightings, cameras),
    )
    days = past or (found,)
    peaks = clock_checks.clock_peaks(times_s, _flow(days), thresholds)
    peaks |= camera_checks.peaks_of(passages, sightings, cameras, days, thresholds)
    return Day(day, found.passages, found.travel_time_s, peaks, found.shares, found.levels, found.gaps)


def _clocks(
    section: Section, judged: Traffic, flow: FreeFlow, peaks: Mapping[str, float], thresholds: Thresholds
) -> list[Check]:
    measured, declared_s = _measured(judged.passages), section.errors.time_s
    if not len(measured.ids):
        return [Check(clock_checks.CLOCK, Verdict.NOT_JUDGED, None, None, None, "s", "no passage was measured")]
    step = clock_checks.clock(measured, flow, peaks, declared_s, thresholds)
    # A step has a slope too, and no begin.
    slope = [] if step.begun else [clock_checks.drift(measured, flow, declared_s, thresholds)]
    return [step, *slope]


def _cameras(
    section: Section, judged: Traffic, days: Sequence[Day], peaks: Mapping[str, float], thresholds: Thresholds
) -> list[Check]:
    passages, sightings, cameras = judged.passages, judged.sightings, section.cameras
    return [
        *camera_checks.share_checks(passages, days, peaks, thresholds),
        *camera_checks.confidence_checks(sightings, cameras, days, peaks, thresholds),
        *camera_checks.silence_checks(sightings, cameras, days, thresholds),
    ]


def opposite_of(section: Section, network: Network) -> Section | None:
    """The section between the same two cameras the other way; None: there is none."""
    ends = section.cameras[-1:] + section.cameras[:1]
    found = (one for one in network.sections.values() if one.cameras and one.cameras[:1] + one.cameras[-1:] == ends)
    return next(found, None)


def _both_ways(
    section: Section,
    traffic: Traffic,
    past: Sequence[Day],
    opposite: tuple[Section, Traffic, Sequence[Day]],
    thresholds: Thresholds,
) -> list[Check]:
    other, other_traffic, other_past = opposite
    times_s = [_measured(one.passages).travel_time_s for one in (traffic, other_traffic)]
    if min(map(len, times_s)) < FREE_FLOW_NEEDS:
        said = f"too few passages both ways: {FREE_FLOW_NEEDS} of each are needed"
        return [Check(clock_checks.TWO_WAY, Verdict.NOT_JUDGED, None, None, None, "s", said)]
    lengths_m = (section.distance_m, other.distance_m)
    there, back = (Direction(times, length) for times, length in zip(times_s, lengths_m, strict=True))
    past_s = None
    if past and other_past:
        was = [
            Direction(_flow(days).times_s, length) for days, length in zip((past, other_past), lengths_m, strict=True)
        ]
        past_s = (was[0].time_s - was[1].time_s * was[0].length_m / was[1].length_m) / 2
    return [clock_checks.two_way(there, back, past_s, section.errors.time_s, thresholds)]


def _verdict(checks: Sequence[Check]) -> Verdict:
    """Passed if no check failed, and the clocks at least could be judged."""
    if any(check.verdict is Verdict.FAILED for check in checks):
        return Verdict.FAILED
    return checks[0].verdict


def _from_us(checks: Sequence[Check], traffic: Traffic) -> int | None:
    """When the earliest change began; the day's first passage where a check cannot tell."""
    failed = [check for check in checks if check.verdict is Verdict.FAILED]
    if not failed:
        return None
    first_us = int(traffic.passages.first_us.min()) if len(traffic.passages.ids) else int(traffic.sightings.time_us[0])
    return min(first_us if check.begun is None else parse_rfc3339_us(check.begun) for check in failed)


def _issued_since(traffic: Traffic, from_us: int | None) -> tuple[str, ...]:
    if from_us is None:
        return ()
    passages = traffic.passages
    chosen = passages.is_fined & (passages.last_us >= from_us)
    return tuple(fine_id(str(passage)) for passage in passages.ids[chosen])


def _found_within(
    section: Section, flow: FreeFlow, peaks: Mapping[str, float], thresholds: Thresholds
) -> dict[str, int | None]:
    return {
        f"{shift_s:+g} s": flow.passages_to_find(shift_s, clock_checks.threshold(shift_s, peaks, thresholds))
        for shift_s in clock_checks.watched_shifts_s(section.errors.time_s, thresholds)
    }
