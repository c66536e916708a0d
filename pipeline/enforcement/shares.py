"""Sightings shared out by vehicle, so that few large groups travel instead of many small ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeVar
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.enforcement.intake import Batch, Located
from pipeline.enforcement.model import Coordinates

T = TypeVar("T")
Numbers = npt.NDArray[np.int64]
SHARES = 128  # each is measured in memory: of 100 million sightings a share takes about 0.8 gigabytes


class Share(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Sightings of some vehicles, those in sections: plain ones (n), a column each, and others.

    lines: one under the other, without an end of the last one. times_us, places: 64-bit integers, of places their
    numbers. names, regions, locations: what the lines say, or follows from it, ready for use.
    """

    located: list[Located]
    lines: bytes = b""
    vehicle_ids: list[str] = []
    names: list[str] = []
    regions: list[str | None] = []
    locations: list[Coordinates | None] = []
    times_us: bytes = b""
    places: bytes = b""


def share_out(batch: Batch) -> Iterator[tuple[int, Share]]:
    """What the batch holds of each share that it holds anything of."""
    located: defaultdict[int, list[Located]] = defaultdict(list)
    for one in batch.located:
        if one.section_ids:
            located[share_of(one.sighting.vehicle_id)].append(one)
    found, wires = batch.plain, batch.plain.wires
    ids = [wire.vehicle_id for wire in wires]
    shares = np.fromiter(map(crc32, map(str.encode, ids)), np.int64, len(ids)) % SHARES
    shares[[not section_ids for section_ids in found.section_ids]] = SHARES
    order = np.argsort(shares, kind="stable")
    bounds = np.searchsorted(shares[order], np.arange(SHARES + 1)).tolist()
    times_us, places = np.array(found.times_us, np.int64)[order], np.array(found.places, np.int64)[order]
    at = order.tolist()
    lines, wires = [found.lines[index] for index in at], [wires[index] for index in at]
    vehicle_ids, names = [ids[index] for index in at], [found.names[index] for index in at]
    regions, locations = [wire.plate_region or None for wire in wires], [wire.location for wire in wires]
    for share, (start, end) in enumerate(pairwise(bounds)):
        if start < end or share in located:
            part = slice(start, end)
            yield (
                share,
                Share(
                    located[share],
                    b"\n".join(lines[part]),
                    vehicle_ids[part],
                    names[part],
                    regions[part],
                    locations[part],
                    times_us[part].tobytes(),
                    places[part].tobytes(),
                ),
            )


def share_of(vehicle_id: str) -> int:
    """The share of a vehicle, the same on every machine."""
    return crc32(vehicle_id.encode()) % SHARES
