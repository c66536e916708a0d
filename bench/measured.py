"""Run a command and print what it used, with all that it started: python -m bench.measured LIMIT_S LOG COMMAND...

A process of its own, and a small one: the peak memory of a new process begins with that of the one it was forked from.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36  # Linux


class Used(NamedTuple):
    """How a command ended and what it used. peak_mb: of its largest process."""

    status: int
    cpu_s: float
    wall_s: float
    peak_mb: float


def run(command: Sequence[str], log: Path, limit_s: float) -> Used:
    """Run and wait; what the command prints goes to `log`, and it is ended after `limit_s`."""
    launcher = [sys.executable, "-S", "-m", "bench.measured", f"{limit_s:g}", str(log), *command]
    return Used(*json.loads(subprocess.run(launcher, check=True, stdout=subprocess.PIPE).stdout))


def main() -> None:
    """Be the parent of whatever the command leaves behind (a Java process), or its CPU time would be lost."""
    limit_s, log, *command = sys.argv[1:]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    start = time.monotonic()
    with open(log, "wb") as file:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(child.pid, signal.SIGKILL))
    signal.alarm(max(round(float(limit_s)), 1))
    try:
        print(json.dumps(_reaped(child.pid, start)))
    except KeyboardInterrupt:
        os.killpg(child.pid, signal.SIGKILL)
        raise


def _reaped(child: int, start: float) -> Used:
    """Wait for the command and for its orphans."""
    status, wall_s, cpu_s, peak_kb = 0, 0.0, 0.0, 0
    while True:
        try:
            pid, ended, used = os.wait4(-1, 0)
        except ChildProcessError:
            return Used(status, round(cpu_s, 3), round(wall_s, 3), round(peak_kb * 1024 / 1e6, 1))
        cpu_s += used.ru_utime + used.ru_stime
        peak_kb = max(peak_kb, used.ru_maxrss)
        if pid == child:
            status, wall_s = os.waitstatus_to_exitcode(ended), time.monotonic() - start


if __name__ == "__main__":
    main()
