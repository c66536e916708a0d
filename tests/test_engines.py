"""The bounded job on engines behind a job server: the same results, and one line for each mistake."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.worker import data_plane
from test_bounded_job import SECRET, SECTIONS, traffic

from engines import comparison, results
from engines.__main__ import generated
from engines.results import Lines
from engines.running import Run
from pipeline import job_server, secret
from pipeline.jobs import main
from pipeline.transforms import sinks

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, SECRET)
    monkeypatch.chdir(tmp_path)
    declared = SECTIONS.replace("]}", "], clock_error_s: 0.001}")
    declared = declared.replace("[400]", "[400], length_error_m: [0]")
    declared = declared.replace("[400, 800]", "[400, 800], length_error_m: [0, 0]")
    Path("sections.yaml").write_text(declared)
    Path("in.ndjson").write_bytes(b"\n".join(traffic()))


def test_every_engine_gives_the_same_and_a_killed_worker_leaves_nothing_wrong():
    """Whole processes, as a user starts them: two worker processes, a job server, and one whose worker is killed."""
    command = [sys.executable, "-m", "engines", "--input=in.ndjson", "--sections=sections.yaml", "--out=out"]
    run = subprocess.run(
        [*command, "--limit_s=60"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    table = [line.split("  ") for line in run.stdout.splitlines()]
    assert run.returncode == 0, run.stdout + run.stderr
    assert [row[0] for row in table[1:]] == [
        "one process",
        "two processes",
        "job server",
        comparison.KILLED.format(comparison.JOB_SERVER),
        comparison.AGAIN.format(comparison.JOB_SERVER),
        "passed: every engine gave the same results",
    ]
    assert [row[-1] for row in (*table[1:4], table[5])] == ["yes"] * 4
    assert results.read(Path("out/job_server"))["passages"].n > 100


def test_sightings_are_generated_where_none_are_given(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    first = generated(tmp_path, 60, 1)
    assert len(first.read_bytes().splitlines()) > 20
    written = first.stat().st_mtime_ns
    assert generated(tmp_path, 60, 1).stat().st_mtime_ns == written, "once generated, it serves again"


# --- what the comparison finds

WHOLE = {kind: Lines(3, 7) for kind in results.KINDS}
NOTHING = {kind: Lines(0, 0) for kind in results.KINDS}


def write(folder: str, *lines: str) -> Path:
    path = Path(folder)
    path.mkdir()
    for number, line in enumerate(lines):
        (path / f"passages-{number:05d}-of-{len(lines):05d}.ndjson").write_text(line)
    return path


def test_order_of_lines_and_number_of_files_do_not_count():
    assert results.read(write("a", "1\n2\n3\n")) == results.read(write("b", "3\n", "2\n1\n"))


@pytest.mark.parametrize("lines", ["1\n2\n", "1\n2\n4\n", "1\n2\n3\n3\n", "1\n2\n3\n4\n", "1\n1\n3\n", ""])
def test_one_line_more_less_or_different_counts(lines):
    expected = results.read(write("a", "1\n2\n3\n"))
    assert len(results.differences(results.read(write("b", lines)), expected)) == 1


def test_time_of_the_run_does_not_count_and_what_stands_beside_it_does():
    line = '{"reason":"empty","received_at":"2026-01-01T00:00:0%d.000000Z","schema_version":%d}\n'
    (first, again, other) = (
        results.read(write(name, line % n)) for name, n in (("a", (1, 1)), ("b", (2, 1)), ("c", (1, 2)))
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("status", "found", "sound"),
    [(0, WHOLE, True), (1, NOTHING, True), (1, WHOLE, True), (0, NOTHING, False), (None, NOTHING, False)]
    + [(status, WHOLE | {"fines": Lines(3, 8)}, False) for status in (0, 1)],
)
def test_killed_worker_may_cost_the_run_and_never_a_right_result(status, found, sound):
    assert comparison._killed("e", Run(status, 1.0, found), WHOLE, was_killed=True).sound is sound


def test_run_that_was_over_before_the_kill_proves_nothing():
    assert not comparison._killed("e", Run(0, 1.0, WHOLE), WHOLE, was_killed=False).sound


@pytest.mark.parametrize(("status", "found"), [(1, WHOLE), (None, WHOLE), (0, NOTHING)])
def test_engine_that_fails_or_differs_is_not_sound(status, found):
    assert not comparison._complete("one", Run(status, 1.0, found), WHOLE).sound


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--input=in.ndjson"], "--input, --sections: found one of them"),
        (["--input=no.ndjson", "--sections=sections.yaml"], "--input: found no.ndjson, which is no file"),
        (["--sightings=0"], "--sightings: found 0; allowed: 1 or more"),
    ],
)
def test_mistake_in_the_comparison_is_one_line(argv, said):
    run = subprocess.run(
        [sys.executable, "-m", "engines", *argv],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr.startswith(f"python -m engines: {said}")
    assert run.stderr.count("\n") == 1


# --- what an engine may lose


def sent_by(channel) -> int:
    """Bytes that arrive of ten numbered ones, where sending waits for a slow receiver while more is written."""
    arrived, sending, go_on = [], threading.Event(), threading.Event()

    def send(data, *_):
        sending.set()
        go_on.wait(5)
        arrived.append(data.data)

    channel._enqueue_to_send = send
    stream = channel.output_stream("bundle", "step")
    stream.write(b"12345")
    sending.wait(1.5)  # a thread of the stream's own has begun to send, where it has one
    stream.write(b"67890")
    go_on.set()
    time.sleep(0.2)
    stream.close()
    return len(b"".join(arrived))


def channel_to_workers():
    servicer = data_plane.BeamFnDataServicer(worker_handlers.DATA_BUFFER_TIME_LIMIT_MS)
    return servicer.get_conn_by_worker_id("worker")


def test_what_is_written_while_a_slow_worker_is_sent_to_arrives(monkeypatch):
    monkeypatch.setattr(worker_handlers, "DATA_BUFFER_TIME_LIMIT_MS", 1000)
    assert sent_by(channel_to_workers()) == 5, "Beam sends all by itself now: remove keep_all_data"
    job_server.keep_all_data()
    assert sent_by(channel_to_workers()) == 10


def test_lines_that_never_reach_their_file_fail_the_run(monkeypatch, capsys):
    """Encoded and counted, and lost before they are written."""
    count = sinks.count_lines
    monkeypatch.setattr(sinks, "count_lines", lambda block: block if b"travel_time_s" in block else count(block))
    assert main(["--input=in.ndjson", "--output_dir=out", "--sections=sections.yaml"]) == 1
    assert "the sums do not agree, something was lost" in capsys.readouterr().err


# --- mistakes in the options of an engine


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--runner=NoRunner"], "--runner: found 'NoRunner': Unexpected pipeline runner: NoRunner. Valid values are "),
        (["--runner=no.such.Runner"], "--runner: found 'no.such.Runner': "),
        (["--runner=PortableRunner"], "--job_endpoint: absent; needed with --runner PortableRunner. Give HOST:PORT"),
        (
            ["--runner=PortableRunner", "--environment_type=LOOPBACK", "--job_server_timeout=1", "--job_endpoint=PORT"],
            "--job_endpoint: found 127.0.0.1:",
        ),
        (
            ["--runner=FlinkRunner", "--flink_job_server_jar=no.jar"],
            "--runner: its job server cannot be started: Unable to parse jar URL",
        ),
    ],
)
def test_engine_that_cannot_be_used_is_told_in_one_line(argv, said, capsys):
    argv = [text.replace("=PORT", f"=127.0.0.1:{free_port()}") for text in argv]
    assert main(["--input=in.ndjson", "--output_dir=out", "--sections=sections.yaml", *argv]) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("python -m pipeline: ")]
    assert len(errors) == 1
    assert errors[0].startswith(f"python -m pipeline: {said}")


def test_run_that_an_engine_fails_is_told_in_one_line(monkeypatch, capsys):
    """As a job server tells it: with the whole traceback in its message."""

    class Failed:
        def wait_until_finish(self):
            raise RuntimeError("Traceback:\n  File x\nRuntimeError: Channel closed prematurely.\n")

    monkeypatch.setattr("apache_beam.Pipeline.run", lambda _: Failed())
    assert main(["--input=in.ndjson", "--output_dir=out", "--sections=sections.yaml"]) == 1
    assert capsys.readouterr().err == "python -m pipeline: the run failed: RuntimeError: Channel closed prematurely.\n"
