"""Compare what is suspected with near twins that were seen in the same section at the same time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms import userstate
from apache_beam.utils.timestamp import Timestamp

from pipeline import notices, secret
from pipeline.enforcement import holding, twins
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.holding import News, Step, TakenBack, Watch
from pipeline.enforcement.model import Passage
from pipeline.enforcement.privacy import IN_CLEAR
from pipeline.enforcement.records import Fine
from pipeline.enforcement.times import parse_rfc3339_us
from pipeline.enforcement.twins import Reads, Rules, Unmatched, UnmatchedReads
from pipeline.options import Settings
from pipeline.transforms.coders import StructCoder
from pipeline.transforms.sessions import Measured, remembered_s

OfStretch = tuple[str, News]  # section and stretch
TIMER_STEP_US = 1000  # engines keep a timer's time in milliseconds, rounded down: a due time between two never comes


class Compared(NamedTuple):
    """Passages whose pictures are needed, and what else a person should look at."""

    suspected: beam.PCollection[Passage]
    alarms: beam.PCollection[Alarm]


class CompareTwins(beam.PTransform):
    """A suspected passage goes on as it is, or for a person if a near twin speaks against it.

    Bounded input is compared once all of it is there. Of unbounded input a suspected passage is held until its twins
    have come out, and does not go on if it is taken back meanwhile; in a section that decides early it is not held.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings, self._compare = settings, Compare(settings)

    def expand(self, measured: Measured) -> Compared:
        """What is heard of each stretch of each section, looked at together."""
        heard = (
            measured.suspected
            | "Key suspected" >> beam.Map(self._compare.by_first_sighting).with_output_types(OfStretch),
            measured.unmatched
            | "Key unmatched" >> beam.FlatMap(self._compare.by_stretches).with_output_types(OfStretch),
            measured.withdrawn | "Key withdrawn" >> beam.Map(self._compare.by_entry_time).with_output_types(OfStretch),
        )
        news = heard | "All news" >> beam.Flatten()
        if self._settings.streaming:
            hold = _Hold(self._compare, remembered_s(self._settings))
            ways = news | "Hold" >> beam.ParDo(hold).with_outputs("alarms", main="suspected")
        else:
            grouped = news | "Group" >> beam.GroupByKey()
            ways = grouped | "Compare" >> beam.ParDo(_CompareOnce(self._compare)).with_outputs(
                "alarms", main="suspected"
            )
        ways.suspected.element_type, ways.alarms.element_type = Passage, Alarm
        return Compared(ways.suspected, ways.alarms)


class Compare:
    """The rules, and pseudonyms for alarms."""

    def __init__(self, settings: Settings) -> None:
        network = settings.network
        self._rules = Rules(
            network.sections,
            settings.policies,
            round(settings.session_gap_s * 1_000_000),
            settings.tolerance_kmh,
            twins.STRETCH_US if settings.streaming else twins.STRETCH_OF_FILES_US,
            settings.early_sections,
            neighbours=twins.neighbours(network.sections),
        )
        self._secret_source, self._notices = settings.privacy_secret, settings.notices
        self.pseudonyms = IN_CLEAR

    def setup(self) -> None:
        """Read the secret, where it is used: it is no part of the graph. And follow the notices."""
        self.pseudonyms = secret.pseudonyms(self._secret_source)
        self._following = notices.follow(self._notices)

    @property
    def rules(self) -> Rules:
        """The rules with the notices as they are now."""
        return self._rules._replace(notices=self._following.by_section())

    def by_first_sighting(self, passage: Passage) -> OfStretch:
        """Keyed by what its id is made of, so that all its revisions meet."""
        return twins.stretch_of(passage.section_id, passage.first_us, self._rules), News(suspected=passage)

    def by_entry_time(self, withdrawal: Fine) -> OfStretch:
        """Keyed as the passage whose case is taken back."""
        first_us = parse_rfc3339_us(withdrawal.entry_time)
        news = News(taken_back=TakenBack(withdrawal.passage_id, withdrawal.revision))
        return twins.stretch_of(withdrawal.radar_id, first_us, self._rules), news

    def by_stretches(self, unmatched: UnmatchedReads) -> Iterator[OfStretch]:
        """Each read in each stretch of which a passage may need it."""
        found = defaultdict[str, list[Unmatched]](list)
        for read in unmatched.reads:
            for stretch in twins.stretches_of(read, self._rules):
                found[stretch].append(read)
        return ((stretch, News(reads=tuple(reads))) for stretch, reads in found.items())


class _CompareOnce(beam.DoFn):
    """All of a stretch is there. Nothing of bounded input is taken back."""

    def __init__(self, compare: Compare) -> None:
        self._compare = compare

    def setup(self) -> None:
        self._compare.setup()

    def process(self, element: tuple[str, Iterable[News]]) -> Iterator[Passage | TaggedOutput]:
        stretch, heard = element[0], list(element[1])
        suspected = [news.suspected for news in heard if news.suspected]
        reads = Reads(read for news in heard for read in news.reads)
        rules, pseudonyms = self._compare.rules, self._compare.pseudonyms
        found = twins.compare(suspected, reads, rules, pseudonyms)
        yield from found.suspected
        yield from (TaggedOutput("alarms", alarm) for alarm in found.alarms)
        yield from (TaggedOutput("alarms", alarm) for alarm in twins.pairs(stretch, reads, rules, pseudonyms))


class _Hold(beam.DoFn):
    """Holds what is suspected until the watermark has passed all that may speak against it."""

    WATCH = userstate.ReadModifyWriteStateSpec("watch", StructCoder(Watch))
    READS = userstate.BagStateSpec("reads", StructCoder(UnmatchedReads))
    DUE = userstate.TimerSpec("look", beam.TimeDomain.WATERMARK)
    LOOK = userstate.TimerSpec("look_at_reads", beam.TimeDomain.WATERMARK)
    FORGET = userstate.TimerSpec("forget", beam.TimeDomain.WATERMARK)

    def __init__(self, compare: Compare, remember_s: float) -> None:
        self._compare, self._remember_us = compare, round(remember_s * 1_000_000)
        self._dropped = Metrics.counter("suspected", "revised_while_held")

    def setup(self) -> None:
        self._compare.setup()

    def process(
        self,
        element: OfStretch,
        at: Timestamp = beam.DoFn.TimestampParam,
        watch: Any = beam.DoFn.StateParam(WATCH),  # noqa: ANN401, B008
        reads: Any = beam.DoFn.StateParam(READS),  # noqa: ANN401, B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: ANN401, B008
        look: Any = beam.DoFn.TimerParam(LOOK),  # noqa: ANN401, B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: ANN401, B008
    ) -> Iterator[Passage | TaggedOutput]:
        (stretch, news), rules = element, self._compare.rules
        if news.reads:
            reads.add(UnmatchedReads(news.reads))
            _set(look, holding.look_us(at.micros, rules))
            return
        heard = holding.hear(watch.read() or Watch(), news)
        self._dropped.inc(heard.dropped)
        released = self._released(heard.watch, 0, reads, rules)  # what waits for nothing
        self._keep(released.watch, stretch, at, watch, forget, rules)
        _wait(released.watch, due, rules)
        yield from self._go_on(released)

    @userstate.on_timer(DUE)
    def let_go(
        self,
        stretch: str = beam.DoFn.KeyParam,
        at: Timestamp = beam.DoFn.TimestampParam,
        watch: Any = beam.DoFn.StateParam(WATCH),  # noqa: ANN401, B008
        reads: Any = beam.DoFn.StateParam(READS),  # noqa: ANN401, B008
        due: Any = beam.DoFn.TimerParam(DUE),  # noqa: ANN401, B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: ANN401, B008
    ) -> Iterator[Passage | TaggedOutput]:
        rules = self._compare.rules
        released = self._released(watch.read() or Watch(), at.micros, reads, rules)
        self._keep(released.watch, stretch, at, watch, forget, rules)
        _wait(released.watch, due, rules)
        yield from self._go_on(released)

    def _keep(self, known: Watch, stretch: str, at: Timestamp, watch: Any, forget: Any, rules: Rules) -> None:  # noqa: ANN401
        known = holding.remembered(known, stretch, at.micros, self._remember_us, rules)
        watch.write(known)
        _set(forget, known.until_us)

    def _released(self, known: Watch, now_us: int, reads: Any, rules: Rules) -> Step:  # noqa: ANN401
        return holding.release(known, _all(known, reads), now_us, rules, self._compare.pseudonyms)

    def _go_on(self, step: Step) -> Iterator[Passage | TaggedOutput]:
        yield from (TaggedOutput("alarms", alarm) for alarm in step.alarms)
        yield from step.suspected

    @userstate.on_timer(LOOK)
    def look_at_reads(
        self,
        stretch: str = beam.DoFn.KeyParam,
        at: Timestamp = beam.DoFn.TimestampParam,
        watch: Any = beam.DoFn.StateParam(WATCH),  # noqa: ANN401, B008
        reads: Any = beam.DoFn.StateParam(READS),  # noqa: ANN401, B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: ANN401, B008
    ) -> Iterator[Passage | TaggedOutput]:
        rules = self._compare.rules
        looked = self._looked(watch.read() or Watch(), stretch, reads, rules)
        self._keep(looked.watch, stretch, at, watch, forget, rules)
        yield from self._go_on(looked)

    def _looked(self, known: Watch, stretch: str, reads: Any, rules: Rules) -> Step:  # noqa: ANN401
        return holding.look(known, stretch, _all(known, reads), rules, self._compare.pseudonyms)

    @userstate.on_timer(FORGET)
    def forget(
        self,
        stretch: str = beam.DoFn.KeyParam,
        watch: Any = beam.DoFn.StateParam(WATCH),  # noqa: ANN401, B008
        reads: Any = beam.DoFn.StateParam(READS),  # noqa: ANN401, B008
    ) -> Iterator[Passage | TaggedOutput]:
        known, rules = watch.read() or Watch(), self._compare.rules
        if holding.next_due_us(known, rules) is None:  # what is held is never forgotten
            yield from self._go_on(self._looked(known, stretch, reads, rules))  # this may come before the look's timer
            watch.clear()
            reads.clear()


def _all(known: Watch, reads: Any) -> Iterator[Unmatched]:  # noqa: ANN401 (Beam's state)
    """All unmatched reads of a stretch, with those that an earlier release kept; nothing is read before it is asked."""
    yield from known.reads
    for batch in reads.read():
        yield from batch.reads


def _wait(known: Watch, due: Any, rules: Rules) -> None:  # noqa: ANN401 (Beam's timer)
    next_us = holding.next_due_us(known, rules)
    if next_us is not None:
        _set(due, next_us)


def _set(timer: Any, at_us: int) -> None:  # noqa: ANN401 (Beam's timer)
    timer.set(Timestamp(micros=-(-at_us // TIMER_STEP_US) * TIMER_STEP_US))
