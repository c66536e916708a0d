"""The report's words: what codes and numbers mean to a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pipeline.enforcement.model import Outcome
from pipeline.enforcement.sections import KMH_PER_MPH

OUTCOMES: Mapping[Outcome, str] = {
    Outcome.CLEAR: "not over the limit, or of a trip that has its fine",
    Outcome.FINED: "fined",
    Outcome.REVIEW: "for a person",
    Outcome.UNMEASURABLE: "not measurable",
}


def limit(kmh: float) -> str:
    """40.2 km/h (25 mph), without the miles where the limit was not set in them."""
    mph = kmh / KMH_PER_MPH
    miles = f" ({round(mph)} mph)" if abs(mph - round(mph)) < 1e-4 else ""
    return f"{kmh:.4g} km/h{miles}" if not miles else f"{kmh:.1f} km/h{miles}"


def moment(rfc3339: str) -> str:
    """The time of day to a thousandth of a second, UTC."""
    return datetime.fromisoformat(rfc3339).strftime("%H:%M:%S.%f")[:-3]


def count(number: int, one: str, many: str = "") -> str:
    """1 fine, 2 fines."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
