"""Passage + limit + tolerance -> decision. A suspicion is not a fine: that takes the plate (judge)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from pipeline.enforcement.model import Outcome, Passage, Reason

MARGIN_KMH = 1e-6  # far above the rounding of floating point, far below any clock: at the limit is never over it
IMPLAUSIBLE_KMH = 250.0


def decide(passage: Passage, tolerance_kmh: float = 0.0) -> Passage:
    """The passage with outcome clear, or without outcome where a violation is suspected.

    What counts is the lowest speed that the evidence allows, never the best estimate.
    Doubts about a suspected violation stand in its reasons and keep it from being fined without a person.
    """
    if passage.outcome is not None or passage.min_speed_kmh is None:
        return passage
    if passage.min_speed_kmh <= passage.limit_kmh + tolerance_kmh + MARGIN_KMH:
        return replace(passage, outcome=Outcome.CLEAR)
    return replace(passage, reasons=tuple(_doubts(passage)))


def _doubts(passage: Passage) -> Iterable[Reason]:
    yield from passage.reasons
    if passage.ambiguous:
        yield Reason.AMBIGUOUS_PAIRING
    if passage.avg_speed_kmh is not None and passage.avg_speed_kmh > IMPLAUSIBLE_KMH:
        yield Reason.IMPLAUSIBLE_SPEED


def is_suspected(passage: Passage) -> bool:
    """Whether a violation is suspected and not decided yet."""
    return passage.outcome is None
