"""A Python loop with the standard library's json."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import datetime

from bench.peers import job
from bench.peers.sessions import Seen, passages


def main() -> None:
    """Gather each vehicle's sightings, then write its passages."""
    source, target = job.paths()
    vehicles: defaultdict[str, list[Seen]] = defaultdict(list)
    with open(source, encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            vehicles[row["vehicle_id"]].append((datetime.fromisoformat(row["timestamp"]), row["camera_id"]))
    with open(target, "w", encoding="utf-8") as file:
        for vehicle_id, seen in vehicles.items():
            for entry, leaving, speed in passages(seen):
                times = {"entry_time": entry.isoformat(), "exit_time": leaving.isoformat()}
                file.write(json.dumps({"vehicle_id": vehicle_id, **times, "avg_speed": speed}) + "\n")


if __name__ == "__main__":
    main()
