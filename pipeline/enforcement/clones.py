"""One plate at two places: sightings of a vehicle that lie farther apart than anybody can drive in the time between.

Somebody drives with a copy of the plate, or a camera has misread one plate as another. Whoever's plate it is, its fines
are for a person. What is compared is the straight line between two places, which is never longer than a road; a
hundred metres are allowed for where cameras stand and vehicles are read, and some seconds for clocks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache
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
DISTANCES = 100_000  # that are kept: cameras stand where they stood
Numbers = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


class Pair(NamedTuple):
    """Two sightings one after the other, how far apart, and the least speed that takes, in a straight line."""

    first: Sighting
    second: Sighting
    distance_m: float
    speed_kmh: float


def impossible(seen: Sequence[Sighting], ceiling_kmh: float, of_others: Sequence[Sighting] = ()) -> list[Pair]:
    """Neighbours in time that no vehicle can have driven between. `seen` are of one vehicle, in order of time.

    of_others: the ends of its other sessions; a pair holds one of `seen` at least. If every neighbour can be reached in
    time, so can all others. Times of publishing say nothing.
    """
    near = _nearest(seen, of_others) if of_others and seen else ()
    ordered = sorted((*near, *seen), key=attrgetter("time_us")) if near else seen
    found = {
        (first, second): speed_kmh
        for plate in _by_region(_placed(ordered))
        for first, second in pairwise(plate)
        if (speed_kmh := _least_speed_kmh(first, second)) > ceiling_kmh
    }
    return [
        Pair(first, second, _apart_m(first, second), speed_kmh)
        for (first, second), speed_kmh in found.items()
        if not (first in near and second in near)
    ]


def _nearest(seen: Sequence[Sighting], of_others: Iterable[Sighting]) -> tuple[Sighting, ...]:
    """The last before and the first after what was seen, of each region."""
    before, after = dict[str | None, Sighting](), dict[str | None, Sighting]()
    for one in sorted(of_others, key=attrgetter("time_us")):
        if one.time_us < seen[0].time_us:
            before[one.plate_region] = one
        else:
            after.setdefault(one.plate_region, one)
    return (*before.values(), *after.values())


def ends(seen: Iterable[Sighting]) -> tuple[Sighting, ...]:
    """The first and the last of a session's sightings in each region, with what is compared and told of them alone."""
    first, last = dict[str | None, Sighting](), dict[str | None, Sighting]()
    for sighting in _placed(seen):
        first.setdefault(sighting.plate_region, sighting)
        last[sighting.plate_region] = sighting
    return (*map(_bare, first.values()), *(_bare(one) for region, one in last.items() if one is not first[region]))


def _placed(seen: Iterable[Sighting]) -> list[Sighting]:
    """Those that say when and where the vehicle was."""
    return [sighting for sighting in seen if sighting.timed and sighting.location is not None]


def _bare(sighting: Sighting) -> Sighting:
    return Sighting(
        sighting.event_id,
        "",
        sighting.time_us,
        camera_id=sighting.camera_id,
        location=sighting.location,
        plate_region=sighting.plate_region,
        image_url=sighting.image_url,
    )


def _by_region(placed: Sequence[Sighting]) -> list[Sequence[Sighting]]:
    """Two states may issue the same plate: sightings of different regions are of different vehicles. One without a
    region may be of each of them, whatever else is seen of the plate."""
    regions = {sighting.plate_region or "" for sighting in placed} - {""}
    if len(regions) < 2:
        return [placed]
    return [[one for one in placed if (one.plate_region or region) == region] for region in sorted(regions)]


def _least_speed_kmh(first: Sighting, second: Sighting) -> float:
    time_s = (second.time_us - first.time_us) / 1_000_000 + CLOCK_ERROR_S
    return average_speed_kmh(max(_apart_m(first, second) - PLACE_ERROR_M, 0.0), time_s)


def _apart_m(first: Sighting, second: Sighting) -> float:
    if first.location is None or second.location is None or first.location == second.location:
        return 0.0
    return _distance_m(first.location, second.location)


@lru_cache(maxsize=DISTANCES)
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
