"""Whether two cameras' clocks agree, from the travel times between them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pipeline.enforcement.free_flow import FreeFlow
from pipeline.enforcement.selftest_records import Check, Passages, Thresholds, Verdict
from pipeline.enforcement.sequential import Change, Floats, change, peak
from pipeline.enforcement.times import rfc3339

CLOCK, DRIFT, TWO_WAY = "clock", "clock drift", "clocks both ways"
PARTS = 5
STUDENT_95 = 2.78  # of 4 degrees of freedom: an estimate of the mean of PARTS
FREE_QUANTILE = 0.15
BLOCKS = 20


def _name(shift_s: float) -> str:
    return f"{CLOCK} {shift_s:+g} s"


def watched_shifts_s(declared_s: float, thresholds: Thresholds) -> list[float]:
    """The shifts that are looked for, both ways: those within the declared error of the clocks count already."""
    return [sign * shift for shift in thresholds.shifts_s if shift > declared_s for sign in (-1.0, 1.0)]


def clock_peaks(times_s: Floats, flow: FreeFlow, thresholds: Thresholds) -> dict[str, float]:
    """How high the sum of each shift goes over these travel times (n)."""
    return {_name(shift): peak(flow.scores(times_s, shift)) for shift in watched_shifts_s(0.0, thresholds)}


def threshold_of(name: str, peaks: Mapping[str, float], thresholds: Thresholds) -> float:
    """The evidence that a sequential check asks for."""
    return max(thresholds.least_evidence, thresholds.margin * peaks.get(name, 0.0))


def threshold(shift_s: float, peaks: Mapping[str, float], thresholds: Thresholds) -> float:
    """The evidence that is asked for a shift."""
    return threshold_of(_name(shift_s), peaks, thresholds)


def clock(
    passages: Passages, flow: FreeFlow, peaks: Mapping[str, float], declared_s: float, thresholds: Thresholds
) -> Check:
    """The first shift that is found. passages: those that were measured."""
    times_s, found = passages.travel_time_s, list[tuple[Change, float, float]]()
    for shift_s in watched_shifts_s(declared_s, thresholds):
        enough = threshold(shift_s, peaks, thresholds)
        step = change(flow.scores(times_s, shift_s), enough, thresholds.slack, thresholds.lead)
        if step is not None and (
            shift_s < 0 or _is_proven(times_s[step.begun :], flow, shift_s, declared_s, thresholds)
        ):
            found.append((step, enough, shift_s))
    if not found:
        return _no_shift(times_s, flow, declared_s)
    return _shifted(passages, flow, *min(found, key=lambda one: one[0].found))


def _is_proven(times_s: Floats, flow: FreeFlow, about_s: float, declared_s: float, thresholds: Thresholds) -> bool:
    """Whether drivers look slower than the declared errors allow, and not for congestion: that makes drivers slower
    too, so that the evidence of single passages is not enough. It adds much to some where a clock adds the same to all.
    """
    shift_s, error_s = estimate_s(times_s, flow, about_s)
    slow_share = float((times_s > flow.slow_s + shift_s).mean())
    return shift_s - error_s > declared_s and slow_share <= thresholds.congested_share


def _no_shift(times_s: Floats, flow: FreeFlow, declared_s: float) -> Check:
    shift_s, error_s = estimate_s(times_s, flow)
    said = (
        f"no change between the clocks of entry and exit shows; over all passages {shift_s:+.1f} s "
        f"(± {error_s:.1f} s) against the past"
    )
    return Check(CLOCK, Verdict.PASSED, shift_s, error_s, max(declared_s, 0.0), "s", said)


def _shifted(passages: Passages, flow: FreeFlow, step: Change, enough: float, about_s: float) -> Check:
    shift_s, error_s = estimate_s(passages.travel_time_s[step.begun :], flow, about_s)
    looks = "faster than they are" if shift_s < 0 else "slower than they are"
    vehicles = step.found - step.begun
    said = (
        f"the time between entry and exit changed by {shift_s:+.1f} s (± {error_s:.1f} s): drivers look {looks}; found "
        f"{vehicles} vehicles after its likeliest begin. Compare both clocks with a reference"
    )
    # A slow vehicle may have entered before the first doubtful one and left behind it.
    begun_us = int(passages.first_us[step.earliest :].min())
    found_us = int(passages.last_us[step.found])
    return Check(
        CLOCK, Verdict.FAILED, shift_s, error_s, enough, "s", said, rfc3339(begun_us), rfc3339(found_us), vehicles
    )


def estimate_s(times_s: Floats, flow: FreeFlow, about_s: float = 0.0) -> tuple[float, float]:
    """The shift of travel times (n) and its uncertainty (95 %), from parts that follow each other: neighbours share
    their traffic."""
    shift_s = flow.shift_s(times_s, about_s)
    parts = [flow.shift_s(part, about_s) for part in np.array_split(times_s, PARTS) if len(part)]
    if len(parts) < PARTS:
        return shift_s, float("inf")
    return shift_s, STUDENT_95 * float(np.std(parts, ddof=1)) / float(np.sqrt(PARTS))


def drift(passages: Passages, flow: FreeFlow, declared_s: float, thresholds: Thresholds) -> Check:
    """A shift that grows over the day: the slope of a line through the shifts of windows of passages."""
    windows = len(passages.travel_time_s) // thresholds.drift_window
    allowed_s = max(declared_s, thresholds.drift_s)
    if windows < 8:
        said = f"too few passages for a slope: {8 * thresholds.drift_window} are needed"
        return Check(DRIFT, Verdict.NOT_JUDGED, None, None, allowed_s, "s", said)
    cut = windows * thresholds.drift_window
    shifts_s = np.array([flow.shift_s(part) for part in np.split(passages.travel_time_s[:cut], windows)])
    hours = (passages.last_us[:cut].reshape(windows, -1).mean(axis=1) - passages.last_us[0]) / 3.6e9
    slope, error = _slope(hours, shifts_s)
    grown_s = slope * float(hours[-1] - hours[0])
    fails = abs(grown_s) > allowed_s and abs(slope) > thresholds.drift_errors * error
    said = f"the clocks of entry and exit {'drift apart' if fails else 'do not drift apart'}: {slope:+.2f} s an hour"
    span_h = float(hours[-1] - hours[0])
    verdict, begun = (Verdict.FAILED, rfc3339(int(passages.first_us[0]))) if fails else (Verdict.PASSED, None)
    found = rfc3339(int(passages.last_us[-1])) if fails else None
    return Check(DRIFT, verdict, grown_s, 2 * error * span_h, allowed_s, "s", said, begun, found)


def _slope(hours: Floats, shifts_s: Floats) -> tuple[float, float]:
    """Seconds an hour, by least squares, and the standard error."""
    away = hours - hours.mean()
    spread = float(away @ away)
    if spread == 0:
        return 0.0, float("inf")
    slope = float(away @ shifts_s) / spread
    left = shifts_s - shifts_s.mean() - slope * away
    return slope, float(np.sqrt(left @ left / max(len(hours) - 2, 1) / spread))


class Direction:
    """One direction of a road: the free-flow time of its passages, as that of a metre, and its standard error."""

    def __init__(self, times_s: Floats, length_m: float) -> None:
        blocks = [float(np.quantile(block, FREE_QUANTILE)) for block in np.array_split(times_s, BLOCKS)]
        self.length_m = length_m
        self.time_s = float(np.quantile(times_s, FREE_QUANTILE))
        self.error_s = float(np.std(blocks, ddof=1)) / float(np.sqrt(BLOCKS))


def two_way(
    there: Direction, back: Direction, past_s: float | None, declared_s: float, thresholds: Thresholds
) -> Check:
    """Two cameras that measure a road both ways: an offset between their clocks adds to one direction what it takes
    from the other, whatever drivers do. past_s: the offset of the past, since free speeds of the two directions may
    differ; None: no past, and they may differ by `asymmetry`. The section is that of `there`."""
    offset_s = (there.time_s - back.time_s * there.length_m / back.length_m) / 2
    error_s = float(np.hypot(there.error_s, back.error_s)) / 2
    unknown_s = thresholds.asymmetry * there.time_s / 2 if past_s is None else 0.0
    allowed_s = max(declared_s, thresholds.two_way_s, thresholds.two_way_errors * error_s) + unknown_s
    away_s = offset_s - (past_s or 0.0)
    fails = abs(away_s) > allowed_s
    expected = "where 0 is expected" if past_s is None else f"in the past {past_s:+.1f} s"
    said = (
        f"half the difference of the free-flow times of the two directions is {offset_s:+.1f} s, {expected}: "
        f"the clocks {'disagree' if fails else 'agree'} as far as this shows"
    )
    return Check(TWO_WAY, Verdict.FAILED if fails else Verdict.PASSED, away_s, 2 * error_s, allowed_s, "s", said)
