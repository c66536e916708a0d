"""EDEM's traffic: ten points from entry to exit for each vehicle, sent at once, with a speed each and no time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from generator.config import Config, GeneratorError, Pictures
from generator.faults import malformed_objects
from generator.fleet import draw_plates
from generator.look import Look, light_at
from generator.outgoing import Outgoing, PictureOrder, lines
from generator.truth import TruePassage, TruthRecord, TruthSummary
from pipeline.enforcement.model import Coordinates
from pipeline.enforcement.times import rfc3339_of_all

POINTS = 10
SLOW_KMH, SLOW_SHARE = (25.0, 40.0), 0.75
FAST_KMH = (40.0, 90.0)
BETWEEN_POINTS_US = 300
NEAR_LIMIT = 0.97
EARTH_RADIUS_M = 6_371_008.8
ID_STRIDE = 2_654_435_761  # odd, so that multiples of it modulo 2**32 never repeat


class TrackPoint(msgspec.Struct, frozen=True):
    """EDEM's message."""

    vehicle_id: str
    speed: float
    location: Coordinates


@dataclass(frozen=True)
class EdemScenario:
    """EDEM's messages of a run; see Scenario for its methods. The speed of a point holds until the next point, so the
    last one's belongs to no leg. speeds_kmh: (vehicles, points); malformed: for each vehicle the object sent after it.
    """

    config: Config
    points: tuple[Coordinates, ...]
    length_m: float
    speeds_kmh: npt.NDArray[np.float64]
    plate: npt.NDArray[np.str_]
    region: npt.NDArray[np.str_]
    malformed: dict[int, bytes]
    pictured: npt.NDArray[np.bool_]
    pictures_missing: npt.NDArray[np.bool_]

    @staticmethod
    def draw(config: Config) -> EdemScenario:
        """Raises GeneratorError when the line has no ends or no length."""
        if config.initial is None or config.final is None or config.initial == config.final:
            raise GeneratorError(
                "--initial_coordinates and --final_coordinates: --format edem needs two different points. "
                'Write for example --initial_coordinates "(40.76,-73.97)" --final_coordinates "(40.75,-73.98)".'
            )
        speed_rng, plate_rng, fault_rng = np.random.default_rng(config.seed).spawn(3)
        shape = (config.vehicles, POINTS)
        slow = speed_rng.random(shape) < SLOW_SHARE
        speeds_kmh = np.where(slow, speed_rng.uniform(*SLOW_KMH, shape), speed_rng.uniform(*FAST_KMH, shape))
        missing = fault_rng.random(config.vehicles) < config.faults.get("missing_pictures", 0.0)
        followed = np.flatnonzero(fault_rng.random(config.vehicles) < config.faults.get("malformed", 0.0) * POINTS)
        objects = malformed_objects(len(followed), fault_rng)
        plate, region = draw_plates(config.vehicles, plate_rng)
        return EdemScenario(
            config=config,
            points=_points(config.initial, config.final),
            length_m=great_circle_m(config.initial, config.final),
            speeds_kmh=speeds_kmh,
            plate=plate,
            region=region,
            malformed=dict(zip(followed.tolist(), objects, strict=True)),
            pictured=_wanted(config, speeds_kmh) & ~missing,
            pictures_missing=missing & (config.pictures is not Pictures.NONE),
        )

    @property
    def haste(self) -> float:
        """The rate is real already; 0 is as fast as possible."""
        return float("inf") if self.config.rate == 0 else 1.0

    @property
    def span_us(self) -> int:
        """From the first vehicle to the last."""
        return int((self.config.vehicles - 1) * self._apart_us)

    @property
    def _apart_us(self) -> float:
        return 1e6 / (self.config.rate or 1.0)

    def dated(self, config: Config) -> EdemScenario:
        """The same vehicles at another time."""
        return replace(self, config=config)

    @property
    def items(self) -> int:
        """Points and malformed objects."""
        return self.config.vehicles * POINTS + len(self.malformed)

    @property
    def avg_speed_kmh(self) -> npt.NDArray[np.float64]:
        """Length over time: the legs are equal, so the harmonic mean of the speeds on them."""
        average: npt.NDArray[np.float64] = (POINTS - 1) / (1 / self.speeds_kmh[:, :-1]).sum(axis=1)
        return average

    def messages(self) -> Iterator[Outgoing]:
        """A vehicle's points within milliseconds, one message each unless batched; vehicles at the rate."""
        for vehicle in range(self.config.vehicles):
            items = self._structs(vehicle)
            start_us = self.config.start_us + int(vehicle * self._apart_us)
            for first in range(0, len(items), self.config.batch):
                part = items[first : first + self.config.batch]
                yield Outgoing(
                    payload=lines(part).rstrip(b"\n"),
                    due_us=start_us + first * BETWEEN_POINTS_US,
                    earliest_us=None,
                    items=len(part),
                    malformed=sum(isinstance(item, msgspec.Raw) for item in part),
                    new_vehicles=int(first == 0),
                    pictures=self._pictures(vehicle) if first == 0 else (),
                )

    def _structs(self, vehicle: int) -> list[msgspec.Struct | msgspec.Raw]:
        vehicle_id, speeds = self.vehicle_id(vehicle), self.speeds_kmh[vehicle].tolist()
        points: list[msgspec.Struct | msgspec.Raw] = [
            TrackPoint(vehicle_id, speed, point) for speed, point in zip(speeds, self.points, strict=True)
        ]
        return [*points, msgspec.Raw(self.malformed[vehicle])] if vehicle in self.malformed else points

    def vehicle_id(self, vehicle: int) -> str:
        """A short id that is no plate; runs with other seeds have others."""
        return f"v-{((vehicle + 1) * ID_STRIDE + self.config.seed * 97) % 2**32:08x}"

    def _pictures(self, vehicle: int) -> tuple[PictureOrder, ...]:
        if not self.pictured[vehicle]:
            return ()
        name = f"{self.vehicle_id(vehicle)}.jpg"
        order = PictureOrder(
            name=name,
            plate=str(self.plate[vehicle]),
            region=str(self.region[vehicle]),
            vehicle_class="car",
            overlay="",
            look=Look.of(self.config.seed, vehicle),
            light=light_at(self.config.seed, int(vehicle * self._apart_us)),
            seed=(self.config.seed, vehicle),
        )
        return (order,)

    def truth(self, published: int | None = None) -> Iterator[TruthRecord]:
        """Vehicles all of whose points are among the first `published` items (None: all), then a summary."""
        count = self.items if published is None else published
        ends = np.cumsum([POINTS + (vehicle in self.malformed) for vehicle in range(self.config.vehicles)])
        whole = int(np.searchsorted(ends, count, side="right"))
        average = self.avg_speed_kmh.tolist()
        for vehicle in range(whole):
            yield self._true_passage(vehicle, average[vehicle])
        malformed = sum(1 for vehicle in self.malformed if ends[vehicle] <= count)
        missing = int(self.pictures_missing[:whole].sum())
        yield TruthSummary(
            format=self.config.form,
            seed=self.config.seed,
            complete=count == self.items,
            vehicles=int(np.searchsorted(ends, count, side="left")) + 1 if 0 < count < self.items else whole,
            sightings=count - malformed,
            duplicates=0,
            malformed=malformed,
            passages=whole,
            violations=sum(speed > self.config.limit_kmh for speed in average[:whole]),
            faults={"malformed": malformed, "missing_pictures": missing} if self.config.faults else {},
        )

    def _true_passage(self, vehicle: int, avg_speed_kmh: float) -> TruePassage:
        travel_us = round(self.length_m * 3.6e6 / avg_speed_kmh)
        entry, end = rfc3339_of_all(np.array([self.config.start_us, self.config.start_us + travel_us]))
        return TruePassage(
            section_id="",
            vehicle_id=self.vehicle_id(vehicle),
            plate=str(self.plate[vehicle]) if self.pictured[vehicle] else None,
            plate_region=str(self.region[vehicle]) if self.pictured[vehicle] else None,
            vehicle_class="car",
            entry_time=entry,
            exit_time=end,
            distance_m=self.length_m,
            travel_time_s=travel_us / 1e6,
            avg_speed_kmh=avg_speed_kmh,
            limit_kmh=self.config.limit_kmh,
            over=avg_speed_kmh > self.config.limit_kmh,
            basis="point_speeds",
            faults=("missing_pictures",) if self.pictures_missing[vehicle] else (),
        )


def great_circle_m(start: Coordinates, end: Coordinates) -> float:
    """Metres between two points in degrees, on the sphere of mean radius."""
    lat_1, lon_1, lat_2, lon_2 = (math.radians(x) for x in (*start, *end))
    half = math.sin((lat_2 - lat_1) / 2) ** 2
    half += math.cos(lat_1) * math.cos(lat_2) * math.sin((lon_2 - lon_1) / 2) ** 2
    return 2 * EARTH_RADIUS_M * math.asin(math.sqrt(half))


def _points(start: Coordinates, end: Coordinates) -> tuple[Coordinates, ...]:
    shares = [number / (POINTS - 1) for number in range(POINTS)]
    return tuple((start[0] + (end[0] - start[0]) * s, start[1] + (end[1] - start[1]) * s) for s in shares)


def _wanted(config: Config, speeds_kmh: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Vehicles whose picture is drawn: by the true average, or by the mean of the points that a naive reader takes."""
    if config.pictures is not Pictures.SPEEDERS:
        return np.full(len(speeds_kmh), config.pictures is Pictures.ALL)
    harmonic = (POINTS - 1) / (1 / speeds_kmh[:, :-1]).sum(axis=1)
    wanted: npt.NDArray[np.bool_] = np.maximum(harmonic, speeds_kmh.mean(axis=1)) > NEAR_LIMIT * config.limit_kmh
    return wanted
