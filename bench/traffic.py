"""Generated traffic as the streaming job meets it: messages of a hundred sightings, and the settings it runs with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from apache_beam.io.gcp.pubsub import PubsubMessage

from generator.config import FAULTS, Config, Pictures
from generator.run import generate
from pipeline import options
from pipeline.enforcement.model import Message
from pipeline.enforcement.sections import parse_network
from pipeline.options import Settings

SECTIONS = Path("templates/sections.yaml")
BATCH = 100  # sightings in a message
RATE = 400.0  # vehicles a second: a message fills in a tenth of a second
SPEEDERS = 0.01
SIGHTINGS_PER_VEHICLE = 2.7  # as simulated, on these sections
BUCKET = "cameras"


class Traffic(NamedTuple):
    """Messages with the times at which they were published, as Pub/Sub gives them to a worker (`encoded`) too."""

    messages: list[Message]
    encoded: list[bytes]


def settings(folder: Path, sections: Path = SECTIONS, lateness: str = "24h", gap: str | None = None) -> Settings:
    """Those of a streaming run that stores nothing and reads no plates, under pseudonyms."""
    argv = [f"--sections={sections}", "--input_subscription=sightings", "--output_topic=fines"]
    argv += ["--rejected_topic=rejected", "--ocr=none"]
    argv += ["--project_id=bench-project", f"--allowed_lateness={lateness}", f"--privacy_secret={folder / 'secret'}"]
    return options.check(options.parse(argv + ([f"--session_gap={gap}"] if gap else [])))._replace(evidence_bucket=None)


def traffic(sightings: int, sections: Path = SECTIONS) -> Traffic:
    """About so many sightings with every fault of the generator."""
    config = Config(
        network=parse_network(sections.read_text(encoding="utf-8")),
        vehicles=max(round(sightings / SIGHTINGS_PER_VEHICLE), 1),
        rate=RATE,
        speeders=SPEEDERS,
        faults=FAULTS,
        bucket=BUCKET,
        pictures=Pictures.NONE,
        batch=BATCH,
        batch_us=60e6,
    )
    messages = [
        Message(sent.payload, f"{number:016d}", sent.due_us) for number, sent in enumerate(generate(config).messages())
    ]
    return Traffic(messages, [_encoded(message) for message in messages])


def _encoded(message: Message) -> bytes:
    published = datetime.fromtimestamp(message.received_us / 1e6, UTC)
    sent = PubsubMessage(message.data, dict(message.attributes), message.message_id, published)
    encoded: bytes = sent._to_proto_str(for_publish=False)
    return encoded
