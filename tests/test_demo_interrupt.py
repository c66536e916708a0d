"""Ctrl-C at any moment of a real demo: one line, exit status 130, and nothing of it is left running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.stages import PROJECT_FOLDER

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 25


def left_running(out: Path) -> list[str]:
    """Command lines of processes that name the folder: every process of a demo does."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(out) in words and int(folder.name) != os.getpid():
            found.append(words)
    return found


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1 << (number - 1))


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "demo", "--vehicles", "5", "--out", str(tmp_path / "out")],
        cwd=PROJECT_FOLDER,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    yield process
    if process.poll() is None:
        process.kill()
        process.wait()


def read_until(process: subprocess.Popen[str], start: str) -> None:
    assert process.stdout is not None
    deadline_s = time.monotonic() + START_TIMEOUT_S
    for line in process.stdout:
        if line.startswith(start):
            return
        assert time.monotonic() < deadline_s, f"no line {start!r}"
    pytest.fail(f"the demo ended before {start!r}: {process.communicate()[1]}")


def assert_stopped(process: subprocess.Popen[str], out: Path) -> None:
    _, told = process.communicate(timeout=STOP_TIMEOUT_S)
    assert process.returncode == 130
    assert told.strip() == "demo: interrupted; everything it had started is stopped"
    assert left_running(out) == []


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("Section speed", signal.SIGINT),  # the services are starting
        ("services", signal.SIGTERM),  # topics and tables are being made
        ("cameras", signal.SIGINT),  # pipeline and cameras are starting
        ("0:", signal.SIGINT),  # everything runs
    ],
)
def test_interrupt_stops_everything(
    demo: subprocess.Popen[str], tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    read_until(demo, moment)
    demo.send_signal(number)
    assert_stopped(demo, tmp_path / "out")


def test_interrupt_while_python_loads_is_as_quiet(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    while not catches(demo.pid, signal.SIGTERM):  # its own doing: until then Ctrl-C is Python's
        time.sleep(0.01)
    demo.send_signal(signal.SIGINT)
    assert_stopped(demo, tmp_path / "out")


def test_impatient_second_interrupt_does_not_disturb_the_stopping(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    read_until(demo, "cameras")
    for _ in range(3):
        demo.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert_stopped(demo, tmp_path / "out")


def test_pipeline_that_dies_is_named_with_its_log(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    read_until(demo, "0:")
    killed = _kill(tmp_path / "out", "demo.leash pipeline")
    _, told = demo.communicate(timeout=STOP_TIMEOUT_S)
    assert killed
    assert demo.returncode == 1
    assert "pipeline ended by itself (exit code -9); last lines of" in told
    assert "Traceback" not in told
    assert left_running(tmp_path / "out") == []


def test_service_that_dies_is_named_with_its_log(demo: subprocess.Popen[str], tmp_path: Path) -> None:
    read_until(demo, "0:")
    killed = _kill(tmp_path / "out", "localcloud.pubsub")
    _, told = demo.communicate(timeout=STOP_TIMEOUT_S)
    assert killed
    assert demo.returncode == 1
    assert "pubsub (local service) ended by itself" in told
    assert "pubsub.log" in told
    assert left_running(tmp_path / "out") == []


def _kill(out: Path, words: str) -> bool:
    """Kill the one process of this demo whose command line has these words."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            found = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if words in found and str(out) in found:
            os.kill(int(folder.name), signal.SIGKILL)
            return True
    return False
