"""The bare job: JSON lines of sightings in, one JSON line for each session of a vehicle with entry and exit out.

A session ends where the vehicle was not seen for GAP_S, or enters again after it left; sightings may come in any order.
The longest time counts: first sighting at the entry to last sighting at the exit, with the average speed in km/h.
"""

from __future__ import annotations

import sys

ENTRY, EXIT = "ENTRY", "EXIT"
LENGTH_M = 500.5
GAP_S = 180


def paths() -> tuple[str, str]:
    """Input and output of a peer: python -m bench.peers.NAME INPUT OUTPUT."""
    source, target = sys.argv[1:]
    return source, target
