"""Stored passages and fines decided again: by their own terms or corrected ones, by their own policy or another.

The code that measured and decided them does it again. What it cannot be asked, since the record does not hold it or is
of an earlier release, is told: such a case is for a person, and nothing is guessed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import TypeVar

from msgspec.structs import replace

from pipeline.enforcement import passages, policy
from pipeline.enforcement.model import Basis, ErrorBudget, Outcome, Passage, Reason, Status
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.records import Fine, PassageRecord
from pipeline.enforcement.times import parse_rfc3339_us

SAME = 1e-12  # of a number: some thousand times its last bit
_MILDNESS = {Status.WITHDRAWN: 2, Status.REVIEW: 1, Status.ISSUED: 0}
Record = TypeVar("Record", Fine, PassageRecord)


class UntoldError(ValueError):
    """Why a stored record does not say enough to be decided again."""


def latest_fines(fines: Iterable[Fine]) -> list[Fine]:
    """Each fine once, as the view latest_fines has it: its last revision, and of two the better one for the driver."""
    found: dict[str, Fine] = {}
    for fine in fines:
        known = found.get(fine.fine_id)
        if known is None or _rank(fine) > _rank(known):
            found[fine.fine_id] = fine
    return sorted(found.values(), key=attrgetter("entry_time", "fine_id"))


def _rank(fine: Fine) -> tuple[int, int]:
    return fine.revision, _MILDNESS[fine.status]


def latest_passages(found: Iterable[PassageRecord]) -> list[PassageRecord]:
    """Each passage once, in its last revision."""
    latest: dict[str, PassageRecord] = {}
    for record in found:
        known = latest.get(record.passage_id)
        if known is None or record.revision > known.revision:
            latest[record.passage_id] = record
    return sorted(latest.values(), key=attrgetter("entry_time", "passage_id"))


def measured(record: Fine | PassageRecord) -> Passage:
    """The passage as it was measured, and not decided. Raises UntoldError unless its own terms give its speeds."""
    terms = (record.distance_m, record.travel_time_s, record.basis, record.avg_speed, record.min_speed)
    distance_m, travel_time_s, basis, avg_kmh, min_kmh = terms
    if distance_m is None or travel_time_s is None or basis is None or avg_kmh is None:
        raise UntoldError("it was not measured")
    if min_kmh is None and not _is_of_undeclared_errors(record):
        raise UntoldError("an earlier release stored it without the lowest speed that its evidence allows")
    again = passages.measured_by(_bare(record), distance_m, travel_time_s, basis, _errors(record))
    refuse_other("avg_speed", again.avg_speed_kmh, avg_kmh)
    refuse_other("min_speed", again.min_speed_kmh, min_kmh)
    return again


def _bare(record: Fine | PassageRecord) -> Passage:
    """What of a passage is neither measured nor decided. Its sightings are not counted here."""
    return Passage(
        record.passage_id,
        record.radar_id if isinstance(record, Fine) else record.section_id,
        record.vehicle_id,
        record.limit_kmh,
        parse_rfc3339_us(record.entry_time),
        parse_rfc3339_us(record.exit_time),
        0,
        record.revision,
    )


def _errors(record: Fine | PassageRecord) -> ErrorBudget | None:
    if _is_of_undeclared_errors(record):
        return None
    found = (record.length_error_m, record.clock_error_s, record.resolution_s, record.speeds_error_s)
    return ErrorBudget(*(error or 0.0 for error in found))


def _is_of_undeclared_errors(record: Fine | PassageRecord) -> bool:
    """Of a radar that declares none, so that it has no lowest speed; an earlier release stored no policy either."""
    return record.min_speed is None and record.length_error_m is None and bool(record.policy)


def refuse_other(name: str, now: float | None, then: float | None) -> None:
    """Raises UntoldError unless a number is again what was stored."""
    if not same(now, then):
        raise UntoldError(f"its own terms give {name} {now}, stored is {then}")


def same(now: object, then: object) -> bool:
    """Whether two values are equal; two numbers may differ by what processors differ in."""
    if isinstance(now, float) and isinstance(then, float):
        return math.isclose(now, then, rel_tol=SAME)
    return now == then


def named(policies: Mapping[str, Policy], name: str | None) -> Policy:
    """The policy under which a record was decided. Raises UntoldError."""
    if not name:
        raise UntoldError("an earlier release stored it without its policy")
    if name not in policies:
        raise UntoldError(f"policy {name} is not known here: give its file as --policies")
    return policies[name]


def decided(passage: Passage, rule: Policy, tolerance_kmh: float) -> Passage:
    """The measured passage, or one that is unmeasurable, decided by a policy. Raises UntoldError.

    Where the policy holds for longer sections only, the passage is clear.
    """
    if rule.counts_mean_of_points and passage.basis is Basis.POINT_SPEEDS:
        raise UntoldError(f"policy {rule.name} counts the mean of the point speeds, which is not stored")
    found = policy.decide(passage, rule, tolerance_kmh)
    if policy.is_suspected(found) and is_too_short(found, rule):
        return replace(found, outcome=Outcome.CLEAR, reasons=(), amount=None, currency="")
    return found


def is_stood_for(record: PassageRecord) -> bool:
    """Whether it was over the limit, and the fine of another passage of its trip stands for it: it is never fined."""
    return Reason.ONE_FINE_A_TRIP in record.reasons


def is_too_short(found: Passage | PassageRecord, rule: Policy) -> bool:
    """Whether the policy holds for longer sections only. Points without times are of no section that was surveyed."""
    if found.basis is not Basis.DISTANCE_TIME or found.distance_m is None:
        return False
    return found.distance_m < rule.least_length_m
