"""One plate at two places: sightings of a vehicle that lie farther apart than anybody can drive in the time between.

Somebody drives with a copy of the plate, or a camera has misread one plate as another. Whoever's plate it is, its fines
are for a person. What is compared is the straight line between two places, which is never longer than a road; a
hundred metres are allowed for where cameras stand and vehicles are read, and some seconds for clocks.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from pipeline.enforcement.model import Coordinates, Passage, Reason, Sighting
from pipeline.enforcement.policy import is_suspected
from pipeline.enforcement.speed import average_speed_kmh

CEILING_KMH = 250.0
PLACE_ERROR_M = 100.0  # of both places together
CLOCK_ERROR_S = 5.0  # of both clocks together
POLAR_RADIUS_M = 6_356_752.0  # WGS 84; the least one: on a sphere of it no distance is too long
Numbers = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


class Pair(NamedTuple):
    """Two sightings one after the other, how far apart, and the least speed that takes, in a straight line."""

    first: Sighting
    second: Sighting
    distance_m: float
    speed_kmh: float


def impossible(seen: Iterable[Sighting], ceiling_kmh: float, of_others: Collection[Sighting] = ()) -> list[Pair]:
    """Neighbours in time that no vehicle can have driven between. `seen` are of one vehicle, in order of time.

    of_others: the ends of its other sessions; a pair holds one of `seen` at least. If every neighbour can be reached in
    time, so can all others. Times of publishing say nothing.
    """
    if of_others:
        seen = sorted((*of_others, *seen), key=attrgetter("time_us"))
    placed = [sighting for sighting in seen if is_placed(sighting)]
    pairs = (pair for plate in _by_region(placed) for pair in pairwise(plate))
    found = (apart for first, second in pairs if (apart := _apart(first, second)).speed_kmh > ceiling_kmh)
    return [pair for pair in found if not (pair.first in of_others and pair.second in of_others)]


def ends(seen: Sequence[Sighting]) -> tuple[Sighting, ...]:
    """The first and the last of a session's sightings in each region, with what is compared and told of them alone."""
    placed = [sighting for sighting in seen if is_placed(sighting)]
    last = {sighting.plate_region: sighting for sighting in placed}
    first = {sighting.plate_region: sighting for sighting in reversed(placed)}
    return tuple(map(_bare, dict.fromkeys((*first.values(), *last.values()))))


def is_placed(sighting: Sighting) -> bool:
    """Whether it says when and where the vehicle was."""
    return sighting.timed and sighting.location is not None


def _bare(sighting: Sighting) -> Sighting:
    return Sighting(
        sighting.event_id,
        "",
        sighting.time_us,
        camera_id=sighting.camera_id,
        location=sighting.location,
        plate_region=sighting.plate_region,
    )


def _by_region(placed: Sequence[Sighting]) -> list[Sequence[Sighting]]:
    """Two states may issue the same plate: sightings of different regions are of different vehicles."""
    regions = {sighting.plate_region or "" for sighting in placed}
    if len(regions - {""}) < 2:
        return [placed]
    return [[one for one in placed if (one.plate_region or "") == region] for region in sorted(regions)]


def _apart(first: Sighting, second: Sighting) -> Pair:
    distance_m = 0.0
    if first.location is not None and second.location is not None and first.location != second.location:
        distance_m = _distance_m(first.location, second.location)
    time_s = (second.time_us - first.time_us) / 1_000_000 + CLOCK_ERROR_S
    return Pair(first, second, distance_m, average_speed_kmh(max(distance_m - PLACE_ERROR_M, 0.0), time_s))


def _distance_m(one: Coordinates, other: Coordinates) -> float:
    """By the haversine formula."""
    (north, east), (other_north, other_east) = map(math.radians, one), map(math.radians, other)
    chord = math.sin((other_north - north) / 2) ** 2
    chord += math.cos(north) * math.cos(other_north) * math.sin((other_east - east) / 2) ** 2
    return 2 * POLAR_RADIUS_M * math.asin(min(math.sqrt(chord), 1.0))


def may_be_impossible(places: Numbers, times_s: Numbers, ceiling_kmh: float) -> Truths:
    """Which neighbours (n - 1) of sightings (n) in a row, of whatever vehicles, must be looked at with `impossible`.

    places: degrees (n, 2), NaN where none is known. It allows for nothing, so that none is missed between which others
    were seen.
    """
    north, east = np.radians(places).T
    chord = np.sin(np.diff(north) / 2) ** 2
    chord += np.cos(north[1:]) * np.cos(north[:-1]) * np.sin(np.diff(east) / 2) ** 2
    least_m = 2 * POLAR_RADIUS_M * np.sqrt(chord)  # a chord's arc is longer by less than the factor for half a turn
    found: Truths = least_m * (np.pi / 2) * 3.6 > ceiling_kmh * np.diff(times_s)
    return found


def doubted(decided: Iterable[Passage]) -> list[Passage]:
    """The decided passages of a vehicle that was at two places: no suspected one is fined without a person."""
    return [
        replace(passage, reasons=(*passage.reasons, Reason.SEEN_ELSEWHERE)) if is_suspected(passage) else passage
        for passage in decided
    ]
