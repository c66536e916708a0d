"""Near twins: plates that a camera may take for one another, seen in one section at the same time.

A driver was fined from two vans whose plates differ in one character: one's entry was paired with the other's exit.
Then two reads are left over, the first one's exit and the other's entry, unless they were missed too. So what speaks
against a suspected passage is an unmatched read of a near twin, an entry without exit or an exit without entry, in the
same section or in one that shares a camera with it, at most as long before its entry or after its exit as a vehicle may
be in the section. A near twin that was seen at both ends is explained by itself and says nothing, unless its own
pairing is in doubt. Unmatched reads of near twins that would be one violation are offered to a person as a possible
pair; they are never fined, and a pair within the limit is nobody's business.

Plates are near twins that are at most one edit apart (a character changed, missing or too many) once characters that
cameras confuse are the same; of two different regions they must be equal, since a region is misread too. What reads no
plate has no near twins: of trackers' numbers each is next to another one.

What may concern each other is looked at together, by section and stretch of time, so that no group grows with the
input. A passage lies in the stretch of its first sighting, which its id is made of and which no revision moves; a read
is in each stretch of which a passage may need it. From each camera to the next a passage takes less than a session gap,
or it is for a person anyway. The length of a stretch of a stream is no setting: what is kept by it must be found again
after a setting has changed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from pipeline.enforcement import alarms, applied_limit, passages, plates, policy
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.evidence import claimed_plate
from pipeline.enforcement.limits import SectionNotices
from pipeline.enforcement.model import Outcome, Passage, Reason, Sighting
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.sections import Section

STRETCH_US = 900_000_000  # of a stream, whose state is read and written for each thing that is heard of it
STRETCH_OF_FILES_US = 6 * 3_600_000_000  # is held in memory; shorter ones are more groups, which cost an engine time
LIKE = str.maketrans(plates.DIGIT_LIKE)
NO_PAIR = frozenset({Reason.IMPLAUSIBLE_SPEED, Reason.READS_CONTRADICT})


class Unmatched(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The read of a passage that was seen at one end only."""

    passage_id: str
    section_id: str
    read: Sighting
    at_entry: bool


class UnmatchedReads(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Several unmatched reads, as one element."""

    reads: tuple[Unmatched, ...]


class Rules(NamedTuple):
    """What sections are compared by. early_sections: those whose suspected passages wait for nothing. neighbours: the
    sections whose reads may concern each other, each section beside itself alone where none is given."""

    sections: Mapping[str, Section]
    policies: Mapping[str, Policy]
    gap_us: int
    tolerance_kmh: float = 0.0
    stretch_us: int = STRETCH_US
    early_sections: frozenset[str] = frozenset()
    notices: Mapping[str, SectionNotices] = MappingProxyType({})
    neighbours: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def window_us(self, section_id: str) -> int:
        """How long a vehicle may be in the section at most, seen by each camera within a gap; 0: there is no such
        section, any more."""
        section = self.sections.get(section_id)
        return 0 if section is None else (len(section.cameras) - 1) * self.gap_us

    def beside(self, section_id: str) -> tuple[str, ...]:
        """The section, and those that share a camera with it."""
        return self.neighbours.get(section_id, (section_id,))


def neighbours(sections: Mapping[str, Section]) -> dict[str, tuple[str, ...]]:
    """Of each section itself and those that share a camera with it."""
    at = defaultdict[str, list[str]](list)
    for name, section in sections.items():
        for camera in section.cameras:
            at[camera].append(name)
    return {
        name: tuple(dict.fromkeys((name, *chain.from_iterable(at[camera] for camera in section.cameras))))
        for name, section in sections.items()
    }


class Found(NamedTuple):
    """The suspected passages, with what speaks against them, and what a person should look at."""

    suspected: list[Passage]
    alarms: list[Alarm]


def unmatched(found: Iterable[Passage]) -> Iterator[Unmatched]:
    """The reads of passages that were seen at one end only, and both reads of those that may be paired otherwise, at a
    known time and with a plate."""
    for passage in found:
        for read, at_entry in _unexplained(passage):
            yield from matchable(Unmatched(passage.passage_id, passage.section_id, read, at_entry))


def _unexplained(passage: Passage) -> Iterator[tuple[Sighting, bool]]:
    ends = ((read, read is passage.entry) for read in (passage.entry, passage.exit) if read and read.camera_id)
    if passage.ambiguous:
        return ends if Reason.SUPERSEDED not in passage.reasons else iter(())
    missing = (Reason.EXIT_MISSING,) if passage.entry else (Reason.ENTRY_MISSING,)
    is_half = passage.outcome is Outcome.UNMEASURABLE and passage.reasons == missing
    return ends if is_half else iter(())


def matchable(one: Unmatched) -> Iterator[Unmatched]:
    """The same, if its time and its plate are known."""
    if one.read.timed and skeleton(one.read):
        yield one


def stretch_of(section_id: str, first_us: int, rules: Rules) -> str:
    """The stretch of a passage."""
    return f"{section_id}|{first_us // rules.stretch_us}"


def parts_of(stretch: str) -> tuple[str, int]:
    """The section of a stretch, and its number."""
    section_id, _, number = stretch.rpartition("|")
    return section_id, int(number)


def stretches_of(one: Unmatched, rules: Rules) -> Iterator[str]:
    """The stretches of all passages and entries that an unmatched read may concern: in its section, and in those that
    share a camera with it, where its vehicle may have driven on or come from."""
    for section_id in rules.beside(one.section_id):
        window_us = rules.window_us(section_id)
        earliest_us, latest_us = one.read.time_us - 2 * window_us, one.read.time_us + window_us
        for number in range(earliest_us // rules.stretch_us, latest_us // rules.stretch_us + 1):
            yield f"{section_id}|{number}"


def may_have_twins(passage: Passage) -> bool:
    """Whether a camera read a plate at one of its ends."""
    return any(end.camera_id and skeleton(end) for end in (passage.entry, passage.exit) if end)


def compare(suspected: Sequence[Passage], reads: Reads, rules: Rules, pseudonyms: Pseudonyms = IN_CLEAR) -> Found:
    """The suspected passages of a stretch, those with a near twin for a person, and an alarm for each of their twins.

    reads: all that are in the stretch.
    """
    found = Found([], [])
    for passage in suspected:
        against = reads.against(passage, rules.window_us(passage.section_id))
        found.suspected.append(doubted(passage) if against else passage)
        found.alarms.extend(alarms.of_near_twin(one.read, one.passage_id, passage, pseudonyms) for one in against)
    return found


def pairs(stretch: str, reads: Reads, rules: Rules, pseudonyms: Pseudonyms = IN_CLEAR) -> Iterator[Alarm]:
    """An alarm for each entry of this stretch and exit that may be one violation. reads: as for compare."""
    for entry in reads.in_order:
        if entry.at_entry and stretch_of(entry.section_id, entry.read.time_us, rules) == stretch:
            for leaving in reads.exits_of(entry, rules.window_us(entry.section_id)):
                if passage := _as_one(entry, leaving, rules):
                    yield alarms.of_possible_pair(entry.passage_id, leaving.passage_id, passage, pseudonyms)


def doubted(passage: Passage) -> Passage:
    """The suspected passage, for a person."""
    return replace(passage, reasons=(*passage.reasons, Reason.NEAR_TWIN))


def near_twins(one: Sighting, other: Sighting) -> bool:
    """Whether two sightings of different vehicles may be of the same."""
    same_region = not one.plate_region or not other.plate_region or one.plate_region == other.plate_region
    if one.vehicle_id == other.vehicle_id and same_region:
        return False
    first, second = skeleton(one), skeleton(other)
    if not first or not second:
        return False
    return _is_one_edit(first, second) if same_region else _plate(one) == _plate(other)


def skeleton(sighting: Sighting) -> str:
    """The plate that was read, with one character for all that are confused with each other; empty: none."""
    return _plate(sighting).translate(LIKE)


def _plate(sighting: Sighting) -> str:
    return plates.normalise(claimed_plate(sighting) or "")


def _is_one_edit(one: str, other: str) -> bool:
    """One edit, or none."""
    short, long = sorted((one, other), key=len)
    if len(long) - len(short) > 1:
        return False
    same = next((at for at, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    return short[same + (len(short) == len(long)) :] == long[same + 1 :]


def _with_one_left_out(text: str) -> set[str]:
    """Texts that are one edit apart have one of these in common."""
    return {text, *(text[:at] + text[at + 1 :] for at in range(len(text)))}


class Reads:
    """Unmatched reads, given once or oftener: by what is left of their plates, and by time, so that only few must be
    looked at for each question."""

    def __init__(self, reads: Iterable[Unmatched]) -> None:
        self.in_order = sorted({key_of(one): one for one in reads}.values(), key=_order)
        alike = defaultdict[str, list[Unmatched]](list)
        for one in self.in_order:
            for part in _with_one_left_out(skeleton(one.read)):
                alike[part].append(one)
        self._alike = dict(alike)

    def against(self, passage: Passage, window_us: int) -> list[Unmatched]:
        """The reads that speak against a passage, in order of time, each once for all sections that it is unmatched in.

        A vehicle whose exit was taken for that of the passage had entered a window before it at most, and one whose
        entry was taken for that of the passage left a window after it at most.
        """
        ends = [end for end in (passage.entry, passage.exit) if end and end.camera_id]
        from_us, until_us = passage.first_us - window_us, passage.last_us + window_us
        found = (one for end in ends for one in self._near(end, from_us, until_us))
        return sorted({_sighting_of(one): one for one in sorted(found, key=_order, reverse=True)}.values(), key=_order)

    def exits_of(self, entry: Unmatched, window_us: int) -> list[Unmatched]:
        """The exits of its section that may belong to an entry: after it, and within a window."""
        after_us = entry.read.time_us
        found = self._near(entry.read, after_us + 1, after_us + window_us - 1)
        return [one for one in found if not one.at_entry and one.section_id == entry.section_id]

    def _near(self, seen: Sighting, from_us: int, until_us: int) -> list[Unmatched]:
        found = dict[tuple[str, bool, str | None, int], Unmatched]()
        for part in _with_one_left_out(skeleton(seen)):
            if alike := self._alike.get(part):
                first, end = bisect_left(alike, from_us, key=_time), bisect_right(alike, until_us, key=_time)
                found |= {key_of(one): one for one in alike[first:end] if near_twins(seen, one.read)}
        return sorted(found.values(), key=_order)


key_of = attrgetter("passage_id", "at_entry", "read.camera_id", "read.time_us")
_sighting_of = attrgetter("read.camera_id", "read.time_us", "read.vehicle_id")
_time = attrgetter("read.time_us")
_order = attrgetter("read.time_us", "passage_id")


def _as_one(entry: Unmatched, leaving: Unmatched, rules: Rules) -> Passage | None:
    """The violation that both would be, as one passage of the vehicle that entered; None: they would be none, or none
    that one vehicle can be. Its exit is still the read of the one that left."""
    section, first = rules.sections[entry.section_id], entry.read
    last = replace(leaving.read, vehicle_id=first.vehicle_id, plate_region=first.plate_region)
    (measured,) = passages.measure(section, first.vehicle_id, (first, last)).passages
    measured = applied_limit.with_limit(measured, section, rules.notices.get(section.section_id))
    decided = policy.decide(measured, rules.policies[section.section_id], rules.tolerance_kmh)
    if not policy.is_suspected(decided) or not NO_PAIR.isdisjoint(decided.reasons):
        return None
    return replace(decided, exit=leaving.read)
