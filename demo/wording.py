"""The report's words: what codes and numbers mean to a person."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pipeline.enforcement.model import Outcome, Reason
from pipeline.enforcement.sections import KMH_PER_MPH

REASONS: Mapping[Reason, str] = {
    Reason.ENTRY_MISSING: "no camera saw it enter the section",
    Reason.EXIT_MISSING: "no camera saw it leave the section",
    Reason.SINGLE_SIGHTING: "it was seen only once",
    Reason.NO_DISTANCE: "its sightings lie at one place",
    Reason.NO_TRAVEL_TIME: "no time passed between its sightings",
    Reason.SPEED_MISSING: "a point of its track has neither time nor speed",
    Reason.SUPERSEDED: "a sighting that came later showed other passages",
    Reason.AMBIGUOUS_PAIRING: "its sightings can be paired in more than one way",
    Reason.IMPLAUSIBLE_SPEED: "no vehicle drives so fast: two vehicles may carry this plate",
    Reason.POINT_SPEEDS: "its time is known from the speeds at points only, and the policy fines on measured times",
    Reason.POLICY_REVIEW: "the policy has a person look at every case",
    Reason.REVISED: "a late sighting changed the case after it was suspected",
    Reason.NO_LONGER_OVER_LIMIT: "with a late sighting it was not over the limit",
    Reason.PICTURE_MISSING: "a camera sent no picture",
    Reason.PICTURE_UNAVAILABLE: "a picture is not where the camera said",
    Reason.PICTURE_INVALID: "a picture cannot be opened",
    Reason.EVIDENCE_DIFFERS: "the stored evidence shows another picture",
    Reason.SAME_PICTURE: "both cameras sent the same picture: one end has no proof of its own",
    Reason.PLATES_NOT_READ: "no picture was read",
    Reason.OCR_FAILED: "the reading of a picture failed",
    Reason.CAMERA_PLATES_DIFFER: "the two cameras read different plates",
    Reason.PLATE_DISAGREES: "a picture shows another plate than its camera read",
    Reason.NO_TEXT: "nothing can be read on the picture",
    Reason.NO_PLATE_TEXT: "no text on the picture is a plate",
    Reason.UNKNOWN_LAYOUT: "the text on the picture has the layout of no known plate",
    Reason.PLATES_DIFFER: "the two pictures show different plates",
    Reason.LOW_CONFIDENCE: "the plate was read with too little confidence",
    Reason.AMBIGUOUS_TEXT: "the picture shows more than one text that may be the plate",
}
OUTCOMES: Mapping[Outcome, str] = {
    Outcome.CLEAR: "not over the limit",
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
