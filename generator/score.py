"""The score of a run: fines against the truth of the traffic.

A fine is right when that plate truly was over the limit, in that section, at that time, at about that speed. Everything
else that was issued is wrong. A true violation that was neither fined nor put before a person is missed, unless it lies
within the errors that the section file declares: then nobody could have proven it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from generator.truth import TruePassage, TruthRecord, read_lines
from pipeline.enforcement.plates import normalise

TIME_TOLERANCE_S = 1.0
SPEED_TOLERANCE_KMH = 0.5
POINT_SPEEDS = "point_speeds"
POSSIBLE_PAIR = "possible_pair"


class TripLeg(msgspec.Struct, frozen=True):
    """A passage that a fine stands for too."""

    section: str
    entry_time: datetime
    exit_time: datetime


class FineMessage(msgspec.Struct, frozen=True):
    """The fields of a published fine that the score needs; it may have others. avg_speed: km/h; None: not known any
    more, as when a revision has withdrawn the fine."""

    fine_id: str
    status: str
    vehicle_id: str
    entry_time: datetime
    exit_time: datetime
    avg_speed: float | None = None
    license_plate: str | None = None
    radar_id: str = ""
    revision: int = 1
    trip: tuple[TripLeg, ...] = ()


class SeenAt(msgspec.Struct, frozen=True):
    """A sighting that an alarm names."""

    event_id: str


class AlarmMessage(msgspec.Struct, frozen=True):
    """The fields of an alarm that the score needs; it may have others."""

    kind: str
    seen: tuple[SeenAt, ...]


class Verdict(StrEnum):
    """What became of one fine or one violation."""

    RIGHT = "right"
    WRONG = "wrong"
    SAME_TRIP = "in the fine of its trip"
    OFFERED = "offered as a possible pair"
    MISSED = "missed"
    UNPROVABLE = "not provable"
    REVIEW_OF_VIOLATION = "review of a violation"
    REVIEW_OF_INNOCENT = "review of an innocent"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Finding:
    """One verdict, with its reason in a sentence where the verdict is wrong or missed."""

    verdict: Verdict
    section_id: str
    vehicle_id: str
    explanation: str = ""


@dataclass(frozen=True)
class Score:
    """How fines compare with the truth. Each violation is right, of the same trip, reviewed, offered, missed or
    unprovable."""

    findings: tuple[Finding, ...]
    violations: int
    passages: int

    def of(self, verdict: Verdict) -> tuple[Finding, ...]:
        """The findings with this verdict."""
        return tuple(finding for finding in self.findings if finding.verdict is verdict)

    @property
    def right(self) -> int:
        """Fines for true violations."""
        return len(self.of(Verdict.RIGHT))

    @property
    def wrong(self) -> int:
        """Fines that should not have been issued."""
        return len(self.of(Verdict.WRONG))

    @property
    def same_trip(self) -> int:
        """Violations that another one's fine or case stands for: one fine for a trip."""
        return len(self.of(Verdict.SAME_TRIP))

    @property
    def offered(self) -> int:
        """Violations whose two ends a person is told of: their plates differ, and nobody is fined for them."""
        return len(self.of(Verdict.OFFERED))

    @property
    def missed(self) -> int:
        """Provable violations neither fined nor under review nor offered."""
        return len(self.of(Verdict.MISSED))

    @property
    def unprovable(self) -> int:
        """Violations within the declared errors, neither fined nor under review nor offered."""
        return len(self.of(Verdict.UNPROVABLE))

    @property
    def reviews(self) -> int:
        """Cases before a person, of violations and of innocents."""
        return len(self.of(Verdict.REVIEW_OF_VIOLATION)) + len(self.of(Verdict.REVIEW_OF_INNOCENT))


def score(truth: Iterable[TruthRecord], fines: Iterable[FineMessage], alarms: Iterable[AlarmMessage] = ()) -> Score:
    """Compare fines with the truth; of each fine_id the highest revision counts, and of equal ones the later."""
    passages = [record for record in truth if isinstance(record, TruePassage)]
    judge = _Judge(passages)
    latest = _latest(fines)
    findings: list[Finding | None] = [judge.issued(fine) for fine in latest if fine.status == "issued"]
    findings += [judge.reviewed(fine) for fine in latest if fine.status == "review"]
    findings += [judge.withdrawn(fine) for fine in latest if fine.status == "withdrawn"]
    findings += judge.same_trip(latest)
    findings += judge.offered(alarm for alarm in alarms if alarm.kind == POSSIBLE_PAIR)
    findings += judge.missed()
    return Score(tuple(f for f in findings if f), sum(passage.over for passage in passages), len(passages))


def read_fines(paths: Iterable[Path]) -> list[FineMessage]:
    """Fines from newline-delimited JSON. Raises GeneratorError with the line that cannot be read."""
    decoder, advice = msgspec.json.Decoder(FineMessage), "Give fines as the pipeline publishes them, one a line."
    return [fine for path in paths for fine in read_lines(path, decoder, "--fines", advice)]


def read_alarms(paths: Iterable[Path]) -> list[AlarmMessage]:
    """Alarms from newline-delimited JSON. Raises GeneratorError with the line that cannot be read."""
    decoder, advice = msgspec.json.Decoder(AlarmMessage), "Give alarms as the pipeline publishes them, one a line."
    return [alarm for path in paths for alarm in read_lines(path, decoder, "--alarms", advice)]


def _latest(fines: Iterable[FineMessage]) -> list[FineMessage]:
    latest: dict[str, FineMessage] = {}
    for fine in fines:
        if fine.fine_id not in latest or fine.revision >= latest[fine.fine_id].revision:
            latest[fine.fine_id] = fine
    return sorted(latest.values(), key=lambda fine: (fine.entry_time, fine.fine_id))


class _Judge:
    """The true passages, and which violations are accounted for so far."""

    def __init__(self, passages: list[TruePassage]) -> None:
        self._passages = passages
        self._by_vehicle: dict[str, list[int]] = {}
        for number, passage in enumerate(passages):
            self._by_vehicle.setdefault(normalise(passage.vehicle_id), []).append(number)
        self._fined: set[int] = set()
        self._reviewed: set[int] = set()
        self._withdrawn: set[int] = set()
        self._same_trip: set[int] = set()
        self._offered: set[int] = set()

    def issued(self, fine: FineMessage) -> Finding:
        """Right or wrong."""
        near = list(self._near(fine))
        violations = [number for number in near if self._passages[number].over]
        fitting = [number for number in violations if not _objection(fine, self._passages[number])]
        new = [number for number in fitting if number not in self._fined]
        if new and not self._share_a_sighting(new[0], self._fined):
            self._fined.add(new[0])
            return Finding(Verdict.RIGHT, fine.radar_id, fine.vehicle_id)
        return Finding(Verdict.WRONG, fine.radar_id, fine.vehicle_id, self._why_wrong(fine, near, violations, fitting))

    def _why_wrong(self, fine: FineMessage, near: list[int], violations: list[int], fitting: list[int]) -> str:
        claim = "fined without a speed" if fine.avg_speed is None else f"fined at {fine.avg_speed:.2f} km/h"
        if fitting:
            again = all(number in self._fined for number in fitting)
            return f"{claim}: fined twice for one {'passage' if again else 'trip'}"
        if violations:
            passage = self._passages[violations[0]]
            return f"{claim}, truly {passage.avg_speed_kmh:.2f}: {_objection(fine, passage)}{_touched(passage)}"
        if near:
            passage = self._passages[near[0]]
            truly = f"truly {passage.avg_speed_kmh:.2f} where {passage.limit_kmh:.2f} is allowed"
            return f"{claim}, {truly}{_touched(passage)}"
        others = self._by_vehicle.get(normalise(fine.vehicle_id), [])
        known = f"this vehicle has {len(others)} true passages, none then and there" if others else "no such vehicle"
        touched = sorted({name for number in others for name in self._passages[number].faults})
        return f"{claim}: {known}" + (f"; faults: {', '.join(touched)}" if touched else "")

    def reviewed(self, fine: FineMessage) -> Finding | None:
        """A case before a person; a violation that is fined already is not counted again."""
        violations = [number for number in self._near(fine) if self._passages[number].over]
        if not violations:
            return Finding(Verdict.REVIEW_OF_INNOCENT, fine.radar_id, fine.vehicle_id)
        new = [number for number in violations if number not in self._fined | self._reviewed]
        self._reviewed.update(new[:1])
        return Finding(Verdict.REVIEW_OF_VIOLATION, fine.radar_id, fine.vehicle_id) if new else None

    def withdrawn(self, fine: FineMessage) -> Finding:
        """A fine taken back; a violation behind it then counts as missed."""
        self._withdrawn.update(self._near(fine))
        return Finding(Verdict.WITHDRAWN, fine.radar_id, fine.vehicle_id)

    def same_trip(self, fines: Iterable[FineMessage]) -> list[Finding]:
        """Violations that a fine or a case of the same trip names beside its own; and those that a fault touched and
        that share a sighting with one of these, which it would name had nothing gone wrong with them."""
        legs = ((fine, leg) for fine in fines if fine.status != "withdrawn" for leg in fine.trip)
        for fine, leg in legs:
            near = self._of_vehicle(fine.vehicle_id, leg.section, leg)
            self._same_trip.update(number for number in near if self._passages[number].over)
        known = self._fined | self._reviewed | self._same_trip
        touched = (number for number, passage in enumerate(self._passages) if passage.over and passage.faults)
        self._same_trip.update([number for number in touched if self._share_a_sighting(number, known)])
        self._same_trip -= self._fined | self._reviewed
        named = (self._passages[number] for number in sorted(self._same_trip))
        return [Finding(Verdict.SAME_TRIP, passage.section_id, passage.vehicle_id) for passage in named]

    def offered(self, pairs: Iterable[AlarmMessage]) -> list[Finding]:
        """Violations of which an entry and an exit with different plates were told as a possible pair."""
        told = {frozenset(seen.event_id for seen in pair.seen) for pair in pairs}
        of_event: dict[str, list[int]] = {}
        for number, passage in enumerate(self._passages):
            for event_id in passage.event_ids if passage.over else ():
                of_event.setdefault(event_id, []).append(number)
        for event_ids in told:
            having = (set(of_event.get(event_id, ())) for event_id in event_ids)
            self._offered |= set.intersection(*having)
        self._offered -= self._fined | self._reviewed | self._same_trip
        named = (self._passages[number] for number in sorted(self._offered))
        return [Finding(Verdict.OFFERED, passage.section_id, passage.vehicle_id) for passage in named]

    def missed(self) -> list[Finding]:
        """Violations that nothing accounts for."""
        known = self._fined | self._reviewed | self._same_trip | self._offered
        return [self._missed(n) for n, passage in enumerate(self._passages) if passage.over and n not in known]

    def _share_a_sighting(self, number: int, others: Iterable[int]) -> bool:
        """Whether a passage begins or ends where another one of these was seen: touching ones are of one trip."""
        seen = set(self._passages[number].event_ids)
        vehicle_id = normalise(self._passages[number].vehicle_id)
        of_vehicle = set(self._by_vehicle[vehicle_id]).intersection(others)
        return any(seen.intersection(self._passages[other].event_ids) for other in of_vehicle)

    def _missed(self, number: int) -> Finding:
        passage = self._passages[number]
        why = f"drove {passage.avg_speed_kmh:.2f} km/h where {passage.limit_kmh:.2f} is allowed"
        why += ", fine withdrawn" if number in self._withdrawn else ""
        verdict = Verdict.MISSED if passage.provable else Verdict.UNPROVABLE
        if passage.turned_off_s is not None:
            why += f"; {passage.turned_off_s:.0f} s before, it had been seen there and turned off"
        return Finding(verdict, passage.section_id, passage.vehicle_id, why + self._beside(number) + _touched(passage))

    def _beside(self, number: int) -> str:
        """What touched the nearest other passage of the vehicle in the section: an end that it lost may stand as a
        second one of this."""
        passage = self._passages[number]
        own = (self._passages[other] for other in self._by_vehicle[normalise(passage.vehicle_id)] if other != number)
        touched = [other for other in own if other.section_id == passage.section_id and other.faults]
        if not touched:
            return ""
        entry_s = _seconds(passage)[0]
        nearest = min(touched, key=lambda other: abs(_seconds(other)[0] - entry_s))
        apart_s = _seconds(nearest)[0] - entry_s
        when = f"{abs(apart_s):.0f} s {'later' if apart_s > 0 else 'before'}"
        return f"; it passed there {when} too, with faults: {', '.join(nearest.faults)}"

    def _near(self, fine: FineMessage) -> Iterator[int]:
        """True passages of the fined vehicle in that section that overlap with the fine's time."""
        return self._of_vehicle(fine.vehicle_id, fine.radar_id, fine)

    def _of_vehicle(self, vehicle_id: str, section_id: str, told: FineMessage | TripLeg) -> Iterator[int]:
        for number in self._by_vehicle.get(normalise(vehicle_id), []):
            passage = self._passages[number]
            if passage.basis == POINT_SPEEDS or (passage.section_id == section_id and _overlap(told, passage)):
                yield number


def _overlap(fine: FineMessage | TripLeg, passage: TruePassage) -> bool:
    entry_s, exit_s = _seconds(passage)
    begins_s, ends_s = fine.entry_time.timestamp(), fine.exit_time.timestamp()
    return begins_s < exit_s + TIME_TOLERANCE_S and ends_s > entry_s - TIME_TOLERANCE_S


def _objection(fine: FineMessage, passage: TruePassage) -> str:
    """Why a fine is not for this violation; empty if it is."""
    plate = fine.license_plate
    if plate is None or (passage.plate is not None and normalise(plate) != normalise(passage.plate)):
        return f"its plate says {plate!r}, the vehicle's is {passage.plate!r}"
    if passage.basis != POINT_SPEEDS:
        entry_s, exit_s = _seconds(passage)
        off_s = max(abs(fine.entry_time.timestamp() - entry_s), abs(fine.exit_time.timestamp() - exit_s))
        if off_s > TIME_TOLERANCE_S:
            return f"its times are {off_s:.1f} s off"
    if fine.avg_speed is None:
        return "it names no speed"
    if abs(fine.avg_speed - passage.avg_speed_kmh) > SPEED_TOLERANCE_KMH:
        return f"its speed is more than {SPEED_TOLERANCE_KMH} km/h off"
    return ""


def _seconds(passage: TruePassage) -> tuple[float, float]:
    return (
        datetime.fromisoformat(passage.entry_time).timestamp(),
        datetime.fromisoformat(passage.exit_time).timestamp(),
    )


def _touched(passage: TruePassage) -> str:
    return f"; faults: {', '.join(passage.faults)}" if passage.faults else "; no fault touched it"


def table(result: Score) -> str:
    """The score for a terminal, then a line for each wrong fine and each missed violation."""
    counts = [(verdict, len(result.of(verdict))) for verdict in Verdict]
    rows = [f"  {verdict:<24}{count:>8,}" for verdict, count in counts]
    head = f"{result.violations:,} violations in {result.passages:,} passages"
    told = [
        f"{finding.verdict}: {finding.vehicle_id} in {finding.section_id or 'its section'}: {finding.explanation}"
        for finding in (*result.of(Verdict.WRONG), *result.of(Verdict.MISSED))
    ]
    return "\n".join([head, *rows, *told])
