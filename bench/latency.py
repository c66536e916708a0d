"""From a vehicle's last sighting to its fine: how long that takes at a steady rate, and in which step.

The streaming job with the local services, its pictures and its plate reader, but without BigQuery, whose stand-in is
slower than all the rest together. The time runs from the publication of the last sighting's message to that of the
fine. Of it the session gap demands its part: a suspected passage is held for two gaps after its exit, and what the
message waited at its camera is taken off. The rest is ours and the engine's, parted by steps: the holding's end (until
the passage is let go), pictures, plates, commit, publishing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from google.cloud import pubsub_v1

from bench import stamped, streaming
from generator.cloud import BucketStore, PubsubSink
from generator.outgoing import Outgoing
from generator.run import begin_at, generate
from pipeline.enforcement.times import parse_rfc3339_us

FINES = 30  # about so many of a run: the local plate reader takes about half a second for each
RUN_S = 60.0
START_S = 15.0
PULL_S, MAX_PULLED = 2.0, 500
HELD_S = 2 * streaming.SESSION_GAP_S
SETTLE_S = 25.0  # longer than plates take to be read
STEPS = ("held_end", "pictures", "plates", "commit", "publish")
PERCENTILES = (50, 95, 99)

Seen = tuple[str, str, int]  # camera, vehicle, microseconds


class _Wire(msgspec.Struct):
    camera_id: str
    vehicle_id: str
    timestamp: str
    image_url: str | None = None


class Run(streaming.Run):
    """The job under a watch of each case."""

    def command(self, folder: Path, sections: Path) -> list[str]:
        """That of the job itself, but for its module."""
        return [sys.executable, "-m", "bench.stamped", str(folder / "stamps"), *super().command(folder, sections)[3:]]


class Sink(PubsubSink):
    """Notes when each sighting was published."""

    def __init__(self, topic: str) -> None:
        super().__init__(topic)
        self.published_s: dict[Seen, float] = {}

    def send(self, message: Outgoing) -> None:
        """Publish, and note it."""
        now_s = time.time()
        for line in message.payload.splitlines():
            found = msgspec.json.decode(line, type=_Wire)
            self.published_s.setdefault((found.camera_id, found.vehicle_id, parse_rfc3339_us(found.timestamp)), now_s)
        super().send(message)


class Latency(NamedTuple):
    """Of one fine, in seconds: all of it, what two gaps demand of it, and each step of the rest."""

    all_s: float
    gap_s: float
    steps_s: tuple[float, ...]


def measure(folder: Path, rate: float, seconds: float = RUN_S) -> dict[str, Any]:
    """Publish at so many sightings a second for so long, and wait for the fines."""
    with streaming.prepared(folder, rate) as (cloud, sections):
        run = Run(folder, cloud, sections, stored=False)
        try:
            found = _run(run, folder, sections, rate * seconds)
        finally:
            run.stop()
    return {"rate": rate, "fines": len(found)} | summary(found)


def _run(run: Run, folder: Path, sections: Path, sightings: float) -> list[Latency]:
    names = run.resources
    speeders = min(FINES * streaming.SIGHTINGS_PER_VEHICLE / sightings, 0.5)
    config = msgspec.structs.replace(streaming.config(names, sections, round(sightings)), speeders=speeders)
    scenario = generate(config)
    drawn = streaming.pictures(scenario)
    begin_s = time.time() + START_S
    scenario = begin_at(scenario, round(begin_s * 1e6))
    streaming.upload(drawn, scenario, BucketStore(names.camera_bucket, names.project))
    time.sleep(max(begin_s - time.time(), 0.0))
    sink = Sink(f"projects/{names.project}/topics/{names.input_topic}")
    streaming.publish_some(scenario, sink, round(sightings))
    time.sleep(HELD_S + SETTLE_S)
    fines = _pulled(f"projects/{names.project}/subscriptions/{names.output_subscription}")
    stamps = read_stamps((folder / "stamps").read_text(encoding="ascii").splitlines())
    return latencies(fines, stamps, sink.published_s)


def _pulled(subscription: str) -> list[tuple[dict[str, Any], float]]:
    """The messages about fines, and when each was published."""
    client = pubsub_v1.SubscriberClient()
    found: list[tuple[dict[str, Any], float]] = []
    while True:
        pulled = client.pull(subscription=subscription, max_messages=MAX_PULLED, timeout=PULL_S).received_messages
        if not pulled:
            return found
        client.acknowledge(subscription=subscription, ack_ids=[one.ack_id for one in pulled])
        found += [(msgspec.json.decode(one.message.data), one.message.publish_time.timestamp()) for one in pulled]


def read_stamps(lines: Iterable[str]) -> dict[str, dict[str, float]]:
    """The steps of each passage and when it first passed them."""
    found: dict[str, dict[str, float]] = {}
    for line in lines:
        passage_id, step, at_s = line.split()
        found.setdefault(passage_id, {}).setdefault(step, float(at_s))
    return found


def latencies(
    fines: Iterable[tuple[dict[str, Any], float]],
    stamps: Mapping[str, Mapping[str, float]],
    published_s: Mapping[Seen, float],
) -> list[Latency]:
    """Of all first messages about a case whose last sighting and whose steps were seen."""
    found = []
    for fine, fined_s in fines:
        exit_us = parse_rfc3339_us(fine["exit_time"])
        camera = fine["evidence"][0]["camera_id"] if fine["evidence"] else ""
        came_s = published_s.get((camera, fine["vehicle_id"], exit_us))
        steps = stamps.get(fine["passage_id"], {})
        if fine["revision"] > 1 or came_s is None or len(steps) < len(STEPS) - 1:
            continue
        ended_s = exit_us / 1e6 + HELD_S
        passed = (ended_s, *(steps[step] for step in (stamped.COMPARED, stamped.KEPT, stamped.READ, stamped.COMMITTED)))
        took_s = tuple(after - before for before, after in zip(passed, (*passed[1:], fined_s), strict=True))
        found.append(Latency(fined_s - came_s, ended_s - came_s, took_s))
    return found


def summary(found: Sequence[Latency]) -> dict[str, Any]:
    """Percentiles in seconds: of all of it, of what the gap demands, of the rest, and of each step of the rest."""
    if not found:
        return {}
    parts = {
        "all_s": [one.all_s for one in found],
        "gap_s": [one.gap_s for one in found],
        "beyond_gap_s": [one.all_s - one.gap_s for one in found],
    } | {f"{step}_s": [one.steps_s[number] for one in found] for number, step in enumerate(STEPS)}
    return {
        name: {f"p{share}": round(float(np.percentile(values, share)), 2) for share in PERCENTILES}
        for name, values in parts.items()
    }


LINE = "{:<14}{:>9}{:>9}{:>9}"


def table(results: Iterable[Mapping[str, Any]]) -> str:
    """For people: one block for each rate."""
    lines = []
    for result in results:
        lines.append(LINE.format(f"{result['rate']:g}/s", *(f"p{share}" for share in PERCENTILES)))
        rows = {name: value for name, value in result.items() if isinstance(value, dict)}
        lines += [LINE.format(name, *(f"{value:.2f}" for value in row.values())) for name, row in rows.items()]
        lines.append(f"{result['fines']} fines and cases for a person, seconds\n")
    return "\n".join(lines)
