"""Pseudonyms: who passed is not stored, only that it was the same vehicle on the same day.

HMAC-SHA-256 under a key per day, itself derived from one secret: without the secret a pseudonym cannot be turned back
by trying all plates, and pseudonyms of different days cannot be joined even with a day's key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.enforcement.times import day as day_of

MIN_SECRET_BYTES = 16
PSEUDONYM_HEX_DIGITS = 32
FINGERPRINT_HEX_DIGITS = 16
MAX_DAYS = 32  # passages of one share of the vehicles come from all days of a file
MAX_KNOWN = 16_384  # of each day
_DAY_US = 86_400_000_000
_BLOCK_BYTES = 64  # of SHA-256
_INNER_PAD, _OUTER_PAD = (bytes(byte ^ pad for byte in range(256)) for pad in (0x36, 0x5C))


def fingerprint(secret: bytes) -> str:
    """Tells one secret from another and may be shown: no key comes from it, nor from what it is made of."""
    return hmac.digest(secret, b"fingerprint", "sha256").hex()[:FINGERPRINT_HEX_DIGITS]


class Pseudonyms:
    """Turns names into pseudonyms; with secret None it returns them as they are (privacy off)."""

    def __init__(self, secret: bytes | None) -> None:
        if secret is not None and len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the privacy secret has {len(secret)} bytes; at least {MIN_SECRET_BYTES} are needed")
        self._secret = secret
        self._days: dict[int, _Day] = {}

    def of(self, name: str, time_us: int) -> str:
        """The pseudonym of `name` on the UTC day of `time_us`."""
        if self._secret is None:
            return name
        day = self._day(self._secret, time_us)
        return day.known.get(name) or day.pseudonym(name)

    def of_all(self, names: Sequence[str], times_us: npt.NDArray[np.int64]) -> list[str]:
        """The pseudonyms of many names (n), each on the day of its time (n): the same, faster where the day is one."""
        if self._secret is None or not len(names):
            return list(names)
        if times_us.min() // _DAY_US != times_us.max() // _DAY_US:
            return list(map(self.of, names, times_us.tolist()))
        day = self._day(self._secret, int(times_us[0]))
        known, pseudonym = day.known.get, day.pseudonym
        return [known(name) or pseudonym(name) for name in names]

    def _day(self, secret: bytes, time_us: int) -> _Day:
        number = time_us // _DAY_US
        day = self._days.get(number)
        if day is None:
            self._days = dict([*self._days.items()][1 - MAX_DAYS :])
            day = self._days[number] = _Day(secret, day_of(time_us))
        return day


class _Day:
    """The pseudonyms of one day, the latest ones remembered: a vehicle is seen several times."""

    def __init__(self, secret: bytes, day: str) -> None:
        key = hmac.digest(secret, day.encode(), "sha256").ljust(_BLOCK_BYTES, b"\0")
        self._inner, self._outer = hashlib.sha256(key.translate(_INNER_PAD)), hashlib.sha256(key.translate(_OUTER_PAD))
        self.known: dict[str, str] = {}

    def pseudonym(self, name: str) -> str:
        """HMAC under the day's key, as RFC 2104 defines it: its two hashes, begun once with the key, are twice as fast
        as the library's object."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(name.encode())
        outer.update(inner.digest())
        if len(self.known) >= MAX_KNOWN:
            self.known.clear()
        self.known[name] = found = outer.hexdigest()[:PSEUDONYM_HEX_DIGITS]
        return found


IN_CLEAR = Pseudonyms(None)
