"""Whether cameras see all lanes, read as well as before, find both ends of passages, and report possible speeds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from pipeline.enforcement.clock_checks import threshold_of
from pipeline.enforcement.selftest_records import (
    NO_LANE,
    Check,
    Day,
    Ints,
    Level,
    Passages,
    Share,
    Sightings,
    Thresholds,
    Verdict,
)
from pipeline.enforcement.sequential import (
    Change,
    Flags,
    Floats,
    change,
    fall_scores,
    first_gap,
    longest_gap,
    peak,
    rate_scores,
)
from pipeline.enforcement.times import rfc3339

IMPOSSIBLE = "impossible speeds"
RAREST = 5e-4
LEAST_SPREAD = 0.005
LEAST_VALUES = 100


def rates(passages: Passages) -> dict[str, Flags]:
    """The shares that may not rise: of which passages (n) each of them is made."""
    return {
        "passages without entry": passages.entry_missing,
        "passages without exit": passages.exit_missing,
        IMPOSSIBLE: passages.impossible,
    }


def confidences(sightings: Sightings, cameras: Sequence[str]) -> Iterator[tuple[str, Flags]]:
    """The name of each camera's confidence, and which sightings (n) tell it."""
    told = ~np.isnan(sightings.confidence)
    for number, camera in enumerate(cameras):
        yield f"read confidence of {camera}", told & (sightings.camera == number)


def places(sightings: Sightings, cameras: Sequence[str]) -> Iterator[tuple[str, Flags, Flags]]:
    """What may not fall silent: its name, the sightings (n) among which it is looked for, and its own."""
    for number, camera in enumerate(cameras):
        own = sightings.camera == number
        yield f"camera {camera}", np.ones_like(own), own
        for lane in np.unique(sightings.lane[own]).tolist():
            if lane != NO_LANE:
                yield f"camera {camera} lane {lane}", own, own & (sightings.lane == lane)


def risen_to(usual: float, name: str, thresholds: Thresholds) -> float:
    """The share that is looked for."""
    if name == IMPOSSIBLE:
        return max(thresholds.impossible_rate, min(10 * usual, 0.9))
    return min(max(thresholds.rate_factor * usual, usual + thresholds.rate_rise), (1 + usual) / 2)


def usual_share(days: Sequence[Day], name: str) -> float:
    """The share of the past, not so small that one vehicle would prove a change."""
    shares = [day.shares[name] for day in days if name in day.shares]
    hits, of = sum(share.hits for share in shares), sum(share.of for share in shares)
    return min(max(hits / of if of else 0.0, RAREST), 0.95)


def usual_level(days: Sequence[Day], name: str) -> Level | None:
    """The mean and spread of the past; None: there is none."""
    levels = [day.levels[name] for day in days if name in day.levels]
    of = sum(level.of for level in levels)
    if of < LEAST_VALUES:
        return None
    mean = sum(level.mean * level.of for level in levels) / of
    spread = math.sqrt(sum((level.spread**2 + (level.mean - mean) ** 2) * level.of for level in levels) / of)
    return Level(mean, max(spread, LEAST_SPREAD), of)


def shares_of(passages: Passages) -> dict[str, Share]:
    """The shares of a day."""
    return {name: Share(int(hits.sum()), len(hits)) for name, hits in rates(passages).items()}


def levels_of(sightings: Sightings, cameras: Sequence[str]) -> dict[str, Level]:
    """Confidences of a day."""
    found = ((name, sightings.confidence[told]) for name, told in confidences(sightings, cameras))
    return {name: Level(float(told.mean()), float(told.std()), len(told)) for name, told in found if len(told)}


def gaps_of(sightings: Sightings, cameras: Sequence[str]) -> dict[str, int]:
    """The longest silence of each camera and lane, in sightings of the others. A lane that hardly anybody takes may
    always be silent, and is not among them."""
    return {name: longest_gap(own[among])[0] for name, among, own in places(sightings, cameras)}


def peaks_of(
    passages: Passages, sightings: Sightings, cameras: Sequence[str], days: Sequence[Day], thresholds: Thresholds
) -> dict[str, float]:
    """How high the sums of shares and confidences went on a day, measured by the past."""
    found = {name: peak(_rate_scores(hits, days, name, thresholds)) for name, hits in rates(passages).items()}
    for name, told in confidences(sightings, cameras):
        level = usual_level(days, name)
        if level is not None:
            found[name] = peak(fall_scores(sightings.confidence[told], level.mean, level.spread, thresholds.fall))
    return found


def _rate_scores(hits: Flags, days: Sequence[Day], name: str, thresholds: Thresholds) -> Floats:
    usual = usual_share(days, name)
    return rate_scores(hits, usual, risen_to(usual, name, thresholds))


def share_checks(
    passages: Passages, days: Sequence[Day], peaks: Mapping[str, float], thresholds: Thresholds
) -> Iterator[Check]:
    """Passages of which one end is missing, and impossible ones."""
    for name, hits in rates(passages).items():
        usual, threshold = usual_share(days, name), threshold_of(name, peaks, thresholds)
        step = change(_rate_scores(hits, days, name, thresholds), threshold, thresholds.slack, thresholds.lead)
        part = hits if step is None else hits[step.begun :]
        share = float(part.mean()) if len(part) else 0.0
        error = 2 * math.sqrt(max(share * (1 - share), 1e-9) / max(len(part), 1))
        rise = "the share rose" if step else "the share did not rise"
        said = f"{name}: {share:.1%} of {len(part)} passages, in the past {usual:.1%}; {rise}"
        yield _check(name, (share, error, threshold, "share"), said, step, passages.first_us, passages.last_us)


def confidence_checks(
    sightings: Sightings,
    cameras: Sequence[str],
    days: Sequence[Day],
    peaks: Mapping[str, float],
    thresholds: Thresholds,
) -> Iterator[Check]:
    """How sure each camera is of its readings."""
    for name, told in confidences(sightings, cameras):
        level, values = usual_level(days, name), sightings.confidence[told]
        if level is None or not len(values):
            yield Check(name, Verdict.NOT_JUDGED, None, None, None, "", f"{name}: too little is known of it")
            continue
        threshold = threshold_of(name, peaks, thresholds)
        scores = fall_scores(values, level.mean, level.spread, thresholds.fall)
        step = change(scores, threshold, thresholds.slack, thresholds.lead)
        part = values if step is None else values[step.begun :]
        mean, error = float(part.mean()), 2 * float(part.std()) / math.sqrt(len(part))
        fell = "it fell" if step else "it did not fall"
        said = f"{name}: {mean:.3f} over {len(part)} sightings, in the past {level.mean:.3f}; {fell}"
        times_us = sightings.time_us[told]
        yield _check(name, (mean, error, threshold, "mean"), said, step, times_us, times_us)


def silence_checks(
    sightings: Sightings, cameras: Sequence[str], days: Sequence[Day], thresholds: Thresholds
) -> Iterator[Check]:
    """Lanes and cameras that are not heard of any more. A name that only the past knows is looked for too."""
    number_of = {camera: number for number, camera in enumerate(cameras)}
    for name, share in sorted(_usual_places(days).items()):
        camera, _, lane = name.removeprefix("camera ").partition(" lane ")
        if camera not in number_of or (lane and share < thresholds.least_lane_share):
            continue
        own = sightings.camera == number_of[camera]
        among = own if lane else np.ones_like(own)
        hits = (own & (sightings.lane == int(lane)) if lane else own)[among]
        past = max((day.gaps[name] for day in days if name in day.gaps), default=0)
        by_chance = math.log(thresholds.gap_chance) / math.log1p(-min(share, 0.999))
        allowed = max(math.ceil(by_chance), math.ceil(thresholds.gap_margin * past), thresholds.least_gap)
        step, (longest, _) = first_gap(hits, allowed), longest_gap(hits)
        others = "of this camera" if lane else "of the section"
        said = f"{name}: not seen in {longest} sightings {others} in a row, in the past at most {past}"
        times_us = sightings.time_us[among]
        yield _check(name, (float(longest), None, float(allowed), "sightings"), said, step, times_us, times_us)


def _usual_places(days: Sequence[Day]) -> dict[str, float]:
    """Cameras and lanes of the past, and their shares."""
    hits: dict[str, int] = {}
    of: dict[str, int] = {}
    for day in days:
        for name in day.gaps:
            share = day.shares.get(name, Share(0, 0))
            hits[name], of[name] = hits.get(name, 0) + share.hits, of.get(name, 0) + share.of
    return {name: hits[name] / of[name] for name in hits if of[name] and hits[name]}


def place_shares(sightings: Sightings, cameras: Sequence[str]) -> dict[str, Share]:
    """The share of each camera and lane on a day."""
    return {
        name: Share(int(own.sum()), int(among.sum())) for name, among, own in places(sightings, cameras) if among.any()
    }


def _check(
    name: str,
    figures: tuple[float, float | None, float, str],
    said: str,
    step: Change | None,
    first_us: Ints,
    last_us: Ints,
) -> Check:
    measured, error, threshold, unit = figures
    if step is None:
        return Check(name, Verdict.PASSED, measured, error, threshold, unit, said)
    begun_us, found_us = int(first_us[step.earliest :].min()), int(last_us[step.found])
    vehicles = step.found - step.begun
    said = f"{said}; found {vehicles} vehicles after its likeliest begin"
    return Check(
        name, Verdict.FAILED, measured, error, threshold, unit, said, rfc3339(begun_us), rfc3339(found_us), vehicles
    )
