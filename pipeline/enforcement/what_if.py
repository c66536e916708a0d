"""The passages of a day under another policy: what was suspected before and would be, and what it would cost.

Whether a suspected violation becomes a fine is not asked: that takes its pictures, and those of vehicles that were
clear were never kept. Vehicles stay the pseudonyms under which they are stored.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from pipeline.enforcement import replay
from pipeline.enforcement.model import Outcome, Passage
from pipeline.enforcement.policy import Policy, is_suspected
from pipeline.enforcement.records import PassageRecord, Time

Money = defaultdict[str, float]  # by currency


class Judgement(StrEnum):
    """What a policy makes of a passage."""

    CLEAR = "clear"
    SUSPECTED = "suspected"
    UNMEASURABLE = "unmeasurable"


class Effect(StrEnum):
    """What another policy makes of a suspected violation, or of a passage that was clear."""

    FALLS = "falls"
    ARISES = "arises"
    CHANGES = "changes"
    STANDS = "stands"


class Standing(msgspec.Struct, frozen=True):
    """A passage under a policy. amount: what the policy asks for, in currency; None where it names nothing."""

    judgement: Judgement
    policy: str | None
    counted_speed: float | None = None
    amount: float | None = None
    currency: str | None = None


class Difference(msgspec.Struct, frozen=True):
    """A suspected violation before or after. vehicle_id: as it is stored, a pseudonym unless privacy was off."""

    passage_id: str
    section_id: str
    vehicle_id: str
    entry_time: Time
    limit_kmh: float
    min_speed: float | None
    effect: Effect
    before: Standing
    after: Standing


def stored(record: PassageRecord, policies: Mapping[str, Policy]) -> Standing:
    """A passage as it was decided. Raises UntoldError if its policy, which names the amount, is not known."""
    if record.outcome is Outcome.UNMEASURABLE:
        return Standing(Judgement.UNMEASURABLE, record.policy)
    if record.outcome is Outcome.CLEAR:
        return Standing(Judgement.CLEAR, record.policy, record.counted_speed)
    policy = replay.named(policies, record.policy)
    if record.counted_speed is None:
        raise replay.UntoldError("it was stored without the speed that counted")
    amount = policy.amount(record.counted_speed, record.limit_kmh)
    currency = None if amount is None else policy.currency
    return Standing(Judgement.SUSPECTED, record.policy, record.counted_speed, amount, currency)


def replayed(record: PassageRecord, policy: Policy, tolerance_kmh: float) -> Standing:
    """A passage as another policy decides it. Raises UntoldError where its record does not hold what is asked."""
    if record.outcome is Outcome.UNMEASURABLE:
        return Standing(Judgement.UNMEASURABLE, policy.name)
    if replay.is_stood_for(record):
        return Standing(Judgement.CLEAR, policy.name)
    return _standing(replay.decided(replay.measured(record), policy, tolerance_kmh))


def of_run(record: PassageRecord, policy: Policy) -> Standing:
    """A passage of a run in which this policy was every section's, also of those that are too short for it."""
    found = stored(record, {policy.name: policy})
    if found.judgement is Judgement.SUSPECTED and replay.is_too_short(record, policy):
        return Standing(Judgement.CLEAR, found.policy, found.counted_speed)
    return found


def _standing(passage: Passage) -> Standing:
    judgement = Judgement.SUSPECTED if is_suspected(passage) else Judgement.CLEAR
    if passage.outcome is Outcome.UNMEASURABLE:
        judgement = Judgement.UNMEASURABLE
    return Standing(judgement, passage.policy, passage.counted_speed_kmh, passage.amount, passage.currency or None)


class Comparison:
    """The counts and the money of all passages that were looked at, before and after."""

    def __init__(self) -> None:
        self.before: Counter[Judgement] = Counter()
        self.after: Counter[Judgement] = Counter()
        self.money_before: Money = defaultdict(float)
        self.money_after: Money = defaultdict(float)
        self.effects: Counter[Effect] = Counter()
        self.untold: Counter[str] = Counter()

    def add(self, record: PassageRecord, before: Standing, after: Standing) -> Difference | None:
        """Count a passage; what there is to tell of it, if it is or was suspected and differs."""
        _count(before, self.before, self.money_before)
        _count(after, self.after, self.money_after)
        effect = _effect(before, after)
        if effect is None:
            return None
        self.effects[effect] += 1
        if effect is Effect.STANDS:
            return None
        return Difference(
            record.passage_id,
            record.section_id,
            record.vehicle_id,
            record.entry_time,
            record.limit_kmh,
            record.min_speed,
            effect,
            before,
            after,
        )

    def add_untold(self, why: str) -> None:
        """Count a passage of which nothing can be told."""
        self.untold[why] += 1


def _count(standing: Standing, judgements: Counter[Judgement], money: Money) -> None:
    judgements[standing.judgement] += 1
    if standing.amount is not None:
        money[standing.currency or ""] += standing.amount


def _effect(before: Standing, after: Standing) -> Effect | None:
    was, would_be = (one.judgement is Judgement.SUSPECTED for one in (before, after))
    if was and would_be:
        return Effect.STANDS if _weight(before) == _weight(after) else Effect.CHANGES
    if was or would_be:
        return Effect.FALLS if was else Effect.ARISES
    return None


def _weight(standing: Standing) -> tuple[float | None, float | None, str | None]:
    return standing.counted_speed, standing.amount, standing.currency
