"""One run of the bounded job on one engine, as a user would start it, watched and timed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from engines import results
from engines.results import Results
from engines.workers import HOST, Workers

POLL_S = 0.2
START_S = 60.0
TWO_PROCESSES = ("--direct_running_mode=multi_processing", "--direct_num_workers=2")


class Job(NamedTuple):
    """What is run: the same on every engine."""

    input: Path
    sections: Path
    secret: Path
    limit_s: float

    def command(self, folder: Path, engine: Sequence[str]) -> list[str]:
        """The command line of `python -m pipeline`."""
        own = [f"--input={self.input}", f"--sections={self.sections}", f"--privacy_secret={self.secret}"]
        return [sys.executable, "-m", "pipeline", *own, f"--output_dir={folder}", *engine]


class Run(NamedTuple):
    """How a run ended. status None: it did not end in time, and was ended."""

    status: int | None
    seconds: float
    results: Results


def run(job: Job, folder: Path, engine: Sequence[str], meanwhile: Callable[[float], None] = lambda _: None) -> Run:
    """Run and wait; `meanwhile` is called again and again with the seconds since the start."""
    folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        process = subprocess.Popen(job.command(folder, engine), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        while (status := process.poll()) is None and (seconds := time.monotonic() - start) < job.limit_s:
            meanwhile(seconds)
            time.sleep(POLL_S)
    finally:
        process.kill()
        process.wait()
    return Run(status, time.monotonic() - start, results.read(folder))


def behind_job_server(endpoint: str, workers: Workers) -> list[str]:
    """The options that send a job to a job server, whose workers are processes of ours."""
    return [
        "--runner=PortableRunner",
        f"--job_endpoint={endpoint}",
        "--environment_type=EXTERNAL",
        f"--environment_config={workers.address}",
        "--direct_num_workers=2",
        "--parallelism=2",
    ]


@contextmanager
def beam_job_server(folder: Path) -> Iterator[str]:
    """Beam's own job server, in its process; where it listens on this machine."""
    port_file = folder / "job_server.port"
    port_file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "engines.beam_job_server", "--port_file", str(port_file)]
    command += ["--staging_dir", str(folder / "staged")]
    with (folder / "job_server.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=dict(os.environ))
    try:
        yield f"{HOST}:{_port(process, port_file)}"
    finally:
        process.kill()
        process.wait()
        port_file.unlink(missing_ok=True)


def _port(process: subprocess.Popen[bytes], port_file: Path) -> int:
    deadline = time.monotonic() + START_S
    while not port_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise TimeoutError(f"Beam's job server did not start; see {port_file.with_suffix('.log')}")
        time.sleep(POLL_S)
    return int(port_file.read_text(encoding="ascii"))
