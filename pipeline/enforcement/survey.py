"""Whether a section's surveyed lengths and declared errors can be true, and whether they can prove a violation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from pipeline.enforcement.model import Coordinates, ErrorBudget
from pipeline.enforcement.speed import plane_m

# By how much the stated places of two cameras may be too far apart.
PLACE_ERROR_M, PLACE_ERROR_SHARE = 30.0, 0.02
# At a speed so far over the limit a section must be able to prove that it is over.
PROVABLE_SHARE = 0.1


class SectionError(ValueError):
    """A mistake in a section file or in an option about sections, worded for the person who made it."""


class Leg(NamedTuple):
    """A surveyed length between two cameras, and the straight line between their places.

    No road is shorter than the straight line. One that is much longer is seldom the shortest drivable way, and makes
    every speed too high, which is worse. At the ends of a loop the places say nothing of the length: a long one needs a
    camera in between, so that each of its legs can be compared.
    """

    section_id: str
    entry: str
    exit: str
    length_m: float
    straight_m: float

    @property
    def shortest_m(self) -> float:
        """The least length that the cameras' places allow."""
        return max(self.straight_m * (1 - PLACE_ERROR_SHARE) - PLACE_ERROR_M, 0.0)

    @property
    def doubtful_m(self) -> float:
        """A greater length is warned of."""
        return self.straight_m * 2 + 200

    @property
    def longest_m(self) -> float:
        """A greater length is refused."""
        return self.straight_m * 10 + 1000

    def __str__(self) -> str:
        return (
            f"section {self.section_id}: length_m: found {self.length_m:g} for the leg from {self.entry} to "
            f"{self.exit}, which are {self.straight_m:.1f} m apart in a straight line"
        )

    def refuse_impossible(self) -> None:
        """Raises SectionError with the arithmetic."""
        if not self.shortest_m <= self.length_m <= self.longest_m:
            raise SectionError(
                f"{self}; allowed: from {self.shortest_m:.1f} m (the straight line less {PLACE_ERROR_SHARE:.0%} and "
                f"{PLACE_ERROR_M:g} m, the places' error) to {self.longest_m:.1f} m (ten times it and 1 km). Correct "
                "the length or the cameras' locations; on a road that winds so much, put a camera in between."
            )


def legs(
    section_id: str, cameras: Sequence[str], length_m: Sequence[float], places: Mapping[str, Coordinates]
) -> Iterator[Leg]:
    """The legs of a section of at least two cameras."""
    for (entry, leaving), leg_m in zip(pairwise(cameras), length_m, strict=True):
        yield Leg(section_id, entry, leaving, leg_m, _straight_m(places[entry], places[leaving]))


def _straight_m(one: Coordinates, other: Coordinates) -> float:
    """The plane touches the earth half-way in latitude, where its error is least."""
    return math.dist(*plane_m((one, other), ((one[0] + other[0]) / 2, one[1])))


def refuse_unprovable_readings(
    section_id: str, length_m: float, limit_kmh: float, location_m: float, speed_kmh: float
) -> None:
    """The same of a radar whose points tell speeds alone: each may be too high, and the way shorter at both ends."""
    over_kmh = limit_kmh * (1 + PROVABLE_SHARE)
    least_kmh = max(over_kmh - speed_kmh, 0.0) * max(1 - 2 * location_m / length_m, 0.0)
    if least_kmh <= limit_kmh:
        raise SectionError(
            f"section {section_id}: readings that may be wrong by {location_m:g} m and {speed_kmh:g} km/h prove of "
            f"{over_kmh:.1f} km/h on {length_m:.0f} m no more than {least_kmh:.1f} km/h, and the limit is "
            f"{limit_kmh:.1f} km/h. Needed: a smaller speed_error or location_error_m, or a longer line."
        )


def refuse_unprovable(section_id: str, distance_m: float, limit_kmh: float, errors: ErrorBudget) -> None:
    """Raises SectionError if errors eat up a violation of a tenth over the limit, with the arithmetic and the way out.

    At (1 + p) times the limit v the section is driven in d / ((1 + p) v). It is proven over the limit only if the
    shortest length over the longest time still is: (d - length error) / v > d / ((1 + p) v) + time error.
    """
    limit_m_s = limit_kmh / 3.6
    spare_s = (distance_m * PROVABLE_SHARE / (1 + PROVABLE_SHARE) - errors.length_m) / limit_m_s
    if errors.time_s < spare_s:
        return
    needed_m = (errors.time_s * limit_m_s + errors.length_m) * (1 + PROVABLE_SHARE) / PROVABLE_SHARE
    clocks = f"clock_error_s and resolution_s of both ends together below {spare_s:.3f} s" if spare_s > 0 else ""
    raise SectionError(
        f"section {section_id}: {distance_m:g} m with an error of {errors.length_m:g} m and of {errors.time_s:g} s in "
        f"time cannot prove that {limit_kmh * (1 + PROVABLE_SHARE):.1f} km/h is over the limit, {limit_kmh:.1f} km/h. "
        f"Needed: more than {needed_m:.0f} m{', or ' + clocks if clocks else ', or a better survey of the length'}."
    )
