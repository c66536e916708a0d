"""Has this pipeline become slower? Its ratio to the json loop, now and as it is kept in bench/kept.json.

The loop runs again and again for as long as the pipeline does, so that whatever else the machine does hits both alike.
Seven such checks on a busy machine gave ratios from 0.141 to 0.154. Four with runs one after the other gave 0.117 to
0.211 where the medians counted, and 0.105 to 0.183 where the best did.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean, median
from typing import NamedTuple

import msgspec

from bench import comparison, oracle, participants
from bench.oracle import Passage
from bench.participants import Participant

KEPT = Path(__file__).parent / "kept.json"
SIGHTINGS = 50_000
REPEATS = 3
MAY_FALL = 0.15
AGAIN = 2  # times at most, before it is believed


class Verdict(NamedTuple):
    """The outcome in a line."""

    sound: bool
    text: str


class Kept(msgspec.Struct):
    """What is in bench/kept.json."""

    ratio: float
    sightings: int
    repeats: int
    machine: dict[str, object]


def measure(folder: Path) -> float:
    """Sightings a CPU second, ours over the json loop's. Raises WrongOutputError."""
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / "sightings.ndjson"
    comparison.generate(source, SIGHTINGS)
    expected = oracle.expected(source)
    ours, loop, _ = participants.own_and_loops()
    return median(_ratio(ours, loop, source, expected) for _ in range(REPEATS))


def _ratio(ours: Participant, loop: Participant, source: Path, expected: list[Passage]) -> float:
    loops: list[float] = []
    with ThreadPoolExecutor(1) as pool:
        measured = pool.submit(comparison.run, ours, source, expected)
        while not loops or not measured.done():
            loops.append(comparison.run(loop, source, expected).cpu_s)
    return mean(loops) / measured.result().cpu_s


def verdict(now: float, kept: float) -> Verdict:
    """A ratio may fall by 15 %, by no more."""
    told = f"ratio to the json loop: {now:.3f}, kept: {kept:.3f}, {now / kept - 1:+.1%}; allowed: -{MAY_FALL:.0%}"
    sound = now >= kept * (1 - MAY_FALL)
    return Verdict(sound, f"{'passed' if sound else 'failed'}: {told}")


def keep(ratio: float, machine: dict[str, object]) -> None:
    """What later runs are held against."""
    kept = Kept(round(ratio, 4), SIGHTINGS, REPEATS, machine)
    KEPT.write_bytes(msgspec.json.format(msgspec.json.encode(kept)) + b"\n")


def kept_ratio() -> float:
    """The ratio in bench/kept.json."""
    return msgspec.json.decode(KEPT.read_bytes(), type=Kept).ratio
