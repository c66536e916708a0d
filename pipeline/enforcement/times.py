"""RFC 3339 texts and whole microseconds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np
import numpy.typing as npt

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_WITHOUT_ZONE = datetime(1970, 1, 1)
_MICROSECOND = timedelta(microseconds=1)


def parse_rfc3339_us(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time. Raises ValueError without zone or on any other text."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return (moment - _EPOCH) // _MICROSECOND


def rfc3339(time_us: int) -> str:
    """The time in UTC with microseconds, such as 2026-04-13T16:30:38.690000Z."""
    time_s = time_us // 1_000_000
    return _second(time_s) + str(time_us - time_s * 1_000_000 + 1_000_000)[1:] + "Z"


def rfc3339_of_all(times_us: Sequence[int] | npt.NDArray[np.int64]) -> list[str]:
    """The same of many times, faster."""
    texts: list[str] = np.datetime_as_string(np.array(times_us, np.int64).astype("M8[us]"), timezone="UTC").tolist()
    return texts


@lru_cache(maxsize=4096)
def _second(time_s: int) -> str:
    """Sightings come in seconds full of them: each second is written out once, up to its point."""
    return (_EPOCH_WITHOUT_ZONE + timedelta(seconds=time_s)).isoformat() + "."


def day(time_us: int) -> str:
    """The UTC day, such as 2026-04-13."""
    return rfc3339(time_us)[:10]
