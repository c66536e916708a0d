"""Group a vehicle's sightings in sessions, measure its passages, number their revisions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any
from zlib import crc32

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.transforms import trigger, userstate, window
from apache_beam.utils.timestamp import Duration, Timestamp
from msgspec.structs import replace

from pipeline.enforcement import passages, policy, revisions
from pipeline.enforcement.intake import Batch
from pipeline.enforcement.model import Session, Sighting, Sightings
from pipeline.enforcement.revisions import Change
from pipeline.enforcement.sections import Network
from pipeline.options import Settings
from pipeline.transforms.coders import StructCoder

Key = tuple[str, str]  # section_id, vehicle_id
KeyedSightings = tuple[Key, Iterable[Sighting]]
Share = tuple[str, int]  # section_id, number of a share of the vehicles
SHARES = 64  # each is grouped in memory: a share of 100 million sightings is about one gigabyte


class GroupSessions(beam.PTransform):
    """Sightings of one vehicle in one section, cut where it was not seen for the session gap.

    Unbounded input goes through session windows: a session fires when the watermark passes its end, and again, whole,
    for every late sighting. Bounded input is grouped at once and cut in plain code: the same sessions, several times
    faster on one machine.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._gap_s, self._allowed_lateness_s = settings.session_gap_s, settings.allowed_lateness_s
        self._streaming = settings.streaming

    def expand(self, located: beam.PCollection[Batch]) -> beam.PCollection[KeyedSightings]:
        """Two sightings exactly one gap apart are two sessions."""
        return self._in_windows(located) if self._streaming else self._at_once(located)

    def _in_windows(self, located: beam.PCollection[Batch]) -> beam.PCollection[KeyedSightings]:
        return (
            located
            | "Key by vehicle" >> beam.FlatMap(keyed).with_output_types(tuple[Key, Sighting])
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

    def _at_once(self, located: beam.PCollection[Batch]) -> beam.PCollection[KeyedSightings]:
        cut = partial(sessions_of_share, gap_us=round(self._gap_s * 1_000_000))
        return (
            located
            | "Key by share" >> beam.FlatMap(shared_out).with_output_types(tuple[Share, Sightings])
            | "Group" >> beam.GroupByKey()
            | "Cut at gaps" >> beam.FlatMap(cut).with_output_types(KeyedSightings)
        )


def keyed(batch: Batch) -> Iterator[window.TimestampedValue]:
    """((section_id, vehicle_id), sighting) at the time of the sighting, for each section of each sighting."""
    for located in batch.located:
        sighting = located.sighting
        for section_id in located.section_ids:
            yield window.TimestampedValue(
                ((section_id, sighting.vehicle_id), sighting), Timestamp(micros=sighting.time_us)
            )


def shared_out(batch: Batch) -> Iterable[tuple[Share, Sightings]]:
    """The batch's sightings by section and share of the vehicles: few large elements instead of many small ones."""
    shares: defaultdict[Share, list[Sighting]] = defaultdict(list)
    for located in batch.located:
        number = crc32(located.sighting.vehicle_id.encode()) % SHARES
        for section_id in located.section_ids:
            shares[section_id, number].append(located.sighting)
    return [(share, Sightings(tuple(sightings))) for share, sightings in shares.items()]


def sessions_of_share(element: tuple[Share, Iterable[Sightings]], gap_us: int) -> Iterator[KeyedSightings]:
    """The sessions of every vehicle of a share."""
    (section_id, _), blocks = element
    vehicles: defaultdict[str, list[Sighting]] = defaultdict(list)
    for block in blocks:
        for sighting in block.sightings:
            vehicles[sighting.vehicle_id].append(sighting)
    for vehicle_id, sightings in vehicles.items():
        for session in passages.split_sessions(sightings, gap_us):
            yield (section_id, vehicle_id), session


class MeasurePassages(beam.PTransform):
    """Sessions to measured passages, each compared with its limit."""

    def __init__(self, network: Network, tolerance_kmh: float) -> None:
        super().__init__()
        self._network, self._tolerance_kmh = network, tolerance_kmh

    def expand(self, sessions: beam.PCollection[KeyedSightings]) -> beam.PCollection[tuple[Key, Session]]:
        """Measure and decide."""
        fn = partial(measure, network=self._network, tolerance_kmh=self._tolerance_kmh)
        return sessions | "Measure and decide" >> beam.Map(fn).with_output_types(tuple[Key, Session])


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
