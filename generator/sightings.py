"""The camera sightings of one run: traffic, what the cameras make of it, messages and truth."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from generator.config import Config, GeneratorError, Pictures
from generator.crossings import Crossings, SectionPassages, observe
from generator.faults import CLOCK_SHIFT, Cast, Feed, cast, report
from generator.fleet import CLASSES, draw_fleet
from generator.look import Look, light_at
from generator.outgoing import Outgoing, PictureOrder, cuts, lines
from generator.roads import routes_of
from generator.traffic import FLOW_PER_ROUTE
from generator.truth import TruePassage, TruthRecord, TruthSummary
from pipeline.enforcement.model import Coordinates
from pipeline.enforcement.sections import Section
from pipeline.enforcement.speed import guaranteed_minimum_kmh
from pipeline.enforcement.times import rfc3339_of_all

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# Pictures are asked for where a speed may be over the limit; from here on it may be after a small error of clocks.
NEAR_LIMIT = 0.97
MESSAGES_AT_ONCE = 64
PASSAGES_AT_ONCE = 10_000
# Denser traffic than this would not fit on the road.
DENSEST = 1.5


class CameraSighting(msgspec.Struct, frozen=True, omit_defaults=True):
    """One sighting as it is published."""

    event_id: str
    vehicle_id: str
    plate: str
    plate_region: str
    plate_confidence: float
    camera_id: str
    timestamp: str
    location: Coordinates
    speed: float
    vehicle_class: str
    lane: int
    image_url: str | None = None


def flow_and_haste(rate: float | None, routes: int) -> tuple[float, float]:
    """Vehicles a second on the road, and how much faster than the road's clock they are published.

    A rate that no road carries is natural traffic played faster; rate 0 is as fast as possible (infinite haste).
    """
    natural = FLOW_PER_ROUTE * routes
    if rate is None:
        return natural, 1.0
    if rate == 0:
        return natural, float("inf")
    return (rate, 1.0) if rate <= DENSEST * natural else (natural, rate / natural)


@dataclass(frozen=True)
class SightingScenario:
    """All camera sightings of a run; see Scenario for its methods. locations: of each camera by its number."""

    config: Config
    haste: float
    cast: Cast
    locations: tuple[Coordinates, ...]
    crossings: Crossings
    passages: list[SectionPassages]
    feed: Feed
    pictured: Flags

    @staticmethod
    def draw(config: Config) -> SightingScenario:
        """Raises GeneratorError where the section file has no section between cameras."""
        network = config.network
        routes = routes_of(network) if network else ()
        if network is None or not routes:
            raise GeneratorError(
                "--sections: found no section between cameras; allowed: one or more with cameras and length_m. "
                "For a radar track use --format edem."
            )
        fleet_rng, cast_rng, traffic_rng, feed_rng = np.random.default_rng(config.seed).spawn(4)
        flow, haste = flow_and_haste(config.rate, len(routes))
        fleet = draw_fleet(config.vehicles, config.speeders, fleet_rng)
        identities = cast(fleet, config.faults, len(routes), cast_rng)
        crossings, passages = observe(routes, fleet, flow, traffic_rng)
        feed = report(crossings, identities, config.faults, feed_rng, config.clock_shift)
        return SightingScenario(
            config,
            haste,
            identities,
            tuple(network.cameras[camera] for camera in crossings.cameras),
            crossings,
            passages,
            feed,
            _pictured(config.pictures, crossings, passages, feed) & feed.picture,
        )

    @property
    def items(self) -> int:
        """Sightings, their duplicates and malformed objects."""
        return len(self.feed.order)

    @property
    def span_us(self) -> int:
        """From the start to the last item that is sent, on the road's clock."""
        return int(self.feed.send_us[-1])

    def dated(self, config: Config) -> SightingScenario:
        """The same traffic at another time."""
        return replace(self, config=config)

    def messages(self) -> Iterator[Outgoing]:
        """The messages in the order in which they are due, on the road's clock."""
        ends = list(cuts(self.feed.send_us, self.config.batch, self.config.batch_us * self.haste))
        for block in range(0, len(ends), MESSAGES_AT_ONCE):
            yield from self._messages(ends[block : block + MESSAGES_AT_ONCE])

    def _messages(self, ends: list[tuple[int, int]]) -> Iterator[Outgoing]:
        start, whole = ends[0][0], slice(ends[0][0], ends[-1][1])
        order = self.feed.order[whole]
        encoded = self._structs(order)
        due_us = self.feed.send_us[whole] + self.config.start_us
        seen_us = np.where(order >= 0, self.feed.stamped_us[order] + self.config.start_us, due_us)
        pictures = self._pictures(order)
        opens = (order >= 0) & self.crossings.opens[order] & ~self.feed.copies[whole]
        for first, end in ends:
            part = slice(first - start, end - start)
            yield Outgoing(
                payload=lines(encoded[part]),
                due_us=int(due_us[part][-1]),
                earliest_us=int(seen_us[part].min()),
                items=end - first,
                malformed=int((order[part] < 0).sum()),
                new_vehicles=int(opens[part].sum()),
                pictures=tuple(pictures[row] for row in order[part].tolist() if row in pictures),
            )

    def _structs(self, order: Ints) -> list[msgspec.Struct | msgspec.Raw]:
        """The items in this order, ready to be encoded."""
        rows, crossings, feed = order[order >= 0], self.crossings, self.feed
        vehicle, camera = crossings.vehicle[rows], crossings.camera[rows].tolist()
        plates = feed.plate[rows].tolist()
        sightings = map(
            CameraSighting,
            self._event_ids(rows),
            plates,
            plates,
            self.cast.fleet.region[vehicle].tolist(),
            np.round(feed.confidence[rows], 3).tolist(),
            [crossings.cameras[number] for number in camera],
            rfc3339_of_all(feed.stamped_us[rows] + self.config.start_us),
            [self.locations[number] for number in camera],
            np.round(crossings.speed_kmh[rows], 1).tolist(),
            [CLASSES[number] for number in self.cast.fleet.vehicle_class[vehicle].tolist()],
            crossings.lane[rows].tolist(),
            self._image_urls(rows),
        )
        return [next(sightings) if row >= 0 else msgspec.Raw(feed.malformed[-1 - row]) for row in order.tolist()]

    def _event_ids(self, rows: Ints) -> list[str]:
        # The start makes ids of one run differ from those of the next.
        run = f"{self.config.start_us // 1_000_000:x}-{self.config.seed}-"
        return [f"{run}{row:06d}" for row in rows.tolist()]

    def _image_names(self, rows: Ints) -> list[str]:
        cameras = self.crossings.camera[rows].tolist()
        return [
            f"{self.crossings.cameras[camera]}/{event_id}.jpg"
            for camera, event_id in zip(cameras, self._event_ids(rows), strict=True)
        ]

    def _image_urls(self, rows: Ints) -> list[str | None]:
        if self.config.bucket is None:
            return [None] * len(rows)
        names = zip(self._image_names(rows), self.feed.url[rows].tolist(), strict=True)
        return [f"gs://{self.config.bucket}/{name}" if named else None for name, named in names]

    def _pictures(self, order: Ints) -> dict[int, PictureOrder]:
        """The pictures to be drawn, by row."""
        rows = order[order >= 0]
        rows = rows[self.pictured[rows]]
        if not len(rows):
            return {}
        stamps = rfc3339_of_all(self.feed.stamped_us[rows] + self.config.start_us)
        named = zip(rows.tolist(), self._image_names(rows), stamps, strict=True)
        return {row: self._picture(row, name, stamp) for row, name, stamp in named}

    def _picture(self, row: int, name: str, stamp: str) -> PictureOrder:
        fleet, vehicle = self.cast.fleet, int(self.crossings.vehicle[row])
        return PictureOrder(
            name=name,
            plate=str(fleet.plate[vehicle]),
            region=str(fleet.region[vehicle]),
            vehicle_class=CLASSES[fleet.vehicle_class[vehicle]],
            overlay=f"{self.crossings.cameras[self.crossings.camera[row]]}  {stamp[:10]} {stamp[11:23]}",
            look=Look.of(self.config.seed, vehicle),
            light=light_at(self.config.seed, int(self.crossings.time_us[row])),
            seed=(self.config.seed, row),
        )

    def truth(self, published: int | None = None) -> Iterator[TruthRecord]:
        """True passages all of whose sightings are among the first `published` items (None: all), then a summary."""
        count = self.items if published is None else published
        sent = np.zeros(len(self.feed.plate), dtype=bool)
        order = self.feed.order[:count]
        sent[order[order >= 0]] = True
        passages = violations = 0
        for section in self.passages:
            turned_off = self._turned_off(section)
            for first in range(0, len(section.vehicle), PASSAGES_AT_ONCE):
                part = section.select(slice(first, first + PASSAGES_AT_ONCE))
                part = part.select(np.all(sent[part.rows] | (part.rows < 0), axis=1))
                passages, violations = passages + len(part.vehicle), violations + int(part.over.sum())
                yield from self._true_passages(part, turned_off)
        yield self._summary(count, sent, passages, violations)

    def _turned_off(self, section: SectionPassages) -> Mapping[int, list[int]]:
        """The vehicles with the times at which the section saw them on a drive that did not pass it, in order."""
        of_section = [self.crossings.cameras.index(name) for name in section.stretch.section.cameras]
        alone = np.isin(self.crossings.camera, of_section)
        alone[section.rows[section.rows >= 0]] = False
        seen_us = defaultdict[int, list[int]](list)
        for row in np.flatnonzero(alone).tolist():
            seen_us[int(self.crossings.vehicle[row])].append(int(self.crossings.time_us[row]))
        return seen_us

    def _true_passages(self, part: SectionPassages, turned_off: Mapping[int, list[int]]) -> Iterator[TruePassage]:
        section, fleet = part.stretch.section, self.cast.fleet
        entry = rfc3339_of_all(self.crossings.time_us[part.rows[:, 0]] + self.config.start_us)
        exits = rfc3339_of_all(self.crossings.time_us[part.rows[:, -1]] + self.config.start_us)
        event_ids = [tuple(self._event_ids(rows[rows >= 0])) for rows in part.rows]
        faults, avg_speed_kmh, over = self._faults(part.rows), part.avg_speed_kmh.tolist(), part.over.tolist()
        for i, vehicle in enumerate(part.vehicle.tolist()):
            plate = str(fleet.plate[vehicle])
            yield TruePassage(
                section_id=section.section_id,
                vehicle_id=plate,
                plate=plate,
                plate_region=str(fleet.region[vehicle]),
                vehicle_class=CLASSES[fleet.vehicle_class[vehicle]],
                entry_time=entry[i],
                exit_time=exits[i],
                distance_m=section.distance_m,
                travel_time_s=int(part.travel_us[i]) / 1e6,
                avg_speed_kmh=avg_speed_kmh[i],
                limit_kmh=section.limit_kmh,
                over=over[i],
                basis="distance_time",
                faults=faults[i],
                event_ids=event_ids[i],
                provable=over[i] and _is_provable(section, int(part.travel_us[i]) / 1e6),
                turned_off_s=_last_before_s(turned_off.get(vehicle, ()), int(self.crossings.time_us[part.rows[i, 0]])),
            )

    def _faults(self, rows: Ints) -> list[tuple[str, ...]]:
        touched = {name: np.any(flags[rows] & (rows >= 0), axis=1) for name, flags in self.feed.touched.items()}
        return [tuple(name for name in touched if touched[name][i]) for i in range(len(rows))]

    def _summary(self, count: int, sent: Flags, passages: int, violations: int) -> TruthSummary:
        order = self.feed.order[:count]
        malformed = int((order < 0).sum())
        return TruthSummary(
            format=self.config.form,
            seed=self.config.seed,
            complete=count == self.items,
            vehicles=int((self.crossings.opens & sent).sum()),
            sightings=count - malformed,
            duplicates=int(self.feed.copies[:count].sum()),
            malformed=malformed,
            passages=passages,
            violations=violations,
            faults={name: int((flags & sent).sum()) for name, flags in self.feed.touched.items()}
            | ({"malformed": malformed} if "malformed" in self.config.faults else {}),
        )


def _pictured(pictures: Pictures, crossings: Crossings, passages: list[SectionPassages], feed: Feed) -> Flags:
    """Rows whose picture is drawn: of every vehicle that any reader could suspect, mistaken identities included."""
    if pictures is not Pictures.SPEEDERS:
        return np.full(len(crossings.vehicle), pictures is Pictures.ALL)
    suspected = np.zeros(int(crossings.vehicle.max()) + 1, dtype=bool)
    for section in passages:
        suspected[section.vehicle[section.avg_speed_kmh > NEAR_LIMIT * section.stretch.section.limit_kmh]] = True
    for name in ("misreads", "clock_jitter", "near_twins", "cloned_plates", CLOCK_SHIFT):
        if name in feed.touched:
            suspected[crossings.vehicle[feed.touched[name]]] = True
    return suspected[crossings.vehicle]


def _last_before_s(seen_us: Sequence[int], entry_us: int) -> float | None:
    """How long before the entry the last of these was; None: there is none."""
    before = bisect_left(seen_us, entry_us)
    return (entry_us - seen_us[before - 1]) / 1e6 if before else None


def _is_provable(section: Section, travel_time_s: float) -> bool:
    """Whether even clocks that make the travel time as long as they can leave the guaranteed minimum over the limit."""
    longest_s = travel_time_s + section.errors.time_s
    return guaranteed_minimum_kmh(section.distance_m, longest_s, section.errors) > section.limit_kmh
