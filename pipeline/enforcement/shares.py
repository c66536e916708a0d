"""Sightings shared out by vehicle, so that few large groups travel instead of many small ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from zlib import crc32

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.enforcement.intake import Batch, Located
from pipeline.enforcement.lines import Plain
from pipeline.enforcement.model import Coordinates

Numbers = npt.NDArray[np.int64]
SHARES = 128  # at least
SHARE_SIGHTINGS = 80_000  # of one share at most, or nearly: it is measured in memory, a kilobyte for each
PIECE_SIGHTINGS = 32  # of a share that travel together: what an engine does for each piece costs more than a sighting
GATHERED_SIGHTINGS = 65_536  # wait in memory for others of their share


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


def shares_for(sightings: int) -> int:
    """In how many shares so many sightings are measured."""
    return max(SHARES, -(-sightings // SHARE_SIGHTINGS))


class Gathering:
    """Batches that are shared out together, so that what travels is large even where the shares are many."""

    def __init__(self, shares: int) -> None:
        self._shares, self._enough = shares, min(PIECE_SIGHTINGS * shares, GATHERED_SIGHTINGS)
        self._batches: list[Batch] = []
        self._sightings = 0

    def add(self, batch: Batch) -> Iterator[tuple[int, Share]]:
        """What there is of each share, once there is enough."""
        self._batches.append(batch)
        self._sightings += len(batch.located) + len(batch.plain.wires)
        if self._sightings >= self._enough:
            yield from self.rest()

    def rest(self) -> Iterator[tuple[int, Share]]:
        """What there is."""
        batches, self._batches, self._sightings = self._batches, [], 0
        if batches:
            yield from share_out(_joined(batches), self._shares)


def _joined(batches: Sequence[Batch]) -> Batch:
    if len(batches) == 1:
        return batches[0]
    plain = [batch.plain for batch in batches]
    columns = (list(chain.from_iterable(getattr(one, name) for one in plain)) for name in Plain.__struct_fields__)
    return Batch(tuple(chain.from_iterable(batch.located for batch in batches)), Plain(*columns))


def share_out(batch: Batch, shares: int = SHARES) -> Iterator[tuple[int, Share]]:
    """What the batch holds of each share that it holds anything of."""
    located: defaultdict[int, list[Located]] = defaultdict(list)
    for one in batch.located:
        if one.section_ids:
            located[share_of(one.sighting.vehicle_id, shares)].append(one)
    found, wires = batch.plain, batch.plain.wires
    ids = [wire.vehicle_id for wire in wires]
    numbers = np.fromiter(map(crc32, map(str.encode, ids)), np.int64, len(ids)) % shares
    numbers[[not section_ids for section_ids in found.section_ids]] = shares
    order = np.argsort(numbers, kind="stable")
    bounds = np.searchsorted(numbers[order], np.arange(shares + 1)).tolist()
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


def share_of(vehicle_id: str, shares: int) -> int:
    """The share of a vehicle, the same on every machine."""
    return crc32(vehicle_id.encode()) % shares
