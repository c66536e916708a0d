"""Whether a vehicle_id names a vehicle, or is what a camera sends where it could not read a plate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

# As readers, gateways and the programs between them spell it, in letters and digits alone.
PLACEHOLDERS = frozenset({
    "empty", "illegible", "invalid", "missing", "na", "nan", "noplate", "noplatefound", "noread", "none", "noresult",
    "notavailable", "notextsfound", "notfound", "notread", "notrecognised", "notrecognized", "null", "undefined",
    "unidentified", "unknown", "unreadable", "unrecognised", "unrecognized", "unread",
})  # fmt: skip
MIN_FILLED = 4  # 0 and 000 may be the number of a tracker's vehicle, XXX a plate


@lru_cache(maxsize=65_536)  # asked for every sighting, and a vehicle is seen several times
def is_identified(vehicle_id: str) -> bool:
    """Whether sightings of this vehicle_id are of one vehicle.

    Not so for a text without a letter or digit (??????, ------), for a word of PLACEHOLDERS (N/A, NO_PLATE), and for
    four zeros or Xs and more (0000000): different vehicles would be paired under it. Other numbers are identities,
    since trackers give them: 0, 1111. Who has such a word on a personalised plate (NONE, NULL), or is 0000 of a
    tracker that pads its numbers, is never measured: the doubt is for the driver.
    """
    spelt = vehicle_id.casefold()
    if not spelt.isalnum():  # few are not
        spelt = "".join(filter(str.isalnum, spelt))
    if not spelt or spelt in PLACEHOLDERS:
        return False
    return len(spelt) < MIN_FILLED or bool(spelt.strip("0") and spelt.strip("x"))


def are_identified(vehicle_ids: Sequence[str]) -> npt.NDArray[np.bool_]:
    """The same of many (n), faster: with a digit other than nought, as nearly all have one, it is no placeholder."""
    found = np.zeros(len(vehicle_ids), np.bool_)
    joined = "".join(vehicle_ids)
    if joined.isascii() and all(vehicle_ids):
        ends = np.cumsum(np.fromiter(map(len, vehicle_ids), np.int64, len(vehicle_ids)))
        from_one = np.frombuffer(joined.encode(), np.uint8) - ord("1")  # digits give 0 to 8, what is below them wraps
        found[:] = np.bitwise_or.reduceat(from_one < 9, np.append(0, ends[:-1])) if joined else False
    for index in np.flatnonzero(~found).tolist():
        found[index] = is_identified(vehicle_ids[index])
    return found
