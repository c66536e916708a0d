"""The whole streaming job beside a bare graph on the local runner: decode, session windows, group, and nothing else.

Both read the same traffic at the same time, each from a subscription of its own, so that whatever else the machine does
hits both alike. The job is as a user runs it, but without BigQuery; the bare graph decodes each line as JSON, keys it
by its camera's section and its vehicle, and drops the sessions. python -m bench.bare runs the bare graph alone.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import msgspec
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.transforms.window import TimestampedValue
from google.cloud import pubsub_v1

from bench import machine, streaming
from generator.cloud import PubsubSink
from generator.run import begin_at, generate
from pipeline import options as command_line
from pipeline.local_runner import LocalRunner
from pipeline.transforms.sessions import GroupSessions

REST_LIMIT_S = 120.0
REST_S = 3.0
AT_REST = 0.3  # of a core: a graph that only waits takes less
END_S = 12.0  # after the last case was let go, two gaps after its exit: what is under way comes out
SUBSCRIPTION = "bare"
GOAL = 0.8


class Decode(beam.DoFn):
    """(vehicle, sighting) of each line, at its own time; a line that is none ends the run."""

    def process(self, message: PubsubMessage) -> Iterator[TimestampedValue]:
        """A message of JSON lines."""
        for line in message.data.splitlines():
            found: dict[str, Any] = msgspec.json.decode(line)
            yield TimestampedValue((found["vehicle_id"], found), datetime.fromisoformat(found["timestamp"]).timestamp())


def build(pipeline: beam.Pipeline, settings: command_line.Settings) -> None:
    """The bare graph, with the job's own windows."""
    _ = (
        pipeline
        | "Read" >> beam.io.ReadFromPubSub(subscription=settings.input, with_attributes=True)
        | "Decode" >> beam.ParDo(Decode())
        | "Session windows" >> GroupSessions(settings).windows()
        | "Group" >> beam.GroupByKey()
    )


def measure(folder: Path, sightings: int, rate: float) -> dict[str, float]:
    """CPU time of both for each sighting, and how the whole job compares with the bare graph."""
    with streaming.prepared(folder, rate) as (cloud, sections):
        whole = streaming.Run(folder, cloud, sections, stored=False)
        bare = _bare(whole, folder, sections)
        try:
            return _measure(whole, bare, sections, sightings)
        finally:
            whole.stop()
            bare.kill()
            bare.wait()


def _bare(whole: streaming.Run, folder: Path, sections: Path) -> subprocess.Popen[bytes]:
    project = f"projects/{whole.resources.project}"
    subscription = f"{project}/subscriptions/{SUBSCRIPTION}"
    topic = f"{project}/topics/{whole.resources.input_topic}"
    pubsub_v1.SubscriberClient().create_subscription(name=subscription, topic=topic)
    job = whole.command(folder, sections)[3:]
    job[job.index("--input_subscription") + 1] = subscription
    with (folder / "bare.log").open("wb") as log:
        return subprocess.Popen([sys.executable, "-m", "bench.bare", *job], stdout=log, stderr=log)


def _measure(whole: streaming.Run, bare: subprocess.Popen[bytes], sections: Path, sightings: int) -> dict[str, float]:
    names, pids = whole.resources, (whole.pipeline.pid, bare.pid)
    scenario = generate(streaming.config(names, sections, sightings))
    _wait_until_at_rest(pids)
    scenario = begin_at(scenario, time.time_ns() // 1000)
    before = [machine.cpu_s(pid) for pid in pids]
    sent = streaming.publish_some(
        scenario, PubsubSink(f"projects/{names.project}/topics/{names.input_topic}"), sightings
    )
    time.sleep(2 * streaming.SESSION_GAP_S + END_S)
    _wait_until_at_rest(pids)  # a busy machine is behind, and what is not done costs nothing
    if bare.poll() is not None or whole.pipeline.poll() is not None:
        raise RuntimeError("a graph ended before its time: see pipeline.log and bare.log")
    whole_us, bare_us = ((machine.cpu_s(pid) - cpu) / sent * 1e6 for pid, cpu in zip(pids, before, strict=True))
    return {
        "sightings": sent,
        "whole_us_per_sighting": round(whole_us),
        "bare_us_per_sighting": round(bare_us),
        "ratio": round(bare_us / whole_us, 3),
    }


def _wait_until_at_rest(pids: Sequence[int]) -> None:
    """Until both graphs have started, which takes them several seconds of a core, or have done what there was."""
    deadline = time.monotonic() + REST_LIMIT_S
    while time.monotonic() < deadline:
        before = [machine.cpu_s(pid) for pid in pids]
        time.sleep(REST_S)
        if all(machine.cpu_s(pid) - cpu < REST_S * AT_REST for pid, cpu in zip(pids, before, strict=True)):
            return
    raise TimeoutError(f"the graphs do not come to rest within {REST_LIMIT_S:g} s: see pipeline.log and bare.log")


def table(found: Mapping[str, float]) -> str:
    """For people."""
    return (
        f"local runner, CPU us a sighting: the whole job {found['whole_us_per_sighting']}, a bare graph "
        f"{found['bare_us_per_sighting']}; the job does {found['ratio']:.2f} times what the bare graph does "
        f"(goal: {GOAL}); {found['sightings']:,} sightings"
    )


def main() -> None:
    """Run the bare graph with the command line of the job until it is ended."""
    argparse.ArgumentParser(prog="python -m bench.bare", description=__doc__).parse_known_args()
    found = command_line.parse(sys.argv[1:])
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    pipeline = beam.Pipeline(runner=LocalRunner(), options=options)
    build(pipeline, command_line.check(found))
    pipeline.run().wait_until_finish()


if __name__ == "__main__":
    main()
