"""Session windows on a stream: on time, out of order, late, twice; and the same sessions as the files give."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from msgspec.structs import replace

from pipeline import notices, options
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.intake import Batch, Intake, Located
from pipeline.enforcement.limits import Limits
from pipeline.enforcement.model import Message, Outcome, Passage, Passages, Reason, Sighting
from pipeline.enforcement.policy import is_suspected
from pipeline.enforcement.privacy import IN_CLEAR
from pipeline.enforcement.records import Fine, PassageRecord, PassageRecords, Rejected, passage_records
from pipeline.enforcement.sections import Network, Section
from pipeline.enforcement.times import rfc3339
from pipeline.options import Settings
from pipeline.transforms.coders import StructCoder
from pipeline.transforms.intake import DecodeSightings
from pipeline.transforms.outputs import log_rejected
from pipeline.transforms.sessions import GroupSessions, MeasurePassages

TestStream.__test__ = False  # a class of Beam, not a test

T0_S = 1_776_000_000
SECTION = Section("s", 40.0, cameras=("G0", "G1"), length_m=(400.0,))  # 36 s at the limit
NETWORK = Network({"G0": (40.0, -73.0), "G1": (40.0, -73.1)}, {"s": SECTION}, {"G0": ("s",), "G1": ("s",)})
CHAIN = Network(
    NETWORK.cameras | {"G2": (40.0, -73.2)},
    {
        "s": SECTION,
        "t": Section("t", 40.0, cameras=("G1", "G2"), length_m=(300.0,)),
        "u": Section("u", 40.0, cameras=("G0", "G2"), length_m=(700.0,)),
    },
    {"G0": ("s", "u"), "G1": ("s", "t"), "G2": ("t", "u")},
)
GAP_S = 60.0

noted: list[object] = []


def note(element: object) -> None:
    """The runner works in this process, so what it saw can be looked at afterwards."""
    noted.append(element)


def seen(camera: int, at_s: float, vehicle_id: str = "A", event_id: str | None = None) -> Sighting:
    time_us = T0_S * 1_000_000 + round(at_s * 1_000_000)
    return Sighting(event_id or f"{vehicle_id} {camera}@{time_us}", vehicle_id, time_us, camera_id=f"G{camera}")


def batch(*sightings: Sighting, network: Network = NETWORK) -> Batch:
    return Batch(tuple(Located(sighting, network.by_camera[sighting.camera_id or ""]) for sighting in sightings))


def settings(
    *, streaming: bool = True, gap_s: float = GAP_S, lateness: str = "1h", network: Network = NETWORK
) -> Settings:
    argv = (
        "--input_subscription=sights --output_topic=fines --radar_id=s --project_id=project-1 --ocr=none --privacy=off"
    )
    made = options.check(options.parse([*argv.split(), f"--allowed_lateness={lateness}"]))
    intake = Intake(network, max_age_us=round(made.allowed_lateness_s * 1e6))
    policies = dict.fromkeys(network.sections, made.policies["s"])
    return made._replace(network=network, policies=policies, session_gap_s=gap_s, streaming=streaming, intake=intake)


def changes_of(batches: beam.PCollection, found: Settings) -> None:
    measured = batches | GroupSessions(found) | MeasurePassages(found)
    _ = measured | "All" >> beam.Flatten() | beam.Map(note)


def passed_on() -> list[Passage]:
    """Every revision of every passage, in the order in which they came."""
    batches = [element.passages if isinstance(element, Passages) else (element,) for element in noted]
    return [element for batch in batches for element in batch if isinstance(element, Passage)]


def withdrawn() -> list[tuple[str, int]]:
    """Passage and revision of every case that was taken back."""
    return [(element.passage_id, element.revision) for element in noted if isinstance(element, Fine)]


class Stream:
    """Batches arrive, the watermark advances; `changes` runs it all and gives what was passed on."""

    def __init__(self) -> None:
        self._stream = TestStream(coder=StructCoder(Batch))

    def arrive(self, *sightings: Sighting) -> "Stream":
        first = min(sighting.time_us for sighting in sightings)
        arrived = batch(*sightings, network=CHAIN)
        self._stream = self._stream.add_elements([TimestampedValue(arrived, Timestamp(micros=first))])
        return self

    def watermark(self, at_s: float) -> "Stream":
        self._stream = self._stream.advance_watermark_to(Timestamp(micros=round((T0_S + at_s) * 1e6)))
        return self

    def changes(self, found: Settings | None = None) -> list[Passage]:
        noted.clear()
        streaming = PipelineOptions([])
        streaming.view_as(StandardOptions).streaming = True
        with beam.Pipeline(runner=BundleBasedDirectRunner(), options=streaming) as pipeline:
            arrived = pipeline | self._stream.advance_watermark_to_infinity()
            arrived.element_type = Batch
            changes_of(arrived, found or settings())
        return passed_on()


def bounded(sightings: Iterable[Sighting], found: Settings) -> list[PassageRecord | Passage]:
    """Records of what is settled, and suspected passages."""
    noted.clear()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        batches = pipeline | beam.Create([batch(*sightings, network=found.network)]).with_output_types(Batch)
        changes_of(batches, found._replace(streaming=False))
    settled = [record for element in noted if isinstance(element, PassageRecords) for record in element.records]
    return sorted([*settled, *passed_on()], key=str)


def as_stored(changes: Iterable[Passage]) -> list[PassageRecord | Passage]:
    """The same of a stream."""
    parted = [passage_records([one], IN_CLEAR)[0] if one.outcome else one for one in changes]
    return sorted(parted, key=str)


def brief(changes: Iterable[Passage]) -> list[tuple[int, float | None, Outcome | None]]:
    return [(change.revision, change.travel_time_s, change.outcome) for change in changes]


def key(passage: Passage) -> tuple[str, int, str]:
    return passage.vehicle_id, passage.first_us, passage.passage_id


def final(changes: Iterable[Passage]) -> list[Passage]:
    """The latest revision of every passage that still stands."""
    states = {change.passage_id: change for change in sorted(changes, key=lambda one: one.revision)}
    return sorted((found for found in states.values() if Reason.SUPERSEDED not in found.reasons), key=key)


def test_on_time_is_one_first_revision():
    assert brief(Stream().arrive(seen(0, 0)).arrive(seen(1, 40)).changes()) == [(1, 40.0, Outcome.CLEAR)]


def test_order_of_arrival_does_not_matter():
    found = Stream().arrive(seen(1, 90)).arrive(seen(0, 50)).arrive(seen(1, 40)).arrive(seen(0, 0)).changes()
    assert sorted(brief(found)) == [(1, 40.0, Outcome.CLEAR), (1, 40.0, Outcome.CLEAR)]


def test_session_fires_once_the_watermark_passes_its_end():
    found = Stream().arrive(seen(0, 0), seen(1, 40)).watermark(40 + GAP_S).arrive(seen(0, 0, "B")).changes()
    assert [change.vehicle_id for change in found] == ["A", "B"]


def test_duplicates_pass_nothing_on():
    found = Stream().arrive(seen(0, 0), seen(0, 0)).arrive(seen(1, 40)).watermark(200).arrive(seen(1, 40)).changes()
    assert brief(found) == [(1, 40.0, Outcome.CLEAR)]


def test_late_exit_is_the_second_revision():
    found = Stream().arrive(seen(0, 0)).watermark(200).arrive(seen(1, 40)).changes()
    assert brief(found) == [(1, None, Outcome.UNMEASURABLE), (2, 40.0, Outcome.CLEAR)]
    assert len({change.passage_id for change in found}) == 1


def test_late_exit_clears_and_withdraws():
    found = Stream().arrive(seen(0, 0), seen(1, 20)).watermark(200).arrive(seen(1, 45)).changes()
    assert brief(found) == [(1, 20.0, None), (2, 45.0, Outcome.CLEAR)]
    assert withdrawn() == [(found[0].passage_id, 2)]


def test_late_sighting_never_makes_a_second_fine():
    found = Stream().arrive(seen(0, 0), seen(1, 20)).watermark(200).arrive(seen(1, 25)).watermark(300).changes()
    assert [change.reasons for change in found] == [(), (Reason.AMBIGUOUS_PAIRING, Reason.REVISED)]


def test_late_sighting_joins_two_sessions():
    stream = Stream().arrive(seen(0, 0), seen(1, 40)).arrive(seen(0, 120), seen(1, 160)).watermark(400)
    found = stream.arrive(seen(0, 80)).changes()
    assert brief(found)[:2] == [(1, 40.0, Outcome.CLEAR)] * 2
    assert [passage.travel_time_s for passage in final(found)] == [40.0, 80.0]


def test_very_late_sighting_within_lateness_is_whole():
    found = Stream().arrive(seen(0, 0), seen(1, 40)).watermark(3_600).arrive(seen(1, 45)).changes()
    assert brief(found)[-1] == (2, 45.0, Outcome.CLEAR)


def test_sighting_that_lengthens_a_session_that_has_fired():
    """The session fires at 100 s and is then found to end at 120 s."""
    stream = Stream().arrive(seen(0, 40)).watermark(100).arrive(seen(1, 60)).watermark(150)
    # This runner then ends with a complaint: it never releases the watermark it holds for such a session.
    with pytest.raises(TypeError, match="exceptions must derive"):
        stream.changes()
    assert brief(passed_on()) == [(1, None, Outcome.UNMEASURABLE), (2, 20.0, None)]


def test_memory_of_a_later_session_outlives_an_earlier_late_one():
    """What is remembered is kept as long as the newest session may still change, else a fine is issued twice."""
    stream = Stream().arrive(seen(0, 3_000), seen(1, 3_020)).watermark(3_200)
    stream = stream.arrive(seen(0, 0), seen(1, 40))  # late, and much earlier
    stream = stream.watermark(4_500)  # the memory of the earlier one ends
    found = stream.arrive(seen(1, 3_024)).watermark(9_000).changes()
    suspected = [change for change in found if is_suspected(change)]
    assert [passage.revision for passage in suspected] == [1, 2]
    assert [bool(passage.reasons) for passage in suspected] == [False, True]


def test_chain_driven_too_fast_is_one_case_and_tells_the_others():
    drive = [seen(0, 0), seen(1, 20), seen(2, 45)]
    found = settings(network=CHAIN)
    changes = Stream().arrive(*drive).changes(found)
    (suspected,) = [change for change in changes if is_suspected(change)]
    assert (suspected.section_id, [leg.section_id for leg in suspected.trip]) == ("s", ["u", "t"])
    assert as_stored(changes) == bounded(drive, found)


def test_plate_at_two_places_raises_an_alarm_and_is_for_a_person():
    """Twenty-five kilometres in 50 s."""
    (entry, leaving), away = (seen(0, 0), seen(1, 20)), seen(2, 70)
    near = {"G0": (40.0, -73.0), "G1": (40.003, -73.0), "G2": (40.3, -73.0)}
    drive = [replace(one, location=near[one.camera_id or ""]) for one in (entry, leaving, away)]
    found = settings(network=CHAIN)
    changes = Stream().arrive(*drive).changes(found)
    (alarm,) = [element for element in noted if isinstance(element, Alarm)]
    (suspected,) = [change for change in changes if is_suspected(change)]
    assert suspected.reasons == (Reason.SEEN_ELSEWHERE,)
    assert ([one.camera_id for one in alarm.seen], alarm.passage_ids) == (["G1", "G2"], (suspected.passage_id,))
    assert as_stored(changes) == bounded(drive, found)
    assert [element for element in noted if isinstance(element, Alarm)] == [alarm]


def test_plate_at_two_places_in_two_sessions_is_for_a_person_both_times():
    """Thirty kilometres between two drives, and a hundred seconds: the first one has gone out already."""
    near = {"G0": (40.0, -73.0), "G1": (40.003, -73.0)}
    first, second = (
        [replace(one, location=near[one.camera_id or ""], image_url=f"gs://b/{one.event_id}") for one in drive]
        for drive in ((seen(0, 0), seen(1, 20)), (seen(0, 120), seen(1, 140)))
    )
    second = [replace(one, location=(40.3, -73.0)) for one in second]
    found = settings()
    changes = Stream().arrive(*first).watermark(90).arrive(*second).changes(found)
    assert [(one.revision, one.reasons) for one in changes] == [
        (1, ()),
        (1, (Reason.SEEN_ELSEWHERE,)),
        (2, (Reason.SEEN_ELSEWHERE, Reason.REVISED)),
    ]
    (alarm,) = [element for element in noted if isinstance(element, Alarm)]
    assert [one.camera_id for one in alarm.seen] == ["G1", "G0"]
    assert set(alarm.passage_ids) == {one.passage_id for one in changes}
    bounded([*first, *second], found)
    assert [one.reasons for one in passed_on()] == [(Reason.SEEN_ELSEWHERE,)] * 2
    assert [element for element in noted if isinstance(element, Alarm)] == [alarm]


def test_two_vehicles_do_not_meet():
    found = Stream().arrive(seen(0, 0, "A"), seen(1, 40, "B")).changes()
    assert sorted(brief(found)) == [(1, None, Outcome.UNMEASURABLE)] * 2


@pytest.mark.parametrize(("apart_us", "passages"), [(59_999_999, 1), (60_000_000, 2), (60_000_001, 2)])
def test_exact_gap_is_two_sessions(apart_us, passages):
    sightings = [seen(0, 0), seen(1, apart_us / 1e6)]
    assert sightings[1].time_us - sightings[0].time_us == apart_us
    assert len(Stream().arrive(*sightings).changes()) == passages
    assert len(bounded(sightings, settings())) == passages


@pytest.mark.parametrize("apart_us", [1_000_998, 1_000_999, 1_001_000])
def test_gap_that_is_no_binary_fraction_is_the_same_in_both(apart_us):
    """1.001 s times a million is a little less than 1001000."""
    found = settings(gap_s=1.001)
    sightings = [seen(0, 0), seen(1, apart_us / 1e6)]
    assert (
        len(Stream().arrive(*sightings).changes(found))
        == len(bounded(sightings, found))
        == (1 if apart_us < 1_001_000 else 2)
    )


def traffic(chance: random.Random, vehicles: int = 40, cameras: int = 2) -> Iterator[Sighting]:
    """Small trips on a coarse clock, so that equal times, exact gaps and doubles are common."""
    for number in range(vehicles):
        for _ in range(chance.randint(1, 7)):
            yield seen(
                chance.randrange(cameras), chance.choice([0, 20, 36, 40, 60, 80, 96, 100, 120, 160, 180]), f"V{number}"
            )


NETWORKS = pytest.mark.parametrize("network", [NETWORK, CHAIN], ids=["section", "chain"])


@NETWORKS
@pytest.mark.parametrize("seed", range(3))
def test_windows_and_files_give_identical_passages(seed, network):
    chance = random.Random(seed)
    sightings = list(traffic(chance, cameras=len(network.cameras)))
    arrival = chance.sample(sightings, len(sightings))
    stream = Stream()
    for start in range(0, len(arrival), 20):
        stream.arrive(*arrival[start : start + 20])
    found = settings(network=network)
    assert as_stored(stream.changes(found)) == bounded(sightings, found)


@NETWORKS
@pytest.mark.parametrize("seed", range(3))
def test_late_arrivals_end_where_the_files_end(seed, network):
    """The watermark has passed everything before most of it arrives: the last revisions are what a fresh look gives."""
    chance = random.Random(100 + seed)
    sightings = list(traffic(chance, cameras=len(network.cameras)))
    arrival = chance.sample(sightings, len(sightings))
    stream, found = Stream(), settings(network=network)
    for number, start in enumerate(range(0, len(arrival), 15)):
        stream.arrive(*arrival[start : start + 15]).watermark(300 + 10 * number)
    changes = stream.changes(found)
    assert ends(final(changes)) == ends(bounded(sightings, found))
    issuable = [change.passage_id for change in changes if is_suspected(change) and not change.reasons]
    assert len(set(issuable)) == len(issuable)


def ends(found: Iterable[PassageRecord | Passage]) -> list[tuple[str, Outcome | None, float | None]]:
    return sorted(((one.passage_id, one.outcome, one.travel_time_s) for one in found), key=str)


def test_too_late_is_refused_aloud():
    """Beam would drop it in silence; the intake says so first, and the rest of the message goes on."""
    late = b'{"vehicle_id": "L", "camera_id": "G0", "timestamp": %d}' % (T0_S - 3_601)
    timely = b'{"vehicle_id": "T", "camera_id": "G0", "timestamp": %d}' % (T0_S - 3_600)
    noted.clear()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        messages = pipeline | beam.Create([Message(late + b"\n" + timely, "m", T0_S * 1_000_000)])
        decoded = messages | DecodeSightings(settings())
        _ = decoded.located | "Located" >> beam.Map(note)
        _ = decoded.rejected | "Rejected" >> beam.Map(note)
    (refused,) = [found for found in noted if isinstance(found, Rejected)]
    (taken,) = [found for found in noted if isinstance(found, Batch)]
    assert (refused.reason, refused.field) == ("too_late", "timestamp")
    assert [located.sighting.vehicle_id for located in taken.located] == ["T"]


def test_log_of_rejected_messages_names_nobody(caplog):
    """Without a topic they are told in the log: the reason and the field, not the plate that was found there."""
    wrong = Message(
        b'{"vehicle_id": "HTT9066", "camera_id": "G0", "plate": {"text": "HTT9066"}}', "m", T0_S * 1_000_000
    )
    _, refused = Intake(NETWORK).read(wrong, wrong.received_us)
    for one in refused:
        log_rejected(one)
    assert "rejected at decode: invalid_field, field plate" in caplog.text
    assert "HTT9066" not in caplog.text


# --- notices that come while the job runs


class Written(notices.Following):
    """Follows a file that grows by a line after each decision."""

    def __init__(self, path: Path, network: Network, *lines: str) -> None:
        path.write_text("")
        self.source, self._now_s = notices.source(str(path), network, followed=True), 0.0
        super().__init__(self.source, lambda: self._now_s)
        self._path, self._lines_to_come = path, list(lines)

    def by_section(self) -> notices.BySection:
        self._now_s += 10.0
        found = super().by_section()
        with self._path.open("a") as out:
            out.write(self._lines_to_come.pop(0) + "\n")
        return found


def at(seconds: float) -> str:
    return rfc3339(round((T0_S + seconds) * 1e6))


def test_notice_that_comes_while_the_job_runs_counts_for_what_follows(tmp_path, monkeypatch):
    following = Written(
        tmp_path / "notices.ndjson",
        NETWORK,
        f'{{"section_id": "s", "from": "{at(990)}", "limit": "80 km/h"}}',
        f'{{"section_id": "s", "from": "{at(1_990)}", "quarantine": "works"}}',
        "nonsense",
        "",
    )
    monkeypatch.setattr(notices, "follow", lambda _source: following)
    stream = Stream()
    for vehicle, at_s, travel_s in (("A", 0, 30), ("B", 1_000, 30), ("C", 2_000, 10), ("D", 3_000, 10)):
        stream = stream.arrive(seen(0, at_s, vehicle), seen(1, at_s + travel_s, vehicle)).watermark(at_s + 500)
    found = stream.changes(settings()._replace(notices=following.source))
    assert [(one.vehicle_id, one.limit_kmh, one.outcome, one.reasons) for one in found] == [
        ("A", 40.0, None, ()),
        ("B", 80.0, Outcome.CLEAR, ()),
        ("C", 80.0, None, (Reason.QUARANTINED,)),
        ("D", 80.0, None, (Reason.QUARANTINED, Reason.NOTICES_UNREADABLE)),
    ]


def test_repeated_sighting_changes_nothing_while_confirmations_go_on(tmp_path, monkeypatch):
    variable = Network(NETWORK.cameras, {"s": replace(SECTION, limits=Limits(variable=True))}, NETWORK.by_camera)
    confirmed = [f'{{"section_id": "s", "confirmed_until": "{at(hours * 3600)}"}}' for hours in range(9)]
    following = Written(tmp_path / "notices.ndjson", variable, *confirmed)
    following.by_section()
    following.by_section()
    monkeypatch.setattr(notices, "follow", lambda _source: following)
    again = seen(1, 30, event_id="again")
    stream = Stream().arrive(seen(0, 0), seen(1, 30)).watermark(500).arrive(again)
    found = stream.changes(settings()._replace(network=variable, notices=following.source))
    assert len(following._lines_to_come) == 5, "it was looked at twice"
    assert [(one.revision, one.reasons, one.limits.notices.confirmed_until_us) for one in found] == [
        (1, (), seen(1, 30).time_us)
    ]
