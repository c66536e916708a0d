"""Near twins on a stream and in files: what is held is let go in time, and what is taken back meanwhile never is."""

import random

import apache_beam as beam
import pytest
import test_sessions
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.userstate import StateSpec
from msgspec.structs import replace
from test_sessions import NETWORK, T0_S, Stream, batch, settings

from pipeline.enforcement import evidence
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.holding import Watch
from pipeline.enforcement.intake import Batch
from pipeline.enforcement.model import AlarmKind, Passage, Reason, Sighting
from pipeline.enforcement.records import Fine
from pipeline.enforcement.twins import Unmatched, UnmatchedReads
from pipeline.options import Settings
from pipeline.transforms import twins
from pipeline.transforms.coders import StructCoder
from pipeline.transforms.sessions import GroupSessions, MeasurePassages
from pipeline.transforms.twins import CompareTwins

noted: list[object] = []


def note(element: object) -> None:
    noted.append(element)


def seen(camera: int, at_s: float, plate: str = "HTT9066") -> Sighting:
    return replace(test_sessions.seen(camera, at_s, plate), plate=plate)


def compared(batches: beam.PCollection, found: Settings) -> None:
    measured = batches | GroupSessions(found) | MeasurePassages(found)
    after = measured | CompareTwins(found)
    _ = (*after, measured.withdrawn) | "All compared" >> beam.Flatten() | beam.Map(note)


def on_stream(stream: Stream, found: Settings | None = None) -> None:
    noted.clear()
    streaming = PipelineOptions([])
    streaming.view_as(StandardOptions).streaming = True
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=streaming) as pipeline:
        arrived = pipeline | stream._stream.advance_watermark_to_infinity()
        arrived.element_type = Batch
        compared(arrived, found or settings())


def from_files(*sightings: Sighting) -> None:
    noted.clear()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        batches = pipeline | beam.Create([batch(*sightings, network=NETWORK)]).with_output_types(Batch)
        compared(batches, settings(streaming=False))


def suspected() -> list[Passage]:
    return sorted((one for one in noted if isinstance(one, Passage)), key=str)


def raised() -> list[Alarm]:
    return sorted({one.alarm_id: one for one in noted if isinstance(one, Alarm)}.values(), key=str)


def withdrawn() -> list[Fine]:
    return [one for one in noted if isinstance(one, Fine)]


AT_EXIT = settings()._replace(early_sections=frozenset({"s"}))
VANS = (seen(0, 0), seen(1, 20), seen(0, 2, "HTT9067"))


def test_twin_is_found_in_files():
    from_files(*VANS)
    assert [one.reasons for one in suspected()] == [(Reason.NEAR_TWIN,)]
    assert [alarm.kind for alarm in raised()] == [AlarmKind.NEAR_TWIN]


@pytest.mark.parametrize("arrival", [VANS, VANS[::-1]])
def test_twin_is_found_on_a_stream(arrival):
    stream = Stream()
    for sighting in arrival:
        stream.arrive(sighting)
    on_stream(stream)
    assert [one.reasons for one in suspected()] == [(Reason.NEAR_TWIN,)]
    assert [alarm.kind for alarm in raised()] == [AlarmKind.NEAR_TWIN]


def test_twin_that_comes_out_after_the_session_of_the_case_still_counts():
    """Seen 59 s after it: its session ends when the case's has long ended."""
    on_stream(Stream().arrive(*VANS[:2]).watermark(90).arrive(seen(0, 79, "HTT9067")).watermark(139).watermark(140))
    assert [one.reasons for one in suspected()] == [(Reason.NEAR_TWIN,)]


def test_case_goes_on_after_two_gaps_and_what_comes_then_is_an_alarm():
    on_stream(Stream().arrive(*VANS[:2]).watermark(141).arrive(VANS[2]).watermark(300))
    assert [one.reasons for one in suspected()] == [()]
    assert [alarm.kind for alarm in raised()] == [AlarmKind.NEAR_TWIN]


def test_case_of_a_section_that_decides_at_the_exit_is_not_held():
    """Its twin's session ends at 62 s, after the exit and before two gaps have passed since."""
    on_stream(Stream().arrive(VANS[0]).arrive(VANS[1]).watermark(21).arrive(VANS[2]).watermark(300), AT_EXIT)
    (case,), (alarm,) = suspected(), raised()
    assert case.reasons == ()
    assert (alarm.kind, alarm.passage_ids[0]) == (AlarmKind.NEAR_TWIN, case.passage_id)


def test_twin_that_has_come_out_by_the_exit_sends_the_case_to_a_person_at_once():
    """The twin's session ends at 61 s, and the case's exit is seen at 75 s."""
    twin, entry, leaving = seen(0, 1, "HTT9067"), seen(0, 55), seen(1, 75)
    stream = Stream().arrive(twin).watermark(50).arrive(entry).watermark(62).arrive(leaving).watermark(76)
    on_stream(stream, AT_EXIT)
    assert [(one.reasons, one.revision) for one in suspected()] == [((Reason.NEAR_TWIN,), 1)]
    assert [alarm.kind for alarm in raised()] == [AlarmKind.NEAR_TWIN]


@pytest.mark.timeout(60)
def test_case_is_let_go_by_an_engine_that_counts_milliseconds():
    noted.clear()
    streaming = PipelineOptions([])
    streaming.view_as(StandardOptions).streaming = True
    with beam.Pipeline(runner=FnApiRunner(), options=streaming) as pipeline:
        came = [batch(seen(0, 0), seen(1, 20.000_347), network=NETWORK)]
        compared(pipeline | beam.Create(came).with_output_types(Batch), settings())
    assert [one.travel_time_s for one in suspected()] == [20.000347]


def test_case_that_is_cleared_while_it_is_held_never_goes_on():
    """Its session fires at 80 s, it is held until 140 s, and at 110 s a late exit clears it."""
    on_stream(Stream().arrive(*VANS[:2]).watermark(110).arrive(seen(1, 45)).watermark(300))
    assert suspected() == []
    assert [one.revision for one in withdrawn()] == [2]


def test_case_that_is_cleared_after_it_went_on_is_withdrawn():
    on_stream(Stream().arrive(*VANS[:2]).watermark(200).arrive(seen(1, 45)).watermark(300))
    assert [one.revision for one in suspected()] == [1]
    assert [one.revision for one in withdrawn()] == [2]


def test_all_revisions_of_a_passage_and_its_withdrawal_meet():
    """However late its exit is by then."""
    compare, passage = twins.Compare(settings()), Passage("p", "s", "V", 40.0, T0_S * 10**6 + 123_456, T0_S * 10**6, 2)
    later = replace(passage, last_us=passage.last_us + 3_600_000_000, revision=2)
    keys = {compare.by_first_sighting(one)[0] for one in (passage, later)}
    assert {compare.by_entry_time(evidence.withdraw(later, NETWORK.sections["s"]))[0]} == keys


def test_case_that_changes_while_it_is_held_goes_on_in_its_last_revision_only():
    on_stream(Stream().arrive(*VANS[:2]).watermark(100).arrive(seen(1, 25)).watermark(300))
    assert [(one.revision, one.reasons) for one in suspected()] == [(2, (Reason.AMBIGUOUS_PAIRING, Reason.REVISED))]


def test_pair_is_offered():
    reads = seen(0, 0), seen(1, 20, "HTT9067")
    from_files(*reads)
    bounded = raised()
    on_stream(Stream().arrive(*reads))
    assert [alarm.kind for alarm in bounded] == [AlarmKind.POSSIBLE_PAIR]
    assert raised() == bounded


@pytest.mark.parametrize("seed", range(3))
def test_stream_and_files_compare_alike(seed):
    """Each vehicle comes once, so that all that is unmatched comes out while it may matter."""
    chance = random.Random(seed)
    sightings = []
    for number in range(60):
        plate = f"HTT{chance.choice('90O6')}0{number:02d}"
        at_s = chance.randint(0, 900)
        for camera, takes_s in chance.choice([((0, 0),), ((1, 0),), ((0, 0), (1, 20)), ((0, 0), (1, 30))]):
            sightings.append(seen(camera, at_s + takes_s, plate))
    from_files(*sightings)
    bounded = suspected(), raised()
    assert {alarm.kind for alarm in bounded[1]} >= {AlarmKind.NEAR_TWIN}
    stream = Stream()
    for start_s in range(0, 930, 30):
        now = [one for one in sightings if start_s <= one.time_us / 1e6 - T0_S < start_s + 30]
        if now:
            stream.arrive(*now)
        stream.watermark(start_s + 30)
    on_stream(stream)
    assert (suspected(), raised()) == bounded


def test_state_is_kept_as_records():
    states = [spec for spec in vars(twins._Hold).values() if isinstance(spec, StateSpec)]
    assert [type(spec.coder) for spec in states] == [StructCoder] * 2


def test_reads_that_an_earlier_release_kept_beside_the_cases_still_count():
    class Bag:
        def read(self) -> list[UnmatchedReads]:
            return [UnmatchedReads((newer,))]

    older, newer = (Unmatched("p", "s", seen(1, at_s, "HTT9067"), at_entry=False) for at_s in (25, 26))
    assert list(twins._all(Watch(reads=(older,)), Bag())) == [older, newer]
