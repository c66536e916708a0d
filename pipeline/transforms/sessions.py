"""Group a vehicle's sightings in sessions, measure its passages, number their revisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms import trigger, userstate, window
from apache_beam.utils.timestamp import Duration, Timestamp
from msgspec.structs import replace

from pipeline.enforcement import passages, policy, revisions
from pipeline.enforcement.model import Session, Sighting
from pipeline.enforcement.revisions import Change
from pipeline.enforcement.sections import Network
from pipeline.options import Settings
from pipeline.transforms.coders import StructCoder
from pipeline.transforms.intake import Key

KeyedSightings = tuple[Key, Iterable[Sighting]]


class GroupSessions(beam.PTransform):
    """Sightings of one vehicle in one section, cut where it was not seen for `gap_s`.

    Unbounded input goes through session windows: a session fires when the watermark passes its end, and again, whole,
    for every late sighting. Bounded input is grouped at once and cut in plain code: the same sessions, several times
    faster on one machine.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._gap_s, self._allowed_lateness_s = settings.session_gap_s, settings.allowed_lateness_s
        self._streaming = settings.streaming

    def expand(self, keyed: beam.PCollection[tuple[Key, Sighting]]) -> beam.PCollection[KeyedSightings]:
        """Two sightings exactly one gap apart are two sessions."""
        return self._in_windows(keyed) if self._streaming else self._at_once(keyed)

    def _in_windows(self, keyed: beam.PCollection[tuple[Key, Sighting]]) -> beam.PCollection[KeyedSightings]:
        return (
            keyed
            | "Set event time" >> beam.Map(at_event_time).with_output_types(tuple[Key, Sighting])
            | "Session windows"
            >> beam.WindowInto(
                window.Sessions(self._gap_s),
                trigger=trigger.AfterWatermark(late=trigger.AfterCount(1)),
                accumulation_mode=trigger.AccumulationMode.ACCUMULATING,
                allowed_lateness=Duration(seconds=self._allowed_lateness_s),
            )
            | "Group" >> beam.GroupByKey()
            | "Leave windows" >> beam.WindowInto(window.GlobalWindows())
        )

    def _at_once(self, keyed: beam.PCollection[tuple[Key, Sighting]]) -> beam.PCollection[KeyedSightings]:
        gap_us = round(self._gap_s * 1_000_000)
        return (
            keyed
            | "Group" >> beam.GroupByKey()
            | "Cut at gaps" >> beam.FlatMap(cut, gap_us).with_output_types(KeyedSightings)
        )


def at_event_time(element: tuple[Key, Sighting]) -> window.TimestampedValue:
    """The element at the time its vehicle was seen."""
    return window.TimestampedValue(element, Timestamp(micros=element[1].time_us))


def cut(element: KeyedSightings, gap_us: int) -> Iterator[KeyedSightings]:
    """One element for each session."""
    key, sightings = element
    for session in passages.split_sessions(sightings, gap_us):
        yield key, session


class MeasurePassages(beam.PTransform):
    """Sessions to measured passages, each compared with its limit."""

    def __init__(self, network: Network, tolerance_kmh: float) -> None:
        super().__init__()
        self._network, self._tolerance_kmh = network, tolerance_kmh

    def expand(self, sessions: beam.PCollection[KeyedSightings]) -> beam.PCollection[tuple[Key, Session]]:
        """Measure and decide."""
        return sessions | "Measure and decide" >> beam.Map(
            measure, self._network, self._tolerance_kmh
        ).with_output_types(tuple[Key, Session])


def measure(element: KeyedSightings, network: Network, tolerance_kmh: float) -> tuple[Key, Session]:
    """The session's passages, clear ones and unmeasurable ones with their outcome."""
    (section_id, vehicle_id), sightings = element
    session = passages.measure(network.sections[section_id], vehicle_id, sightings)
    decided = tuple(policy.decide(passage, tolerance_kmh) for passage in session.passages)
    return element[0], replace(session, passages=decided)


class NumberRevisions(beam.PTransform):
    """Pass on what is new or changed. Bounded sessions fire once, so there each passage is its own first revision."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._remember_s = settings.allowed_lateness_s + settings.session_gap_s
        self._streaming = settings.streaming

    def expand(self, sessions: beam.PCollection[tuple[Key, Session]]) -> beam.PCollection[Change]:
        """Compare with what was passed on before."""
        if self._streaming:
            return sessions | "Compare" >> beam.ParDo(_Revise(self._remember_s)).with_output_types(Change)
        return sessions | "Take first" >> beam.FlatMap(first_revisions).with_output_types(Change)


def first_revisions(element: tuple[Key, Session]) -> list[Change]:
    """Every passage of a session that fires once."""
    return [Change(passage) for passage in element[1].passages]


class _Revise(beam.DoFn):
    """Remembers, per vehicle and section, what was passed on, until no late sighting can change it any more."""

    HISTORY = userstate.ReadModifyWriteStateSpec("history", StructCoder(revisions.History))
    FORGET = userstate.TimerSpec("forget", beam.TimeDomain.WATERMARK)

    def __init__(self, remember_s: float) -> None:
        self._remember_s = remember_s
        self._revised = Metrics.counter("passages", "revised")

    def process(
        self,
        element: tuple[Key, Session],
        history: Any = beam.DoFn.StateParam(HISTORY),  # noqa: ANN401, B008
        forget: Any = beam.DoFn.TimerParam(FORGET),  # noqa: ANN401, B008
    ) -> Iterator[Change]:
        session = element[1]
        changes, remembered = revisions.revise(history.read() or (), session)
        history.write(remembered)
        forget.set(Timestamp(micros=session.last_us) + self._remember_s)
        for change in changes:
            if change.passage.revision > 1:
                self._revised.inc()
            yield change

    @userstate.on_timer(FORGET)
    def forget(self, history: Any = beam.DoFn.StateParam(HISTORY)) -> None:  # noqa: ANN401, B008
        history.clear()
