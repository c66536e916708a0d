"""The domain's codes and numbers in words for people."""

from __future__ import annotations

import math
from collections.abc import Mapping

from pipeline.enforcement.model import Reason
from pipeline.enforcement.sections import KMH_PER_MPH
from pipeline.enforcement.times import rfc3339

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
    Reason.ONE_FINE_A_TRIP: "another section of the same trip stands for it",
    Reason.SEEN_ELSEWHERE: "this plate was seen at two places farther apart than anybody can drive in the time between",
    Reason.RECALLED: "a limit, a clock or a length was corrected, and with that it was not over the limit",
    Reason.QUARANTINED: "whoever answers for the section wants a person to look at its cases of that time",
    Reason.LIMIT_NOT_CONFIRMED: "what the variable sign showed is not known up to the exit",
    Reason.NOTICES_UNREADABLE: "some notices about limits could not be read, and may have been about this one",
    Reason.CONFIRMED_BY_PERSON: "a person looked at the pictures and confirmed it",
    Reason.REJECTED_BY_PERSON: "a person looked at the case and rejected it",
    Reason.ERRORS_UNDECLARED: "nobody has declared by how much the radar's readings may be wrong",
    Reason.PACKET_MISSING: "its packet of evidence could not be written, and no fine goes out without one",
    Reason.READS_CONTRADICT: "its cameras saw vehicles of different class, colour or make at entry and exit",
    Reason.NEAR_TWIN: "a plate easily taken for this one was seen at the same time, at one end of the section alone",
}


def speed(kmh: float) -> str:
    """A measured speed, down to a hundredth: what is shown is never more than what was found."""
    return f"{cut(kmh):.2f} km/h"


def cut(kmh: float) -> float:
    """The hundredths of a speed, none of which is lost where a float lies a hair under it."""
    return math.floor(round(kmh * 100, 6)) / 100


def limit(kmh: float) -> str:
    """A limit as it was set, with its miles where it was set in them: 40.2336 km/h (25 mph)."""
    mph = kmh / KMH_PER_MPH
    miles = f" ({round(mph)} mph)" if abs(mph - round(mph)) < 1e-4 else ""
    return f"{number(kmh)} km/h{miles}"


def number(value: float, least_digits: int = 0) -> str:
    """A number with its digits behind the point, six at most, and no noughts after `least_digits` of them."""
    whole, _, digits = f"{value:,.6f}".partition(".")
    digits = digits.rstrip("0").ljust(least_digits, "0")
    return f"{whole}.{digits}" if digits else whole


def seconds(value: float) -> str:
    """A time to a thousandth of a second, or to a millionth where that says more."""
    return f"{number(value, 3 if round(value, 3) == value else 6)} s"


def clock(time_us: int) -> str:
    """The time of day as its camera told it, UTC: 13:00:04.120."""
    text = rfc3339(time_us)[11:-1]
    return f"{text.removesuffix('000')} UTC"


def day(time_us: int) -> str:
    """The day in figures that no reader takes for another: 2026-03-02."""
    return rfc3339(time_us)[:10]


def line(found: object) -> str:
    """One line that a terminal can show, whatever somebody wrote."""
    text = " ".join(str(found).split())
    return "".join(letter if letter.isprintable() else "?" for letter in text)
