"""The bounded job on 1, 10, 100 million sightings: time in a straight line, memory flat, and the counts all right.

For each size the traffic is written as Parquet files (bench/scaled_traffic.py), the job runs on them as a whole
process, and its summary must hold the very counts that the writer knows. What was written is removed again.
"""

from __future__ import annotations

import json
import math
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from bench import measured, scaled_traffic, watched
from bench.comparison import WrongOutputError
from bench.measured import Used
from bench.watched import Peak

SIZES = (1_000_000, 10_000_000)
LIMIT_S_PER_SIGHTING, LEAST_LIMIT_S = 0.0005, 600.0  # before a run is ended
START_SIGHTINGS = 1  # the shortest traffic: one hour of it
LINE = "{:>13}{:>6}{:>12}{:>10}{:>10}{:>12}{:>11}{:>13}{:>11}{:>12}"
TITLES = (
    "sightings",
    "runs",
    "written/s",
    "CPU s",
    "wall s",
    "us/sighting",
    "memory MB",
    "temporary MB",
    "output MB",
    "disk MB",
)


class Run(msgspec.Struct):
    """A size. output_mb: of all results; peak.disk_mb: the most that results and temporary files took together."""

    sightings: int
    written_per_s: float
    input_mb: float
    output_mb: float
    used: Used
    peak: Peak
    parts: int = 1  # runs, one after the other

    @property
    def cpu_us_per_sighting(self) -> float:
        """With the start of the process."""
        return self.used.cpu_s / self.sightings * 1e6


class Result(msgspec.Struct):
    """All sizes, in order, and an hour's traffic, which is little more than the start of the process."""

    start: Run
    runs: list[Run]


def measure(folder: Path, sizes: Sequence[int], together: int | None = None) -> Result:
    """Each size after the other in a folder of its own, which is removed. Raises WrongOutputError.

    together: no run gets more sightings than about so many; a larger size is several runs, of some days each.
    """
    start, *runs = [_measure(folder / str(size), size, together or size) for size in (START_SIGHTINGS, *sorted(sizes))]
    return Result(start, runs)


def _measure(folder: Path, sightings: int, together: int) -> Run:
    hours = scaled_traffic.hours_of(sightings)
    days = max(len(scaled_traffic.hours_of(together)) // scaled_traffic.HOURS_PER_DAY, 1)
    step = len(hours) if together >= sightings else days * scaled_traffic.HOURS_PER_DAY
    parts = [hours[start : start + step] for start in range(0, len(hours), step)]
    print(f"{sightings:,} sightings in {len(parts)} runs", file=sys.stderr)
    return _added_up([_measure_part(folder, part) for part in parts])


def _added_up(runs: Sequence[Run]) -> Run:
    """Several runs as one: what they used together, and the most that one of them took."""
    sightings = sum(run.sightings for run in runs)
    used = Used(
        0,
        math.fsum(run.used.cpu_s for run in runs),
        math.fsum(run.used.wall_s for run in runs),
        max(run.used.peak_mb for run in runs),
    )
    peak = Peak(*map(max, zip(*(run.peak for run in runs), strict=True)))
    writing_s = math.fsum(run.sightings / run.written_per_s for run in runs)
    megabytes = (math.fsum(run.input_mb for run in runs), math.fsum(run.output_mb for run in runs))
    return Run(sightings, sightings / writing_s, *megabytes, used, peak, len(runs))


def _measure_part(folder: Path, hours: range) -> Run:
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("in", "out", "tmp"):
        (folder / name).mkdir(parents=True)
    try:
        begun = time.monotonic()
        expected = scaled_traffic.write(folder / "in", hours)
        written_per_s = expected.rows / (time.monotonic() - begun)
        used, peak = _run(folder, expected.rows)
        _compare(folder, used, expected.summary)
        run = Run(expected.rows, written_per_s, _mb(folder / "in"), _mb(folder / "out"), used, peak)
    finally:
        for name in ("in", "out", "tmp"):
            shutil.rmtree(folder / name)
    shutil.rmtree(folder)  # after a failure what the run said stays
    return run


def _run(folder: Path, sightings: int) -> tuple[Used, Peak]:
    """A user's command line, with its temporary files in the folder."""
    sections = folder / "sections.yaml"
    sections.write_text(scaled_traffic.section_file(), encoding="utf-8")
    command = ["env", f"TMPDIR={folder / 'tmp'}", sys.executable, "-m", "pipeline", f"--input={folder}/in/*.parquet"]
    command += [f"--output_dir={folder / 'out'}", f"--sections={sections}", f"--privacy_secret={folder / 'secret'}"]
    limit_s = max(LEAST_LIMIT_S, sightings * LIMIT_S_PER_SIGHTING)
    return watched.while_running(lambda: measured.run(command, folder / "log", limit_s), folder / "out")


def _compare(folder: Path, used: Used, expected: Mapping[str, int]) -> None:
    if used.status:
        raise WrongOutputError(f"exit status {used.status}, see {folder / 'log'}")
    found = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))
    wrong = [f"{name} {found.get(name)}, expected {n}" for name, n in expected.items() if found.get(name) != n]
    if wrong or found.keys() != expected.keys():
        raise WrongOutputError(f"summary.json: {'; '.join(wrong) or sorted(found.keys() ^ expected.keys())}")


def _mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.iterdir()) / 1e6


def exponent(points: Sequence[tuple[float, float]]) -> float | None:
    """The slope of log y over log x, by least squares: 1 is linear. None of fewer than two points."""
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len(logs) < 2:
        return None
    x_mean, y_mean = (math.fsum(column) / len(logs) for column in zip(*logs, strict=True))
    return math.fsum((x - x_mean) * (y - y_mean) for x, y in logs) / math.fsum((x - x_mean) ** 2 for x, _ in logs)


def exponents(result: Result) -> dict[str, float | None]:
    """Of CPU and wall time over the sightings, with the start of the process and without."""
    start = result.start
    found: dict[str, float | None] = {}
    for name in ("cpu_s", "wall_s"):
        times = [(run.sightings, getattr(run.used, name), run.parts) for run in result.runs]
        start_s = getattr(start.used, name)
        found[name] = exponent([(n, seconds) for n, seconds, _ in times])
        rest = [(n - parts * start.sightings, seconds - parts * start_s) for n, seconds, parts in times]
        found[f"{name}_without_start"] = exponent(rest)
    return found


def as_json(result: Result) -> dict[str, object]:
    """Every figure."""
    return {"start": _figures(result.start), "runs": list(map(_figures, result.runs)), "exponents": exponents(result)}


def _figures(run: Run) -> dict[str, object]:
    own = {name: round(getattr(run, name), 1) for name in ("written_per_s", "input_mb", "output_mb")}
    peak = {f"peak_{name}": round(value, 1) for name, value in run.peak._asdict().items()}
    return {"sightings": run.sightings, "parts": run.parts, **own, **run.used._asdict(), **peak}


def table(result: Result, machine: Mapping[str, object]) -> str:
    """The same for people."""
    told = {name: "-" if slope is None else f"{slope:.3f}" for name, slope in exponents(result).items()}
    return "\n".join(
        [
            LINE.format(*TITLES),
            *(LINE.format(*_cells(run)) for run in (result.start, *result.runs)),
            "",
            f"exponent of CPU time {told['cpu_s']}, without the first line {told['cpu_s_without_start']}; "
            f"of wall time {told['wall_s']}, {told['wall_s_without_start']}",
            "every count is the writer's; memory: of all processes together; disk: temporary files and output at once",
            f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, load {machine['load']:.1f}",
        ]
    )


def _cells(run: Run) -> tuple[str, ...]:
    return (
        f"{run.sightings:,}",
        f"{run.parts}",
        f"{run.written_per_s:,.0f}",
        f"{run.used.cpu_s:,.1f}",
        f"{run.used.wall_s:,.1f}",
        f"{run.cpu_us_per_sighting:,.1f}",
        f"{run.peak.memory_mb:,.0f}",
        f"{run.peak.temporary_mb:,.0f}",
        f"{run.output_mb:,.0f}",
        f"{run.peak.disk_mb:,.0f}",
    )
