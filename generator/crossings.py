"""Every gantry crossing of all routes in one table, and the true passages it holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from generator.fleet import Fleet
from generator.roads import Route, Stretch
from generator.traffic import Trips, simulate

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Crossings:
    """Crossings (n) in order of their true time: vehicle, camera by its number in `cameras`, microseconds since the
    start, instantaneous km/h, lane; `opens` is true where a vehicle is seen for the first time of all."""

    cameras: tuple[str, ...]
    vehicle: Ints
    camera: Ints
    time_us: Ints
    speed_kmh: npt.NDArray[np.float64]
    lane: Ints
    opens: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SectionPassages:
    """The true passages (n) of one section: vehicle, the rows of Crossings (n, gantries of the section) and the
    travel time in microseconds."""

    stretch: Stretch
    vehicle: Ints
    rows: Ints
    travel_us: Ints

    def select(self, chosen: slice | npt.NDArray[np.bool_]) -> SectionPassages:
        """The chosen passages only."""
        return SectionPassages(self.stretch, self.vehicle[chosen], self.rows[chosen], self.travel_us[chosen])

    @property
    def avg_speed_kmh(self) -> npt.NDArray[np.float64]:
        """Surveyed length over true time."""
        speeds: npt.NDArray[np.float64] = self.stretch.section.distance_m * 3.6e6 / self.travel_us
        return speeds

    @property
    def over(self) -> npt.NDArray[np.bool_]:
        """Whether the average speed is over the section's limit."""
        return self.avg_speed_kmh > self.stretch.section.limit_kmh


def observe(
    routes: tuple[Route, ...], fleet: Fleet, flow: float, rng: np.random.Generator
) -> tuple[Crossings, list[SectionPassages]]:
    """Drive the fleet, spread evenly over the routes, `flow` vehicles a second in all, past the cameras."""
    count = len(fleet.plate)
    driven = [
        (route, simulate(route, fleet, np.arange(number, count, len(routes)), flow / len(routes), rng))
        for number, route in enumerate(routes)
        if number < count
    ]
    cameras = tuple(dict.fromkeys(camera for route in routes for camera in route.cameras))
    crossings, rows = _table(driven, cameras)
    passages = [
        _passages(route, stretch, trips, rows_of, crossings)
        for (route, trips), rows_of in zip(driven, rows, strict=True)
        for stretch in route.stretches
    ]
    return crossings, passages


def _table(driven: list[tuple[Route, Trips]], cameras: tuple[str, ...]) -> tuple[Crossings, list[Ints]]:
    """All crossings in order of time, and for each route the row of each (trip, gantry), -1 where there is none."""
    place = {camera: number for number, camera in enumerate(cameras)}
    seen = [~np.isnan(trips.crossed_s) for _, trips in driven]
    time_us = np.concatenate([np.rint(t.crossed_s[s] * 1e6) for (_, t), s in zip(driven, seen, strict=True)])
    order = np.argsort(time_us, kind="stable")
    row_of = np.empty(len(order), dtype=np.int64)
    row_of[order] = np.arange(len(order))
    camera = [
        np.broadcast_to([place[c] for c in route.cameras], s.shape)[s]
        for (route, _), s in zip(driven, seen, strict=True)
    ]
    vehicle = np.concatenate([np.repeat(t.vehicle, s.sum(axis=1)) for (_, t), s in zip(driven, seen, strict=True)])
    lane = np.concatenate([np.repeat(t.lane, s.sum(axis=1)) for (_, t), s in zip(driven, seen, strict=True)])
    speed_kmh = np.concatenate([t.speed_kmh[s] for (_, t), s in zip(driven, seen, strict=True)])
    opens = np.zeros(len(order), dtype=bool)
    opens[np.unique(vehicle[order], return_index=True)[1]] = True
    table = Crossings(
        cameras,
        vehicle[order],
        np.concatenate(camera)[order],
        time_us[order].astype(np.int64),
        speed_kmh[order],
        lane[order],
        opens,
    )
    return table, _rows(seen, row_of)


def _rows(seen: list[npt.NDArray[np.bool_]], row_of: Ints) -> list[Ints]:
    rows, done = [], 0
    for mask in seen:
        found = np.full(mask.shape, -1, dtype=np.int64)
        found[mask] = row_of[done : done + int(mask.sum())]
        done += int(mask.sum())
        rows.append(found)
    return rows


def _passages(route: Route, stretch: Stretch, trips: Trips, rows: Ints, crossings: Crossings) -> SectionPassages:
    """Trips that passed the section's first camera and its last one."""
    columns = [route.cameras.index(camera) for camera in stretch.section.cameras]
    whole = (rows[:, stretch.first] >= 0) & (rows[:, stretch.last] >= 0)
    chosen = rows[whole][:, columns]
    travel_us = crossings.time_us[chosen[:, -1]] - crossings.time_us[chosen[:, 0]]
    return SectionPassages(stretch, trips.vehicle[whole], chosen, travel_us)
