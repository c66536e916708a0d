"""The bounded job on generated files: sightings per CPU second, beside plain JSON decoding in the same minute."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from bench import machine

SECTIONS = Path("templates/sections.yaml")


def generate(path: Path, sightings: int) -> None:
    """A file of about so many sightings."""
    if path.exists():
        return
    vehicles = max(sightings * 10 // 27, 1)
    command = [sys.executable, "-m", "generator", "--sections", str(SECTIONS), "--vehicles", str(vehicles)]
    subprocess.run([*command, "--faults", "all", "--output", str(path)], check=True)


def measure(folder: Path, sightings: int) -> dict[str, float]:
    """Run the job on a file of `sightings`."""
    path = folder / f"{sightings}.ndjson"
    generate(path, sightings)
    n = sum(1 for _ in path.open("rb"))
    reference = machine.json_loop_per_s(path)
    cpu, wall = machine.children_cpu_s(), time.monotonic()
    command = [sys.executable, "-m", "pipeline", "--input", str(path), "--output_dir", str(folder / "results")]
    subprocess.run([*command, "--sections", str(SECTIONS), "--privacy_secret", str(folder / "secret")], check=True)
    cpu, wall = machine.children_cpu_s() - cpu, time.monotonic() - wall
    return {
        "sightings": n,
        "cpu_s": round(cpu, 1),
        "wall_s": round(wall, 1),
        "sightings_per_cpu_s": round(n / cpu),
        "json_lines_per_cpu_s": round(reference),
        "ratio_to_json": round(n / cpu / reference, 3),
    }
