"""The passages of many vehicles at once, measured and decided.

Most sessions are plain: some or all cameras of the section, passed once and in driving order, at times that the cameras
told, by a vehicle of one region. Those are found and measured as arrays, and what is settled about them is written down
as records; a suspected violation becomes a passage with its two sightings. Each other session, whatever is unusual
about it, is left to passages.py and policy.py, which also say what a plain one must give: that nobody can tell which
way a session went is proven by a property test.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.enforcement import alarms, clones, lines, model, passages, policy, records, speed, trips, twins
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.model import Basis, Outcome, Passage, Reason, Sighting, passage_id
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.records import PassageRecord
from pipeline.enforcement.sections import Network, Section
from pipeline.enforcement.shares import Share
from pipeline.enforcement.times import rfc3339_of_all

Numbers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
NOWHERE = (math.nan, math.nan)
NO_CAMERA = -1  # of a track, whose section has no surveyed length
PASSAGES_AT_ONCE = 4000


class Roads:
    """Sections with their measures as arrays, in the order of their numbers, and what decides there."""

    def __init__(self, network: Network, policies: Mapping[str, Policy], tolerance_kmh: float = 0.0) -> None:
        self.sections = sections = tuple(network.sections.values())
        self.policies, self.tolerance_kmh = tuple(policies[name] for name in network.sections), tolerance_kmh
        self.distance_m = np.array([section.distance_m for section in sections])
        self.shortest_m = np.array([speed.shortest_m(section.distance_m, section.errors) for section in sections])
        self.time_error_s = np.array([section.errors.time_s for section in sections])
        self.exit_number = np.array([len(section.cameras) - 1 for section in sections])
        self.places = places = lines.Places(network)
        number_of = {section_id: number for number, section_id in enumerate(network.sections)}
        at_place = [(camera, number_of[name]) for camera, names in places.numbers for name in names]
        self.sections_at = np.array([len(names) for names in places.section_ids], np.int64)
        self.section_at = np.array([number for _, number in at_place], np.int64)
        self.camera_at = np.array([self._camera_number(camera, number) for camera, number in at_place], np.int64)

    def _camera_number(self, camera_id: str | None, section: int) -> int:
        return NO_CAMERA if camera_id is None else self.sections[section].cameras.index(camera_id)


class Found(NamedTuple):
    """What is settled of passages, those that are suspected, what else a person should look at, and unmatched reads."""

    settled: list[PassageRecord]
    suspected: list[Passage]
    alarms: list[Alarm]
    unmatched: list[twins.Unmatched]


class _Rows:
    """The sightings of a share (n), a column each; the plain ones come first."""

    def __init__(self, roads: Roads, shares: Sequence[Share], pseudonyms: Pseudonyms) -> None:
        self._lines = list(chain.from_iterable(share.lines for share in shares))
        self._others = [one.sighting for share in shares for one in share.located]
        ids = (
            roads.places.numbers[one.sighting.camera_id, one.section_ids] for share in shares for one in share.located
        )
        self.places = _joined((share.places for share in shares), ids)
        self.times_us = _joined((share.times_us for share in shares), (other.time_us for other in self._others))
        self.vehicle_ids = _chained((share.vehicle_ids for share in shares), (one.vehicle_id for one in self._others))
        names = (pseudonyms.of(other.vehicle_id, other.time_us) for other in self._others)
        self.names = _chained((share.names for share in shares), names)
        self.regions = _chained((share.regions for share in shares), (other.plate_region for other in self._others))
        self.locations = _chained((share.locations for share in shares), (other.location for other in self._others))
        self.timed = np.array([True] * len(self._lines) + [other.timed for other in self._others])

    def sighting(self, index: int) -> Sighting:
        """One of them, whole."""
        if index >= len(self._lines):
            return self._others[index - len(self._lines)]
        return lines.read(self._lines[index], int(self.times_us[index]), self.locations[index])

    def of_vehicles(self, vehicle_ids: Container[str]) -> dict[str, list[Sighting]]:
        """All sightings of some vehicles, in order of time."""
        found = defaultdict[str, list[Sighting]](list)
        for index, vehicle_id in enumerate(self.vehicle_ids):
            if vehicle_id in vehicle_ids:
                found[vehicle_id].append(self.sighting(index))
        return {vehicle_id: passages.in_order(seen) for vehicle_id, seen in found.items()}

    def at_two_places(self, ceiling_kmh: float) -> set[str]:
        """The vehicles that may have been at two places at once."""
        timed = np.flatnonzero(self.timed)
        vehicles, times_us = _coded(self.vehicle_ids)[timed], self.times_us[timed]
        order = np.lexsort((times_us, vehicles))
        chosen, vehicle = timed[order], vehicles[order]
        places = np.array([self.locations[index] or NOWHERE for index in chosen.tolist()]).reshape(-1, 2)
        far = clones.may_be_impossible(places, times_us[order] / 1_000_000, ceiling_kmh)
        pairs = np.flatnonzero(far & (np.diff(vehicle) == 0))
        return {self.vehicle_ids[index] for index in chosen[pairs].tolist()}


def _joined(plain: Iterable[bytes], others: Iterable[int]) -> Numbers:
    return np.concatenate([np.frombuffer(b"".join(plain), np.int64), np.array(list(others), np.int64)])


def _chained(plain: Iterable[Iterable[Any]], others: Iterable[Any]) -> list[Any]:
    return [*chain.from_iterable(plain), *others]


class _Seen(NamedTuple):
    """Sightings (n) in the sections they count for, by section, vehicle and time."""

    row: Numbers
    section: Numbers
    vehicle: Numbers
    time_us: Numbers
    camera: Numbers  # its number in driving order
    region: Numbers
    timed: Truths


class _Sessions(NamedTuple):
    """Where in _Seen each session (m) begins and ends, whether it is plain, and which ends of the section it holds."""

    start: Numbers
    end: Numbers
    plain: Truths
    from_entry: Truths
    to_exit: Truths


def measure(
    roads: Roads, shares: Sequence[Share], rules: trips.Rules, pseudonyms: Pseudonyms = IN_CLEAR
) -> Iterator[Found]:
    """The passages of all sightings of some vehicles. A session ends where its vehicle is unseen for a gap; two
    sightings exactly one gap apart are two sessions."""
    rows = _Rows(roads, shares, pseudonyms)
    if not len(rows.places):
        return
    seen = _in_sections(roads, rows)
    sessions = _cut(roads, seen, rules.gap_us)
    whole = sessions.plain & sessions.from_entry & sessions.to_exit
    measuring = _Measuring(roads, rows, seen, pseudonyms)
    ways = ((whole, measuring.whole), (sessions.plain & ~whole, measuring.half), (~sessions.plain, measuring.other))
    suspected: list[Passage] = []
    for which, measure_them in ways:
        for part in _parts(which):
            found = measure_them(sessions.start[part], sessions.end[part] - 1)
            suspected += found.suspected
            yield Found(found.settled, [], [], found.unmatched)
    yield _together(rows, suspected, rules, pseudonyms)


def _together(rows: _Rows, suspected: Sequence[Passage], rules: trips.Rules, pseudonyms: Pseudonyms) -> Found:
    """The vehicles of which more must be known than each passage by itself: all that each of them did."""
    found, by_vehicle = Found([], [], [], []), defaultdict[str, list[Passage]](list)
    for passage in suspected:
        by_vehicle[passage.vehicle_id].append(passage)
    several = {vehicle_id for vehicle_id, own in by_vehicle.items() if len(own) > 1}
    for vehicle_id, seen in rows.of_vehicles(several | rows.at_two_places(rules.ceiling_kmh)).items():
        own = by_vehicle.pop(vehicle_id, [])
        for session in trips.sessions(seen, rules.gap_us):
            first_us, last_us = session[0].time_us, session[-1].time_us
            decided = [passage for passage in own if first_us <= passage.first_us <= last_us]
            settled, pairs = trips.settle(session, decided, rules)
            found.suspected.extend(filter(policy.is_suspected, settled))
            found.settled.extend(
                records.passage_records([one for one in settled if not policy.is_suspected(one)], pseudonyms)
            )
            found.alarms.extend(alarms.of_clone(pair, settled, pseudonyms) for pair in pairs)
    found.suspected.extend(chain.from_iterable(by_vehicle.values()))
    return found


def _parts(which: Truths) -> Iterator[Numbers]:
    chosen = np.flatnonzero(which)
    return (chosen[start : start + PASSAGES_AT_ONCE] for start in range(0, len(chosen), PASSAGES_AT_ONCE))


def _in_sections(roads: Roads, rows: _Rows) -> _Seen:
    """A sighting stands here once for each of its sections."""
    vehicles, regions = _coded(rows.vehicle_ids), _coded(rows.regions)
    counts = roads.sections_at[rows.places]
    first = (np.cumsum(roads.sections_at) - roads.sections_at)[rows.places]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    entry = np.repeat(first, counts) + within
    row = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((rows.times_us[row], vehicles[row], roads.section_at[entry]))
    row, entry = row[order], entry[order]
    return _Seen(
        row,
        roads.section_at[entry],
        vehicles[row],
        rows.times_us[row],
        roads.camera_at[entry],
        regions[row],
        rows.timed[row],
    )


def _coded(values: Iterable[Any]) -> Numbers:
    """For each value its number among the different ones."""
    known: dict[Any, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values], dtype=np.int64)


def _cut(roads: Roads, seen: _Seen, gap_us: int) -> _Sessions:
    waited_us = np.diff(seen.time_us)
    same_vehicle = (np.diff(seen.section) == 0) & (np.diff(seen.vehicle) == 0)
    follows = np.concatenate([[False], same_vehicle & (waited_us < gap_us)])
    start = np.flatnonzero(~follows)
    end = np.append(start[1:], len(follows))
    onwards = (waited_us > 0) & (np.diff(seen.camera) > 0) & (np.diff(seen.region) == 0)
    usual = seen.timed & (~follows | np.concatenate([[False], onwards]))
    section = seen.section[start]
    plain = np.logical_and.reduceat(usual, start) & (roads.distance_m[section] > 0)
    to_exit = seen.camera[end - 1] == roads.exit_number[section]
    return _Sessions(start, end, plain, seen.camera[start] == 0, to_exit)


class _Session(NamedTuple):
    """A session: its section's number, the rows of its first and last sighting, how many it has, and its identity."""

    section: int
    first: int
    last: int
    n_sightings: int
    name: str
    passage_id: str
    first_time: str
    last_time: str


class _Measures(NamedTuple):
    """What was measured of a session."""

    distance_m: float
    travel_time_s: float
    avg_speed_kmh: float
    min_speed_kmh: float


class _Measuring:
    """Measures sessions of a share, given by the places of their first and last sightings in _Seen."""

    def __init__(self, roads: Roads, rows: _Rows, seen: _Seen, pseudonyms: Pseudonyms) -> None:
        self._roads, self._rows, self._seen, self._pseudonyms = roads, rows, seen, pseudonyms

    def whole(self, first: Numbers, last: Numbers) -> Found:
        """Plain sessions from entry to exit."""
        found = Found([], [], [], [])
        for session, terms in zip(self._identified(first, last), self._terms(first, last), strict=True):
            section, applied = self._roads.sections[session.section], self._roads.policies[session.section]
            counted_kmh = applied.counted_kmh(terms.min_speed_kmh)
            if applied.is_over(counted_kmh, section.limit_kmh + self._roads.tolerance_kmh):
                over = self._over(section, session, terms)
                self._sort_in(found, policy.decide(over, applied, self._roads.tolerance_kmh))
            else:
                found.settled.append(self._clear(section, session, terms, applied.name or None, counted_kmh))
        return found

    def half(self, first: Numbers, last: Numbers) -> Found:
        """Plain sessions without entry, exit, or both."""
        from_entry = self._seen.camera[first] == 0
        to_exit = self._seen.camera[last] == self._roads.exit_number[self._seen.section[first]]
        found = Found([], [], [], [])
        ends = zip(from_entry.tolist(), to_exit.tolist(), strict=True)
        for session, (entered, left) in zip(self._identified(first, last), ends, strict=True):
            found.settled.append(self._half(session, entered, left))
            if entered != left:
                read = self._rows.sighting(session.first if entered else session.last)
                section_id = self._roads.sections[session.section].section_id
                found.unmatched.extend(twins.matchable(twins.Unmatched(session.passage_id, section_id, read, entered)))
        return found

    def other(self, first: Numbers, last: Numbers) -> Found:
        """Sessions that are looked at one by one."""
        found = Found([], [], [], [])
        for start, end in zip(first.tolist(), (last + 1).tolist(), strict=True):
            number = self._seen.section[start]
            session = [self._rows.sighting(row) for row in self._seen.row[start:end].tolist()]
            section, vehicle_id = self._roads.sections[number], session[0].vehicle_id
            for passage in passages.measure(section, vehicle_id, session, self._pseudonyms).passages:
                self._sort_in(found, policy.decide(passage, self._roads.policies[number], self._roads.tolerance_kmh))
        return found

    def _sort_in(self, found: Found, decided: Passage) -> None:
        if policy.is_suspected(decided):
            found.suspected.append(decided)
        else:
            found.settled.extend(records.passage_records([decided], self._pseudonyms))
            found.unmatched.extend(twins.unmatched([decided]))

    def _identified(self, first: Numbers, last: Numbers) -> Iterator[_Session]:
        seen, names, sections = self._seen, self._rows.names, self._roads.sections
        numbers = (seen.section[first], seen.row[first], seen.row[last], last - first + 1, seen.time_us[first])
        times = (rfc3339_of_all(seen.time_us[first]), rfc3339_of_all(seen.time_us[last]))
        for section, begins, ends, n, first_us, first_time, last_time in zip(
            *(column.tolist() for column in numbers), *times, strict=True
        ):
            name = names[begins]
            identity = passage_id(sections[section].section_id, name, first_us)
            yield _Session(section, begins, ends, n, name, identity, first_time, last_time)

    def _terms(self, first: Numbers, last: Numbers) -> Iterator[_Measures]:
        roads, number = self._roads, self._seen.section[first]
        distance_m, travel_time_s = (
            roads.distance_m[number],
            (self._seen.time_us[last] - self._seen.time_us[first]) / 1_000_000,
        )
        terms = (
            distance_m,
            travel_time_s,
            speed.average_speed_kmh(distance_m, travel_time_s),
            speed.average_speed_kmh(roads.shortest_m[number], travel_time_s + roads.time_error_s[number]),
        )
        return map(_Measures._make, zip(*(term.tolist() for term in terms), strict=True))

    def _over(self, section: Section, session: _Session, terms: _Measures) -> Passage:
        entry, leaving = self._rows.sighting(session.first), self._rows.sighting(session.last)
        return Passage(
            passage_id=session.passage_id,
            section_id=section.section_id,
            vehicle_id=entry.vehicle_id,
            limit_kmh=section.limit_kmh,
            first_us=entry.time_us,
            last_us=leaving.time_us,
            n_sightings=session.n_sightings,
            distance_m=terms.distance_m,
            travel_time_s=terms.travel_time_s,
            avg_speed_kmh=terms.avg_speed_kmh,
            basis=Basis.DISTANCE_TIME,
            entry=entry,
            exit=leaving,
            min_speed_kmh=terms.min_speed_kmh,
            errors=section.errors,
        )

    def _clear(
        self, section: Section, session: _Session, terms: _Measures, policy_name: str | None, counted_kmh: float
    ) -> PassageRecord:
        """By place: names would cost more than the measurement."""
        return PassageRecord(
            session.passage_id,
            1,
            section.section_id,
            session.name,
            session.first_time,
            session.last_time,
            terms.distance_m,
            terms.travel_time_s,
            terms.avg_speed_kmh,
            section.limit_kmh,
            Basis.DISTANCE_TIME,
            False,
            Outcome.CLEAR,
            (),
            session.n_sightings,
            self._rows.locations[session.last],
            model.SCHEMA_VERSION,
            terms.min_speed_kmh,
            section.errors.length_m,
            section.errors.clock_s,
            section.errors.resolution_s,
            policy_name,
            counted_kmh,
        )

    def _half(self, session: _Session, from_entry: bool, to_exit: bool) -> PassageRecord:
        section = self._roads.sections[session.section]
        row = session.last if to_exit else session.first
        return PassageRecord(
            passage_id=session.passage_id,
            revision=1,
            section_id=section.section_id,
            vehicle_id=session.name,
            entry_time=session.first_time,
            exit_time=session.last_time,
            distance_m=None,
            travel_time_s=None,
            avg_speed=None,
            limit_kmh=section.limit_kmh,
            basis=None,
            ambiguous=False,
            outcome=Outcome.UNMEASURABLE,
            reasons=(Reason.ENTRY_MISSING,) * (not from_entry) + (Reason.EXIT_MISSING,) * (not to_exit),
            n_sightings=session.n_sightings,
            coordinates=self._rows.locations[row] if from_entry or to_exit else None,
        )
