"""A Python loop with msgspec: typed records that hold only what the job needs."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

import msgspec

from bench.peers import job
from bench.peers.sessions import Seen, passages


class Sighting(msgspec.Struct, gc=False):
    """What is decoded of a line; its other fields are skipped."""

    vehicle_id: str
    timestamp: datetime
    camera_id: str


class Written(msgspec.Struct, gc=False):
    """A line of the output."""

    vehicle_id: str
    entry_time: datetime
    exit_time: datetime
    avg_speed: float


def main() -> None:
    """Gather each vehicle's sightings, then write its passages."""
    source, target = job.paths()
    decode, encode = msgspec.json.Decoder(Sighting).decode, msgspec.json.Encoder().encode
    vehicles: defaultdict[str, list[Seen]] = defaultdict(list)
    with open(source, "rb") as lines:
        for line in lines:
            sighting = decode(line)
            vehicles[sighting.vehicle_id].append((sighting.timestamp, sighting.camera_id))
    with open(target, "wb") as file:
        for vehicle_id, seen in vehicles.items():
            for passage in passages(seen):
                file.write(encode(Written(vehicle_id, *passage)) + b"\n")


if __name__ == "__main__":
    main()
