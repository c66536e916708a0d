"""Cases that wait for a person: what a person can settle, and in which order they are looked at.

A person looks at pictures. What pictures cannot settle, a pairing of reads, a missing proof, a measurement that the
policy does not take, no person can confirm either: such a case can only be rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum, StrEnum
from typing import NamedTuple

from pipeline.enforcement import plates
from pipeline.enforcement.model import Reason
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.records import Evidence, Fine
from pipeline.enforcement.times import day, parse_rfc3339_us

DAY_US = 86_400_000_000
SEVERITY_BANDS = (0.1, 0.25, 0.5)  # of the limit, over it


class Needs(IntEnum):
    """What a person must look at to settle a doubt: the less, the stronger the evidence."""

    ONE_PICTURE = 1
    BOTH_PICTURES = 2
    MORE_THAN_PICTURES = 3


_REASONS: Mapping[Needs, tuple[Reason, ...]] = {
    # The reader of plates was at a loss; a person reads better.
    Needs.ONE_PICTURE: (
        Reason.POLICY_REVIEW,
        Reason.PLATES_NOT_READ,
        Reason.OCR_FAILED,
        Reason.NO_TEXT,
        Reason.NO_PLATE_TEXT,
        Reason.UNKNOWN_LAYOUT,
        Reason.LOW_CONFIDENCE,
        Reason.AMBIGUOUS_TEXT,
    ),
    # Two vehicles may have been taken for one: only both pictures show that they are not.
    Needs.BOTH_PICTURES: (
        Reason.AMBIGUOUS_PAIRING,
        Reason.REVISED,
        Reason.PLATE_DISAGREES,
        Reason.PLATES_DIFFER,
        Reason.READS_CONTRADICT,
        Reason.NEAR_TWIN,
    ),
    # Cameras that saw two vehicles, plates of two states among them, or a plate that two vehicles carry; an end without
    # a proof of its own; a measurement that does not count, a clock or a limit in doubt; a case that is closed, or
    # without a packet: the fine that it would become has the packet of the case.
    Needs.MORE_THAN_PICTURES: (
        Reason.CAMERA_PLATES_DIFFER,
        Reason.PICTURE_MISSING,
        Reason.PICTURE_UNAVAILABLE,
        Reason.PICTURE_INVALID,
        Reason.EVIDENCE_DIFFERS,
        Reason.SAME_PICTURE,
        Reason.IMPLAUSIBLE_SPEED,
        Reason.POINT_SPEEDS,
        Reason.ENTRY_MISSING,
        Reason.EXIT_MISSING,
        Reason.SINGLE_SIGHTING,
        Reason.NO_DISTANCE,
        Reason.NO_TRAVEL_TIME,
        Reason.SPEED_MISSING,
        Reason.SUPERSEDED,
        Reason.NO_LONGER_OVER_LIMIT,
        Reason.SEEN_ELSEWHERE,
        Reason.QUARANTINED,
        Reason.LIMIT_NOT_CONFIRMED,
        Reason.NOTICES_UNREADABLE,
        Reason.ONE_FINE_A_TRIP,
        Reason.RECALLED,
        Reason.CONFIRMED_BY_PERSON,
        Reason.REJECTED_BY_PERSON,
        Reason.PACKET_MISSING,
        Reason.ERRORS_UNDECLARED,
    ),
}
NEEDS: Mapping[Reason, Needs] = {reason: needs for needs, reasons in _REASONS.items() for reason in reasons}
UNKNOWN_REASON = Needs.BOTH_PICTURES


class Standing(StrEnum):
    """Where a case stands in the queue."""

    WAITS = "waits"
    NOT_REACHED = "not reached before its deadline"
    NOT_CONFIRMABLE = "can only be rejected"
    EXPIRED = "expired"


class Waiting(NamedTuple):
    """A case in the queue. deadline_us: when its notice must have been sent, None: its policy names no days."""

    fine: Fine
    deadline_us: int | None
    standing: Standing


def needs_of(fine: Fine) -> Needs:
    """What a person must look at to confirm this case."""
    if not fine.evidence or any(one.image_url is None or one.sha256 is None for one in fine.evidence):
        return Needs.MORE_THAN_PICTURES  # a fine without its evidence is none
    found = [NEEDS.get(reason, UNKNOWN_REASON) for reason in fine.reasons]
    if any(camera_plate(fine, one) is None for one in fine.evidence):
        found.append(Needs.BOTH_PICTURES)  # nothing but the other picture can speak against what is read on one
    return max(found, default=Needs.ONE_PICTURE)


def camera_plate(fine: Fine, shown: Evidence) -> str | None:
    """What the camera of a picture read: its own reading, or the vehicle's identity where that is a plate."""
    if shown.plate:
        return shown.plate
    identity = plates.normalise(fine.vehicle_id)
    return fine.vehicle_id if plates.has_layout(identity, plates.layouts_of(shown.plate_region)) else None


def severity(fine: Fine) -> int:
    """How many of SEVERITY_BANDS the speed that counts is over the limit."""
    over = counted_kmh(fine) / fine.limit_kmh - 1.0
    return sum(over >= band for band in SEVERITY_BANDS)


def counted_kmh(fine: Fine) -> float:
    """The speed that counts; of a case of an early release the one that it tells."""
    return next((kmh for kmh in (fine.counted_speed, fine.min_speed, fine.avg_speed) if kmh is not None), 0.0)


def deadline_us(fine: Fine, policies: Mapping[str, Policy]) -> int | None:
    """When the notice of a fine must have been sent. None: its policy names no days, or is not among these."""
    policy = policies.get(fine.policy or "")
    if policy is None or policy.days_to_notice is None:
        return None
    return parse_rfc3339_us(fine.exit_time) + policy.days_to_notice * DAY_US


def unknown_policies(cases: Iterable[Fine], policies: Mapping[str, Policy]) -> list[str]:
    """Names of policies that cases were decided by and that are not among these: their deadlines are not known."""
    return sorted({fine.policy for fine in cases if fine.policy} - policies.keys())


def queue(
    cases: Iterable[Fine], policies: Mapping[str, Policy], now_us: int, capacity: int | None = None
) -> list[Waiting]:
    """The cases in the order in which they are looked at, none left out.

    By the day of the deadline, then the band of severity, then what must be looked at. capacity: how many are looked at
    in a day, None: without bound. What cannot be reached before its deadline takes no place from one that can. Cases
    that no person can confirm and those past their deadline follow at the end.
    """
    known = [(fine, deadline_us(fine, policies)) for fine in cases]
    open_ones: list[Waiting] = []
    reached = 0
    for fine, deadline in sorted((one for one in known if _is_open(*one, now_us)), key=_order):
        in_time = capacity is None or deadline is None or now_us + (reached // capacity + 1) * DAY_US <= deadline
        reached += in_time
        open_ones.append(Waiting(fine, deadline, Standing.WAITS if in_time else Standing.NOT_REACHED))
    closed = [
        Waiting(*one, Standing.EXPIRED if is_expired(one[1], now_us) else Standing.NOT_CONFIRMABLE)
        for one in sorted(known, key=_order)
        if not _is_open(*one, now_us)
    ]
    return open_ones + sorted(closed, key=lambda one: one.standing is Standing.EXPIRED)


def is_expired(deadline: int | None, now_us: int) -> bool:
    """Whether it is too late for a notice."""
    return deadline is not None and now_us > deadline


def _is_open(fine: Fine, deadline: int | None, now_us: int) -> bool:
    return not is_expired(deadline, now_us) and needs_of(fine) is not Needs.MORE_THAN_PICTURES


def _order(case: tuple[Fine, int | None]) -> tuple[str, int, Needs, str, str]:
    """Days are compared, not hours: else no two cases would be alike and severity would never count."""
    fine, deadline = case
    last = "9999" if deadline is None else day(deadline)
    return last, -severity(fine), needs_of(fine), fine.exit_time, fine.fine_id
