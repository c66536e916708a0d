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
_FORM = b"0000-00-00T00:00:00.000000"
_WIDTHS = (20, *range(22, 28))  # with Z; without a fraction, or with one to six digits of it
_FIRST_US = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
NO_TIME = -(2**63)
_LINE = _FORM + b"Z\n"
_FEW = 40  # are written out one by one as fast
_DAY_S = 86_400
_PLACES = (11, 14, 17, 20, 22, 24)  # in _FORM, of hours, minutes, seconds and the fraction's three pairs
_PAIRS = np.array([f"{number:02d}".encode() for number in range(100)]).view(np.uint16)  # two digits each


def parse_rfc3339_us(text: str) -> int:
    """Microseconds since 1970 of an RFC 3339 time. Raises ValueError without zone or on any other text."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return (moment - _EPOCH) // _MICROSECOND


def parse_all_us(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """The same of many times (n), faster; NO_TIME for any other text."""
    alike = _parse_alike_us(texts)
    return np.fromiter(map(_parsed_us, texts), np.int64, len(texts)) if alike is None else alike


def _parse_alike_us(texts: Sequence[str]) -> npt.NDArray[np.int64] | None:
    """Of times that are all written alike, in UTC with Z and to the same decimal, as cameras write them; None: others
    are among them."""
    joined, width = "".join(texts), len(texts[0]) if texts else 0
    if width not in _WIDTHS or not joined.isascii() or set(map(len, texts)) != {width}:
        return None
    written = np.frombuffer(joined.encode(), np.uint8).reshape(-1, width)
    form = np.frombuffer(_FORM[: width - 1] + b"Z", np.uint8)
    is_digit = form == ord("0")
    if (written[:, is_digit] - ord("0") > 9).any() or (written[:, ~is_digit] != form[~is_digit]).any():
        return None
    try:
        moments = written.view(f"S{width}").ravel().astype(f"S{width - 1}").astype("M8[us]")
    except ValueError:
        return None
    found = moments.astype(np.int64)
    found[found < _FIRST_US] = NO_TIME  # numpy has a year 0
    return found


def _parsed_us(text: str) -> int:
    try:
        return parse_rfc3339_us(text)
    except (ValueError, OverflowError):
        return NO_TIME


def rfc3339(time_us: int) -> str:
    """The time in UTC with microseconds, such as 2026-04-13T16:30:38.690000Z."""
    time_s = time_us // 1_000_000
    return _second(time_s) + str(time_us - time_s * 1_000_000 + 1_000_000)[1:] + "Z"


def rfc3339_of(moment: datetime) -> str:
    """The same of a time with its zone."""
    return rfc3339((moment - _EPOCH) // _MICROSECOND)


def rfc3339_of_all(times_us: Sequence[int] | npt.NDArray[np.int64]) -> list[str]:
    """The same of many times (n), faster: each day is written out once, and the digits of its times as columns."""
    if len(times_us) < _FEW:
        return [rfc3339(int(time_us)) for time_us in times_us]
    seconds, fraction_us = np.divmod(np.asarray(times_us, np.int64), 1_000_000)
    days, of_day_s = np.divmod(seconds, _DAY_S)
    distinct, which = np.unique(days, return_inverse=True)
    written = np.empty((len(days), len(_LINE)), np.uint8)
    written[:] = np.frombuffer(_LINE, np.uint8)
    dates = np.datetime_as_string(distinct.astype("M8[D]")).astype("S10")
    written[:, :10] = dates.view(np.uint8).reshape(-1, 10)[which]
    of_day_s, fraction_us = of_day_s.astype(np.uint32), fraction_us.astype(np.uint32)
    clock = (of_day_s // 3600, of_day_s // 60 % 60, of_day_s % 60)
    pairs = (*clock, fraction_us // 10_000, fraction_us // 100 % 100, fraction_us % 100)
    for place, pair in zip(_PLACES, pairs, strict=True):
        written[:, place : place + 2] = _PAIRS[pair].view(np.uint8).reshape(-1, 2)
    return written.tobytes().decode("ascii").split("\n")[:-1]


@lru_cache(maxsize=4096)
def _second(time_s: int) -> str:
    """Sightings come in seconds full of them: each second is written out once, up to its point."""
    return (_EPOCH_WITHOUT_ZONE + timedelta(seconds=time_s)).isoformat() + "."


def day(time_us: int) -> str:
    """The UTC day, such as 2026-04-13."""
    return rfc3339(time_us)[:10]
