"""What our steps of the streaming job cost a worker: CPU time for each sighting, bytes at each shuffle and in state.

The job's own graph, without Pub/Sub, BigQuery, pictures and plates, is replayed in the portable worker harness, and
beside it a graph of the same shape that does nothing (bench/harness.py, bench/nothing.py). The difference is ours; the
rest is the engine's, whatever the steps do. What happens between stages (session windows, grouping, the network) is in
neither. A bundle holds ten messages, then a hundred sessions, then a hundred timers. json.loads of the same sightings,
in the same rounds, tells how fast the machine was: on a busy one everything takes twice its time, and the ratio stays.
The stage that holds suspected passages and compares them with near twins is told by itself, the engine's share in it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench import harness, nothing, streamed, traffic
from bench.harness import Replay, Stage, Way
from bench.traffic import Traffic
from pipeline.options import Settings

MESSAGES, SESSIONS = 10, 100  # of a bundle
GOAL_US = 12.0
LINE = "{:<22}{:>12}{:>12}{:>12}"
KEYED, PASSAGES, CASES = (
    "Group sessions/Group/Write",
    "Write outputs/All passages/Write/0",
    "Judge cases/Commit/Group/Write",
)
NEWS = "Compare twins/All news/Write"  # of suspected passages, of unmatched reads, of cases taken back

NONE = Way(0, 0)

Figures = dict[str, Any]


class Pair(NamedTuple):
    """A stage of the job, and the one of the same shape that does nothing."""

    name: str
    job: Stage
    nothing: Stage
    bundle: int


def measure(folder: Path, sightings: int, repeats: int, sections: Path) -> Figures:
    """All figures on about so many generated sightings; the CPU times are medians of `repeats`."""
    folder.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.WARNING)
    try:
        return _measure(traffic.settings(folder, sections), traffic.traffic(sightings, sections), repeats)
    finally:
        logging.disable(logging.NOTSET)


def _measure(settings: Settings, found: Traffic, repeats: int) -> Figures:
    sightings = sum(len(settings.intake.read(one, one.received_us)[0].located) for one in found.messages)
    runner = harness.RecordingRunner()
    job = harness.run(streamed.pipeline(settings, streamed.from_memory(found.encoded), runner), runner)
    intake, sessions = _with(job, "Decode and locate"), _with(job, "Measure and decide")
    held = _with(job, "Hold")
    fines = [stage for stage in job if stage not in (intake, sessions, held) and len(stage.steps) > 1]
    first, let_go = harness.replay(sessions, SESSIONS), harness.replay(held, SESSIONS)
    idle = _idle(settings, found, sessions, first)
    pairs = [
        Pair("input", intake, _with(idle, "Session windows"), MESSAGES),
        Pair("sessions", sessions, _with(idle, "Remember"), SESSIONS),
    ]
    rounds = [([_both(pair) for pair in pairs], _json_s(found)) for _ in range(repeats)]
    cpu = {pair.name: _cpu_us([of[number] for of, _ in rounds], sightings) for number, pair in enumerate(pairs)}
    fines_s = sum(harness.cpu_s([harness.replay(stage, MESSAGES) for _ in range(repeats)]) for stage in fines)
    held_s = harness.cpu_s([harness.replay(held, SESSIONS) for _ in range(repeats)])
    cases = let_go.out.get(CASES, NONE)
    n_cases = cases.elements
    return {
        "sightings": sightings,
        "sessions": len(sessions.inputs[0].elements),
        "cases": n_cases,
        "cpu_us_per_sighting": cpu | {"all": {name: sum(one[name] for one in cpu.values()) for name in cpu["input"]}},
        "comparing_us_per_sighting": held_s / sightings * 1e6,
        "cpu_us_per_case_after_commit": fines_s / n_cases * 1e6 if n_cases else None,
        "json_us_per_sighting": median(json_s for _, json_s in rounds) / sightings * 1e6,
    } | _sizes(sessions, rounds[0][0][0][0], first, cases, sightings)


def _sizes(sessions: Stage, intake: Replay, first: Replay, cases: Way, sightings: int) -> Figures:
    news = [way for name, way in first.out.items() if name.startswith(NEWS)]
    ways = {
        "sightings": intake.out[KEYED],
        "passages": first.out.get(PASSAGES, NONE),
        "news for twins": Way(sum(way.elements for way in news), sum(way.bytes for way in news)),
        "cases": cases,
    }
    buffered = sessions.inputs[0].elements
    return {
        "shuffles": {name: _way(way, sightings) for name, way in ways.items()},
        "state_bytes_per_vehicle": first.state_bytes / max(first.keys, 1),
        "buffered_bytes_per_vehicle": sum(map(len, buffered)) / len(buffered),
    }


def _json_s(found: Traffic) -> float:
    lines = [line for message in found.messages for line in message.data.splitlines()]
    begun = time.process_time()
    for line in lines:
        with suppress(ValueError):
            json.loads(line)
    return time.process_time() - begun


def _with(stages: list[Stage], step: str) -> Stage:
    return next(stage for stage in stages if any(step in name for name in stage.steps))


def _idle(settings: Settings, found: Traffic, sessions: Stage, first: Replay) -> list[Stage]:
    """The stages that do nothing, with as many bytes of state and of output as the job's."""
    n_sessions = len(sessions.inputs[0].elements)
    sizes = first.state_bytes // max(first.keys, 1), first.out[PASSAGES].bytes // n_sessions
    nothing.make_ready(found.messages, settings)
    runner = harness.RecordingRunner()
    return harness.run(nothing.pipeline(settings, found.encoded, runner, sizes), runner)


def _both(pair: Pair) -> tuple[Replay, Replay]:
    return harness.replay(pair.job, pair.bundle), harness.replay(pair.nothing, pair.bundle)


def _cpu_us(rounds: list[tuple[Replay, Replay]], sightings: int) -> dict[str, float]:
    job, idle = (harness.cpu_s(replays) / sightings * 1e6 for replays in zip(*rounds, strict=True))
    return {"job": job, "nothing": idle, "ours": job - idle}


def _way(way: Way, sightings: int) -> dict[str, float]:
    return {"elements_per_sighting": way.elements / sightings, "bytes_per_sighting": way.bytes / sightings}


def table(found: Figures, machine: Mapping[str, object]) -> str:
    """The same for people."""
    cpu, shuffles = found["cpu_us_per_sighting"], found["shuffles"]
    after = found["cpu_us_per_case_after_commit"]
    return "\n".join(
        [
            LINE.format("CPU us a sighting", "the job", "nothing", "ours"),
            *(
                LINE.format(name, *(f"{one[way]:.1f}" for way in ("job", "nothing", "ours")))
                for name, one in cpu.items()
            ),
            f"goal: {GOAL_US:g} us of ours; json.loads takes {found['json_us_per_sighting']:.1f}"
            + f"; comparing with near twins {found['comparing_us_per_sighting']:.1f}"
            + (f"; after its commit a case takes {after:.0f} us" if after else ""),
            "",
            LINE.format("shuffles, a sighting", "elements", "bytes", ""),
            *(LINE.format(name, *(f"{value:.3f}" for value in one.values()), "") for name, one in shuffles.items()),
            f"state: {found['state_bytes_per_vehicle']:.0f} bytes for each vehicle in a section, and until its session "
            f"ends {found['buffered_bytes_per_vehicle']:.0f} of sightings",
            "",
            f"{found['sightings']:,} sightings, {found['sessions']:,} sessions, {found['cases']:,} cases; "
            f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, load {machine['load']:.1f}",
        ]
    )
