"""What a person decides about a case, and what becomes of it. In doubt for the driver.

A decision is of the revision that was looked at. A confirmed case becomes a fine, its next revision; a rejected one is
taken back, and no later revision of it is ever a fine: where decisions contradict each other, the rejection counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from pipeline.enforcement import model, plates, wording
from pipeline.enforcement.model import Decision, Reason, Status
from pipeline.enforcement.records import Evidence, Fine, Time
from pipeline.enforcement.review import NEEDS, UNKNOWN_REASON, Needs, camera_plate, is_expired, needs_of
from pipeline.enforcement.times import rfc3339

LONGEST_PLATE = 12
_BETTER_FOR_DRIVER = (Status.ISSUED, Status.REVIEW, Status.WITHDRAWN)
_NO_PLATE = (plates.NOT_RECOGNIZED, plates.NO_TEXTS)


class PersonsReading(msgspec.Struct, frozen=True, gc=False):
    """The plate that a person read on one picture, beside what its camera and the reader of plates had read.

    camera_right, text_right: whether that is the same plate; null where there was none to compare. Of a rejected case
    the plates themselves are null: its driver is taken for innocent.
    """

    camera_id: str | None
    plate: str | None
    camera_plate: str | None
    camera_right: bool | None
    text: str | None
    text_right: bool | None


class Review(msgspec.Struct, frozen=True, gc=False):
    """What a person decided about one revision of a case. Rows are added and never changed."""

    review_id: str
    fine_id: str
    passage_id: str
    radar_id: str
    revision: int
    decision: Decision
    reviewer: str
    reason: str | None
    license_plate: str | None
    both_pictures_seen: bool
    readings: tuple[PersonsReading, ...]
    decided_at: Time
    schema_version: int = model.SCHEMA_VERSION


class DecisionError(ValueError):
    """Why a case cannot be decided so, worded for the person who decides."""


class Reviewed(NamedTuple):
    """A case: its latest revision, and all decisions about any of its revisions."""

    fine: Fine
    reviews: tuple[Review, ...] = ()

    @property
    def rejection(self) -> Review | None:
        """The first rejection, of whatever revision."""
        return _first(one for one in self.reviews if one.decision is Decision.REJECTED)

    @property
    def confirmation(self) -> Review | None:
        """The first confirmation of this revision."""
        confirmed = (one for one in self.reviews if one.decision is Decision.CONFIRMED)
        return _first(one for one in confirmed if one.revision == self.fine.revision)


class Told(NamedTuple):
    """What a person says: who, why, and which plate is to be read on each picture, None where none was read."""

    reviewer: str
    reason: str | None
    plates: tuple[str | None, ...]
    both_pictures_seen: bool


def _first(reviews: Iterable[Review]) -> Review | None:
    return min(reviews, key=lambda one: (one.decided_at, one.review_id), default=None)


def latest(revisions: Iterable[Fine]) -> Fine:
    """The latest revision; of two of one number the better one for the driver, as the view latest_fines has it."""
    return max(
        revisions, key=lambda fine: (fine.revision, _BETTER_FOR_DRIVER.index(fine.status), msgspec.json.encode(fine))
    )


def said(review: Review) -> str:
    """A decision in words."""
    why = f": {review.reason}" if review.reason else ""
    return wording.line(f"{review.decision} by {review.reviewer} at {review.decided_at[:19]}Z{why}")


# --- what was read


def plates_read(fine: Fine, told: Sequence[str], *, both: bool) -> tuple[str | None, ...]:
    """The plate that a person read on each picture of a case. Raises DecisionError.

    told: a plate, of the first picture or of both, or CAMERA=PLATE for each of them.
    """
    found: list[str | None] = [None] * len(fine.evidence)
    for text in told:
        camera, is_named, named_plate = text.rpartition("=")
        plate = named_plate if is_named else text
        if not 0 < len(plates.normalise(plate)) <= LONGEST_PLATE:
            raise DecisionError(f"--plate: found {text!r}; allowed: a plate, or CAMERA=PLATE, as you read it")
        places = [place for place, one in enumerate(fine.evidence) if one.camera_id == camera]
        if is_named and not places:
            cameras = ", ".join(one.camera_id or "none" for one in fine.evidence)
            raise DecisionError(f"--plate: found camera {camera!r}; allowed: a camera of this case, {cameras}")
        if not is_named:
            places = list(range(len(found))) if both else [0] * bool(found)
        for place in places:
            if found[place] not in (None, plate):
                raise DecisionError("--plate: found two plates for one picture; allowed: one for each camera")
            found[place] = plate
    return tuple(found)


def readings(fine: Fine, told: Told) -> tuple[PersonsReading, ...]:
    """What a person read beside what camera and reader had read, for each picture on which a plate was read."""
    return tuple(_reading(fine, shown, plate) for shown, plate in zip(fine.evidence, told.plates, strict=True) if plate)


def _reading(fine: Fine, shown: Evidence, plate: str) -> PersonsReading:
    claimed = camera_plate(fine, shown)
    text = shown.text if shown.text not in _NO_PLATE else None
    return PersonsReading(
        camera_id=shown.camera_id,
        plate=_spelt(plate, shown.plate_region),
        camera_plate=claimed,
        camera_right=None if claimed is None else plates.same_plate(plate, claimed, shown.plate_region),
        text=text,
        text_right=None if text is None else plates.same_plate(plate, text, shown.plate_region),
    )


def _spelt(plate: str, region: str | None) -> str:
    return plates.repair(plates.normalise(plate), plates.layouts_of(region))


# --- decisions


def confirm(case: Reviewed, told: Told, now_us: int, deadline_us: int | None, *, after_deadline: bool) -> Review:
    """The decision that a case is a fine. Raises DecisionError."""
    refuse_closed(case)
    if is_expired(deadline_us, now_us) and not after_deadline:
        raise DecisionError(
            f"{case.fine.fine_id}: its deadline was {rfc3339(deadline_us or 0)[:19]}Z; allowed: reject it, or confirm "
            "it with --after_deadline if the law still lets you"
        )
    _refuse_without_proof(case.fine, told)
    return _review(case.fine, Decision.CONFIRMED, told, now_us)


def reject(case: Reviewed, told: Told, now_us: int) -> Review:
    """The decision that a case is none. Raises DecisionError."""
    fine = case.fine
    if not told.reason:
        raise DecisionError("--reason: absent; needed to reject a case. Say why in a few words")
    if fine.status is Status.WITHDRAWN:
        raise DecisionError(f"{fine.fine_id}: it was taken back already, {_why(fine.reasons)}; nothing to decide")
    if fine.status is Status.ISSUED and Reason.CONFIRMED_BY_PERSON not in fine.reasons:
        raise DecisionError(f"{fine.fine_id}: it is a fine that no person was asked about; allowed: cases for review")
    return _without_plates(_review(fine, Decision.REJECTED, told, now_us))


def refuse_closed(case: Reviewed) -> None:
    """Raise DecisionError for a case that can never become a fine, or is one."""
    fine, rejection = case.fine, case.rejection
    if rejection is not None:
        raise DecisionError(f"{fine.fine_id}: {said(rejection)}; a rejected case is never a fine")
    if fine.status is Status.WITHDRAWN:
        raise DecisionError(f"{fine.fine_id}: it was taken back, {_why(fine.reasons)}; nothing to confirm")
    if fine.status is Status.ISSUED:
        raise DecisionError(f"{fine.fine_id}: it is a fine already, revision {fine.revision}; nothing to confirm")


def _refuse_without_proof(fine: Fine, told: Told) -> None:
    needs = needs_of(fine)
    if needs is Needs.MORE_THAN_PICTURES:
        raise DecisionError(
            f"{fine.fine_id}: {_why(_hopeless(fine)) or 'its pictures were not kept'}; no person can confirm that. "
            "Reject it"
        )
    seen = [plate for plate in told.plates if plate]
    if not seen:
        raise DecisionError("--plate: absent; needed to confirm a case. Give it as you read it on the picture")
    if needs is Needs.BOTH_PICTURES and len(seen) < len(told.plates):
        raise DecisionError(
            f"{fine.fine_id}: {_why(fine.reasons) or 'a camera read no plate'}; look at both pictures, and say so with "
            "--both_pictures_seen, or give --plate CAMERA=PLATE for each. Reject it if they show two vehicles"
        )
    for shown, own in zip(fine.evidence, told.plates, strict=True):
        claimed = camera_plate(fine, shown)
        if any(
            not plates.same_plate(plate, one, shown.plate_region) for plate in seen for one in (own, claimed) if one
        ):
            raise DecisionError(
                f"{fine.fine_id}: you read {' and '.join(dict.fromkeys(seen))}, camera {shown.camera_id} read "
                f"{claimed or 'none'}: not provably one vehicle. Reject it with --plate, which counts as its misreading"
            )


def _hopeless(fine: Fine) -> list[Reason]:
    return [one for one in fine.reasons if NEEDS.get(one, UNKNOWN_REASON) is Needs.MORE_THAN_PICTURES]


def _why(reasons: Iterable[Reason]) -> str:
    return "; ".join(wording.REASONS[reason] for reason in reasons)


def _without_plates(review: Review) -> Review:
    """What a rejection teaches about cameras takes no plate; the one that was read may be of somebody else."""
    bare = tuple(replace(one, plate=None, camera_plate=None, text=None) for one in review.readings)
    return replace(review, license_plate=None, readings=bare)


def _review(fine: Fine, decision: Decision, told: Told, now_us: int) -> Review:
    read = readings(fine, told)
    return Review(
        review_id=model.review_id(fine.fine_id, fine.revision, decision, told.reviewer),
        fine_id=fine.fine_id,
        passage_id=fine.passage_id,
        radar_id=fine.radar_id,
        revision=fine.revision,
        decision=decision,
        reviewer=told.reviewer,
        reason=told.reason,
        license_plate=next((one.plate for one in read), None),
        both_pictures_seen=told.both_pictures_seen,
        readings=read,
        decided_at=rfc3339(now_us),
    )


# --- what becomes of the case


def issued(fine: Fine, review: Review) -> Fine:
    """The fine that a confirmed case becomes, its next revision. Who confirmed it stands in the decision alone; its
    packet is that of the case, which proves what the person was shown."""
    return replace(
        fine,
        status=Status.ISSUED,
        is_Ticketed=True,
        revision=fine.revision + 1,
        license_plate=review.license_plate,
        reasons=(*fine.reasons, Reason.CONFIRMED_BY_PERSON),
    )


def withdrawn(fine: Fine) -> Fine:
    """The message that takes a rejected case back, its next revision; without pictures and plate, as any of them."""
    return replace(
        fine,
        status=Status.WITHDRAWN,
        is_Ticketed=False,
        revision=fine.revision + 1,
        license_plate=None,
        image_url=None,
        reasons=(Reason.REJECTED_BY_PERSON,),
        evidence=(),
        amount=None,
        currency=None,
        packet_url=None,
    )
