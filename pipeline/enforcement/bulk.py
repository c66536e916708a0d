"""The passages of many vehicles at once.

Most sessions are plain: some or all cameras of the section, passed once and in driving order, at times that the cameras
told, by a vehicle of one region. Those are found and measured as arrays; each other session, whatever is unusual about
it, is left to passages.py, which also says what a plain one must give: that nobody can tell which way a session went is
proven by a property test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.enforcement import passages, speed
from pipeline.enforcement.intake import Located
from pipeline.enforcement.model import Basis, Outcome, Passage, Reason, Sighting, passage_id
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.sections import Section

Numbers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
NO_CAMERA = -1  # of a track, whose section has no surveyed length


class Roads:
    """Sections with their measures as arrays, in the order of their numbers."""

    def __init__(self, sections: Mapping[str, Section]) -> None:
        self.sections = tuple(sections.values())
        self.numbers = {section_id: number for number, section_id in enumerate(sections)}
        self.distance_m = np.array([section.distance_m for section in self.sections])
        self.shortest_m = np.array([speed.shortest_m(section.distance_m, section.errors) for section in self.sections])
        self.time_error_s = np.array([section.errors.time_s for section in self.sections])
        self.exit_number = np.array([len(section.cameras) - 1 for section in self.sections])


class _Seen(NamedTuple):
    """Sightings (n) in the sections they count for, by section, vehicle and time."""

    sighting: Numbers  # its index
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

    def spans(self, which: Truths) -> Iterator[tuple[int, int]]:
        """Starts and ends of some of them."""
        return zip(self.start[which].tolist(), self.end[which].tolist(), strict=True)


def measure(
    roads: Roads, located: Iterable[Located], gap_us: int, pseudonyms: Pseudonyms = IN_CLEAR
) -> Iterator[Passage]:
    """The passages, undecided, of all sightings of some vehicles. A session ends where its vehicle is unseen for a gap;
    two sightings exactly one gap apart are two sessions."""
    found = list(located)
    sightings = [one.sighting for one in found]
    seen = _in_sections(roads, sightings, [one.section_ids for one in found])
    if not len(seen.sighting):
        return
    sessions = _sessions(roads, seen, gap_us)
    yield from _whole(roads, sightings, seen, sessions, pseudonyms)
    yield from _halves(roads, sightings, seen, sessions, pseudonyms)
    for start, end in sessions.spans(~sessions.plain):
        section = roads.sections[seen.section[start]]
        session = [sightings[index] for index in seen.sighting[start:end].tolist()]
        yield from passages.measure(section, session[0].vehicle_id, session, pseudonyms).passages


def _in_sections(roads: Roads, sightings: Sequence[Sighting], section_ids: Sequence[tuple[str, ...]]) -> _Seen:
    """A sighting stands here once for each of its sections."""
    cameras = [sighting.camera_id for sighting in sightings]
    places, place = _coded(zip(cameras, section_ids, strict=True))
    shared = np.array([len(ids) for _, ids in places], dtype=np.int64)
    sections = np.array([roads.numbers[name] for _, ids in places for name in ids], dtype=np.int64)
    numbers = np.array([_number(roads, camera, name) for camera, ids in places for name in ids], dtype=np.int64)
    times = np.fromiter((sighting.time_us for sighting in sightings), np.int64, len(sightings))
    vehicles = _coded(sighting.vehicle_id for sighting in sightings)[1]
    regions = _coded(sighting.plate_region for sighting in sightings)[1]
    timed = np.fromiter((sighting.timed for sighting in sightings), np.bool_, len(sightings))

    counts = shared[place]
    first = (np.cumsum(shared) - shared)[place]
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    entry = np.repeat(first, counts) + within
    row = np.repeat(np.arange(len(sightings)), counts)
    order = np.lexsort((times[row], vehicles[row], sections[entry]))
    row, entry = row[order], entry[order]
    return _Seen(row, sections[entry], vehicles[row], times[row], numbers[entry], regions[row], timed[row])


def _coded(values: Iterable[Any]) -> tuple[list[Any], Numbers]:
    """The different values, and for each value its number among them."""
    known: dict[Any, int] = {}
    codes = [known.setdefault(value, len(known)) for value in values]
    return list(known), np.array(codes, dtype=np.int64)


def _number(roads: Roads, camera_id: str | None, section_id: str) -> int:
    if camera_id is None:
        return NO_CAMERA
    return roads.sections[roads.numbers[section_id]].cameras.index(camera_id)


def _sessions(roads: Roads, seen: _Seen, gap_us: int) -> _Sessions:
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


def _whole(
    roads: Roads, sightings: Sequence[Sighting], seen: _Seen, sessions: _Sessions, pseudonyms: Pseudonyms
) -> Iterator[Passage]:
    """Plain sessions from entry to exit."""
    which = sessions.plain & sessions.from_entry & sessions.to_exit
    start, last = sessions.start[which], sessions.end[which] - 1
    number = seen.section[start]
    distance_m, travel_time_s = roads.distance_m[number], (seen.time_us[last] - seen.time_us[start]) / 1_000_000
    columns = (
        number,
        seen.sighting[start],
        seen.sighting[last],
        last - start + 1,
        distance_m,
        travel_time_s,
        speed.average_speed_kmh(distance_m, travel_time_s),
        speed.average_speed_kmh(roads.shortest_m[number], travel_time_s + roads.time_error_s[number]),
    )
    for at, first, final, n, length_m, taken_s, avg_kmh, min_kmh in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        section, entry, leaving = roads.sections[at], sightings[first], sightings[final]
        name = pseudonyms.of(entry.vehicle_id, entry.time_us)
        yield Passage(  # by place: names would cost more than the measurement
            passage_id(section.section_id, name, entry.time_us),
            section.section_id,
            entry.vehicle_id,
            section.limit_kmh,
            entry.time_us,
            leaving.time_us,
            n,
            1,
            length_m,
            taken_s,
            avg_kmh,
            Basis.DISTANCE_TIME,
            False,
            None,
            (),
            entry,
            leaving,
            min_kmh,
            section.errors,
        )


def _halves(
    roads: Roads, sightings: Sequence[Sighting], seen: _Seen, sessions: _Sessions, pseudonyms: Pseudonyms
) -> Iterator[Passage]:
    """Plain sessions without entry, exit, or both."""
    for start, end in sessions.spans(sessions.plain & ~(sessions.from_entry & sessions.to_exit)):
        section = roads.sections[seen.section[start]]
        first, last = sightings[seen.sighting[start]], sightings[seen.sighting[end - 1]]
        entry = first if seen.camera[start] == 0 else None
        leaving = last if seen.camera[end - 1] == len(section.cameras) - 1 else None
        yield Passage(
            passage_id(section.section_id, pseudonyms.of(first.vehicle_id, first.time_us), first.time_us),
            section.section_id,
            first.vehicle_id,
            section.limit_kmh,
            first.time_us,
            last.time_us,
            end - start,
            outcome=Outcome.UNMEASURABLE,
            reasons=(Reason.ENTRY_MISSING,) * (entry is None) + (Reason.EXIT_MISSING,) * (leaving is None),
            entry=entry,
            exit=leaving,
        )
