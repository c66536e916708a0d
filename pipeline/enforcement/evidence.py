"""From a suspected violation to its end: which pictures to keep, which to read next, and what they prove.

A fine is issued only when nothing speaks against it: one picture confirms the plate, no picture contradicts it, both
ends have a picture of their own, and no camera was unsure of its own reading at an end that was not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec.structs import replace

from pipeline.enforcement import plates, records
from pipeline.enforcement.model import Case, Outcome, Passage, Picture, Reason, Sighting, Status
from pipeline.enforcement.records import Evidence, Fine, Verdict
from pipeline.enforcement.sections import Section

SURE_CAMERA = 0.9  # below this confidence in its own reading, a camera's picture is read even if the other one agrees
_NO_PLATE = (plates.NOT_RECOGNIZED, plates.NO_TEXTS)


def sightings_to_show(passage: Passage) -> tuple[Sighting, ...]:
    """The sightings whose pictures the case needs: exit and entry of a camera section; of a radar track, which is one
    instrument's, those of its ends that have a picture, or else one to ask for."""
    ends = tuple(sighting for sighting in (passage.exit, passage.entry) if sighting is not None)
    if any(sighting.camera_id for sighting in ends):
        return ends
    shown = tuple(sighting for sighting in ends if sighting.image_url) or ends[:1]
    return shown[:1] if len({sighting.image_url for sighting in shown}) == 1 else shown


def picture_of(sighting: Sighting) -> Picture:
    """The picture of a sighting before it is kept: what its camera read."""
    return Picture(
        camera_id=sighting.camera_id,
        claimed=claimed_plate(sighting),
        region=sighting.plate_region,
        claimed_confidence=sighting.plate_confidence,
    )


def claimed_plate(sighting: Sighting) -> str | None:
    """The plate that the camera read, or the vehicle's identity where that is a plate; None if neither says one."""
    if sighting.plate and plates.normalise(sighting.plate):
        return sighting.plate
    identity = plates.normalise(sighting.vehicle_id)
    return sighting.vehicle_id if plates.has_layout(identity, plates.layouts_of(sighting.plate_region)) else None


def case_of(passage: Passage) -> Case:
    """The case with its pictures where they are: named, not copied."""
    shown = sightings_to_show(passage)
    return Case(passage, tuple(replace(picture_of(sighting), image_url=sighting.image_url) for sighting in shown))


def next_to_read(case: Case) -> int | None:
    """The picture to read now, as its index in the case, or None if no more need be read.

    One picture is enough if it agrees with the camera's own reading: the one whose camera was least sure. The other is
    read too if that one disagrees or cannot be read, if its own camera was unsure or did not say how sure it was, or if
    there is no reading to agree with.
    What is the same picture says nothing new.
    """
    readable = [index for index, picture in enumerate(case.pictures) if picture.problem is None]
    unread = [index for index in readable if case.pictures[index].text is None]
    if not unread:
        return None
    weakest = min(unread, key=lambda index: _camera_confidence(case.pictures[index]))
    read = [case.pictures[index] for index in readable if case.pictures[index].text is not None]
    if read and _same_at_both_ends(case):
        return None
    if not read or any(picture.doubt or picture.claimed is None for picture in read):
        return weakest
    return weakest if _camera_confidence(case.pictures[weakest]) < SURE_CAMERA else None


def _same_at_both_ends(case: Case) -> bool:
    """Whether both ends of a camera section show one picture, so that one of them has no proof of its own.

    A radar track is one instrument's, and one picture in all is what is asked of it.
    """
    if not any(picture.camera_id for picture in case.pictures):
        return False
    ends = (case.passage.entry, case.passage.exit)
    sources = [end.image_url for end in ends if end is not None]
    kept = [picture.image_url for picture in case.pictures]
    return any(map(_repeats, (sources, kept, [picture.sha256 for picture in case.pictures])))


def _repeats(names: Iterable[str | None]) -> bool:
    known = [name for name in names if name]
    return len(set(known)) < len(known)


def _camera_confidence(picture: Picture) -> float:
    """How sure a camera is of its reading; one that read nothing, or does not say how sure it is, is not sure."""
    if picture.claimed is None or picture.claimed_confidence is None:
        return 0.0
    return picture.claimed_confidence


def with_reading(case: Case, index: int, boxes: Sequence[plates.TextBox]) -> Case:
    """The case with the texts found on one of its pictures."""
    picture = case.pictures[index]
    read = plates.read_plate(boxes, region=picture.region)
    verdict = plates.agree(read, picture.claimed, picture.region)
    doubt = None if verdict.reason is None else Reason(verdict.reason)
    if doubt is None and plates.normalise(read.raw) == plates.normalise(picture.claimed or "") != read.text:
        doubt = Reason.UNKNOWN_LAYOUT  # both spell a plate that its state does not issue: a personal one, or both err
    if read.rivals and not all(_is_among(read.rivals, one) for one in case.pictures if one.claimed):
        doubt = Reason.PLATE_DISAGREES  # whichever of them is the vehicle's, it is not the one that a camera read
    read_picture = replace(picture, text=read.text, confidence=read.confidence, doubt=doubt, words=tuple(boxes))
    return _with_picture(case, index, read_picture)


def _is_among(texts: Iterable[str], picture: Picture) -> bool:
    """Whether the plate that the picture's camera read is one of these."""
    return any(plates.same_plate(text, picture.claimed or "", picture.region) for text in texts)


def with_failed_reading(case: Case, index: int) -> Case:
    """The case when a picture could not be read at all."""
    return _with_picture(
        case, index, replace(case.pictures[index], text=plates.NOT_RECOGNIZED, doubt=Reason.OCR_FAILED)
    )


def _with_picture(case: Case, index: int, picture: Picture) -> Case:
    return Case(case.passage, (*case.pictures[:index], picture, *case.pictures[index + 1 :]))


def judge(case: Case, section: Section) -> tuple[Passage, Fine]:
    """The passage with its outcome, and the fine or the case for a person."""
    reasons = tuple(dict.fromkeys(_doubts(case)))
    issued = not reasons
    outcome, status = (Outcome.FINED, Status.ISSUED) if issued else (Outcome.REVIEW, Status.REVIEW)
    passage = replace(case.passage, outcome=outcome, reasons=reasons)
    fine = records.fine(
        passage, section, status, plate=_plate(case.pictures), reasons=reasons, evidence=_evidence(case.pictures)
    )
    return passage, fine


def without_packet(verdict: Verdict) -> Verdict:
    """The verdict where its packet could not be written: a case for a person, who can only reject it.

    Nothing else keeps what a packet is made of, so none can be made of it later; and a case that a person confirms has
    the packet of the case.
    """
    reasons = (*verdict.fine.reasons, Reason.PACKET_MISSING)
    return Verdict(
        replace(verdict.passage, outcome=Outcome.REVIEW, reasons=reasons),
        replace(verdict.fine, status=Status.REVIEW, is_Ticketed=False, reasons=reasons, packet_url=None),
        verdict.pictures,
    )


def withdraw(passage: Passage, section: Section) -> Fine:
    """The message that takes a case back."""
    reasons = passage.reasons or (Reason.NO_LONGER_OVER_LIMIT,)
    return records.fine(passage, section, Status.WITHDRAWN, reasons=reasons)


def _doubts(case: Case) -> Iterator[Reason]:
    yield from case.passage.reasons
    if case.passage.ambiguous:
        yield Reason.AMBIGUOUS_PAIRING
    yield from (picture.problem for picture in case.pictures if picture.problem)
    if _same_at_both_ends(case):
        yield Reason.SAME_PICTURE
    if _differ(picture.claimed for picture in case.pictures) or _differ(picture.region for picture in case.pictures):
        yield Reason.CAMERA_PLATES_DIFFER
    yield from _doubts_about_readings(case)


def _doubts_about_readings(case: Case) -> Iterator[Reason]:
    read = [picture for picture in case.pictures if picture.text is not None]
    confirmed = [picture for picture in read if picture.doubt is None]
    if _differ(picture.text for picture in confirmed):
        yield Reason.PLATES_DIFFER
    # A reading too unsure to confirm a plate is sure enough to speak against another one.
    shown = [picture.text for picture in read if picture.text and picture.text not in _NO_PLATE]
    contradicted = any(not _is_among([text], picture) for text in shown for picture in case.pictures if picture.claimed)
    if contradicted or any(picture.doubt is Reason.PLATE_DISAGREES for picture in read):
        yield Reason.PLATE_DISAGREES
    unasked = next_to_read(case) is not None
    # Where no camera read a plate, one picture has nothing to agree with but the other one.
    alone = not any(picture.claimed for picture in case.pictures) and len(confirmed) < len(case.pictures)
    if not confirmed or unasked or alone:
        yield from (picture.doubt for picture in read if picture.doubt)
        if not read or unasked:
            yield Reason.PLATES_NOT_READ


def _differ(texts: Iterable[str | None]) -> bool:
    return len({plates.normalise(text) for text in texts if text}) > 1


def _plate(pictures: Sequence[Picture]) -> str | None:
    """The confirmed plate in the spelling that was agreed on, else the best text, else what the reader said."""
    read = [picture for picture in pictures if picture.text is not None]
    best = min(read, key=lambda picture: (picture.doubt is not None, picture.text in _NO_PLATE), default=None)
    if best is None:
        return None
    if best.doubt is not None or plates.normalise(best.text or "") == plates.normalise(best.claimed or ""):
        return best.text
    return plates.repair(plates.normalise(best.text or ""), plates.layouts_of(best.region))


def _evidence(pictures: Sequence[Picture]) -> tuple[Evidence, ...]:
    return tuple(
        Evidence(
            picture.camera_id,
            picture.image_url,
            picture.sha256,
            picture.text,
            picture.confidence,
            picture.claimed,
            picture.region,
        )
        for picture in pictures
    )
