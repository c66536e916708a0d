"""Traffic on a route: who sets out when, and when each vehicle truly passes each gantry.

Every vehicle keeps its lane. Within a lane nobody passes a point sooner than his headway behind the vehicle in front
(the simplified car-following of Newell, Transportation Research B 36, 2002, on a grid of short cells), so the
recursion is a running maximum and a whole lane is moved at once. Waves of congestion travel against the traffic.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from generator.fleet import Fleet
from generator.roads import Route

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LANES = 3
LANE_PACES = (0.86, 1.0)  # wanted speed as a share of the limit at which a driver takes the next lane
ASTRAY_SHARE = 0.15
FLOW_PER_ROUTE = 0.4  # vehicles a second at which three lanes still flow freely
CELL_M = 25.0
MAX_CELLS_PER_LEG = 40
PLATOON_SHARE = 0.7  # of the vehicles follow another one closely, as behind a traffic light
PLATOON_GAP_S = 1.6
NEVER = np.iinfo(np.int64).max
LEAVING_SHARE = 0.03
RETURNING_SHARE = 0.02
WAVE_SPEED_MPS = 15 / 3.6  # stop-and-go waves travel upstream at about 15 km/h
WAVE_EVERY_S = 600.0
SLOWEST_MPS = 1.0


@dataclass(frozen=True)
class Departures:
    """Trips that set out on one route, ordered by time. pace: wanted speed as a share of the limit.

    leaves_in: the cell in which the vehicle leaves the road between cameras, NEVER for most.
    """

    vehicle: Ints
    departs_s: Floats
    lane: Ints
    leaves_in: Ints

    def select(self, chosen: npt.NDArray[np.bool_] | Ints) -> Departures:
        """The chosen trips only."""
        return Departures(self.vehicle[chosen], self.departs_s[chosen], self.lane[chosen], self.leaves_in[chosen])


@dataclass(frozen=True)
class Trips:
    """What truly happened: vehicle (n), lane (n), seconds at each gantry (n, gantries; NaN: never came there), speed
    there in km/h (n, gantries), and the time at which the vehicle was last on the route (n)."""

    vehicle: Ints
    lane: Ints
    crossed_s: Floats
    speed_kmh: Floats
    last_s: Floats


@dataclass(frozen=True)
class _Cells:
    """The route cut into cells: where each begins, its length, its limit, the leg it belongs to, and whether it
    touches a gantry."""

    start_m: Floats
    length_m: Floats
    limit_mps: Floats
    at_gantry: npt.NDArray[np.bool_]
    gantry_after: Ints  # number of the gantry at the end of the cell, -1: none

    @staticmethod
    def of(route: Route) -> _Cells:
        counts = [min(MAX_CELLS_PER_LEG, max(4, round(leg / CELL_M))) for leg in route.length_m]
        length_m = np.repeat(np.array(route.length_m) / counts, counts)
        after = np.full(len(length_m), -1)
        after[np.cumsum(counts) - 1] = np.arange(1, len(route.cameras))
        at_gantry = after >= 0
        at_gantry[np.cumsum([0, *counts[:-1]])] = True
        limit_mps = np.repeat(np.array(route.limit_kmh) / 3.6, counts)
        return _Cells(np.cumsum(length_m) - length_m, length_m, limit_mps, at_gantry, after)


def simulate(route: Route, fleet: Fleet, vehicles: Ints, flow: float, rng: np.random.Generator) -> Trips:
    """Drive the vehicles along the route, `flow` of them a second, some of them twice. Times start at 0 s."""
    first = _depart(route, fleet, vehicles, flow, rng)
    drive_seed = int(rng.integers(2**63))
    trips = _drive(route, first, fleet, drive_seed)
    again = _turn_round(route, first, trips, rng)
    if not len(again.vehicle):
        return trips
    both = _merge(first, again)
    return _without_overlaps(_drive(route, both, fleet, drive_seed))


def _depart(route: Route, fleet: Fleet, vehicles: Ints, flow: float, rng: np.random.Generator) -> Departures:
    count = len(vehicles)
    in_platoon = rng.random(count) < PLATOON_SHARE
    free_gap_s = (1 / flow - PLATOON_SHARE * PLATOON_GAP_S) / (1 - PLATOON_SHARE)
    # A flow too dense for platoons has no free gaps left: everybody follows.
    gaps_s = np.where(in_platoon, PLATOON_GAP_S, free_gap_s) if free_gap_s > 0 else np.full(count, 1 / flow)
    leaves = rng.random(count) < LEAVING_SHARE
    cells = len(_Cells.of(route).length_m)
    return Departures(
        vehicle=vehicles,
        departs_s=np.cumsum(rng.exponential(1.0, count) * gaps_s),
        lane=_choose_lane(fleet.pace[vehicles], rng),
        leaves_in=np.where(leaves, rng.integers(1, cells, count), NEVER),
    )


def _choose_lane(pace: Floats, rng: np.random.Generator) -> Ints:
    """The slow keep to the right (lane 0), the hurried to the left, most of the time."""
    lane = np.digitize(pace, LANE_PACES)
    astray = rng.random(len(pace)) < ASTRAY_SHARE
    return np.where(astray, rng.integers(LANES, size=len(pace)), lane)


def _turn_round(route: Route, first: Departures, trips: Trips, rng: np.random.Generator) -> Departures:
    """Some drivers come back to the start over other streets and pass again, while there is traffic."""
    back_s = sum(route.length_m) / (30 / 3.6) + rng.uniform(10, 240, len(first.vehicle))
    departs_s = trips.last_s + back_s
    chosen = (rng.random(len(first.vehicle)) < RETURNING_SHARE) & (departs_s < first.departs_s[-1])
    return Departures(first.vehicle, departs_s, first.lane, np.full_like(first.lane, NEVER)).select(chosen)


def _merge(one: Departures, other: Departures) -> Departures:
    departs_s = np.concatenate([one.departs_s, other.departs_s])
    both = Departures(
        np.concatenate([one.vehicle, other.vehicle]),
        departs_s,
        np.concatenate([one.lane, other.lane]),
        np.concatenate([one.leaves_in, other.leaves_in]),
    )
    return both.select(np.argsort(departs_s, kind="stable"))


def _without_overlaps(trips: Trips) -> Trips:
    """A vehicle whose first trip took longer than foreseen cannot be on its second one already."""
    order = np.lexsort([trips.crossed_s[:, 0], trips.vehicle])
    same = trips.vehicle[order][1:] == trips.vehicle[order][:-1]
    too_soon = same & (trips.crossed_s[order, 0][1:] <= trips.last_s[order][:-1] + 5)
    keep = np.ones(len(trips.vehicle), dtype=bool)
    keep[order[1:][too_soon]] = False
    return _select(trips, keep)


def _select(trips: Trips, keep: npt.NDArray[np.bool_]) -> Trips:
    return Trips(
        trips.vehicle[keep], trips.lane[keep], trips.crossed_s[keep], trips.speed_kmh[keep], trips.last_s[keep]
    )


def _drive(route: Route, departures: Departures, fleet: Fleet, seed: int) -> Trips:
    """All lanes of a route, under the same waves of congestion."""
    cells = _Cells.of(route)
    rng = np.random.default_rng(seed)
    waves = _Waves.draw(float(departures.departs_s[-1]) * 2 + 3600, float(cells.length_m.sum()), rng)
    count, gantries = len(departures.vehicle), len(route.cameras)
    crossed_s, speed_kmh = np.full((count, gantries), np.nan), np.full((count, gantries), np.nan)
    last_s = np.zeros(count)
    for lane in range(LANES):
        chosen = np.flatnonzero(departures.lane == lane)
        times_s, speeds, last_s[chosen] = _drive_lane(cells, departures.select(chosen), fleet, waves, rng)
        crossed_s[chosen], speed_kmh[chosen] = times_s, speeds
    return Trips(departures.vehicle, departures.lane, crossed_s, speed_kmh, last_s)


@dataclass(frozen=True)
class _Waves:
    """One wave of congestion in each ten minutes: when it passes the end of the route, how long and how deep."""

    passes_s: Floats
    duration_s: Floats
    depth: Floats
    route_m: float

    @staticmethod
    def draw(span_s: float, route_m: float, rng: np.random.Generator) -> _Waves:
        count = math.ceil(span_s / WAVE_EVERY_S) + 1
        middle = rng.uniform(0.3, 0.7, count) * WAVE_EVERY_S
        return _Waves(middle, rng.uniform(15, 40, count), rng.uniform(0.2, 0.75, count), route_m)

    def slowdown(self, time_s: Floats, place_m: float) -> Floats:
        """The factor by which the wave slows whoever is at this place at these times."""
        at_end_s = np.maximum(time_s - (self.route_m - place_m) / WAVE_SPEED_MPS, 0.0)
        number = np.minimum((at_end_s / WAVE_EVERY_S).astype(np.int64), len(self.passes_s) - 1)
        away = (at_end_s - number * WAVE_EVERY_S - self.passes_s[number]) / self.duration_s[number]
        slowed: Floats = 1.0 - self.depth[number] * np.exp(-0.5 * away**2)
        return slowed


def _drive_lane(
    cells: _Cells, departures: Departures, fleet: Fleet, waves: _Waves, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    """Seconds and km/h at each gantry, and the last second on the route, of the vehicles of one lane."""
    vehicle, count = departures.vehicle, len(departures.vehicle)
    gantries = int(cells.gantry_after.max()) + 1
    crossed_s, speed_kmh = np.full((count, gantries), np.nan), np.full((count, gantries), np.nan)
    present, mood = np.arange(count), rng.standard_normal(count)
    time_s = in_file(departures.departs_s, fleet.headway_s[vehicle])
    crossed_s[:, 0] = time_s
    last_s = time_s.copy()
    for cell, length_m in enumerate(cells.length_m):
        mood = 0.8 * mood + 0.6 * rng.standard_normal(count)
        wanted = _wanted_mps(cells, cell, fleet, vehicle) * (1 + 0.02 * mood)
        slowed = wanted[present] * waves.slowdown(time_s, float(cells.start_m[cell]))
        after_s = in_file(time_s + length_m / np.maximum(slowed, SLOWEST_MPS), fleet.headway_s[vehicle[present]])
        kmh = 3.6 * length_m / (after_s - time_s)
        if cell == 0:
            speed_kmh[:, 0] = kmh
        last_s[present] = after_s
        stays = departures.leaves_in[present] != cell
        present, time_s = present[stays], after_s[stays]
        if (gantry := cells.gantry_after[cell]) >= 0:
            crossed_s[present, gantry], speed_kmh[present, gantry] = time_s, kmh[stays]
    return crossed_s, speed_kmh, last_s


def _wanted_mps(cells: _Cells, cell: int, fleet: Fleet, vehicle: Ints) -> Floats:
    """Speed each driver wants in this cell; some brake where they see a camera."""
    wanted: Floats = cells.limit_mps[cell] * fleet.pace[vehicle]
    return np.where(fleet.brakes[vehicle], 0.8 * wanted, wanted) if cells.at_gantry[cell] else wanted


def in_file(free_s: Floats, headway_s: Floats) -> Floats:
    """Times (n) at which vehicles in this order pass a point, each at its headway behind the one before at least.

    t[n] = max(free[n], t[n-1] + headway[n]), as a running maximum.
    """
    behind_first = np.cumsum(headway_s)
    passed: Floats = behind_first + np.maximum.accumulate(free_s - behind_first)
    return passed
