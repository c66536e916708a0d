"""Pseudonyms: who passed is not stored, only that it was the same vehicle on the same day.

HMAC-SHA-256 under a key per day, itself derived from one secret: without the secret a pseudonym cannot be turned back
by trying all plates, and pseudonyms of different days cannot be joined even with a day's key.
"""

from __future__ import annotations

import hmac
from functools import lru_cache

from pipeline.enforcement.times import day

MIN_SECRET_BYTES = 16
PSEUDONYM_HEX_DIGITS = 32
_DAY_US = 86_400_000_000


class Pseudonyms:
    """Turns names into pseudonyms; with secret None it returns them as they are (privacy off)."""

    def __init__(self, secret: bytes | None) -> None:
        if secret is not None and len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the privacy secret has {len(secret)} bytes; at least {MIN_SECRET_BYTES} are needed")
        self._secret = secret

    def of(self, name: str, time_us: int) -> str:
        """The pseudonym of `name` on the UTC day of `time_us`."""
        return name if self._secret is None else _pseudonym(self._secret, time_us // _DAY_US, name)


IN_CLEAR = Pseudonyms(None)


@lru_cache(maxsize=64)
def _keyed(secret: bytes, day_number: int) -> hmac.HMAC:
    """HMAC under the day's key, ready to be copied for each name."""
    return hmac.new(hmac.digest(secret, day(day_number * _DAY_US).encode(), "sha256"), digestmod="sha256")


@lru_cache(maxsize=65_536)
def _pseudonym(secret: bytes, day_number: int, name: str) -> str:
    keyed = _keyed(secret, day_number).copy()
    keyed.update(name.encode())
    return keyed.hexdigest()[:PSEUDONYM_HEX_DIGITS]
