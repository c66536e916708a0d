"""The streaming job, whole, at a steady rate: does it keep up, is all of it stored, does its memory stay flat."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np

import localcloud
from bench import machine
from generator.cloud import BucketStore, PubsubSink
from generator.config import Config, Pictures
from generator.outgoing import Scenario
from generator.pictures import Conditions, render
from generator.run import Progress, begin_at, generate, publish
from generator.truth import TruePassage
from pipeline import endpoints
from pipeline.deployment.plan import Resources
from pipeline.enforcement.sections import parse_network
from pipeline.provision import provision

VEHICLES_PER_SECTION_S = 0.4  # what the simulator takes for natural: a higher rate is a larger city
LENGTH_M = 120.0
ENDS = (("A", 0.0), ("B", 0.00107))  # 119 m further north
SPEEDERS = 0.0005  # each one costs the local reader, which is not what is measured, about half a second of a core
SIGHTINGS_PER_VEHICLE = 1.75  # as simulated, with those who leave or turn
UPLOAD_S = 20.0
WITHOUT_TAIL = 1.3  # vehicles that come back later make the end of a scenario thin: it is left out
POLL_S = 2.0
SESSION_GAP_S = 15.0  # at the limit a vehicle needs 11 s
LATENESS_S = 30.0
WARM_UP_S = SESSION_GAP_S + LATENESS_S + 10.0  # the local runner keeps every session so long: memory is flat after that
DEADLINE_S = 300.0
REST_S = 50.0
IN_PASSAGES = "SUM(IF('superseded' IN UNNEST(reasons), 0, n_sightings))"  # each sighting is in one passage


class Run:
    """One run against fresh local services, its memory watched."""

    def __init__(self, folder: Path, cloud: localcloud.LocalCloud, sections: Path, *, stored: bool = True) -> None:
        self._stored = stored
        self.resources = Resources.named_after(cloud.env["GOOGLE_CLOUD_PROJECT"])
        for _ in provision(self.resources):
            pass
        self._client = endpoints.bigquery_client(self.resources.project)
        self.pipeline = self._start(folder, sections)
        self.memory_mb: list[float] = []
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def command(self, folder: Path, sections: Path) -> list[str]:
        """The job on the run's own resources."""
        names = self.resources
        command = [sys.executable, "-m", "pipeline", "--project_id", names.project]
        command += ["--input_subscription", names.input_subscription, "--output_topic", names.output_topic]
        command += ["--rejected_topic", names.rejected_topic, *(["--dataset", names.dataset] if self._stored else [])]
        command += ["--evidence_bucket", names.evidence_bucket, "--sections", str(sections)]
        command += ["--privacy_secret", str(folder / "secret"), "--allowed_lateness", f"{LATENESS_S:g}s"]
        return [*command, "--session_gap", f"{SESSION_GAP_S:g}s", "--preflight", "off"]

    def _start(self, folder: Path, sections: Path) -> subprocess.Popen[bytes]:
        with (folder / "pipeline.log").open("wb") as log:
            return subprocess.Popen(self.command(folder, sections), stdout=log, stderr=log)

    def _watch(self) -> None:
        while not self._done.wait(POLL_S):
            self.memory_mb.append(machine.rss_mb(self.pipeline.pid))

    def watch(self) -> None:
        """Begin to note the pipeline's memory."""
        self._watcher.start()

    def stop(self) -> None:
        """End the pipeline as Ctrl-C does."""
        self._done.set()
        self.pipeline.terminate()
        self.pipeline.wait(30)

    def count(self, view: str, what: str = "COUNT(*)") -> int:
        """Rows of a table or view of the run's dataset, or another sum over them."""
        query = f"SELECT {what} AS n FROM `{self.resources.project}.{self.resources.dataset}.{view}`"  # noqa: S608
        return int(next(iter(self._client.query(query).result())).n or 0)

    def wait_for_rest(self, view: str) -> int:
        """Rows of `view` once it has not grown for REST_S, longer than a session stays open."""
        count, since = self.count(view), time.monotonic()
        while time.monotonic() - since < REST_S:
            time.sleep(POLL_S)
            if (now := self.count(view)) != count:
                count, since = now, time.monotonic()
        return count

    def wait_for_all(self, sent: int, since: float) -> float:
        """Seconds since `since` until every sighting that was sent is stored, or rejected because it came too late."""
        while (found := self.count("sightings") + self.count("rejected")) < sent:
            if time.monotonic() - since > DEADLINE_S:
                raise TimeoutError(f"{found} of {sent} sightings are stored or rejected after {DEADLINE_S:g} s")
            time.sleep(POLL_S)
        return time.monotonic() - since


@contextmanager
def prepared(folder: Path, rate: float) -> Iterator[tuple[localcloud.LocalCloud, Path]]:
    """The local services, and the city's section file, in a folder that is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sections = folder / "sections.yaml"
    sections.write_text(city(rate), encoding="utf-8")
    with localcloud.running(folder / "cloud") as cloud:
        os.environ.update(cloud.env)
        yield cloud, sections


def measure(folder: Path, sightings: int, rate: float) -> dict[str, float]:
    """Publish about `sightings` at `rate` a second and wait until every one is stored."""
    with prepared(folder, rate) as (cloud, sections):
        run = Run(folder, cloud, sections)
        try:
            return _measure(run, config(run.resources, sections, sightings), sightings)
        finally:
            run.stop()


def city(rate: float) -> str:
    """A section file with sections of two cameras, as many as natural traffic of so many sightings a second needs."""
    numbers = range(max(round(rate / SIGHTINGS_PER_VEHICLE / VEHICLES_PER_SECTION_S), 1))
    places = {n: 40.0 + n * 0.01 for n in numbers}
    cameras = [f"  {end}{n}: {{location: [{places[n] + shift:.6f}, -73.9]}}" for n in numbers for end, shift in ENDS]
    sections = [f"  - {{id: S{n}, cameras: [A{n}, B{n}], length_m: [{LENGTH_M}], limit: 25 mph}}" for n in numbers]
    return "\n".join(["cameras:", *cameras, "sections:", *sections, ""])


def _measure(run: Run, config: Config, sightings: int) -> dict[str, float]:
    names = run.resources
    scenario = generate(config)
    drawn = pictures(scenario)
    begin_s = time.time() + UPLOAD_S
    scenario = begin_at(scenario, round(begin_s * 1e6))
    upload(drawn, scenario, BucketStore(names.camera_bucket, names.project))
    time.sleep(begin_s - time.time())  # too late to begin is an error: all sightings would be late
    sink = PubsubSink(f"projects/{names.project}/topics/{names.input_topic}")
    begin, cpu = time.monotonic(), machine.cpu_s(run.pipeline.pid)
    run.watch()
    sent = publish_some(scenario, sink, sightings)
    published_s = time.monotonic() - begin
    stored_s = run.wait_for_all(sent, begin)
    cpu = machine.cpu_s(run.pipeline.pid) - cpu
    passages = run.wait_for_rest("passages")
    warm, last = _memory_mb(run.memory_mb, published_s)
    return {
        "sightings": sent,
        "passages": passages,
        "suspected": run.count("latest_fines"),
        "issued": run.count("latest_fines", "COUNTIF(status = 'issued')"),
        "published_per_s": round(sent / published_s),
        "stored_per_s": round(sent / stored_s),
        "behind_s": round(stored_s - published_s, 1),
        "too_late": run.count("rejected"),
        "lost": sent - run.count("rejected") - run.count("latest_sightings"),
        "lost_in_passages": run.count("latest_sightings") - run.count("latest_passages", IN_PASSAGES),
        "pipeline_cpu_us_per_sighting": round(cpu / sent * 1e6),
        "memory_mb_after_warm_up": round(warm),
        "memory_mb_at_end": round(last),
    }


def _memory_mb(samples: list[float], published_s: float) -> tuple[float, float]:
    """The most that was used in each half of the time after the warm-up in which sightings were published."""
    steady = samples[round(WARM_UP_S / POLL_S) : round(published_s / POLL_S)] or samples
    half = len(steady) // 2
    return max(steady[: half or 1]), max(steady[half:])


def publish_some(scenario: Scenario, sink: PubsubSink, sightings: int) -> int:
    """Publish in real time until it is enough; how many were published."""
    enough = threading.Event()

    def stop_when_enough(progress: Progress) -> None:
        if progress.sightings >= sightings:
            enough.set()

    return publish(scenario, sink, stop=enough, on_progress=stop_when_enough).sightings


def _violations(scenario: Scenario) -> list[TruePassage]:
    return [passage for passage in scenario.truth() if isinstance(passage, TruePassage) and passage.over]


def pictures(scenario: Scenario) -> list[list[bytes]]:
    """Of each true violation a picture from each end, ahead of the run: drawing cars is not what is measured."""
    rng = np.random.default_rng(1)
    return [
        [
            render(passage.plate or "", passage.plate_region or "", rng=rng, conditions=Conditions.clear_daylight(rng))
            for _ in passage.event_ids
        ]
        for passage in _violations(scenario)
    ]


def upload(drawn: list[list[bytes]], scenario: Scenario, store: BucketStore) -> None:
    """Put them where the scenario's sightings say that they are."""
    lines = (line for message in scenario.messages() for line in message.payload.splitlines())
    urls = {found["event_id"]: found["image_url"] for found in map(msgspec.json.decode, lines)}
    for passage, of_passage in zip(_violations(scenario), drawn, strict=True):
        for event_id, picture in zip(passage.event_ids, of_passage, strict=True):
            store.put(urls[event_id].split("/", 3)[3], picture)


def config(names: Resources, sections: Path, sightings: int) -> Config:
    """Traffic of at least so many sightings on these sections."""
    return Config(
        network=parse_network(sections.read_text(encoding="utf-8")),
        vehicles=round(sightings * WITHOUT_TAIL / SIGHTINGS_PER_VEHICLE),
        speeders=SPEEDERS,
        bucket=names.camera_bucket,
        pictures=Pictures.NONE,
    )
