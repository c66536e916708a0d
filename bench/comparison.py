"""This pipeline and its peers on the same file: what counts is what each needs for passages that are all the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from statistics import median

import msgspec

from bench import measured, oracle
from bench.measured import Used
from bench.oracle import Passage
from bench.participants import JSON_LOOP, SECTION, Participant

LIMIT_S = 900.0
SIGHTINGS_PER_VEHICLE = 2  # and a little more: some come back


class WrongOutputError(Exception):
    """A participant failed, or its passages are not those of the oracle; in words for the table."""


class Row(msgspec.Struct):
    """What a participant needed. started: on one line of the input; worked: on all of it. wrong: why neither counts."""

    name: str
    started: list[Used] = []
    worked: list[Used] = []
    wrong: str | None = None
    absent: str | None = None

    @property
    def counts(self) -> bool:
        """Whether it ran and gave the passages that it should."""
        return not self.wrong and not self.absent

    def cpu_s(self) -> float:
        """CPU seconds of the whole process, from start to end."""
        return median(used.cpu_s for used in self.worked)

    def start_cpu_s(self) -> float:
        """CPU seconds that it needs for nearly nothing."""
        return median(used.cpu_s for used in self.started)

    def wall_s(self) -> float:
        """Seconds from start to end."""
        return median(used.wall_s for used in self.worked)

    def peak_mb(self) -> float:
        """Memory of its largest process."""
        return median(used.peak_mb for used in self.worked)


class Result(msgspec.Struct):
    """All of a comparison."""

    sightings: int
    passages: int
    repeats: int
    rows: list[Row]

    @property
    def sound(self) -> bool:
        """No participant is wrong; one that is not there is no mistake."""
        return not any(row.wrong for row in self.rows)

    def row(self, name: str) -> Row:
        """The row of a participant."""
        return next(row for row in self.rows if row.name == name)

    def per_cpu_s(self, row: Row) -> float:
        """Sightings in a CPU second."""
        return self.sightings / row.cpu_s()

    def marginal_per_cpu_s(self, row: Row) -> float | None:
        """The same without the start: what a larger file approaches. None: the file is too small to tell."""
        rest_s = row.cpu_s() - row.start_cpu_s()
        return self.sightings / rest_s if rest_s > 0 else None

    def ratio(self, row: Row) -> float:
        """How many times the json loop's sightings in a CPU second."""
        return self.row(JSON_LOOP).cpu_s() / row.cpu_s()


def compare(participants: Iterable[Participant], folder: Path, sightings: int, repeats: int) -> Result:
    """Run all of them `repeats` times, one after the other in each round, so that a busy minute hits all alike."""
    folder.mkdir(parents=True, exist_ok=True)
    source, line = folder / "sightings.ndjson", folder / "one.ndjson"
    generate(source, sightings)
    with source.open("rb") as file:
        line.write_bytes(file.readline())
        n = 1 + sum(1 for _ in file)
    expected = oracle.expected(source)
    taking_part = list(participants)
    rows = {one.name: Row(one.name, absent=one.absent) for one in taking_part}
    for number in range(repeats):
        for one in taking_part:
            if (row := rows[one.name]).counts:
                print(f"round {number + 1} of {repeats}: {one.name}", file=sys.stderr)
                _measure(one, row, line, source, expected)
    return Result(n, len(expected), repeats, list(rows.values()))


def generate(path: Path, sightings: int) -> None:
    """About so many sightings of the bench's section, without faults: peers would stop at the first."""
    command = [sys.executable, "-m", "generator", "--sections", str(SECTION), "--output", str(path)]
    vehicles = max(sightings // SIGHTINGS_PER_VEHICLE, 1)
    subprocess.run([*command, "--vehicles", str(vehicles)], check=True)


def _measure(one: Participant, row: Row, line: Path, source: Path, expected: list[Passage]) -> None:
    """Once on one line, in which there is no passage, and once on all."""
    try:
        row.started.append(run(one, line, []))
        row.worked.append(run(one, source, expected))
    except WrongOutputError as error:
        row.wrong = str(error)


def run(one: Participant, source: Path, expected: list[Passage]) -> Used:
    """One run, whose output is beside `source`. Raises WrongOutputError if it is not what is expected."""
    name = one.module or "pipeline"
    target, log = source.with_name(f"{name}.out"), source.with_name(f"{name}.log")
    _remove(target)
    used = measured.run(one.command(source, target), log, LIMIT_S)
    if used.status:
        raise WrongOutputError(f"exit status {used.status}, see {log}")
    if wrong := one.wrong(target, expected):
        raise WrongOutputError(wrong)
    return used


def _remove(target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
