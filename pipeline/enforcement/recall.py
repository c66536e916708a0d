"""Past fines under a corrected limit, clock or length: which fall, which change, which stand.

A correction is never used against a driver: what it would make worse stands as it is, and what was clear stays clear.
What cannot be computed again is for a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from pipeline.enforcement import passages, replay, wording
from pipeline.enforcement.model import Basis, ErrorBudget, Outcome, Passage, Reason, Status
from pipeline.enforcement.policy import MARGIN_KMH, Policy, is_suspected
from pipeline.enforcement.records import Fine, PassageRecord, Time
from pipeline.enforcement.replay import UntoldError

_TOLERANCE = "is --tolerance that of the run?"


class Effect(StrEnum):
    """What becomes of a fine, or of a case that a person has not decided yet."""

    FALLS = "falls"
    CHANGES = "changes"
    STANDS = "stands"
    UNTOLD = "cannot_be_told"


class Correction(msgspec.Struct, frozen=True):
    """What was true, where it is not what was stored; None: it was.

    clock_error_s, resolution_s: of entry and exit together. `entry_fast_us`, `exit_fast_us`: by how much the clock of
    the camera at that end was fast. `ends`: the cameras at entry and exit, where that matters.
    """

    limit_kmh: float | None = None
    distance_m: float | None = None
    length_error_m: float | None = None
    clock_error_s: float | None = None
    resolution_s: float | None = None
    entry_fast_us: int = 0
    exit_fast_us: int = 0
    ends: tuple[str, str] | None = None


class Figures(msgspec.Struct, frozen=True):
    """What a fine says of speed and money, under its own names."""

    limit_kmh: float
    distance_m: float | None
    travel_time_s: float | None
    length_error_m: float
    clock_error_s: float
    resolution_s: float
    avg_speed: float | None
    min_speed: float | None
    counted_speed: float | None
    amount: float | None
    currency: str | None


class Recalled(msgspec.Struct, frozen=True):
    """What a correction makes of one fine. `after`: what holds now, None where it cannot be told."""

    fine_id: str
    passage_id: str
    revision: int
    status: Status
    section_id: str
    entry_time: Time
    policy: str | None
    effect: Effect
    why: str
    before: Figures
    after: Figures | None


class Rules(msgspec.Struct, frozen=True):
    """What the runs decided by: the policies by name, and the tolerance, which no record holds."""

    policies: Mapping[str, Policy]
    tolerance_kmh: float = 0.0


def recall(fine: Fine, correction: Correction, rules: Rules) -> Recalled:
    """What becomes of a fine, or of a case for a person, in its latest revision."""
    try:
        effect, why, after = _effect(fine, correction, rules)
    except UntoldError as error:
        effect, why, after = Effect.UNTOLD, str(error), None
    return Recalled(
        fine.fine_id,
        fine.passage_id,
        fine.revision,
        fine.status,
        fine.radar_id,
        fine.entry_time,
        fine.policy,
        effect,
        why,
        _stored(fine),
        after,
    )


def _effect(fine: Fine, correction: Correction, rules: Rules) -> tuple[Effect, str, Figures | None]:
    policy, before = replay.named(rules.policies, fine.policy), _stored(fine)
    known = _as_it_was(fine, policy, rules)
    _refuse_other_cameras(fine, correction)
    now = replay.decided(_corrected(known, correction), policy, rules.tolerance_kmh)
    after = _figures(now)
    if not is_suspected(now):
        return Effect.FALLS, _why_it_falls(now, policy), after
    if _is_worse(after, before, policy):
        return Effect.STANDS, f"corrected, it would be worse for the driver: {shown(after)}", before
    if _same(after, before):
        return Effect.STANDS, "", before
    return Effect.CHANGES, "", after


def would_be_over(record: PassageRecord, correction: Correction, rules: Rules) -> bool:
    """Whether a passage that was clear would be over the limit: nobody is fined for that. Raises UntoldError."""
    policy = replay.named(rules.policies, record.policy)
    known = replay.measured(record)
    if is_suspected(replay.decided(known, policy, rules.tolerance_kmh)):
        raise UntoldError(f"by its own terms it was over the limit: {_TOLERANCE}")
    return is_suspected(replay.decided(_corrected(known, correction), policy, rules.tolerance_kmh))


def withdrawal(fine: Fine, found: Recalled) -> Fine:
    """The message that takes back a fine, or a case for a person, that falls: always the same one."""
    same = (found.fine_id, found.revision) == (fine.fine_id, fine.revision)
    if not same or found.effect is not Effect.FALLS or found.after is None:
        raise ValueError(f"fine {fine.fine_id}, revision {fine.revision}, does not fall")
    return replace(
        fine,
        is_Ticketed=False,
        license_plate=None,
        image_url=None,
        revision=fine.revision + 1,
        status=Status.WITHDRAWN,
        reasons=(Reason.RECALLED,),
        evidence=(),
        packet_url=None,
        trip=(),
        **msgspec.structs.asdict(found.after),
    )


def _as_it_was(fine: Fine, policy: Policy, rules: Rules) -> Passage:
    """The passage that was measured. Raises UntoldError unless its policy gives its counted speed and amount again."""
    known = replay.measured(fine)
    again = replay.decided(known, policy, rules.tolerance_kmh)
    replay.refuse_other("counted_speed", again.counted_speed_kmh, fine.counted_speed)
    if not is_suspected(again):
        raise UntoldError(f"by its own terms it was not over the limit: {_TOLERANCE}")
    replay.refuse_other("amount", again.amount, fine.amount)
    return known


def _refuse_other_cameras(fine: Fine, correction: Correction) -> None:
    """The section file that names the cameras may be of another time. Of a case, the exit's picture stands first."""
    seen = [str(item.camera_id) for item in reversed(fine.evidence)]
    if correction.ends is not None and seen and seen != list(correction.ends):
        raise UntoldError(f"its evidence is of {' and '.join(seen)}, not of {' and '.join(correction.ends)}")


def _corrected(known: Passage, correction: Correction) -> Passage:
    """A passage that is not decided, as the corrected terms measure it; perhaps it is unmeasurable."""
    if known.distance_m is None or known.travel_time_s is None or known.basis is None:
        raise UntoldError("it was not measured")
    fast_us = correction.entry_fast_us - correction.exit_fast_us
    if known.basis is Basis.POINT_SPEEDS and (fast_us or correction.distance_m is not None):
        raise UntoldError("it rests on the points of a track, not on two cameras and a surveyed length")
    distance_m = _or(correction.distance_m, known.distance_m)
    travel_time_s = (round(known.travel_time_s * 1e6) + fast_us) / 1e6 if fast_us else known.travel_time_s
    errors = _corrected_errors(known.errors, correction)
    bare = replace(known, limit_kmh=_or(correction.limit_kmh, known.limit_kmh), avg_speed_kmh=None, min_speed_kmh=None)
    found = passages.measured_by(bare, distance_m, travel_time_s, known.basis, errors)
    return replace(found, distance_m=distance_m, travel_time_s=travel_time_s, errors=errors)


def _corrected_errors(known: ErrorBudget | None, correction: Correction) -> ErrorBudget | None:
    """Those of a radar that declared none stay so, unless they are what is corrected."""
    length_m, clock_s, resolution_s = correction.length_error_m, correction.clock_error_s, correction.resolution_s
    if known is None and length_m is None and clock_s is None and resolution_s is None:
        return None
    errors = known or ErrorBudget()
    return replace(
        errors,
        length_m=_or(length_m, errors.length_m),
        clock_s=_or(clock_s, errors.clock_s),
        resolution_s=_or(resolution_s, errors.resolution_s),
    )


def _or(corrected: float | None, stored: float) -> float:
    return stored if corrected is None else corrected


def _why_it_falls(now: Passage, policy: Policy) -> str:
    if now.outcome is Outcome.UNMEASURABLE:
        return "; ".join(wording.REASONS[reason] for reason in now.reasons)
    if replay.is_too_short(now, policy):
        return f"policy {policy.name} holds for sections of at least {policy.least_length_m:g} m"
    return "not over the limit"


def _is_worse(after: Figures, before: Figures, policy: Policy) -> bool:
    """Whether figures are further over the limit than others; if as far, whether speed or amount are higher."""
    further_kmh = _over_kmh(after, policy) - _over_kmh(before, policy)
    if abs(further_kmh) > MARGIN_KMH:
        return further_kmh > 0
    return (after.min_speed or 0.0) > (before.min_speed or 0.0) + MARGIN_KMH or _amount(after) > _amount(before)


def _over_kmh(figures: Figures, policy: Policy) -> float:
    return policy.over_kmh(figures.counted_speed or 0.0, figures.limit_kmh)


def _amount(figures: Figures) -> float:
    return figures.amount or 0.0


def _same(after: Figures, before: Figures) -> bool:
    return all(map(replay.same, msgspec.structs.astuple(after), msgspec.structs.astuple(before)))


def shown(figures: Figures) -> str:
    """What of the figures decides, in a few words."""
    if figures.counted_speed is None:
        return "no speed"
    speed, limit = wording.speed(figures.counted_speed), wording.limit(figures.limit_kmh)
    money = "" if figures.amount is None else f", {figures.currency} {wording.number(figures.amount, 2)}"
    return f"{speed} counted, limit {limit}{money}"


def _stored(fine: Fine) -> Figures:
    """What the fine says; errors that an earlier release did not store were none."""
    return Figures(
        fine.limit_kmh,
        fine.distance_m,
        fine.travel_time_s,
        fine.length_error_m or 0.0,
        fine.clock_error_s or 0.0,
        fine.resolution_s or 0.0,
        fine.avg_speed,
        fine.min_speed,
        fine.counted_speed,
        fine.amount,
        fine.currency,
    )


def _figures(passage: Passage) -> Figures:
    errors = passage.errors or ErrorBudget()
    return Figures(
        passage.limit_kmh,
        passage.distance_m,
        passage.travel_time_s,
        errors.length_m,
        errors.clock_s,
        errors.resolution_s,
        passage.avg_speed_kmh,
        passage.min_speed_kmh,
        passage.counted_speed_kmh,
        passage.amount,
        passage.currency or None,
    )
