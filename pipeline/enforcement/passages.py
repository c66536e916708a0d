"""One vehicle's sightings in one section -> its passages.

Order is event time, never arrival. Where sightings can be paired in more than one way the longest time counts, which
gives the lowest speed, and the passage is marked ambiguous: it is never fined by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from operator import attrgetter, le
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from pipeline.enforcement import speed, track_errors
from pipeline.enforcement.clones import Pair
from pipeline.enforcement.model import Basis, Coordinates, ErrorBudget, Outcome, Passage, Reason, Sighting, passage_id
from pipeline.enforcement.policy import IMPLAUSIBLE_KMH, MARGIN_KMH
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.sections import Section

Sightings = Sequence[Sighting]
NameAt = Callable[[int], str]  # the vehicle's pseudonym on the day of a time

CLEAR_ORDER = 0.9  # messages may overtake each other; a random order of ten points reaches this once in two thousand
MIN_TRACK_M = 50.0
MIN_COVERAGE = 0.5  # of a section's line
MAX_OFFSET_M = 200.0  # from a section's line
SHORT_LEG = 0.1  # of the mean leg of a track
TRACK_NOISE_M = 10.0  # how far a radar track's point may lie behind the one before it, or too far ahead of it
# By how much a reading may be too low where its radar declares no error.
READING_SHARE, READING_KMH = 0.1, 5.0


class Session(NamedTuple):
    """The passages that one session of a vehicle's sightings holds: of all its sections, or of one of them.

    `pairs`: between which sightings, one of them of this session, nobody can have driven; `ends`: what a later session
    is compared with.
    """

    vehicle_id: str
    first_us: int
    last_us: int
    n_sightings: int
    passages: tuple[Passage, ...]
    pairs: Sequence[Pair] = ()
    ends: tuple[Sighting, ...] = ()


_time = attrgetter("time_us")


def in_order(sightings: Iterable[Sighting]) -> list[Sighting]:
    """In order of time; at equal times by id, so that the order of arrival never shows."""
    ordered = sorted(sightings, key=_time)
    if _holds_equal_times(ordered):
        ordered.sort(
            key=lambda sighting: (sighting.time_us, sighting.event_id, sighting.camera_id or "", str(sighting))
        )
    return ordered


def _holds_equal_times(ordered: Sightings) -> bool:
    if len(ordered) == 1:
        return False
    before_us = None
    for sighting in ordered:
        if sighting.time_us == before_us:
            return True
        before_us = sighting.time_us
    return False


def measure(
    section: Section, vehicle_id: str, sightings: Iterable[Sighting], pseudonyms: Pseudonyms = IN_CLEAR
) -> Session:
    """All passages of one session of at least one sighting; every distinct sighting belongs to exactly one of them.

    The passages' ids are made of the vehicle's pseudonym: from an id nobody can find the plate by trying them all.
    """
    unique = _without_duplicates(in_order(sightings))
    trace = _camera_passages if section.cameras else _track_passage
    groups = _by_region(vehicle_id, unique)
    passages: list[Passage] = []
    for identity, group in groups:
        passages.extend(trace(section, vehicle_id, partial(pseudonyms.of, identity), group))
    if len(groups) > 1:
        # Which vehicle a sighting without a region is of, nobody knows.
        passages = [replace(passage, ambiguous=True) for passage in passages]
    return Session(vehicle_id, unique[0].time_us, unique[-1].time_us, len(unique), tuple(passages))


def _without_duplicates(ordered: Sightings) -> Sightings:
    """The first of those with the same camera and time.

    The same event_id tells a repeated delivery too, but for one camera only, since cameras number for themselves; told
    with another time it is no repetition but a contradiction, which stays and makes the pairing ambiguous.
    """
    if not _holds_equal_times(ordered):
        return ordered
    reads = {
        (sighting.camera_id, sighting.time_us, "" if sighting.camera_id else sighting.event_id): sighting
        for sighting in reversed(ordered)
    }
    return list(reads.values())[::-1]


def _by_region(vehicle_id: str, sightings: Sightings) -> list[tuple[str, Sightings]]:
    """Two states may issue the same plate: sightings of different regions are different vehicles."""
    if len(sightings) == 1:
        return [(vehicle_id, sightings)]
    first = sightings[0].plate_region
    for sighting in sightings:
        if sighting.plate_region != first:
            break
    else:
        return [(vehicle_id, sightings)]
    regions = sorted({sighting.plate_region or "" for sighting in sightings})
    if len(regions) == 1 or (len(regions) == 2 and not regions[0]):
        return [(vehicle_id, sightings)]
    return [
        (f"{vehicle_id} {region}", [sighting for sighting in sightings if (sighting.plate_region or "") == region])
        for region in regions
    ]


def _camera_passages(section: Section, vehicle_id: str, name_at: NameAt, sightings: Sightings) -> Iterable[Passage]:
    number = section.cameras.index
    if _holds_equal_times(sightings):
        sightings = sorted(sightings, key=lambda sighting: (sighting.time_us, number(sighting.camera_id or "")))
    numbers = [number(sighting.camera_id or "") for sighting in sightings]
    if 0 not in numbers[1:]:  # seldom does a vehicle come again so soon
        return [_camera_passage(section, vehicle_id, name_at, numbers, sightings)]
    bounds = [0, *_cuts(numbers, exit_number=len(section.cameras) - 1), len(numbers)]
    return [
        _camera_passage(section, vehicle_id, name_at, numbers[start:end], sightings[start:end])
        for start, end in pairwise(bounds)
    ]


def _cuts(numbers: Sequence[int], exit_number: int) -> list[int]:
    """Before each entry, but not before one that may be the entry of the same passage as the entry before it."""
    cuts, entered, left = [], False, False
    for at, number in enumerate(numbers):
        if number == 0:
            if at and (left or not entered):
                cuts.append(at)
                left = False
            entered = True
        elif number == exit_number:
            left = True
    return cuts


def _camera_passage(
    section: Section, vehicle_id: str, name_at: NameAt, numbers: Sequence[int], seen: Sightings
) -> Passage:
    """First entry to last exit: the longest time that the pairing allows. `numbers`: the cameras' in driving order."""
    exit_number = len(section.cameras) - 1
    entry = seen[0] if numbers[0] == 0 else None
    leaving = seen[-1] if numbers[-1] == exit_number else None
    if leaving is None and exit_number in numbers:
        leaving = seen[-1 - numbers[::-1].index(exit_number)]
    passage = _seen(section, vehicle_id, name_at, seen)
    if entry is None or leaving is None:
        reasons = (Reason.ENTRY_MISSING,) * (entry is None) + (Reason.EXIT_MISSING,) * (leaving is None)
        return _unmeasurable(passage, entry, leaving, reasons)
    ambiguous = any(map(le, numbers[1:], numbers))
    return _timed(passage, entry, leaving, section.distance_m, section.errors, ambiguous=ambiguous)


def _track_passage(section: Section, vehicle_id: str, name_at: NameAt, sightings: Sightings) -> Iterator[Passage]:
    """A radar track: points with a place that tell their time, or only their speed.

    Where some tell the time and others do not, it is measured by what all of them tell, their speeds, and is for a
    person: its times may contradict that.
    """
    passage = replace(_seen(section, vehicle_id, name_at, sightings), points=tuple(sightings))
    timed = all(sighting.timed for sighting in sightings)
    is_mixed = not timed and any(sighting.timed for sighting in sightings)
    points = sightings if timed else _different_points(sightings)
    if len(points) < 2:
        yield _unmeasurable(passage, points[0], None, (Reason.SINGLE_SIGHTING,))
        return
    measure_along = _by_time if timed else _by_point_speeds
    directions = _directions(section, points)
    measured = [measure_along(section, passage, points, along) for along in directions]
    slowest = min(measured, key=lambda found: found.avg_speed_kmh or 0.0)
    doubtful = is_mixed or _is_fragment(section, points, directions[0])
    yield replace(slowest, ambiguous=slowest.ambiguous or doubtful)


def _by_time(section: Section, passage: Passage, points: Sightings, along: speed.Metres) -> Passage:
    budget = track_errors.of_times(section.track, section.line, _places(points), along)
    doubtful = budget.is_doubtful or _jumps(points, along)
    found = _timed(passage, points[0], points[-1], float(along[-1] - along[0]), budget.errors, ambiguous=doubtful)
    return replace(found, ambiguous=True) if _outruns_its_readings(section, found) else found


def _jumps(points: Sightings, along: speed.Metres) -> bool:
    """Whether the track turns back, or comes farther than anybody drives: the radar may have mixed up two vehicles."""
    legs_m, legs_s = np.diff(along), np.diff([point.time_us for point in points]) / 1_000_000
    too_far = legs_m - TRACK_NOISE_M > IMPLAUSIBLE_KMH / 3.6 * legs_s
    return bool((too_far | (legs_m < -TRACK_NOISE_M)).any())


def _outruns_its_readings(section: Section, track: Passage) -> bool:
    """Whether a track with times is faster on average than the fastest of its readings can have been at its point."""
    readings_kmh = [point.speed_kmh for point in track.points if point.speed_kmh is not None]
    if not readings_kmh or track.avg_speed_kmh is None:
        return False
    fastest_kmh = max(readings_kmh)
    error_kmh = None if section.track is None else section.track.speed_kmh
    error_kmh = READING_SHARE * fastest_kmh + READING_KMH if error_kmh is None else error_kmh
    return track.avg_speed_kmh > fastest_kmh + error_kmh + MARGIN_KMH


def _places(points: Sightings) -> list[Coordinates]:
    return [point.location or (0.0, 0.0) for point in points]


def _is_fragment(section: Section, points: Sightings, along: speed.Metres) -> bool:
    """Whether a track is too short to speak of the section, or lies beside its line."""
    length_m = float(along.max() - along.min())
    if not section.line:
        return length_m < MIN_TRACK_M
    beside_m = speed.offsets_m(_places(points), section.line)
    whole_m = speed.line_length_m(section.line)
    return length_m < max(MIN_TRACK_M, MIN_COVERAGE * whole_m) or bool((beside_m > MAX_OFFSET_M).any())


def _different_points(sightings: Sightings) -> Sightings:
    """Without points that only repeat another one's place and speed: the same point, published twice."""
    return list({(sighting.location, sighting.speed_kmh): sighting for sighting in reversed(sightings)}.values())[::-1]


def _directions(section: Section, points: Sightings) -> list[speed.Metres]:
    """Chainages in driving direction: by the section's line, or else by the order in time; both if neither tells."""
    places = _places(points)
    if section.line:
        return [speed.chainages_m(places, section.line)]
    along = speed.track_chainages_m(places)
    backwards = along.max() - along
    agreement = speed.order_agreement([point.time_us for point in points], along)
    if abs(agreement) < CLEAR_ORDER:
        return [along, backwards]
    return [along if agreement > 0 else backwards]


def _by_point_speeds(section: Section, passage: Passage, points: Sightings, along: speed.Metres) -> Passage:
    order = np.argsort(along, kind="stable")
    ordered, chainages = [points[index] for index in order], along[order]
    entry, leaving = ordered[0], ordered[-1]
    if any(point.speed_kmh is None for point in ordered[:-1]):
        return _unmeasurable(passage, entry, leaving, (Reason.SPEED_MISSING,))
    speeds_kmh = np.array([point.speed_kmh or 0.0 for point in ordered])
    travel_time_s = speed.point_speeds_time_s(chainages, speeds_kmh)
    if not np.isfinite(travel_time_s):
        return _unmeasurable(passage, entry, leaving, (Reason.NO_TRAVEL_TIME,))
    legs = np.diff(chainages)
    # Points that nearly coincide may be those of two trips: without times nothing else tells them apart.
    ambiguous = bool((legs < SHORT_LEG * legs.mean()).any())
    budget = track_errors.of_point_speeds(
        section.track, section.line, _places(ordered), chainages, speeds_kmh, travel_time_s
    )
    ambiguous = ambiguous or budget.is_doubtful
    terms = _Terms(float(legs.sum()), travel_time_s, Basis.POINT_SPEEDS, budget.errors)
    known_kmh = [point.speed_kmh for point in points if point.speed_kmh is not None]
    passage = replace(passage, mean_of_points_kmh=math.fsum(known_kmh) / len(known_kmh))
    return _measured(passage, entry, leaving, terms, ambiguous=ambiguous)


def _seen(section: Section, vehicle_id: str, name_at: NameAt, seen: Sightings) -> Passage:
    first_us = seen[0].time_us
    return Passage(
        passage_id(section.section_id, name_at(first_us), first_us),
        section.section_id,
        vehicle_id,
        section.limit_kmh,
        first_us,
        seen[-1].time_us,
        len(seen),
    )


def _unmeasurable(
    passage: Passage, entry: Sighting | None, leaving: Sighting | None, reasons: tuple[Reason, ...]
) -> Passage:
    return replace(passage, outcome=Outcome.UNMEASURABLE, reasons=reasons, entry=entry, exit=leaving)


def _timed(
    passage: Passage,
    entry: Sighting,
    leaving: Sighting,
    distance_m: float,
    errors: ErrorBudget | None,
    *,
    ambiguous: bool,
) -> Passage:
    travel_time_s = (leaving.time_us - entry.time_us) / 1_000_000
    # Publishing times say when a message was sent, not when the vehicle passed: no fine may rest on them.
    ambiguous = ambiguous or not (entry.timed and leaving.timed)
    terms = _Terms(distance_m, travel_time_s, Basis.DISTANCE_TIME, errors)
    if passage.last_us != leaving.time_us:
        passage = replace(passage, last_us=leaving.time_us)
    return _measured(passage, entry, leaving, terms, ambiguous=ambiguous)


class _Terms(NamedTuple):
    """What an average speed is made of. errors: None where nobody has declared them, so that no lowest one is known."""

    distance_m: float
    travel_time_s: float
    basis: Basis
    errors: ErrorBudget | None


def _measured(
    passage: Passage, entry: Sighting | None, leaving: Sighting | None, terms: _Terms, *, ambiguous: bool
) -> Passage:
    distance_m, travel_time_s, basis, errors = terms
    missing = Reason.NO_DISTANCE if distance_m <= 0 else Reason.NO_TRAVEL_TIME if travel_time_s <= 0 else None
    if missing:
        return replace(_unmeasurable(passage, entry, leaving, (missing,)), ambiguous=ambiguous)
    return replace(
        passage,
        distance_m=distance_m,
        travel_time_s=travel_time_s,
        avg_speed_kmh=speed.average_speed_kmh(distance_m, travel_time_s),
        min_speed_kmh=None if errors is None else speed.guaranteed_minimum_kmh(distance_m, travel_time_s, errors),
        errors=errors,
        basis=basis,
        ambiguous=ambiguous,
        entry=entry,
        exit=leaving,
    )


def measured_by(
    passage: Passage, distance_m: float, travel_time_s: float, basis: Basis, errors: ErrorBudget | None
) -> Passage:
    """The passage as these terms measure it, where its sightings are no longer known; perhaps it is unmeasurable."""
    terms = _Terms(distance_m, travel_time_s, basis, errors)
    return _measured(passage, None, None, terms, ambiguous=passage.ambiguous)
