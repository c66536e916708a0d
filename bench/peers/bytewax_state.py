"""Bytewax: a dataflow whose state of a vehicle is the list of its sightings."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import bytewax.operators as op
import msgspec
from bytewax.connectors.files import FileSink, FileSource
from bytewax.dataflow import Dataflow
from bytewax.testing import run_main

from bench.peers import job
from bench.peers.sessions import Seen, passages


class Sighting(msgspec.Struct, gc=False):
    """What is decoded of a line; its other fields are skipped."""

    vehicle_id: str
    timestamp: datetime
    camera_id: str


class Vehicle(op.StatefulBatchLogic):
    """One vehicle's sightings; a file has all of them before its end."""

    def __init__(self, seen: list[Seen] | None) -> None:
        self.seen = seen or []

    def on_batch(self, values: list[Seen]) -> tuple[Iterable[object], bool]:
        """Keep them: they may be out of order."""
        self.seen += values
        return (), self.RETAIN

    def on_eof(self) -> tuple[Iterable[object], bool]:
        """All passages at once."""
        return list(passages(self.seen)), self.DISCARD

    def snapshot(self) -> list[Seen]:
        """For a recovery that is not asked for here."""
        return list(self.seen)


def main() -> None:
    """Run it in one worker, in this process."""
    source, target = job.paths()
    decode, encode = msgspec.json.Decoder(Sighting).decode, msgspec.json.Encoder().encode

    def keyed(line: str) -> tuple[str, Seen]:
        sighting = decode(line)
        return sighting.vehicle_id, (sighting.timestamp, sighting.camera_id)

    def written(found: tuple[str, tuple[datetime, datetime, float]]) -> tuple[str, str]:
        vehicle_id, (entry, leaving, speed) = found
        passage = {"vehicle_id": vehicle_id, "entry_time": entry, "exit_time": leaving, "avg_speed": speed}
        return vehicle_id, encode(passage).decode()

    flow = Dataflow("section_speed")
    lines = op.input("read", flow, FileSource(source, batch_size=1000))
    found = op.stateful_batch("measure", op.map("decode", lines, keyed), Vehicle)
    op.output("write", op.map("encode", found, written), FileSink(Path(target)))
    run_main(flow)


if __name__ == "__main__":
    main()
