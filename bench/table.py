"""A comparison as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping

from bench.comparison import Result, Row
from bench.participants import JSON_LOOP

TITLES = ("sightings a CPU second", "x json", "after start", "CPU s", "start", "wall s", "peak MB", "passages")
WIDTHS = (24, 8, 13, 9, 8, 9, 9, 10)
NAME_WIDTH = 22


def table(result: Result, machine: Mapping[str, object]) -> str:
    """One line for each participant, with what it was measured on."""
    return "\n".join(
        [
            _line("", TITLES),
            *(_line(row.name, _cells(result, row)) if row.counts else _doubt(row) for row in result.rows),
            "",
            f"{result.sightings:,} sightings, {result.passages:,} passages, medians of {result.repeats}; "
            "CPU time is of all cores, with start and end.",
            f"x json: times those of the {JSON_LOOP}. after start: without the CPU time that one line takes.",
            f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, load {machine['load']:.1f}",
        ]
    )


def _line(name: str, cells: tuple[str, ...]) -> str:
    return f"{name:<{NAME_WIDTH}}" + "".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))


def _cells(result: Result, row: Row) -> tuple[str, ...]:
    marginal = result.marginal_per_cpu_s(row)
    return (
        f"{result.per_cpu_s(row):,.0f}",
        f"{result.ratio(row):.2f}",
        f"{marginal:,.0f}" if marginal else "-",
        f"{row.cpu_s():.2f}",
        f"{row.start_cpu_s():.2f}",
        f"{row.wall_s():.2f}",
        f"{row.peak_mb():,.0f}",
        "the same",
    )


def _doubt(row: Row) -> str:
    return f"{row.name:<{NAME_WIDTH}}  " + (f"not run: {row.absent}" if row.absent else f"wrong: {row.wrong}")


def as_json(result: Result, machine: Mapping[str, object]) -> dict[str, object]:
    """The same figures, and every single run."""
    return {
        "machine": dict(machine),
        "sightings": result.sightings,
        "passages": result.passages,
        "repeats": result.repeats,
        "participants": {row.name: _figures(result, row) for row in result.rows},
    }


def _figures(result: Result, row: Row) -> dict[str, object]:
    if not row.counts:
        return {"not_run": row.absent} if row.absent else {"wrong": row.wrong}
    marginal = result.marginal_per_cpu_s(row)
    return {
        "sightings_per_cpu_s": round(result.per_cpu_s(row)),
        "ratio_to_json": round(result.ratio(row), 3),
        "sightings_per_cpu_s_after_start": marginal and round(marginal),
        "cpu_s": row.cpu_s(),
        "start_cpu_s": row.start_cpu_s(),
        "wall_s": row.wall_s(),
        "peak_mb": row.peak_mb(),
        "runs": [used._asdict() for used in row.worked],
        "starts": [used._asdict() for used in row.started],
    }
