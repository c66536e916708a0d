"""Who is fined, and who should be: traffic with every fault, through the whole bounded job with real pictures.

The job runs twice over the same file. Without the reader of plates it names every case with its pictures; these are
then drawn, and lie in a bucket when the job runs again with the reader. Nobody looks at the others, and drawing all
would take hours. Packets are made, signed and checked. What comes out is compared with the truth of the traffic.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import msgspec

import localcloud
from generator.cloud import BucketStore
from generator.config import FAULTS, Config, Pictures
from generator.outgoing import Scenario
from generator.run import generate, paint, publish
from generator.score import Score, Verdict, read_alarms, read_fines, score
from generator.sinks import FileSink
from pipeline import endpoints
from pipeline.enforcement.records import Fine
from pipeline.enforcement.sections import parse_network

SECTIONS = Path("templates/sections.yaml")
VEHICLES, SEEDS = 20_000, (1, 2, 3, 4, 5)
PAINTERS = 2
PROJECT = localcloud.DEFAULT_PROJECT
TITLES = (
    "seed",
    "passages",
    "violations",
    "wrong",
    "right",
    "same trip",
    "to a person",
    "offered",
    "not provable",
    "missed",
)
WIDTHS = (6, 10, 12, 7, 7, 11, 13, 9, 14, 8)


class Day(NamedTuple):
    """The traffic of one seed. cases: how many for which reasons are before a person; verified: what the check of all
    packets and chains says of how many."""

    seed: int
    sightings: int
    pictures: int
    score: Score
    cases: Counter[str]
    verified: Counter[str]
    seconds: float


def measure(folder: Path, vehicles: int, seeds: Sequence[int]) -> list[Day]:
    """A day for each seed; results stay in FOLDER/SEED."""
    with localcloud.running(folder / "cloud", only=("storage", "vision")) as cloud:
        os.environ.update(cloud.env)
        return [day(folder / str(seed), cloud.env, vehicles, seed) for seed in seeds]


def day(folder: Path, env: Mapping[str, str], vehicles: int, seed: int) -> Day:
    """One of them. env: where the local services are found, in the environment of this process too."""
    begun_s = time.monotonic()
    cameras, evidence = f"cameras-{seed}", f"evidence-{seed}"
    for bucket in (cameras, evidence):
        endpoints.storage_client().create_bucket(bucket)
    scenario = generate(
        Config(
            network=parse_network(SECTIONS.read_text(encoding="utf-8")),
            vehicles=vehicles,
            seed=seed,
            faults=FAULTS,
            bucket=cameras,
            pictures=Pictures.ALL,
        )
    )
    with FileSink(folder / "sightings.ndjson") as sink:
        sent = publish(scenario, sink, paced=False)
    first = _run(folder, "named", env)
    pictures = _draw(scenario, cameras, {one.image_url for fine in first for one in fine.evidence})
    options = (f"--evidence_bucket={evidence}", "--ocr=vision", f"--signing_key={folder / 'signing.key'}")
    fines = _run(folder, "judged", env, *options)
    reasons = Counter(", ".join(fine.reasons) for fine in fines if fine.status == "review")
    told = (sorted((folder / "judged").glob(f"{name}-*")) for name in ("fines", "alarms"))
    result = score(scenario.truth(), read_fines(next(told)), read_alarms(next(told)))
    verified = _verified(folder / "signing.key.pub", evidence, env)
    return Day(seed, sent.sightings, pictures, result, reasons, verified, time.monotonic() - begun_s)


def _run(folder: Path, name: str, env: Mapping[str, str], *options: str) -> list[Fine]:
    """The fines and cases of the bounded job."""
    files = {"input": "sightings.ndjson", "output_dir": name, "privacy_secret": "secret"}
    command = [sys.executable, "-m", "pipeline", *(f"--{option}={folder / file}" for option, file in files.items())]
    subprocess.run([*command, f"--sections={SECTIONS}", *options], check=True, env=os.environ | env)
    decode = msgspec.json.Decoder(Fine).decode_lines
    return [fine for path in sorted((folder / name).glob("fines-*")) for fine in decode(path.read_bytes())]


def _draw(scenario: Scenario, bucket: str, wanted: set[str | None]) -> int:
    store, prefix = BucketStore(bucket, PROJECT), f"gs://{bucket}/"
    orders = [one for message in scenario.messages() for one in message.pictures if prefix + one.name in wanted]
    with ThreadPoolExecutor(PAINTERS) as painters:
        return sum(1 for _ in painters.map(lambda order: paint(order, store), orders))


def _verified(public_key: Path, bucket: str, env: Mapping[str, str]) -> Counter[str]:
    """How many packets and chains were found to be what, by the first word of each line."""
    command = [sys.executable, "-m", "pipeline", "verify", f"--public_key={public_key}", f"gs://{bucket}"]
    found = subprocess.run(command, check=False, env=os.environ | env, capture_output=True, text=True)
    lines = (found.stdout + found.stderr).splitlines()
    return Counter(line.split(maxsplit=1)[0] for line in lines if line.strip())


def table(days: Sequence[Day]) -> str:
    """A line for each seed, then each wrong fine and each missed violation with what touched it."""
    lines = ["".join(f"{title:>{width}}" for title, width in zip(TITLES, WIDTHS, strict=True))]
    for one in days:
        found = one.score
        cells = (
            one.seed,
            found.passages,
            found.violations,
            found.wrong,
            found.right,
            found.same_trip,
            found.reviews,
            found.offered,
            found.unprovable,
            found.missed,
        )
        lines.append("".join(f"{cell:>{width},}" for cell, width in zip(cells, WIDTHS, strict=True)))
    for one in days:
        lines.append(
            f"seed {one.seed}: {one.sightings:,} sightings, {one.pictures:,} pictures drawn, {one.seconds:.0f} s"
        )
        lines.append(f"  packets and chains: {', '.join(f'{n:,} {what}' for what, n in one.verified.most_common())}")
        lines += [f"  before a person: {number:,} {reasons}" for reasons, number in one.cases.most_common()]
        told = (*one.score.of(Verdict.WRONG), *one.score.of(Verdict.MISSED))
        lines += [
            f"  {finding.verdict}: {finding.vehicle_id} in {finding.section_id}: {finding.explanation}"
            for finding in told
        ]
    return "\n".join(lines)


def as_json(days: Sequence[Day]) -> list[dict[str, object]]:
    """The same for programs."""
    return [
        {
            "seed": one.seed,
            "sightings": one.sightings,
            "passages": one.score.passages,
            "violations": one.score.violations,
            **{str(verdict): len(one.score.of(verdict)) for verdict in Verdict},
            "before_a_person": dict(one.cases),
            "missed": [finding.explanation for finding in one.score.of(Verdict.MISSED)],
            "packets_and_chains": dict(one.verified),
        }
        for one in days
    ]
