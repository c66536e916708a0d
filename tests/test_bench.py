"""The comparison with peers: what counts, what does not, and how it is told."""

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import __main__ as bench_main
from bench import check, comparison, measured, ocr, oracle, participants, plot, table
from bench.comparison import Result, Row
from bench.measured import Used
from bench.oracle import Passage
from bench.participants import JSON_LOOP, OURS, Participant
from bench.peers import job, sessions
from pipeline.enforcement.sections import parse_network

MACHINE = {"cpu": "CPU", "cores": 2, "python": "3.11.7", "load": 0.25}
GAP_S = job.GAP_S


def written(path: Path, *seen: tuple[str, float, str]) -> Path:
    """A file of sightings: vehicle, second of the hour, camera."""
    rows = [
        {"vehicle_id": vehicle, "timestamp": f"2026-03-02T13:{s // 60:02.0f}:{s % 60:09.6f}Z", "camera_id": camera}
        for vehicle, s, camera in seen
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def travel_times(path: Path, *seen: tuple[str, float, str]) -> list[tuple[str, float]]:
    passages = oracle.expected(written(path, *seen))
    return [(passage.vehicle_id, (passage.exit_us - passage.entry_us) / 1e6) for passage in passages]


# --- the oracle


def test_oracle_measures_from_entry_to_exit_in_any_order(tmp_path):
    source = written(tmp_path / "in", ("B", 70.25, "EXIT"), ("A", 1, "ENTRY"), ("B", 20.25, "ENTRY"))
    (passage,) = oracle.expected(source)
    assert passage == Passage(1_772_456_420_250_000, 1_772_456_470_250_000, "B", pytest.approx(500.5 / 50 * 3.6))


@pytest.mark.parametrize(("away_s", "found"), [(GAP_S - 0.000001, [("A", GAP_S - 0.000001)]), (GAP_S, [])])
def test_oracle_ends_a_session_at_the_exact_gap(tmp_path, away_s, found):
    assert travel_times(tmp_path / "in", ("A", 0, "ENTRY"), ("A", away_s, "EXIT")) == found


def test_oracle_begins_a_session_where_a_vehicle_enters_again(tmp_path):
    trips = [("A", 0, "ENTRY"), ("A", 50, "EXIT"), ("A", 120, "ENTRY"), ("A", 160, "EXIT")]
    assert travel_times(tmp_path / "in", *trips) == [("A", 50), ("A", 40)]


def test_oracle_takes_the_longest_time(tmp_path):
    seen = [("A", 0, "ENTRY"), ("A", 5, "ENTRY"), ("A", 50, "EXIT"), ("A", 60, "EXIT")]
    assert travel_times(tmp_path / "in", *seen) == [("A", 60)]


def test_oracle_measures_nothing_against_the_driving_direction(tmp_path):
    assert travel_times(tmp_path / "in", ("A", 0, "EXIT"), ("A", 50, "ENTRY")) == []


def test_oracle_finds_the_true_passages_of_the_generator(tmp_path):
    truth = tmp_path / "truth.ndjson"
    command = [sys.executable, "-m", "generator", "--sections", str(participants.SECTION), "--vehicles", "1000"]
    source = tmp_path / "in.ndjson"
    used = measured.run([*command, "--output", str(source), "--truth", str(truth)], tmp_path / "log", 60)
    assert used.status == 0
    rows = [row for row in map(json.loads, truth.read_text().splitlines()) if row["kind"] == "passage"]
    true = [
        Passage(oracle.time_us(row["entry_time"]), oracle.time_us(row["exit_time"]), row["vehicle_id"], speed)
        for row in rows
        if (speed := row["avg_speed_kmh"])
    ]
    assert len(true) > 900
    assert oracle.difference(oracle.expected(source), true) is None


def test_section_file_and_bare_job_are_the_same():
    (section,) = parse_network(participants.SECTION.read_text()).sections.values()
    assert section.cameras == (job.ENTRY, job.EXIT)
    assert section.distance_m == job.LENGTH_M


SEEN = st.lists(st.tuples(st.integers(0, 900).map(float), st.sampled_from([job.ENTRY, job.EXIT])), max_size=8)


@given(seen=SEEN.filter(bool))
def test_python_peers_and_oracle_agree(seen, tmp_path_factory):
    source = written(tmp_path_factory.mktemp("agree") / "in", *(("A", *one) for one in seen))
    times = [(row["timestamp"], row["camera_id"]) for row in map(json.loads, source.read_text().splitlines())]
    found = list(sessions.passages([(sessions.datetime.fromisoformat(time), camera) for time, camera in times]))
    these = [
        Passage(oracle.time_us(str(one.entry)), oracle.time_us(str(one.exit)), "A", one.avg_speed) for one in found
    ]
    assert oracle.difference(these, oracle.expected(source)) is None


# --- differences

ONE = Passage(0, 50_000_000, "A", 36.0)
TWO = Passage(9, 60_000_000, "B", 30.0)


def test_order_is_no_difference():
    assert oracle.difference([TWO, ONE], [ONE, TWO]) is None


@pytest.mark.parametrize(
    "other",
    [
        ONE._replace(entry_us=1),
        ONE._replace(exit_us=50_000_001),
        ONE._replace(vehicle_id="C"),
        ONE._replace(avg_speed=36.0001),
        ONE._replace(avg_speed=float("nan")),
    ],
)
def test_other_passage_is_a_difference(other):
    assert oracle.difference([other, TWO], [ONE, TWO]) == "1 of 2 passages differ"


def test_missing_passage_is_a_difference():
    assert oracle.difference([ONE], [ONE, TWO]) == "1 passages, expected 2"


def test_pseudonyms_are_not_compared():
    assert oracle.difference([ONE._replace(vehicle_id="x")], [ONE], pseudonyms=True) is None


@pytest.mark.parametrize(
    "text", ["2026-03-02T13:00:07.5Z", "2026-03-02 13:00:07.5", "2026-03-02T14:00:07.500000+01:00"]
)
def test_times_are_read_as_each_peer_writes_them(text):
    assert oracle.time_us(text) == 1_772_456_407_500_000


# --- a comparison


@pytest.fixture
def small(monkeypatch):
    """A made-up input instead of a generated one."""
    trips = [(vehicle, s, camera) for vehicle in "AB" for s, camera in ((1, "ENTRY"), (51, "EXIT"))]
    monkeypatch.setattr(comparison, "generate", lambda path, _: written(path, *trips))


@pytest.fixture
def lossy(tmp_path):
    """A Python whose peers lose the first line of their output."""
    python = tmp_path / "lossy"
    python.write_text(f'#!/bin/sh\n{sys.executable} "$@" && sed -i 1d "$4"\n')
    python.chmod(0o755)
    return Participant("lossy", "json_loop", python)


def test_peers_that_give_the_same_count(small, tmp_path):
    loops = [one for one in participants.own_and_loops() if one.module]
    result = comparison.compare(loops, tmp_path, 4, repeats=2)
    assert (result.sightings, result.passages, result.sound) == (4, 2, True)
    assert [(row.counts, len(row.started), len(row.worked)) for row in result.rows] == [(True, 2, 2)] * 2
    assert all(used.cpu_s > 0 and used.peak_mb > 1 for row in result.rows for used in row.worked)


def test_peer_whose_output_differs_is_wrong(small, tmp_path, lossy):
    result = comparison.compare([Participant(JSON_LOOP, "json_loop"), lossy], tmp_path / "out", 4, repeats=1)
    assert not result.sound
    assert "wrong: 1 passages, expected 2" in table.table(result, MACHINE)
    assert "lossy" not in plot.svg(result)


def test_peer_that_fails_is_wrong(small, tmp_path):
    false = Participant("false", "json_loop", Path("/bin/false"))
    (row,) = comparison.compare([false], tmp_path, 4, repeats=2).rows
    assert row.wrong == f"exit status 1, see {tmp_path}/json_loop.log"


def test_peer_that_writes_no_passages_is_wrong(tmp_path):
    peer, target = Participant("peer", "json_loop"), tmp_path / "out"
    assert peer.wrong(target, [ONE]) == "0 passages, expected 1"
    assert peer.wrong(target, []) is None
    for text in ("{}", "[]", "oops", '{"vehicle_id": "A", "entry_time": null, "exit_time": "", "avg_speed": 1}'):
        target.write_text(text + "\n")
        assert peer.wrong(target, [ONE]).startswith(f"no passages can be read from {target}")


@pytest.mark.parametrize("wrong", [False, True])
def test_exit_status_tells_whether_all_are_the_same(small, tmp_path, monkeypatch, capsys, lossy, wrong):
    taking_part = [Participant(JSON_LOOP, "json_loop"), Participant("Flink SQL", absent="needs Java")]
    monkeypatch.setattr(participants, "everyone", lambda _: taking_part + [lossy] * wrong)
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "peers", "--repeats", "1", "--out", str(tmp_path / "out")])
    assert bench_main.main() == wrong
    assert "Flink SQL               not run: needs Java" in capsys.readouterr().out
    kept = json.loads((tmp_path / "out" / "peers.json").read_text())["participants"]
    assert kept["Flink SQL"] == {"not_run": "needs Java"}
    assert ("wrong" in kept.get("lossy", {})) == wrong
    assert "<svg" in (tmp_path / "out" / "peers.svg").read_text()


def test_cpu_time_of_an_orphan_counts(tmp_path):
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    leave = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy!r}])"
    assert measured.run([sys.executable, "-c", leave], tmp_path / "log", 30).cpu_s > 0.3


def test_command_that_does_not_end_is_ended(tmp_path):
    used = measured.run(["sleep", "60"], tmp_path / "log", 1)
    assert used.status == -9
    assert used.wall_s < 10


# --- how it is told


def row(name: str, cpu_s: float, start_cpu_s: float) -> Row:
    used = Used(0, cpu_s, cpu_s, 100.0)
    return Row(name, [used._replace(cpu_s=start_cpu_s)], [used])


def result(*rows: Row) -> Result:
    return Result(10_000, 4_900, 1, [row(JSON_LOOP, 2.0, 0.0), *rows])


def test_table_gives_rates_and_ratios():
    told = table.table(result(row(OURS, 5.0, 3.0)), MACHINE).splitlines()
    assert told[2].split() == [
        "this",
        "pipeline",
        "2,000",
        "0.40",
        "5,000",
        "5.00",
        "3.00",
        "5.00",
        "100",
        "the",
        "same",
    ]
    assert len({len(line) for line in told[:3]}) == 1
    assert told[-1] == "CPU, 2 cores, Python 3.11.7, load 0.2"


def test_file_too_small_for_a_rate_without_the_start_has_none():
    small = result(row(OURS, 2.0, 2.5))
    assert table.table(small, MACHINE).splitlines()[2].split()[2:6] == ["5,000", "1.00", "-", "2.00"]
    assert table.as_json(small, MACHINE)["participants"][OURS]["sightings_per_cpu_s_after_start"] is None
    assert len(ET.fromstring(plot.svg(small)).findall(".//{*}g/{*}rect")) == 3


def test_median_counts_in_the_table():
    used = [Used(0, cpu_s, 1.0, 1.0) for cpu_s in (9.0, 1.0, 2.0)]
    assert Row("x", used, used).cpu_s() == 2.0


def test_picture_has_two_bars_to_scale_for_each_participant():
    bars = ET.fromstring(plot.svg(result(row("<&>", 4.0, 3.0)))).findall(".//{*}g/{*}rect")
    lengths = [float(bar.get("width")) for bar in bars]
    assert [length / lengths[0] for length in lengths] == pytest.approx([1, 1, 0.5, 2], abs=0.01)


# --- has it become slower?


@pytest.mark.parametrize(("now", "sound"), [(1.2, True), (1.0, True), (0.85, True), (0.8499, False)])
def test_ratio_may_fall_by_fifteen_per_cent(now, sound):
    verdict = check.verdict(now, 1.0)
    assert verdict.sound is sound
    assert verdict.text.startswith("passed: " if sound else "failed: ")


@pytest.mark.parametrize(("ratio", "status"), [(0.2, 0), (0.171, 0), (0.169, 1)])
def test_check_compares_with_what_is_kept(tmp_path, monkeypatch, ratio, status):
    monkeypatch.setattr(check, "KEPT", tmp_path / "kept.json")
    check.keep(0.2, MACHINE)
    monkeypatch.setattr(check, "measure", lambda _: ratio)
    monkeypatch.setattr(sys, "argv", ["bench", "--check", "--out", str(tmp_path)])
    assert bench_main.main() == status


@pytest.mark.parametrize(("ratios", "status"), [((0.1, 0.19), 0), ((0.1, 0.1, 0.2), 0), ((0.1, 0.16, 0.169), 1)])
def test_slower_is_believed_at_the_third_time(tmp_path, monkeypatch, capsys, ratios, status):
    monkeypatch.setattr(check, "KEPT", tmp_path / "kept.json")
    check.keep(0.2, MACHINE)
    left = iter(ratios)
    monkeypatch.setattr(check, "measure", lambda _: next(left))
    monkeypatch.setattr(sys, "argv", ["bench", "--check", "--out", str(tmp_path)])
    assert bench_main.main() == status
    assert next(left, None) is None
    told = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in told] == [*["once more, failed"] * (len(ratios) - 1), told[-1].split(":")[0]]


def test_ratio_is_of_cpu_seconds_at_the_same_time(small, tmp_path, monkeypatch):
    loop = Participant(JSON_LOOP, "json_loop")
    monkeypatch.setattr(participants, "own_and_loops", lambda: [loop._replace(module="msgspec_loop"), loop, loop])
    assert 0.1 < check.measure(tmp_path / "out") < 10


def test_check_fails_for_wrong_passages(small, tmp_path, monkeypatch, capsys, lossy):
    loop = Participant(JSON_LOOP, "msgspec_loop")
    monkeypatch.setattr(participants, "own_and_loops", lambda: [lossy, loop, loop])
    monkeypatch.setattr(sys, "argv", ["bench", "--check", "--out", str(tmp_path / "out")])
    assert bench_main.main() == 1
    assert "wrong: 1 passages, expected 2" in capsys.readouterr().out


def test_there_is_a_kept_ratio():
    assert 0 < check.kept_ratio() < 10


# --- the reader of plates


def test_reader_is_measured_with_what_it_read():
    result = ocr.measure(3)
    assert result["pictures"] == 3
    assert result["read_exactly"] == 1
    assert result["pictures_per_cpu_s"] > 0
