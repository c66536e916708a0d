"""Passage + policy -> decision. A suspicion is not a fine: that takes the plate (judge)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from pipeline.enforcement.contradictions import contradict
from pipeline.enforcement.model import Basis, Outcome, Passage, Reason

Speed = TypeVar("Speed", float, npt.NDArray[np.float64])
MARGIN_KMH = 1e-6  # far above the rounding of floating point, far below any clock: at the limit is never over it
IMPLAUSIBLE_KMH = 250.0


class Deduction(msgspec.Struct, frozen=True):
    """What is taken off a speed up to `up_to_kmh`: km/h, or a share of it."""

    up_to_kmh: float = math.inf
    kmh: float = 0.0
    share: float = 0.0

    def taken_off(self, speed_kmh: Speed) -> Speed:
        """What is left of the speed, or of each of many."""
        return speed_kmh - (self.kmh + self.share * speed_kmh)


class Least(msgspec.Struct, frozen=True):
    """How far over a limit up to `limit_up_to_kmh` a counted speed must be at least."""

    over_kmh: float
    limit_up_to_kmh: float = math.inf


class Amount(msgspec.Struct, frozen=True):
    """What it costs to be more than so much over the limit."""

    more_than_kmh: float
    amount: float


class Policy(msgspec.Struct, frozen=True):
    """When a proven speed becomes a fine. Speeds in km/h; see policies.yaml for what each field means."""

    name: str
    title: str = ""
    sources: tuple[str, ...] = ()
    counts_mean_of_points: bool = False
    rounds_first: bool = False
    deductions: tuple[Deduction, ...] = ()
    rounds: bool = False
    fixed_limit_kmh: float | None = None
    more_than_kmh: float = 0.0
    least: tuple[Least, ...] = ()
    least_length_m: float = 0.0
    one_fine_per_trip: bool = False
    fines_point_speeds: bool = False
    always_reviewed: bool = False
    amounts: tuple[Amount, ...] = ()
    currency: str = ""
    days_to_notice: int | None = None

    def counted_kmh(self, speed_kmh: float) -> float:
        """The speed that counts: less the deduction, rounded down in the driver's favour where the policy rounds."""
        speed_kmh = whole_kmh(speed_kmh) if self.rounds_first else speed_kmh
        deduction = self.deduction(speed_kmh)
        if deduction is not None:
            speed_kmh = deduction.taken_off(speed_kmh)
        return whole_kmh(speed_kmh) if self.rounds else speed_kmh

    def deduction(self, speed_kmh: float) -> Deduction | None:
        """What is taken off this speed."""
        return next((deduction for deduction in self.deductions if speed_kmh <= deduction.up_to_kmh), None)

    def is_over(self, counted_kmh: float, limit_kmh: float) -> bool:
        """Whether the counted speed is as far over the limit as the policy asks."""
        over_kmh = self.over_kmh(counted_kmh, limit_kmh)
        if over_kmh <= self.more_than_kmh + MARGIN_KMH:
            return False
        least_kmh = self.least_over_kmh(limit_kmh)
        return least_kmh is None or over_kmh >= least_kmh

    def least_over_kmh(self, limit_kmh: float) -> float | None:
        """How far over this limit a counted speed must be at least, where the policy says so."""
        return next((least.over_kmh for least in self.least if limit_kmh <= least.limit_up_to_kmh), None)

    def amount(self, counted_kmh: float, limit_kmh: float) -> float | None:
        """What the policy asks for, in its currency; None where it names nothing."""
        over_kmh = self.over_kmh(counted_kmh, limit_kmh)
        return max((band.amount for band in self.amounts if over_kmh > band.more_than_kmh), default=None)

    def over_kmh(self, counted_kmh: float, limit_kmh: float) -> float:
        """How far a counted speed is over the limit that the policy compares it with; negative: below it."""
        return counted_kmh - (limit_kmh if self.fixed_limit_kmh is None else self.fixed_limit_kmh)


def whole_kmh(speed_kmh: float) -> float:
    """Whole km/h, down: in the driver's favour."""
    return float(math.floor(speed_kmh))


def decide(passage: Passage, policy: Policy, tolerance_kmh: float = 0.0) -> Passage:
    """The passage with outcome clear, or without outcome where a violation is suspected.

    What counts is the lowest speed that the evidence allows, never the best estimate; where a radar's errors are not
    declared there is none, and the passage is unmeasurable, unless the policy takes readings as they are. Doubts about
    a suspected violation stand in its reasons and keep it from being fined without a person. Only a suspected violation
    keeps the points of its track and the limits that were in force: nobody asks how the others were measured.
    """
    if passage.outcome is not None or passage.avg_speed_kmh is None:
        return replace(passage, points=()) if passage.points else passage
    speed_kmh = _gone_by(passage, policy)
    if speed_kmh is None:
        return _unproven(passage, policy)
    counted_kmh = policy.counted_kmh(speed_kmh)
    if not policy.is_over(counted_kmh, passage.limit_kmh + tolerance_kmh):
        return replace(
            passage,
            policy=policy.name,
            counted_speed_kmh=counted_kmh,
            outcome=Outcome.CLEAR,
            reasons=(),
            points=(),
            limits=None,
        )
    amount = policy.amount(counted_kmh, passage.limit_kmh)
    return replace(
        passage,
        policy=policy.name,
        counted_speed_kmh=counted_kmh,
        reasons=tuple(_doubts(passage, policy)),
        amount=amount,
        currency="" if amount is None else policy.currency,
    )


def _gone_by(passage: Passage, policy: Policy) -> float | None:
    """The speed that the policy goes by: None where no lowest one is known and it takes no other."""
    if policy.counts_mean_of_points and passage.mean_of_points_kmh is not None:
        return passage.mean_of_points_kmh
    if passage.min_speed_kmh is None and policy.fines_point_speeds:
        return passage.avg_speed_kmh
    return passage.min_speed_kmh


def _unproven(passage: Passage, policy: Policy) -> Passage:
    """Without a lowest speed nothing is suspected: no picture is fetched, and nobody need look at it."""
    return replace(
        passage,
        policy=policy.name,
        outcome=Outcome.UNMEASURABLE,
        reasons=(Reason.ERRORS_UNDECLARED,),
        points=(),
        limits=None,
    )


def _doubts(passage: Passage, policy: Policy) -> Iterable[Reason]:
    yield from passage.reasons
    if passage.ambiguous:
        yield Reason.AMBIGUOUS_PAIRING
    if contradict(passage.entry, passage.exit):
        yield Reason.READS_CONTRADICT
    if passage.avg_speed_kmh is not None and passage.avg_speed_kmh > IMPLAUSIBLE_KMH:
        yield Reason.IMPLAUSIBLE_SPEED
    if passage.basis is Basis.POINT_SPEEDS and not policy.fines_point_speeds:
        yield Reason.POINT_SPEEDS
    if passage.basis is Basis.DISTANCE_TIME and passage.min_speed_kmh is None:
        yield Reason.ERRORS_UNDECLARED
    if policy.always_reviewed:
        yield Reason.POLICY_REVIEW


def is_suspected(passage: Passage) -> bool:
    """Whether a violation is suspected and not decided yet."""
    return passage.outcome is None
