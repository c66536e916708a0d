"""What the readings of a radar track prove, if each may be as wrong as its section declares.

Two kinds of track, two kinds of proof. One that tells times proves how far it came between its first reading and its
last: the exit lies at the nearest place on the line that the error allows, the entry at the farthest, and both stamps
may be wrong. One that tells speeds alone proves something only if a vehicle drives each piece of the way at the speed
of the point where it begins, which is the class exercise's rule and no law of nature: no error that can be declared
says how fast it was between two readings. So a policy takes such a speed as proof only where it says so. With that
rule, the longest time has each speed at its lowest and each point where it makes slow pieces long.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from pipeline.enforcement import speed
from pipeline.enforcement.model import Coordinates, ErrorBudget
from pipeline.enforcement.speed import Metres

Line = Sequence[Coordinates]
BOTH_ENDS = 2.0


class TrackErrors(msgspec.Struct, frozen=True):
    """By how much one reading may be off: its place, its speed, its stamp, and the steps of the stamp.

    speed_kmh, clock_s: None where nothing is declared, so that no speed and no time is proof.
    """

    location_m: float
    speed_kmh: float | None = None
    clock_s: float | None = None
    resolution_s: float = 0.0

    @property
    def times(self) -> ErrorBudget:
        """Of the first and the last stamp together."""
        return ErrorBudget(0.0, BOTH_ENDS * (self.clock_s or 0.0), BOTH_ENDS * self.resolution_s)


class Budget(msgspec.Struct, frozen=True):
    """The terms by which a measurement may be off; None: not declared. is_doubtful: the readings contradict what is
    declared, or do not tell their order."""

    errors: ErrorBudget | None = None
    is_doubtful: bool = False


def of_times(track: TrackErrors | None, line: Line, places: Line, along: Metres) -> Budget:
    """Of a track whose points tell their times. along: their chainages (n), in the order of time."""
    if track is None or track.clock_s is None:
        return Budget()
    first, last, is_beside = _reaches(track, line, places, along)
    shortest_m = max(float(shortest_way_m(first, last)), 0.0)
    times = track.times
    return Budget(ErrorBudget(float(along[-1] - along[0]) - shortest_m, times.clock_s, times.resolution_s), is_beside)


def of_point_speeds(
    track: TrackErrors | None, line: Line, places: Line, along: Metres, speeds_kmh: Metres, travel_time_s: float
) -> Budget:
    """Of a track whose points tell their speeds alone. along: their chainages (n), ascending, speeds_kmh with them."""
    if track is None or track.speed_kmh is None:
        return Budget()
    distance_m, slowest_kmh = float(along[-1] - along[0]), speeds_kmh[:-1] - track.speed_kmh
    if (slowest_kmh <= 0).any():
        return Budget(ErrorBudget(distance_m))  # it may have stood there for ever: nothing is proven
    first, last, is_beside = _reaches(track, line, places, along)
    shortest_m = max(float(shortest_way_m(first, last)), 0.0)
    longer_s = float(longest_time_s(first, last, slowest_kmh)) - travel_time_s
    is_doubtful = is_beside or bool((last[:-1] > first[1:]).any())
    return Budget(ErrorBudget(distance_m - shortest_m, speeds_s=max(longer_s, 0.0)), is_doubtful)


def shortest_way_m(first: Metres, last: Metres) -> Metres:
    """The shortest way from the first point to the last in metres (...), of where each may be (..., n)."""
    shortest: Metres = first[..., -1] - last[..., 0]
    return shortest


def longest_time_s(first: Metres, last: Metres, slowest_kmh: Metres) -> Metres:
    """The longest time in seconds (...) from the first point to the last, each piece at the speed where it begins.

    first, last: where on the line each point may be at the least and at the most, in metres (..., n); slowest_kmh: of
    each point but the last (..., n - 1), positive. Of two pieces that meet at a point, the slower one is made longer;
    the first and the last piece are as long as can be.
    """
    s_per_m = 3.6 / slowest_kmh
    ends = (-s_per_m[..., :1], s_per_m[..., :-1] - s_per_m[..., 1:], s_per_m[..., -1:])
    weights = np.concatenate(ends, axis=-1)
    longest: Metres = (np.where(weights > 0, last, first) * weights).sum(axis=-1)
    return longest


def _reaches(track: TrackErrors, line: Line, places: Line, along: Metres) -> tuple[Metres, Metres, bool]:
    """Where each point may be, and whether one lies farther from the line than its error allows."""
    first, last = speed.reaches_m(places, line, track.location_m)
    is_beside = np.isnan(first)
    first = np.where(is_beside, along - track.location_m, first)
    last = np.where(is_beside, along + track.location_m, last)
    return first, last, bool(is_beside.any())
