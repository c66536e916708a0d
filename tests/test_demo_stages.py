"""Processes of the demo: watched, named when they die, gone when the demo is gone."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from demo import stages
from demo.interrupt import SIGNALS, Interrupts
from demo.stages import DemoError, Stage
from demo.watch import last_progress


def process_is_alive(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def within_s(limit_s: float, holds: Callable[[], bool]) -> bool:
    deadline_s = time.monotonic() + limit_s
    while not holds():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Makes a module that a stage can run."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(text: str) -> str:
        (tmp_path / "staged.py").write_text(text)
        return "staged"

    return make


def test_stage_that_dies_is_named_with_its_log_and_last_lines(tmp_path: Path, module: Callable[[str], str]) -> None:
    name = module("import sys; print('the reason', file=sys.stderr); sys.exit(3)")
    with stages.running("cameras", name, [], {}, tmp_path) as stage:
        stage.process.wait(timeout=20)
        with pytest.raises(DemoError, match=r"cameras ended by itself \(exit code 3\).*cameras.log:\n    the reason"):
            _ = stage.ended


def test_stage_that_ends_well_has_ended(tmp_path: Path, module: Callable[[str], str]) -> None:
    with stages.running("cameras", module("print(__name__)"), [], {}, tmp_path) as stage:
        stage.process.wait(timeout=20)
        assert stage.ended
        assert stage.output.read_text() == "__main__\n"


def test_stage_gets_its_arguments_and_environment(tmp_path: Path, module: Callable[[str], str]) -> None:
    name = module("import os, sys; print(sys.argv[1:], os.environ['GIVEN'])")
    with stages.running("cameras", name, ["--a", "b"], {"GIVEN": "yes"}, tmp_path) as stage:
        stage.process.wait(timeout=20)
        assert stage.output.read_text() == "['--a', 'b'] yes\n"


def test_stage_is_stopped_when_its_context_ends_even_if_it_will_not(
    tmp_path: Path, module: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stages, "STOP_GRACE_S", 0.5)
    name = module("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)")
    with stages.running("pipeline", name, [], {}, tmp_path) as stage:
        assert within_s(20, lambda: stage.output.read_text() == "up\n")
    assert not process_is_alive(stage.process.pid)


def test_stage_ends_when_the_demo_is_killed(tmp_path: Path, module: Callable[[str], str]) -> None:
    name = module("import os, time; print(os.getpid()); time.sleep(60)")
    parent = (
        "import pathlib, time\nfrom demo import stages\n"
        f"with stages.running('pipeline', {name!r}, [], {{}}, pathlib.Path({str(tmp_path)!r})):\n    time.sleep(60)\n"
    )
    demo = subprocess.Popen([sys.executable, "-c", parent], cwd=stages.PROJECT_FOLDER)
    output = tmp_path / "pipeline.out"
    assert within_s(20, lambda: output.exists() and output.read_text().endswith("\n"))
    pid = int(output.read_text())
    assert process_is_alive(pid)
    demo.kill()
    demo.wait()
    assert within_s(10, lambda: not process_is_alive(pid))


def test_half_a_line_of_progress_is_not_read(tmp_path: Path) -> None:
    output = tmp_path / "cameras.out"
    output.write_text('{"vehicles": 1}\n{"vehicles": 2}\n{"vehi')
    stage = Stage("cameras", None, tmp_path / "log", output)  # type: ignore[arg-type]
    assert last_progress(stage) == {"vehicles": 2}
    output.write_text('{"veh')
    assert last_progress(stage) == {}


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before, hook = {number: signal.getsignal(number) for number in SIGNALS}, sys.unraisablehook
    found = Interrupts()
    found.install()
    yield found
    for number, handler in before.items():
        signal.signal(number, handler)
    sys.unraisablehook = hook


@pytest.mark.parametrize("number", SIGNALS)
def test_first_signal_interrupts_and_later_ones_do_not_disturb(interrupts: Interrupts, number: int) -> None:
    interrupts.check()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)
    os.kill(os.getpid(), number)


def test_interrupt_that_was_swallowed_is_raised_at_the_next_check(interrupts: Interrupts) -> None:
    with contextlib.suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()


class Channel:
    """A thing whose destructor fails, or is where a signal arrives."""

    def __init__(self, closing: Callable[[], None]) -> None:
        self.closing = closing

    def __del__(self) -> None:
        self.closing()


@pytest.fixture
def told(interrupts: Interrupts, monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """Kinds of the errors of destructors that Python told."""
    kinds: list[type] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda swallowed: kinds.append(swallowed.exc_type))
    interrupts.install()
    return kinds


def test_interrupt_that_a_destructor_swallows_is_not_told_but_raised_at_the_next_check(
    interrupts: Interrupts, told: list[type]
) -> None:
    Channel(lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()
    assert told == []


def test_other_errors_of_destructors_are_told_as_ever(told: list[type]) -> None:
    def fail() -> None:
        raise OSError("broken")

    Channel(fail)
    assert told == [OSError]
