"""The engines one after the other, each compared with the first; and what becomes of a run that loses its worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from engines import results, running, workers
from engines.results import Results
from engines.running import Job, Run

JOB_SERVER = "job server"
KILLED = "{}, its worker killed"
AGAIN = "{}, the same again"


class Row(NamedTuple):
    """One line of the table. verdict: yes, or what is wrong; sound: nothing is."""

    engine: str
    run: Run
    verdict: str
    sound: bool


def compare(job: Job, folder: Path, job_endpoint: str | None) -> Iterator[Row]:
    """Every engine's row as soon as its run is over. The first engine is what the others are held against."""
    reference = running.run(job, folder / "one_process", ())
    expected = reference.results
    yield _complete("one process", reference, expected)
    yield _complete("two processes", running.run(job, folder / "two_processes", running.TWO_PROCESSES), expected)
    with workers.serving(folder / "workers.log") as pool:
        with running.beam_job_server(folder) as endpoint:
            yield from _behind_job_server(JOB_SERVER, job, folder / "job_server", (endpoint, pool), expected)
        if job_endpoint:
            yield from _behind_job_server(job_endpoint, job, folder / "job_endpoint", (job_endpoint, pool), expected)


def _behind_job_server(
    engine: str, job: Job, folder: Path, place: tuple[str, workers.Workers], expected: Results
) -> Iterator[Row]:
    """A whole run, one that loses a worker, and the same once more."""
    endpoint, pool = place
    options = running.behind_job_server(endpoint, pool)
    whole = running.run(job, folder, options)
    yield _complete(engine, whole, expected)
    folder = folder.with_name(f"{folder.name}_killed")
    killed: list[int] = []

    def kill_halfway(seconds: float) -> None:
        """Not before the first step has made its folders: a worker that never connected is waited for without end."""
        begun = any(folder.glob("beam-temp-*"))
        if begun and not killed and seconds > whole.seconds / 2 and (pid := pool.kill_one()) is not None:
            killed.append(pid)

    loser = running.run(job, folder, options, kill_halfway)
    yield _killed(KILLED.format(engine), loser, expected, was_killed=bool(killed))
    yield _complete(AGAIN.format(engine), running.run(job, folder, options), expected)


def _complete(engine: str, run: Run, expected: Results) -> Row:
    """A run that must end well, with the expected results."""
    if run.status != 0:
        return Row(engine, run, _ended(run), sound=False)
    wrong = results.differences(run.results, expected)
    return Row(engine, run, "; ".join(wrong) or "yes", sound=not wrong)


def _killed(engine: str, run: Run, expected: Results, *, was_killed: bool) -> Row:
    """A run that lost its worker: the whole results, or an exit status that says so and no wrong result."""
    if not was_killed:
        return Row(engine, run, "the run was over before a worker was killed: take more sightings", sound=False)
    if run.status == 0:
        return _complete(engine, run, expected)
    left = {kind: lines for kind, lines in run.results.items() if lines.n}
    wrong = any(lines != expected[kind] for kind, lines in left.items())
    sound = run.status is not None and not wrong
    return Row(engine, run, f"{_ended(run)}, {'written: ' + ', '.join(left) if left else 'nothing written'}", sound)


def _ended(run: Run) -> str:
    return "did not end in time" if run.status is None else f"exit status {run.status}"
