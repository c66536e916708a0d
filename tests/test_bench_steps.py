"""The measurements of the streaming job's steps, at tiny sizes: what they count must be what they say."""

import io
import json
import sys

import pytest
from apache_beam.io.gcp.pubsub import PubsubMessage

from bench import __main__ as bench_main
from bench import bare, harness, latency, micro, nothing, sdk, sealing, stamped, steps, streamed, streaming, traffic
from bench.harness import Replay
from bench.latency import Latency
from generator.outgoing import Outgoing
from pipeline.enforcement import evidence, passages
from pipeline.enforcement.model import Sighting
from pipeline.enforcement.sections import Section
from pipeline.transforms.sessions import keyed

MACHINE = {"cpu": "CPU", "cores": 2, "python": "3.11.7", "load": 0.25}
SIGHTINGS = 400


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return traffic.settings(tmp_path_factory.mktemp("settings"))


@pytest.fixture(scope="module")
def found():
    return traffic.traffic(SIGHTINGS)


@pytest.fixture(scope="module")
def n_keyed(settings, found):
    return sum(1 for message in found.messages for _ in keyed(settings.intake.read(message, message.received_us)[0]))


def stages(pipeline, runner):
    return {name: stage for stage in harness.run(pipeline, runner) for name in stage.steps}


@pytest.fixture(scope="module")
def job(settings, found):
    runner = harness.RecordingRunner()
    return stages(streamed.pipeline(settings, streamed.from_memory(found.encoded), runner), runner)


@pytest.fixture(scope="module")
def idle(settings, found):
    nothing.make_ready(found.messages, settings)
    runner = harness.RecordingRunner()
    return stages(nothing.pipeline(settings, found.encoded, runner, (300, 200)), runner)


def test_pubsub_gives_back_what_was_encoded(found):
    for message, encoded in zip(found.messages, found.encoded, strict=True):
        unpacked = streamed.unpack(encoded)
        assert (unpacked.data, unpacked.message_id) == (message.data, message.message_id)
        assert round(unpacked.publish_time.timestamp() * 1e6) == message.received_us


def test_replayed_input_is_keyed_as_the_job_keys_it(job, n_keyed):
    replayed = harness.replay(job["Group sessions/Key by vehicle"], 2)
    assert replayed.out["Group sessions/Group/Write"].elements == n_keyed
    assert all(cpu_s > 0 for cpu_s in replayed.cpu_s)


def test_bundles_are_as_many_as_elements_need(job):
    stage = job["Group sessions/Group/Read"]
    data, timers = stage.inputs
    replayed = harness.replay(stage, 100)
    assert len(replayed.cpu_s) == sum(-(-len(given.elements) // 100) for given in (data, timers))
    assert replayed.keys == len(timers.elements)  # one for each vehicle in a section, whatever its sessions
    assert replayed.state_bytes > replayed.keys * 100


def test_replaying_again_gives_the_same(job):
    stage = job["Group sessions/Group/Read"]
    assert harness.replay(stage, 100)[1:] == harness.replay(stage, 100)[1:]


def test_graph_that_does_nothing_has_the_same_shape(job, idle, n_keyed):
    assert harness.replay(idle["Key"], 2).out["Group/Write"].elements == n_keyed
    sessions, same = job["Group sessions/Group/Read"], idle["Group/Read"]
    assert [len(given.elements) for given in same.inputs] == [len(given.elements) for given in sessions.inputs]
    ours, theirs = harness.replay(sessions, 100), harness.replay(same, 100)
    assert (theirs.keys, len(theirs.cpu_s)) == (ours.keys, len(ours.cpu_s))
    assert theirs.out[harness.TIMERS].elements == ours.out[harness.TIMERS].elements
    assert theirs.state_bytes == pytest.approx(300 * theirs.keys, rel=0.05)  # and the length before it


def test_burst_in_one_round_does_not_count():
    rounds = [Replay([1.0, 2.0], {}, 0, 0), Replay([9.0, 2.0], {}, 0, 0), Replay([1.0, 9.0], {}, 0, 0)]
    assert harness.cpu_s(rounds) == 3.0


def test_worker_costs_are_told(tmp_path, settings):
    told = sdk.measure(tmp_path, SIGHTINGS, 1, traffic.SECTIONS)
    cpu = told["cpu_us_per_sighting"]
    assert cpu["all"]["ours"] == pytest.approx(cpu["input"]["ours"] + cpu["sessions"]["ours"])
    assert cpu["input"]["ours"] == pytest.approx(cpu["input"]["job"] - cpu["input"]["nothing"])
    assert told["cases"] > 0
    assert told["comparing_us_per_sighting"] > 0
    assert told["shuffles"]["sightings"]["elements_per_sighting"] <= 1  # whatever the number of its sections
    assert "ours" in sdk.table(told, MACHINE)


def test_each_step_is_timed_alone(tmp_path):
    rows = micro.measure(tmp_path, SIGHTINGS, 1)
    assert [row.step for row in rows] == [
        "json.loads, to compare",
        "decode",
        "locate",
        "decode and locate",
        "key",
        "encode for the shuffle",
        "group",
        "measure",
        "decide",
        "measure, decide and revise",
        "encode passages",
        "judge",
    ]
    assert all(row.function_us or row.dofn_us for row in rows)
    assert rows[-1].each == "fine"
    assert len(micro.table(rows, MACHINE).splitlines()) == len(rows) + 2


def test_steps_are_printed_and_kept(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(steps, "MICRO_SIGHTINGS", SIGHTINGS)
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "micro", "--repeats", "1", "--out", str(tmp_path)])
    assert bench_main.main() == 0
    assert "decide, a sighting" in capsys.readouterr().out
    assert json.loads((tmp_path / "steps" / "micro.json").read_text())["micro"][1]["step"] == "decode"


def test_packets_are_timed_by_the_size_of_their_pictures():
    small, large = sealing.measure(((64, 48), (640, 480)), rounds=1)
    assert small.picture_mb < large.picture_mb
    assert small.seal_ms > 0
    assert len(sealing.table([small, large], MACHINE).splitlines()) == 4


# --- the bare graph


def test_bare_graph_decodes_keys_and_dates():
    line = {"camera_id": "A0", "vehicle_id": "V", "timestamp": "2026-03-02T13:00:07.500000Z"}
    data = json.dumps(line).encode() * 1 + b"\n" + json.dumps(line | {"camera_id": "B0"}).encode()
    found = list(bare.Decode().process(PubsubMessage(data, {})))
    assert [one.value[0] for one in found] == ["V"] * 2
    assert {one.timestamp.micros for one in found} == {1_772_456_407_500_000}


def test_bare_graph_takes_the_command_line_of_the_job(tmp_path, monkeypatch):
    (tmp_path / "s.yaml").write_text(streaming.city(10))
    run = object.__new__(streaming.Run)
    run._stored, run.resources = False, streaming.Resources.named_after("bench-project")
    argv = run.command(tmp_path, tmp_path / "s.yaml")[3:]
    monkeypatch.setattr(sys, "argv", ["bench.bare", *argv])
    built = []
    monkeypatch.setattr(bare, "build", lambda pipeline, settings: built.append(settings))
    monkeypatch.setattr(bare, "LocalRunner", lambda: "FnApiRunner")
    bare.main()
    assert built[0].session_gap_s == streaming.SESSION_GAP_S
    assert "--dataset" not in argv


# --- from the last sighting to the fine

SECTION = Section("s", 40.0, cameras=("A", "B"), length_m=(400.0,))
EXIT_US = 1_772_456_407_500_000


def case():
    seen = [Sighting(str(n), "V", EXIT_US - (20 - 20 * n) * 1_000_000, camera_id="AB"[n]) for n in range(2)]
    (passage,) = passages.measure(SECTION, "V", seen).passages
    return evidence.case_of(passage)


def fine_of(revision=1):
    return {
        "fine_id": "f",
        "passage_id": "p",
        "revision": revision,
        "vehicle_id": "V",
        "exit_time": "2026-03-02T13:00:07.500000Z",
        "evidence": [{"camera_id": "B"}, {"camera_id": "A"}],
    }


def test_gap_and_steps_make_up_the_whole_latency():
    exit_s, gap_s = EXIT_US / 1e6, 2 * streaming.SESSION_GAP_S
    at = {"compared": 1.0, "kept": 1.5, "read": 2.5, "committed": 2.75}
    stamps = {"p": {step: exit_s + gap_s + s for step, s in at.items()}}
    published = {("B", "V", EXIT_US): exit_s + 0.25}
    fined_s = exit_s + gap_s + 3.0
    (one,) = latency.latencies([(fine_of(), fined_s), (fine_of(revision=2), fined_s)], stamps, published)
    assert one == Latency(pytest.approx(gap_s + 2.75), pytest.approx(gap_s - 0.25), one.steps_s)
    assert one.steps_s == pytest.approx((1.0, 0.5, 1.0, 0.25, 0.25), abs=1e-5)
    assert one.all_s == pytest.approx(one.gap_s + sum(one.steps_s), abs=1e-5)


def test_fine_whose_steps_were_not_seen_does_not_count():
    published = {("B", "V", EXIT_US): EXIT_US / 1e6}
    assert latency.latencies([(fine_of(), 1.0)], {"p": {"compared": 1.0}}, published) == []


def test_percentiles_of_all_parts_are_told():
    found = [Latency(15.0 + n, 15.0, (n / 5,) * 5) for n in range(101)]
    told = latency.summary(found)
    assert told["beyond_gap_s"] == {"p50": 50.0, "p95": 95.0, "p99": 99.0}
    assert told["plates_s"]["p50"] == 10.0
    assert len(latency.table([{"rate": 10.0, "fines": 101} | told]).splitlines()) == 10
    assert latency.summary([]) == {}


def test_stamps_are_of_the_steps_that_a_case_passes():
    file = io.StringIO()
    stamps, found = stamped.Stamps(file), case()
    outputs = list(stamps.outputs(lambda passage: [passage, "settled"], "compared")(found.passage))
    stamps.inputs(lambda _self, given: given, "read", 1)(None, found)
    assert outputs == [found.passage, "settled"]
    read = latency.read_stamps(file.getvalue().splitlines())
    assert read.keys() == {found.passage.passage_id}
    assert read[found.passage.passage_id].keys() == {"compared", "read"}


def test_sink_notes_when_each_sighting_was_published_first(monkeypatch):
    monkeypatch.setattr(latency.PubsubSink, "__init__", lambda *_: None)
    monkeypatch.setattr(latency.PubsubSink, "send", lambda *_: None)
    sink = latency.Sink("topic")
    line = b'{"camera_id": "B", "vehicle_id": "V", "timestamp": "2026-03-02T13:00:07.5Z"}'
    sink.send(Outgoing(line, 0, 0, 1, 0, 1))
    (first,) = sink.published_s.items()
    sink.send(Outgoing(line, 0, 0, 1, 0, 1))
    assert sink.published_s == dict([first])
    assert first[0] == ("B", "V", EXIT_US)
