"""Group a vehicle's sightings in sessions, measure its passages, number their revisions, part what is suspected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms import trigger, userstate, window
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming, WindowedValue

from pipeline import notices, secret
from pipeline.enforcement import (
    alarms,
    applied_limit,
    bulk,
    clones,
    early,
    evidence,
    passages,
    policy,
    revisions,
    trips,
    twins,
)
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.early import Look
from pipeline.enforcement.intake import Batch
from pipeline.enforcement.model import Outcome, Passage, Passages, Sighting
from pipeline.enforcement.passages import Session
from pipeline.enforcement.privacy import IN_CLEAR
from pipeline.enforcement.records import Fine, PassageRecords
from pipeline.enforcement.revisions import Change, History
from pipeline.enforcement.shares import Share
from pipeline.enforcement.twins import UnmatchedReads
from pipeline.options import Settings
from pipeline.transforms.coders import StructCoder
from pipeline.transforms.sharing import ShareOut

OfVehicle = tuple[str, Iterable[Sighting]]  # vehicle_id
LookAt = tuple[str, Look]  # vehicle_id
Shared = tuple[int, Iterable[Share]]  # number of a share of the vehicles
EVERYWHERE = (window.GlobalWindow(),)
REMEMBERED_S = 3600.0  # at least: of a vehicle that drives on for so long each thing meets what it is compared with


def remembered_s(settings: Settings) -> float:
    """How long a stream keeps what later sightings may change or be compared with."""
    return max(settings.allowed_lateness_s, REMEMBERED_S) + settings.session_gap_s


class GroupSessions(beam.PTransform):
    """Sightings of one vehicle, on all roads, cut where it was not seen for the session gap.

    Unbounded input goes through session windows: a session fires when the watermark passes its end, and again, whole,
    for every late sighting. To decide as soon as an exit is seen it fires for every sighting before its end, too, and
    tells which looks are early. Bounded input is grouped at once and cut in plain code: the same sessions, several
    times faster on one machine. Two sightings exactly one gap apart are two sessions.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._gap_s, self._allowed_lateness_s = settings.session_gap_s, settings.allowed_lateness_s
        self._streaming, self._shares = settings.streaming, settings.shares
        self._early_too = bool(settings.early_sections)

    def expand(self, located: beam.PCollection[Batch]) -> beam.PCollection[OfVehicle | LookAt | Shared]:
        """One session of one vehicle; of bounded input a share of the vehicles, cut into sessions when measured."""
        return self._in_windows(located) if self._streaming else self._at_once(located)

    def _in_windows(self, located: beam.PCollection[Batch]) -> beam.PCollection[OfVehicle | LookAt]:
        sessions = (
            located
            | "Key by vehicle" >> beam.FlatMap(keyed).with_output_types(tuple[str, Sighting])
            | "Session windows" >> self.windows()
            | "Group" >> beam.GroupByKey()
        )
        if self._early_too:
            sessions = sessions | "Tell early looks" >> beam.FlatMap(look).with_output_types(LookAt)
        return sessions | "Leave windows" >> beam.WindowInto(window.GlobalWindows())

    def windows(self) -> beam.WindowInto:
        """Sessions of a vehicle that fire when the watermark passes their end, and again, whole, for what is late; for
        every sighting before their end, too, where something may be decided early."""
        each = trigger.AfterCount(1)
        return beam.WindowInto(
            window.Sessions(Duration(micros=round(self._gap_s * 1_000_000))),
            trigger=trigger.AfterWatermark(early=each if self._early_too else None, late=each),
            accumulation_mode=trigger.AccumulationMode.ACCUMULATING,
            allowed_lateness=Duration(seconds=self._allowed_lateness_s),
        )

    def _at_once(self, located: beam.PCollection[Batch]) -> beam.PCollection[Shared]:
        return (
            located
            | "Key by share" >> beam.ParDo(ShareOut(self._shares)).with_output_types(tuple[int, Share])
            | "Group" >> beam.GroupByKey()
        )


def keyed(batch: Batch) -> Iterator[WindowedValue]:
    """(vehicle_id, sighting) at the time of the sighting, for each sighting that counts for a section.

    With their window, or Beam would work out for each that there is but one.
    """
    for located in batch.located:
        if located.section_ids:
            sighting = located.sighting
            yield WindowedValue((sighting.vehicle_id, sighting), Timestamp(micros=sighting.time_us), EVERYWHERE)


def look(session: OfVehicle, pane: PaneInfo = beam.DoFn.PaneInfoParam) -> Iterator[LookAt]:
    """The session with what only its window knows: whether it will fire again by itself. One sighting has no exit."""
    vehicle_id, sightings = session
    found = Look(tuple(sightings), pane.timing == PaneInfoTiming.EARLY)
    if len(found.sightings) > 1 or not found.early:
        yield vehicle_id, found


class Measured(NamedTuple):
    """Passages that are suspected, the reads of those that were seen at one end only, passages that are decided, the
    messages that take cases back, and what else a person should look at."""

    suspected: beam.PCollection[Passage]
    unmatched: beam.PCollection[UnmatchedReads]
    settled: beam.PCollection[Passages | PassageRecords]
    withdrawn: beam.PCollection[Fine]
    alarms: beam.PCollection[Alarm]


class MeasurePassages(beam.PTransform):
    """Sessions to passages, each compared with its limit.

    What a session window passes on again after a late sighting is compared with what was passed on before; bounded
    sessions fire once, so there each passage is its own first revision.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        measure = Measure(settings)
        self._measure = (
            _MeasureAndRevise(measure, remembered_s(settings)) if settings.streaming else _MeasureOnce(measure)
        )
        self._settled = Passages if settings.streaming else PassageRecords

    def expand(self, sessions: beam.PCollection[OfVehicle | LookAt | Shared]) -> Measured:
        """One step, since an engine's work for each element costs more than the measurement."""
        ways = sessions | "Measure and decide" >> beam.ParDo(self._measure).with_outputs(
            "unmatched", "settled", "withdrawn", "alarms", main="suspected"
        )
        ways.suspected.element_type, ways.withdrawn.element_type = Passage, Fine
        ways.unmatched.element_type = UnmatchedReads
        ways.settled.element_type, ways.alarms.element_type = self._settled, Alarm
        return Measured(ways.suspected, ways.unmatched, ways.settled, ways.withdrawn, ways.alarms)


class Measure:
    """Measures a session's sightings and decides its passages. Without a privacy secret privacy is off."""

    def __init__(self, settings: Settings) -> None:
        self._network, self._policies = settings.network, settings.policies
        self._section_ids, self._gap_us = settings.intake.section_ids, round(settings.session_gap_s * 1_000_000)
        self._rules = trips.Rules(settings.policies, self._gap_us, settings.clone_ceiling_kmh)
        self._notices = settings.notices
        said = notices.at_start(settings.notices)
        self._roads = bulk.Roads(settings.network, settings.policies, settings.tolerance_kmh, said)
        self._tolerance_kmh, self._secret_source = settings.tolerance_kmh, settings.privacy_secret
        self._early_sections = settings.early_sections
        self._pseudonyms = IN_CLEAR

    def setup(self) -> None:
        """Read the secret, where it is used: it is no part of the graph. And follow the notices."""
        self._pseudonyms = secret.pseudonyms(self._secret_source)
        self._following = notices.follow(self._notices)

    def session(self, vehicle_id: str, sightings: Iterable[Sighting], history: History = ()) -> Session:
        """The session with its passages; suspected ones have no outcome yet."""
        ordered = passages.in_order(sightings)
        first_us, last_us = ordered[0].time_us, ordered[-1].time_us
        sections, found = self._network.sections, list[Passage]()
        for section_id, seen in trips.by_section(ordered, self._section_ids, self._gap_us):
            measured = passages.measure(sections[section_id], vehicle_id, seen, self._pseudonyms).passages
            found.extend(map(self._decide, measured))
        others = revisions.ends_of_others(history, vehicle_id, first_us, last_us)
        pairs = clones.impossible(ordered, self._rules.ceiling_kmh, others)
        decided = tuple(trips.settle(found, pairs, self._rules))
        return Session(vehicle_id, first_us, last_us, len(ordered), decided, pairs, clones.ends(ordered))

    def look(self, vehicle_id: str, found: Look, history: History) -> Session:
        """The same; of an early look only the passages that it passes on."""
        session = self.session(vehicle_id, found.sightings, history)
        if not found.early:
            return session
        return early.passed_on(session, history, self._early_sections, self._gap_us)

    def alarms(self, session: Session, history: History) -> list[Alarm]:
        """What a person should look at. history: as it is after this session."""
        return [alarms.of_clone(pair, revisions.doubted_by(pair, history), self._pseudonyms) for pair in session.pairs]

    def share(self, shares: Iterable[Share]) -> Iterator[bulk.Found]:
        """The passages of all sightings of some vehicles; suspected ones have no outcome yet."""
        return bulk.measure(self._roads, list(shares), self._rules, self._pseudonyms)

    def _decide(self, passage: Passage) -> Passage:
        section, said = self._network.sections[passage.section_id], self._following.by_section()
        passage = applied_limit.with_limit(passage, section, said.get(passage.section_id))
        return policy.decide(passage, self._policies[passage.section_id], self._tolerance_kmh)

    def withdrawal(self, passage: Passage) -> Fine:
        """The message that takes the passage's case back."""
        return evidence.withdraw(passage, self._network.sections[passage.section_id])


class _Counters:
    """What becomes of passages, for the runner's monitoring."""

    def __init__(self) -> None:
        self._revised = Metrics.counter("passages", "revised")
        self._withdrawn = Metrics.counter("fines", "withdrawn")
        self._outcomes = {outcome: Metrics.counter("passages", outcome.value) for outcome in Outcome}
        self._suspected = Metrics.counter("passages", "suspected")

    def count(self, outcomes: Iterable[Outcome | None]) -> None:
        """Once for each element or bundle: a counter costs more than a measurement."""
        for outcome, n in Counter(outcomes).items():
            (self._suspected if outcome is None else self._outcomes[outcome]).inc(n)

    def count_changes(self, changes: Sequence[Change]) -> None:
        """Their passages, and what they change."""
        self.count(change.passage.outcome for change in changes)
        self._revised.inc(sum(change.passage.revision > 1 for change in changes))
        self._withdrawn.inc(sum(change.withdraws for change in changes))


class _MeasureOnce(beam.DoFn):
    """The sessions of a share fire once, so that each passage is its own first revision."""

    def __init__(self, measure: Measure) -> None:
        self._measure, self._counters = measure, _Counters()

    def setup(self) -> None:
        self._measure.setup()

    def process(self, element: Shared) -> Iterator[Passage | TaggedOutput]:
        for found in self._measure.share(element[1]):
            self._counters.count(record.outcome for record in found.settled)
            self._counters.count(passage.outcome for passage in found.suspected)
            yield TaggedOutput("settled", PassageRecords(found.settled))
            if found.unmatched:
                yield TaggedOutput("unmatched", UnmatchedReads(tuple(found.unmatched)))
            yield from (TaggedOutput("alarms", alarm) for alarm in found.alarms)
            yield from found.suspected


class _MeasureAndRevise(beam.DoFn):
    """Remembers, per vehicle, what was passed on, until no late sighting can change it any more."""

    HISTORY = userstate.ReadModifyWriteStateSpec("history", StructCoder(revisions.History))
    FORGET = userstate.TimerSpec("forget", beam.TimeDomain.WATERMARK)

    def __init__(self, measure: Measure, remember_s: float) -> None:
        self._measure, self._counters = measure, _Counters()
        self._remember_us = round(remember_s * 1_000_000)

    def setup(self) -> None:
        self._measure.setup()

    def start_bundle(self) -> None:
        self._settled: list[Passage] = []
        self._changes: list[Change] = []

    def process(
        self,
        element: OfVehicle | LookAt,
        history: Any = beam.DoFn.StateParam(HISTORY),  # noqa: ANN401, B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: ANN401, B008
    ) -> Iterator[Passage | TaggedOutput]:
        vehicle_id, found = element
        known = history.read() or ()
        found = found if isinstance(found, Look) else Look(tuple(found), early=False)
        session = self._measure.look(vehicle_id, found, known)
        changes, remembered = revisions.revise(known, session)
        if remembered:
            self._remember(session.last_us, remembered, history, forget)
        if not found.early:  # alarms wait for the end
            yield from (TaggedOutput("alarms", alarm) for alarm in self._measure.alarms(session, remembered))
        yield from self._ways(changes)

    def _remember(
        self,
        last_us: int,
        remembered: History,
        history: Any,  # noqa: ANN401
        forget: Any,  # noqa: ANN401
    ) -> None:
        # A late look at an earlier session must not shorten the memory of a later one.
        newest_us = max([last_us, *[old.passage.last_us for old in remembered]])
        oldest_us = newest_us - self._remember_us
        history.write(tuple([old for old in remembered if old.session_last_us >= oldest_us]))
        forget.set(Timestamp(micros=newest_us + self._remember_us))

    def _ways(self, changes: Sequence[Change]) -> Iterator[Passage | TaggedOutput]:
        """Where each of them goes."""
        self._changes += changes
        if reads := tuple(twins.unmatched(change.passage for change in changes)):
            yield TaggedOutput("unmatched", UnmatchedReads(reads))
        for change in changes:
            if change.withdraws:
                yield TaggedOutput("withdrawn", self._measure.withdrawal(change.passage))
            if policy.is_suspected(change.passage):
                yield change.passage
            else:
                self._settled.append(change.passage)

    def finish_bundle(self) -> Iterator[TaggedOutput]:
        if self._changes:
            self._counters.count_changes(self._changes)
        if self._settled:
            settled = WindowedValue(Passages(tuple(self._settled)), EVERYWHERE[0].max_timestamp(), EVERYWHERE)
            yield TaggedOutput("settled", settled)

    @userstate.on_timer(FORGET)
    def forget(self, history: Any = beam.DoFn.StateParam(HISTORY)) -> None:  # noqa: ANN401, B008
        history.clear()
