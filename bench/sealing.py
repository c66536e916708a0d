"""What a packet of evidence costs: CPU milliseconds of sealing one case, by the size of its pictures.

Of all that is done for it but the network: what was fetched is checked, the record, the sheet as HTML and PDF, the
manifest with the hash of each part, its signature, and the one file. Medians of several rounds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from io import BytesIO
from statistics import median
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from PIL import Image

from pipeline import policies
from pipeline.enforcement import evidence, manifest, passages, policy
from pipeline.enforcement.model import Case, ErrorBudget, Sighting
from pipeline.enforcement.packet import Rules, Versions
from pipeline.enforcement.records import Verdict
from pipeline.enforcement.sections import Section
from pipeline.packets import archive
from pipeline.packets.keys import SigningKey

SIZES = ((640, 480), (1280, 960), (2560, 1920), (4000, 3000))  # of each of two pictures, in pixels
GRAIN, QUALITY = 8, 88  # so that a picture of twelve megapixels has 3.5 MB, as cameras' have
ROUNDS = 7
LINE = "{:<16}{:>10}{:>12}{:>12}{:>12}"
SECTION = Section("bench", 40.0, cameras=("a", "b"), length_m=(400.0,), errors=ErrorBudget(0.5, 0.12, 0.002))


class Row(NamedTuple):
    """Of two pictures of a size: how large each is, and what checking and sealing take of CPU time."""

    pixels: str
    picture_mb: float
    check_ms: float
    seal_ms: float


def measure(sizes: Iterable[tuple[int, int]] = SIZES, rounds: int = ROUNDS) -> list[Row]:
    """A row for each size."""
    key = SigningKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
    return [_row(key, width, height, rounds) for width, height in sizes]


def _row(key: SigningKey, width: int, height: int, rounds: int) -> Row:
    pictures = tuple(_picture(number, width, height) for number in (1, 2))
    verdict, rules = _verdict(pictures)
    versions = Versions("bench", "0" * 64, "0" * 64)
    times = []
    for _ in range(rounds):
        begun = time.process_time()
        for data in pictures:
            manifest.digest(data)
        checked = time.process_time()
        archive.pack(verdict, rules, versions, pictures, key)
        times.append((checked - begun, time.process_time() - checked))
    check_ms, seal_ms = (1e3 * median(part) for part in zip(*times, strict=True))
    return Row(f"{width} x {height}", len(pictures[0]) / 1e6, check_ms, seal_ms)


def _picture(seed: int, width: int, height: int) -> bytes:
    grains = np.random.default_rng(seed).integers(0, 255, (height // GRAIN, width // GRAIN, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(grains).resize((width, height), Image.Resampling.BICUBIC).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _verdict(pictures: tuple[bytes, ...]) -> tuple[Verdict, Rules]:
    """A case for a person: nobody has read its pictures. It costs what a fine does."""
    rules = Rules(SECTION, policies.shipped()["edem"])
    seen = [
        Sighting(f"e{at}", "KLM4821", 1_776_000_000_000_000 + at * 30_000_000, camera_id=camera, plate="KLM4821")
        for at, camera in enumerate(SECTION.cameras)
    ]
    (measured,) = passages.measure(SECTION, "KLM4821", seen).passages
    case = evidence.case_of(policy.decide(measured, rules.policy))
    kept = tuple(
        replace(one, image_url=f"gs://bench/{number}", sha256=manifest.digest(data))
        for number, (one, data) in enumerate(zip(case.pictures, pictures, strict=True))
    )
    return Verdict(*evidence.judge(Case(case.passage, kept), SECTION), kept), rules


def table(rows: Iterable[Row], machine: Mapping[str, object]) -> str:
    """For people."""
    lines = [LINE.format("two pictures", "MB each", "check, ms", "seal, ms", "both, ms")]
    for row in rows:
        both_ms = row.check_ms + row.seal_ms
        cells = (f"{value:.1f}" for value in (row.check_ms, row.seal_ms, both_ms))
        lines.append(LINE.format(row.pixels, f"{row.picture_mb:.2f}", *cells))
    lines.append(f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, load {machine['load']:.1f}")
    return "\n".join(lines)
