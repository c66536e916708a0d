"""The sightings of a share of the vehicles, a column each: what a vehicle's whole session is found in."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.enforcement import clones, lines, passages
from pipeline.enforcement.lines import Places
from pipeline.enforcement.model import Sighting
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.shares import Share

Numbers = npt.NDArray[np.int64]
NOWHERE = (math.nan, math.nan)


class Rows:
    """The sightings of a share (n), a column each; the plain ones come first."""

    def __init__(self, places: Places, shares: Sequence[Share], pseudonyms: Pseudonyms) -> None:
        self._lines = b"\n".join(share.lines for share in shares if share.lines)
        self._ends = np.append(np.flatnonzero(np.frombuffer(self._lines, np.uint8) == ord("\n")), len(self._lines))
        self._others = [one.sighting for share in shares for one in share.located]
        ids = (places.numbers[one.sighting.camera_id, one.section_ids] for share in shares for one in share.located)
        self.places = _joined((share.places for share in shares), ids)
        self.times_us = _joined((share.times_us for share in shares), (other.time_us for other in self._others))
        self.vehicle_ids = _chained((share.vehicle_ids for share in shares), (one.vehicle_id for one in self._others))
        self.vehicles = coded(self.vehicle_ids)
        names = (pseudonyms.of(other.vehicle_id, other.time_us) for other in self._others)
        self.names = _chained((share.names for share in shares), names)
        self.regions = _chained((share.regions for share in shares), (other.plate_region for other in self._others))
        self.locations = _chained((share.locations for share in shares), (other.location for other in self._others))
        self._n_plain = len(self.names) - len(self._others)
        self.timed = np.array([True] * self._n_plain + [other.timed for other in self._others])

    def sighting(self, index: int) -> Sighting:
        """One of them, whole."""
        if index >= self._n_plain:
            return self._others[index - self._n_plain]
        start, end = self._ends[index - 1] + 1 if index else 0, self._ends[index]
        return lines.read(self._lines[start:end], int(self.times_us[index]), self.locations[index])

    def of_vehicles(self, vehicle_ids: Container[str]) -> dict[str, list[Sighting]]:
        """All sightings of some vehicles, in order of time."""
        found = defaultdict[str, list[Sighting]](list)
        for index, vehicle_id in enumerate(self.vehicle_ids):
            if vehicle_id in vehicle_ids:
                found[vehicle_id].append(self.sighting(index))
        return {vehicle_id: passages.in_order(seen) for vehicle_id, seen in found.items()}

    def at_two_places(self, ceiling_kmh: float) -> set[str]:
        """The vehicles that may have been at two places at once."""
        degrees = chain.from_iterable(place or NOWHERE for place in self.locations)
        places = np.fromiter(degrees, np.float64, 2 * len(self.locations)).reshape(-1, 2)
        placed = np.flatnonzero(self.timed & ~np.isnan(places[:, 0]))
        vehicles, times_us = self.vehicles[placed], self.times_us[placed]
        order = np.lexsort((times_us, vehicles))
        chosen, vehicle = placed[order], vehicles[order]
        far = clones.may_be_impossible(places[chosen], times_us[order] / 1_000_000, ceiling_kmh)
        pairs = np.flatnonzero(far & (np.diff(vehicle) == 0))
        return {self.vehicle_ids[index] for index in chosen[pairs].tolist()}


def _joined(plain: Iterable[bytes], others: Iterable[int]) -> Numbers:
    return np.concatenate([np.frombuffer(b"".join(plain), np.int64), np.array(list(others), np.int64)])


def _chained(plain: Iterable[Iterable[Any]], others: Iterable[Any]) -> list[Any]:
    return [*chain.from_iterable(plain), *others]


def coded(values: Iterable[Any]) -> Numbers:
    """For each value its number among the different ones."""
    known: dict[Any, int] = {}
    return np.fromiter((known.setdefault(value, len(known)) for value in values), np.int64)
