"""The passages of many vehicles at once, measured and decided.

Most sessions are plain: some or all cameras of the section, passed once and in driving order, at times that the cameras
told, by a vehicle of one region. Those are found and measured as arrays, and what is settled about them is written down
as records; a suspected violation becomes a passage with its two sightings. Each other session, whatever is unusual
about it, is left to passages.py and policy.py, which also say what a plain one must give: that nobody can tell which
way a session went is proven by a property test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.enforcement import alarms, applied_limit, lines, model, passages, policy, records, speed, trips, twins
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.bulk_policy import Policies
from pipeline.enforcement.limits import SectionNotices
from pipeline.enforcement.model import Basis, Outcome, Passage, Reason, passage_ids
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.records import PassageRecord
from pipeline.enforcement.rows import Rows, coded
from pipeline.enforcement.sections import Network
from pipeline.enforcement.shares import Share
from pipeline.enforcement.times import rfc3339_of_all

Numbers = npt.NDArray[np.int64]
Terms = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]
NO_CAMERA = -1  # of a track, whose section has no surveyed length
PASSAGES_AT_ONCE = 4000


class Roads:
    """Sections with their measures as arrays, in the order of their numbers, and what decides there."""

    def __init__(
        self,
        network: Network,
        policies: Mapping[str, Policy],
        tolerance_kmh: float = 0.0,
        notices: Mapping[str, SectionNotices] = MappingProxyType({}),
    ) -> None:
        self.sections = sections = tuple(network.sections.values())
        self.notices = tuple(map(notices.get, network.sections))
        self.policies, self.tolerance_kmh = tuple(policies[name] for name in network.sections), tolerance_kmh
        self.distance_m = np.array([section.distance_m for section in sections])
        self.shortest_m = np.array([speed.shortest_m(section.distance_m, section.errors) for section in sections])
        self.time_error_s = np.array([section.errors.time_s for section in sections])
        limits_kmh = [section.limit_kmh + tolerance_kmh for section in sections]
        self.decisions = Policies(self.policies, limits_kmh)
        self.is_constant = np.array(list(map(applied_limit.is_constant, sections, self.notices)))
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
    rows = Rows(roads.places, shares, pseudonyms)
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


def _together(rows: Rows, suspected: Sequence[Passage], rules: trips.Rules, pseudonyms: Pseudonyms) -> Found:
    """The vehicles of which more must be known than each passage by itself: all that each of them did."""
    found, by_vehicle = Found([], [], [], []), defaultdict[str, list[Passage]](list)
    for passage in suspected:
        by_vehicle[passage.vehicle_id].append(passage)
    several = {vehicle_id for vehicle_id, own in by_vehicle.items() if len(own) > 1}
    for vehicle_id, seen in rows.of_vehicles(several | rows.at_two_places(rules.ceiling_kmh)).items():
        settled, doubted = trips.settle_all(seen, by_vehicle.pop(vehicle_id, []), rules)
        parted = _parted(settled, pseudonyms)
        found.suspected.extend(parted.suspected)
        found.settled.extend(parted.settled)
        found.alarms.extend(alarms.of_clone(pair, of_pair, pseudonyms) for pair, of_pair in doubted)
    found.suspected.extend(chain.from_iterable(by_vehicle.values()))
    return found


def _parted(decided: Iterable[Passage], pseudonyms: Pseudonyms) -> Found:
    """Decided passages: the records of those that are settled, those that are suspected, and unmatched reads."""
    settled: list[Passage] = []
    suspected: list[Passage] = []
    for passage in decided:
        (suspected if policy.is_suspected(passage) else settled).append(passage)
    unmatched = list(twins.unmatched(chain(settled, suspected)))
    return Found(records.passage_records(settled, pseudonyms), suspected, [], unmatched)


def _parts(which: Truths) -> Iterator[Numbers]:
    chosen = np.flatnonzero(which)
    return (chosen[start : start + PASSAGES_AT_ONCE] for start in range(0, len(chosen), PASSAGES_AT_ONCE))


def _in_sections(roads: Roads, rows: Rows) -> _Seen:
    """A sighting stands here once for each of its sections."""
    vehicles, regions = rows.vehicles, coded(rows.regions)
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


def _cut(roads: Roads, seen: _Seen, gap_us: int) -> _Sessions:
    waited_us = np.diff(seen.time_us)
    same_vehicle = (np.diff(seen.section) == 0) & (np.diff(seen.vehicle) == 0)
    follows = np.concatenate([[False], same_vehicle & (waited_us < gap_us)])
    start = np.flatnonzero(~follows)
    end = np.append(start[1:], len(follows))
    onwards = (waited_us > 0) & (np.diff(seen.camera) > 0) & (np.diff(seen.region) == 0)
    usual = seen.timed & (~follows | np.concatenate([[False], onwards]))
    section = seen.section[start]
    plain = np.logical_and.reduceat(usual, start) & (roads.distance_m[section] > 0) & roads.is_constant[section]
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


class _Terms(NamedTuple):
    """The same of many sessions, a column each."""

    distance_m: Terms
    travel_time_s: Terms
    avg_speed_kmh: Terms
    min_speed_kmh: Terms

    def of(self, chosen: Truths) -> _Terms:
        """Those of some sessions."""
        return _Terms(*(column[chosen] for column in self))

    def rows(self) -> Iterator[_Measures]:
        """Session by session."""
        return map(_Measures._make, zip(*(column.tolist() for column in self), strict=True))


class _Measuring:
    """Measures sessions of a share, given by the places of their first and last sightings in _Seen."""

    def __init__(self, roads: Roads, rows: Rows, seen: _Seen, pseudonyms: Pseudonyms) -> None:
        self._roads, self._rows, self._seen, self._pseudonyms = roads, rows, seen, pseudonyms

    def whole(self, first: Numbers, last: Numbers) -> Found:
        """Plain sessions from entry to exit."""
        section, terms = self._seen.section[first], self._terms(first, last)
        counted_kmh = self._roads.decisions.counted_kmh(section, terms.min_speed_kmh)
        over = self._roads.decisions.are_over(section, counted_kmh)
        clear = ~over
        measured = zip(self._identified(first[over], last[over]), terms.of(over).rows(), strict=True)
        found = self._decided((session.section, self._over(session, measures)) for session, measures in measured)
        found.settled.extend(self._clear(first[clear], last[clear], terms.of(clear), counted_kmh[clear]))
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
        return self._decided(self._one_by_one(first, last))

    def _one_by_one(self, first: Numbers, last: Numbers) -> Iterator[tuple[int, Passage]]:
        numbers = self._seen.section[first].tolist()
        for number, start, end in zip(numbers, first.tolist(), (last + 1).tolist(), strict=True):
            session = [self._rows.sighting(row) for row in self._seen.row[start:end].tolist()]
            section, vehicle_id = self._roads.sections[number], session[0].vehicle_id
            for measured in passages.measure(section, vehicle_id, session, self._pseudonyms).passages:
                yield number, applied_limit.with_limit(measured, section, self._roads.notices[number])

    def _decided(self, measured: Iterable[tuple[int, Passage]]) -> Found:
        """Passages with the numbers of their sections."""
        policies, tolerance_kmh = self._roads.policies, self._roads.tolerance_kmh
        decided = (policy.decide(passage, policies[number], tolerance_kmh) for number, passage in measured)
        return _parted(decided, self._pseudonyms)

    def _identified(self, first: Numbers, last: Numbers) -> Iterator[_Session]:
        """Session by session."""
        seen, sections = self._seen, self._roads.sections
        section, begins, first_us = seen.section[first].tolist(), seen.row[first].tolist(), seen.time_us[first]
        names = [self._rows.names[row] for row in begins]
        columns = (
            section,
            begins,
            seen.row[last].tolist(),
            (last - first + 1).tolist(),
            names,
            passage_ids([sections[number].section_id for number in section], names, first_us.tolist()),
            rfc3339_of_all(first_us),
            rfc3339_of_all(seen.time_us[last]),
        )
        return map(_Session._make, zip(*columns, strict=True))

    def _terms(self, first: Numbers, last: Numbers) -> _Terms:
        roads, number = self._roads, self._seen.section[first]
        distance_m = roads.distance_m[number]
        travel_time_s = (self._seen.time_us[last] - self._seen.time_us[first]) / 1_000_000
        return _Terms(
            distance_m,
            travel_time_s,
            speed.average_speed_kmh(distance_m, travel_time_s),
            speed.average_speed_kmh(roads.shortest_m[number], travel_time_s + roads.time_error_s[number]),
        )

    def _over(self, session: _Session, terms: _Measures) -> Passage:
        section = self._roads.sections[session.section]
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

    def _clear(self, first: Numbers, last: Numbers, terms: _Terms, counted_kmh: Terms) -> list[PassageRecord]:
        """By place: names would cost more than the measurement."""
        locations, sections, policies = self._rows.locations, self._roads.sections, self._roads.policies
        return [
            PassageRecord(
                one.passage_id,
                1,
                section.section_id,
                one.name,
                one.first_time,
                one.last_time,
                measured.distance_m,
                measured.travel_time_s,
                measured.avg_speed_kmh,
                section.limit_kmh,
                Basis.DISTANCE_TIME,
                False,
                Outcome.CLEAR,
                (),
                one.n_sightings,
                locations[one.last],
                model.SCHEMA_VERSION,
                measured.min_speed_kmh,
                errors.length_m,
                errors.clock_s,
                errors.resolution_s,
                policies[one.section].name or None,
                counted,
            )
            for one, measured, counted in zip(
                self._identified(first, last), terms.rows(), counted_kmh.tolist(), strict=True
            )
            for section in (sections[one.section],)
            for errors in (section.errors,)
        ]

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
