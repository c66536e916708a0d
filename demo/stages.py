"""The processes of the demo: started with their log, watched, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT_FOLDER = Path(__file__).resolve().parent.parent
STOP_GRACE_S = 4.0
LAST_LINES = 8


class DemoError(Exception):
    """The demo cannot begin or go on; the text says what, where, and what to do."""


@dataclass(frozen=True)
class Stage:
    """A running process: its name for people, its log, and the file of its standard output."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    output: Path

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself. Raises DemoError if it failed."""
        code = self.process.poll()
        if code:
            raise died(self.name, self.log, f"exit code {code}")
        return code is not None


def died(name: str, log: Path, how: str) -> DemoError:
    """What to tell of a process that ended by itself: its name, its log and the log's last lines."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    told = "".join(f"\n    {line}" for line in lines[-LAST_LINES:]) or " (empty)"
    return DemoError(f"{name} ended by itself ({how}); last lines of {log}:{told}")


@contextmanager
def running(name: str, module: str, argv: Sequence[str], env: Mapping[str, str], logs: Path) -> Iterator[Stage]:
    """`python -m module argv` while the context is open. A Ctrl-C of the terminal does not reach it."""
    search = os.pathsep.join(filter(None, [str(PROJECT_FOLDER), os.environ.get("PYTHONPATH")]))
    log, output = logs / f"{name}.log", logs / f"{name}.out"
    with log.open("wb") as errors, output.open("wb") as out:
        process = subprocess.Popen(  # noqa: S603 (this interpreter and this project)
            [sys.executable, "-m", "demo.leash", module, *argv],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=errors,
            env=os.environ | env | {"PYTHONPATH": search, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
    try:
        yield Stage(name, process, log, output)
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=STOP_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdin is not None:
        process.stdin.close()
