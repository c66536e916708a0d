"""What is measured of the streaming job's steps: each alone, in a worker, beside a bare graph, and from end to end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from bench import bare, latency, machine, micro, sdk, sealing, sizes, traffic

MICRO_SIGHTINGS, WORKER_SIGHTINGS, BARE_SIGHTINGS = 20_000, 5_000, 30_000
BARE_RATE = 500.0
RATES = (10.0, 100.0, 1000.0)
PLAIN = Path("bench/section.yaml")  # every camera in one section; in the other file in 1.75 of them

Part = Callable[[Path, int], tuple[object, str]]  # folder, repeats -> figures, table


def _micro(folder: Path, repeats: int) -> tuple[object, str]:
    rows = micro.measure(folder, MICRO_SIGHTINGS, repeats)
    return [row._asdict() for row in rows], micro.table(rows, machine.described())


def _sdk(folder: Path, repeats: int) -> tuple[object, str]:
    found = {str(path): sdk.measure(folder, WORKER_SIGHTINGS, repeats, path) for path in (PLAIN, traffic.SECTIONS)}
    return found, "\n\n".join(f"{path}\n{sdk.table(one, machine.described())}" for path, one in found.items())


def _bare(folder: Path, _repeats: int) -> tuple[object, str]:
    found = bare.measure(folder, BARE_SIGHTINGS, BARE_RATE)
    return found, bare.table(found)


def _latency(folder: Path, _repeats: int) -> tuple[object, str]:
    found = [latency.measure(folder / f"{rate:g}", rate) for rate in RATES]
    return found, latency.table(found)


def _sizes(folder: Path, repeats: int) -> tuple[object, str]:
    found = sizes.measure(folder, repeats)
    return found, sizes.table(found)


def _packets(_folder: Path, _repeats: int) -> tuple[object, str]:
    rows = sealing.measure()
    return [row._asdict() for row in rows], sealing.table(rows, machine.described())


PARTS: dict[str, Part] = {
    "micro": _micro,
    "sdk": _sdk,
    "bare": _bare,
    "latency": _latency,
    "sizes": _sizes,
    "packets": _packets,
}


def print_and_keep(folder: Path, only: str | None, repeats: int) -> None:
    """Measure one part or all of them, print each as a table, and keep it as FOLDER/NAME.json."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in [only] if only else PARTS:
        figures, table = PARTS[name](folder / name, repeats)
        kept = {"machine": machine.described(), name: figures}
        (folder / f"{name}.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        print(table, flush=True)
