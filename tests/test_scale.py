"""The traffic of the bench at scale: what its writer counts is what the job finds, and what is measured is told."""

import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from bench import measured, scale, scaled_traffic, watched
from bench.comparison import WrongOutputError
from bench.measured import Used
from bench.scale import Result, Run
from bench.watched import Peak
from pipeline.enforcement import twins
from pipeline.enforcement.model import Sighting
from pipeline.enforcement.sections import parse_network
from pipeline.jobs import main

MACHINE = {"cpu": "CPU", "cores": 2, "python": "3.11.7", "load": 0.25}


@pytest.fixture
def few_trips(monkeypatch):
    """Hours of a hundredth of their traffic, with more of everything that is unusual."""
    monkeypatch.setattr(scaled_traffic, "TRIPS", 160)
    for share in ("TWICE", "REFUSED", "NAMELESS", "VIOLATIONS", "NOT_SEEN"):
        monkeypatch.setattr(scaled_traffic, share, 0.1)


def test_job_counts_what_the_writer_knows(tmp_path, few_trips):
    source, out, sections = tmp_path / "in", tmp_path / "out", tmp_path / "sections.yaml"
    source.mkdir()
    expected = scaled_traffic.write(source, range(30))
    sections.write_text(scaled_traffic.section_file())
    assert [file.name for file in sorted(source.iterdir())] == ["day-0000.parquet", "day-0001.parquet"]
    secret = f"--privacy_secret={tmp_path / 'secret'}"
    assert main([f"--input={source}/*.parquet", f"--output_dir={out}", f"--sections={sections}", secret]) == 0
    assert json.loads((out / "summary.json").read_text()) == expected.summary
    assert expected.rows == expected.summary["sightings_in"]
    usual = ("rejected", "passages_clear", "passages_review", "passages_unmeasurable")
    assert all(expected.summary[name] > 100 for name in usual)


def test_same_seed_gives_the_same_bytes(tmp_path, few_trips):
    files = []
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        (tmp_path / name).mkdir()
        scaled_traffic.write(tmp_path / name, range(1), seed)
        files.append((tmp_path / name / "day-0000.parquet").read_bytes())
    assert files[0] == files[1] != files[2]


def test_each_hour_has_as_many_rows_as_expected_and_a_row_group(tmp_path):
    expected = scaled_traffic.write(tmp_path, scaled_traffic.hours_of(2 * scaled_traffic.rows_per_hour()))
    file = pq.ParquetFile(tmp_path / "day-0000.parquet")
    assert file.num_row_groups == 2
    assert file.metadata.num_rows == expected.rows == pytest.approx(2 * scaled_traffic.rows_per_hour(), rel=0.02)


def test_same_vehicles_come_every_day():
    assert (scaled_traffic._vehicles(3) == scaled_traffic._vehicles(3 + 24)).all()


def test_no_two_plates_of_a_day_are_near_twins():
    """Near twins differ in one character at most: without any one of them all are different still."""
    plates = scaled_traffic._plate_letters(np.arange(scaled_traffic.TRIPS * scaled_traffic.HOURS_PER_DAY))
    assert {twins.skeleton(Sighting("", "", 0, plate=bytes(row).decode())) for row in plates[:1000]} == {
        bytes(row).decode() for row in plates[:1000]
    }
    letters = plates.astype(np.int64) << (8 * np.arange(plates.shape[1]))
    for left_out in range(plates.shape[1]):
        assert len(np.unique(np.delete(letters, left_out, axis=1).sum(axis=1))) == len(plates)


@pytest.mark.parametrize("gates", scaled_traffic.SECTIONS.values())
def test_no_travel_time_lies_at_the_limit(gates):
    """Between the two milliseconds nearest to the limit there is room: no rounding decides a violation."""
    at_limit_ms = Fraction(36_000 * scaled_traffic.shortest_mm(gates), scaled_traffic.LIMIT)
    assert Fraction(1, 50) < at_limit_ms % 1 < Fraction(49, 50)


def test_section_file_says_what_the_writer_computes_with():
    network = parse_network(scaled_traffic.section_file())
    for name, gates in scaled_traffic.SECTIONS.items():
        section = network.sections[name]
        assert section.limit_kmh * 10_000 == pytest.approx(scaled_traffic.LIMIT)
        assert section.distance_m - section.errors.length_m == pytest.approx(scaled_traffic.shortest_mm(gates) / 1000)
        assert section.errors.time_s == pytest.approx(2 * scaled_traffic.CLOCK_MS / 1000)
    assert 1000 * network.session_gap_s() < scaled_traffic.AGAIN_MS


# --- a run


def summary(folder: Path, **counts: int) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "summary.json").write_text(json.dumps(counts))


def test_other_counts_are_wrong(tmp_path):
    summary(tmp_path, passages=7, rejected=1)
    used = Used(0, 1.0, 1.0, 1.0)
    scale._compare(tmp_path, used, {"passages": 7, "rejected": 1})
    with pytest.raises(WrongOutputError, match="rejected 1, expected 2"):
        scale._compare(tmp_path, used, {"passages": 7, "rejected": 2})
    with pytest.raises(WrongOutputError, match="'rejected'"):
        scale._compare(tmp_path, used, {"passages": 7})


def test_run_that_fails_is_wrong_and_leaves_its_log_alone(tmp_path, few_trips, monkeypatch):
    monkeypatch.setattr(scaled_traffic, "section_file", lambda: "no sections")
    with pytest.raises(WrongOutputError, match="exit status 2, see"):
        scale.measure(tmp_path, [1])
    assert sorted(file.name for file in (tmp_path / "1").iterdir()) == ["log", "sections.yaml"]


def test_run_that_ends_well_leaves_nothing(tmp_path, few_trips):
    result = scale.measure(tmp_path, [400])
    assert list(tmp_path.iterdir()) == []
    (run,) = result.runs
    assert run.sightings > 0
    assert run.peak.memory_mb > 100
    assert run.output_mb > 0


def test_large_size_is_several_runs_of_whole_days(tmp_path, few_trips, monkeypatch):
    seen = []
    monkeypatch.setattr(scale, "_measure_part", lambda _, hours: seen.append(hours) or a_run(len(hours), 2.0))
    (run,) = scale.measure(
        tmp_path, [60 * round(scaled_traffic.rows_per_hour())], round(30 * scaled_traffic.rows_per_hour())
    ).runs
    assert seen[1:] == [range(24), range(24, 48), range(48, 60)]
    assert (run.sightings, run.parts, run.used.cpu_s, run.peak.memory_mb) == (60, 3, 6.0, 410.0)


def a_run(sightings: int, cpu_s: float) -> Run:
    return Run(sightings, 4e5, 29.0, 830.0, Used(0, cpu_s, 2 * cpu_s, 400.0), Peak(410.0, 700.0, 830.0, 1200.0))


def test_exponents_with_and_without_the_start():
    result = Result(a_run(1, 5.0), [a_run(1_000_000, 45.0), a_run(10_000_000, 405.0)])
    found = scale.exponents(result)
    assert found["cpu_s_without_start"] == pytest.approx(1.0, abs=1e-5)
    assert found["cpu_s"] == pytest.approx(0.954, abs=0.001)
    assert "exponent of CPU time 0.954, without the first line 1.000" in scale.table(result, MACHINE)


def test_one_size_has_no_exponent():
    result = Result(a_run(1, 5.0), [a_run(1_000_000, 45.0)])
    assert scale.exponents(result)["cpu_s"] is None
    assert "exponent of CPU time -" in scale.table(result, MACHINE)
    assert json.loads(json.dumps(scale.as_json(result)))["runs"][0]["peak_memory_mb"] == 410.0


# --- what is watched


def test_memory_and_files_without_a_name_are_seen(tmp_path):
    work = (
        "import tempfile, time; file = tempfile.TemporaryFile(); file.write(bytes(30_000_000)); file.flush(); "
        "held = bytearray(50_000_000); held[::4096] = b'x' * len(held[::4096]); time.sleep(2.5)"
    )
    (tmp_path / "kept").write_bytes(bytes(8_000_000))
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {work!r}])"
    used, peak = watched.while_running(
        lambda: measured.run([sys.executable, "-c", nested], tmp_path / "log", 30), tmp_path
    )
    assert used.status == 0
    assert peak.memory_mb > 50
    assert peak.temporary_mb >= 30
    assert peak.folder_mb >= 8
    assert peak.disk_mb >= 38
