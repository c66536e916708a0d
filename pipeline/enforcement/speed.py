"""Distance, time and speed.

Coordinates become metres on a plane that touches the WGS 84 ellipsoid at the line's first point: over a road section
(tens of kilometres) its error is below one part in ten thousand, and it makes projection a dot product.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.enforcement.model import Coordinates, ErrorBudget

EQUATOR_RADIUS_M = 6_378_137.0  # WGS 84, as GPS receivers use it
ECCENTRICITY_SQUARED = 6.694379990141e-3
Metres = npt.NDArray[np.float64]


Terms = TypeVar("Terms", float, Metres)  # of one measurement, or of many as arrays


def average_speed_kmh(distance_m: Terms, travel_time_s: Terms) -> Terms:
    """Distance over time in km/h; the time must be positive."""
    return distance_m * 3.6 / travel_time_s


def shortest_m(distance_m: float, errors: ErrorBudget) -> float:
    """The shortest length in metres that a survey of `distance_m` allows."""
    return max(distance_m - errors.length_m, 0.0)


def guaranteed_minimum_kmh(distance_m: float, travel_time_s: float, errors: ErrorBudget) -> float:
    """The lowest average speed in km/h that the evidence allows: the shortest distance over the longest time."""
    return average_speed_kmh(shortest_m(distance_m, errors), travel_time_s + errors.time_s)


def plane_m(points: Sequence[Coordinates], origin: Coordinates) -> Metres:
    """Points (n, 2) in metres east and north of `origin`."""
    degrees = np.asarray(points, dtype=np.float64).reshape(-1, 2) - np.asarray(origin)
    degrees[:, 1] = (degrees[:, 1] + 180.0) % 360.0 - 180.0
    latitude = math.radians(origin[0])
    flattening = 1.0 - ECCENTRICITY_SQUARED * math.sin(latitude) ** 2
    meridian_radius_m = EQUATOR_RADIUS_M * (1.0 - ECCENTRICITY_SQUARED) / flattening**1.5
    parallel_radius_m = EQUATOR_RADIUS_M / math.sqrt(flattening) * math.cos(latitude)
    north = np.radians(degrees[:, 0]) * meridian_radius_m
    east = np.radians(degrees[:, 1]) * parallel_radius_m
    return np.column_stack([east, north])


def line_length_m(line: Sequence[Coordinates]) -> float:
    """Length of a line in metres; 0 for a single point."""
    legs = np.diff(plane_m(line, line[0]), axis=0)
    return float(np.hypot(legs[:, 0], legs[:, 1]).sum())


def chainages_m(points: Sequence[Coordinates], line: Sequence[Coordinates]) -> Metres:
    """How far along `line` each point lies, in metres (n): its nearest point on the line counts."""
    return _on_line(points, line)[0]


def offsets_m(points: Sequence[Coordinates], line: Sequence[Coordinates]) -> Metres:
    """How far from `line` each point lies, in metres (n)."""
    return _on_line(points, line)[1]


def reaches_m(points: Sequence[Coordinates], line: Sequence[Coordinates], radius_m: float) -> tuple[Metres, Metres]:
    """The first and the last place on `line` that is within `radius_m` of each point, in metres along it (n each).

    Not a number where there is none. On a road that turns back they may lie far apart.
    """
    vertices, positions = plane_m(line, line[0]), plane_m(points, line[0])
    legs = np.diff(vertices, axis=0)
    lengths = np.hypot(legs[:, 0], legs[:, 1])
    before = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    offsets = positions[:, None, :] - vertices[None, :-1, :]
    along = (offsets * (legs / np.maximum(lengths, 1e-9)[:, None])).sum(axis=2)
    apart = (offsets**2).sum(axis=2) - along**2
    half = np.sqrt(np.maximum(radius_m**2 - apart, 0.0))
    reached = (apart <= radius_m**2) & (along - half <= lengths) & (along + half >= 0.0)
    first = np.where(reached, before + np.clip(along - half, 0.0, lengths), np.inf).min(axis=1)
    last = np.where(reached, before + np.clip(along + half, 0.0, lengths), -np.inf).max(axis=1)
    nowhere = ~reached.any(axis=1)
    return np.where(nowhere, np.nan, first), np.where(nowhere, np.nan, last)


def _on_line(points: Sequence[Coordinates], line: Sequence[Coordinates]) -> tuple[Metres, Metres]:
    vertices, positions = plane_m(line, line[0]), plane_m(points, line[0])
    starts, legs = vertices[:-1], np.diff(vertices, axis=0)
    lengths = np.hypot(legs[:, 0], legs[:, 1])
    offsets = positions[:, None, :] - starts[None, :, :]
    along = (offsets * legs).sum(axis=2) / np.maximum(lengths, 1e-9)
    along = np.clip(along, 0.0, lengths)
    feet = starts + along[:, :, None] * (legs / np.maximum(lengths, 1e-9)[:, None])
    apart = np.hypot(*np.moveaxis(positions[:, None, :] - feet, 2, 0))
    nearest, each = apart.argmin(axis=1), np.arange(len(positions))
    before = np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    return before[nearest] + along[each, nearest], apart[each, nearest]


def track_chainages_m(points: Sequence[Coordinates]) -> Metres:
    """How far along the straight line between the two points farthest apart each point lies, in metres (n).

    Which of the two is the start is not said: `length - chainages` is the same track driven the other way.
    """
    positions = plane_m(points, points[0])
    start = int(np.hypot(*positions.T).argmax())  # the farthest from any point is an end of a straight track
    apart = np.hypot(*(positions - positions[start]).T)
    start, end = sorted((start, int(apart.argmax())))
    length = float(np.hypot(*(positions[end] - positions[start])))
    if length == 0:
        return np.zeros(len(positions))
    along: Metres = (positions - positions[start]) @ ((positions[end] - positions[start]) / length)
    return along


def order_agreement(times_us: Sequence[int], chainages: Metres) -> float:
    """Correlation of chainages with the order in time: 1 forwards, -1 backwards, 0 where nothing tells."""
    ranks = np.unique(np.asarray(times_us), return_inverse=True)[1].astype(np.float64)
    ranks -= ranks.mean()
    places = chainages - chainages.mean()
    spread = math.sqrt(float(ranks @ ranks) * float(places @ places))
    return float(ranks @ places) / spread if spread > 0 else 0.0


def point_speeds_time_s(chainages: Metres, speeds_kmh: npt.NDArray[np.float64]) -> float:
    """Seconds from the first point to the last, each leg at the speed of the point where it begins.

    `chainages` (n) ascend; of `speeds_kmh` (n) the last is not used. A vehicle that stands takes for ever (inf).
    """
    legs = np.diff(chainages)
    moving = legs > 0
    with np.errstate(divide="ignore"):
        return float((legs[moving] * 3.6 / speeds_kmh[:-1][moving]).sum())
