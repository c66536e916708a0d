"""The command line: what it refuses, in one line before anything starts, and what it writes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from generator.cli import main
from generator.config import FAULTS, Form, GeneratorError, parse_coordinates, parse_faults

ROOT = Path(__file__).parent.parent
SECTIONS = str(ROOT / "templates" / "sections.yaml")
LINE = ["--format", "edem", "--initial_coordinates", "(40.76,-73.97)", "--final_coordinates", "(40.75,-73.98)"]


def refused(capsys, *words):
    """The one line that a mistake gives."""
    try:
        code = main([str(word) for word in words])
    except SystemExit as end:
        code = end.code
    error = capsys.readouterr().err
    assert code == 2, error
    assert error.count("\n") == 1, error
    return error


@pytest.mark.parametrize(
    ("text", "expected"),
    [("(40.76,-73.97)", (40.76, -73.97)), ("40.76, -73.97", (40.76, -73.97)), (" ( 40 , -73 ) ", (40.0, -73.0))],
)
def test_coordinates_are_read(text, expected):
    assert parse_coordinates(text, "--initial_coordinates") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "(40.76)",
        "(40.76,-73.97",
        "(1,2,3)",
        "(nan,1)",
        "(1e999,0)",
        "(95.0,-73.97)",
        "(40.76,-190)",
        "__import__('os').system('touch owned')",
        "(40.76,__import__('os').getpid())",
        "(40+1,-73)",
        "[40.76,-73.97]",
    ],
)
def test_coordinates_with_anything_else_in_them_are_refused(text):
    with pytest.raises(GeneratorError, match="--final_coordinates: found"):
        parse_coordinates(text, "--final_coordinates")


def test_faults_by_name_by_rate_all_and_none():
    assert parse_faults("all") == FAULTS
    assert parse_faults("none") == {}
    assert parse_faults("misreads, lateness=0.5") == {"misreads": FAULTS["misreads"], "lateness": 0.5}
    assert set(parse_faults("all", Form.EDEM)) == {"missing_pictures", "malformed"}


@pytest.mark.parametrize(
    "text", ["typos", "misreads=", "misreads=2", "misreads=-0.1", "misreads=nan", "misreads=x", ""]
)
def test_a_bad_fault_is_one_line_that_says_what_is_allowed(text, capsys, tmp_path):
    error = refused(capsys, "--sections", SECTIONS, "--output", tmp_path / "a.ndjson", "--faults", text)
    assert "--faults" in error
    assert "allowed" in error


def test_a_fault_that_edem_s_messages_cannot_carry_is_refused(capsys, tmp_path):
    error = refused(capsys, *LINE, "--output", tmp_path / "a.ndjson", "--faults", "misreads")
    assert "missing_pictures, malformed" in error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--output", "a.ndjson"], "--sections: needed"),
        (["--sections", SECTIONS], "exactly one of them"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--topic_name", "t"], "exactly one of them"),
        (["--sections", SECTIONS, "--output", "a.csv"], ".ndjson.gz"),
        (["--sections", "no-such-file.yaml", "--output", "a.ndjson"], "cannot read no-such-file.yaml"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--vehicles", "0"], "--vehicles: found 0"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--vehicles", "many"], "invalid int value"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--clock_shift", "FIRST-26,-2"], "CAMERA,SECONDS,AFTER"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--clock_shift", "FIRST-26,-2,-1"], "CAMERA,SECONDS,AFTER"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--clock_shift", "NONE,-2,0"], "found camera 'NONE'"),
        ([*LINE, "--output", "a.ndjson", "--clock_shift", "A,-2,0"], "tell no time"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--rate", "-1"], "--rate: found -1"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--rate", "nan"], "--rate: found nan"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--speeders", "12"], "--speeders: found 12"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--batch", "0"], "--batch: found 0"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--start_time", "noon"], "--start_time: found 'noon'"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--start_time", "2026-03-02T13:00"], "with a zone"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--pictures", "all"], "no place for them"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--cars_dir", "cars"], "--format edem only"),
        (["--sections", SECTIONS, "--topic_name", "no spaces please"], "--topic_name: found"),
        (["--format", "edem", "--output", "a.ndjson"], "--initial_coordinates: needed"),
        ([*LINE, "--output", "a.ndjson", "--limit", "25"], "--limit: found '25'"),
        (["--sections", SECTIONS, "--output", "a.ndjson", "--colour", "red"], "unrecognized arguments"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(words, told, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert told in refused(capsys, *words)
    assert list(tmp_path.iterdir()) == []


def test_a_short_topic_needs_a_project(capsys, monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    assert "--project_id: needed" in refused(capsys, "--sections", SECTIONS, "--topic_name", "sightings")


def test_a_section_file_s_mistake_names_the_file_and_the_field(capsys, tmp_path):
    (tmp_path / "s.yaml").write_text(Path(SECTIONS).read_text().replace("500.5", "-500.5", 1))
    error = refused(capsys, "--sections", tmp_path / "s.yaml", "--output", tmp_path / "a.ndjson")
    assert "s.yaml: section first-20-26: length_m" in error


@pytest.mark.parametrize("truth", ["a.ndjson", "./a.ndjson", "folder/../a.ndjson", "link/a.ndjson", "other.ndjson"])
def test_the_truth_is_not_written_over_the_traffic(truth, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("link").symlink_to(tmp_path)
    Path("a.ndjson").write_text("kept")
    Path("other.ndjson").hardlink_to("a.ndjson")
    error = refused(capsys, "--sections", SECTIONS, "--output", "a.ndjson", "--truth", truth)
    assert f"--truth: found {Path(truth)}, which is the file of --output too" in error
    assert Path("a.ndjson").read_text() == "kept"


@pytest.mark.parametrize("option", ["--output", "--truth"])
def test_a_place_that_cannot_be_written_is_one_line(option, capsys, tmp_path):
    (tmp_path / "file").write_text("")
    places = {"--output": tmp_path / "a.ndjson", "--truth": tmp_path / "t.ndjson"}
    places[option] = tmp_path / "file" / "a.ndjson"
    words = [word for pair in places.items() for word in pair]
    assert f"{option}: cannot write" in refused(capsys, "--sections", SECTIONS, *words)


def test_a_run_writes_sightings_and_truth(tmp_path, capsys):
    out, truth = tmp_path / "new" / "a.ndjson", tmp_path / "new" / "t.ndjson"
    words = ["--sections", SECTIONS, "--vehicles", "50", "--faults", "all", "--output", str(out), "--truth", str(truth)]
    assert main(words) == 0
    summary = json.loads(truth.read_text().splitlines()[-1])
    assert summary["kind"] == "summary"
    assert len(out.read_bytes().splitlines()) == summary["sightings"] + summary["malformed"]
    assert "50 vehicles" in capsys.readouterr().err


def test_the_start_time_dates_the_sightings(tmp_path):
    words = ["--sections", SECTIONS, "--vehicles", "5", "--output", str(tmp_path / "a.ndjson")]
    assert main([*words, "--start_time", "2025-06-01T08:00:00+02:00"]) == 0
    assert json.loads((tmp_path / "a.ndjson").read_text().splitlines()[0])["timestamp"].startswith("2025-06-01T06:00")


def test_help_names_every_fault_and_both_commands():
    words = [sys.executable, "-m", "generator", "--help"]
    text = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(name in text for name in FAULTS)
    assert "python -m generator score" in text


def test_signals_stop_a_run_and_are_given_back():
    from generator.terminal import interruptible

    before = signal.getsignal(signal.SIGINT)
    with interruptible() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(1)
    assert signal.getsignal(signal.SIGINT) is before
