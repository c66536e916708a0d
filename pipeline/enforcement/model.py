"""The records of section speed enforcement: frozen, typed, units in the names.

Times are whole microseconds since 1970-01-01 UTC (`*_us`), so that equal times compare equal and the ids derived
from them never move. Distances are metres, speeds km/h, coordinates (latitude, longitude) in degrees.
Records are msgspec structs: one coder carries them all between machines, several times faster than rows or pickle.
They hold no cycles, so the garbage collector need not look at them (gc=False).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from enum import StrEnum

import msgspec
import numpy as np

from pipeline.enforcement.limits import AppliedLimits
from pipeline.enforcement.plates import TextBox

SCHEMA_VERSION = 1
ID_NAMESPACE = uuid.UUID("6f1b9d3e-0c58-5d0c-9a64-3c6b0f7f5a10")
_BEGUN = hashlib.sha1(ID_NAMESPACE.bytes, usedforsecurity=False)  # a copy is had faster than a new one
_VARIANT_OF_RFC_9562 = {f"{digit:x}": f"{8 | digit & 3:x}" for digit in range(16)}
_VARIANTS = np.zeros(128, np.uint8)
_VARIANTS[[ord(digit) for digit in _VARIANT_OF_RFC_9562]] = [ord(digit) for digit in _VARIANT_OF_RFC_9562.values()]
_UUID = b"00000000-0000-5000-0000-000000000000\n"

Coordinates = tuple[float, float]


class Basis(StrEnum):
    """What an average speed rests on."""

    DISTANCE_TIME = "distance_time"
    POINT_SPEEDS = "point_speeds"


class Outcome(StrEnum):
    """How a passage ends: each one in exactly one of these."""

    CLEAR = "clear"
    FINED = "fined"
    REVIEW = "review"
    UNMEASURABLE = "unmeasurable"


class Status(StrEnum):
    """What a message about a fine says."""

    ISSUED = "issued"
    REVIEW = "review"
    WITHDRAWN = "withdrawn"


class AlarmKind(StrEnum):
    """What an alarm is about."""

    CLONE = "clone"
    NEAR_TWIN = "near_twin"
    POSSIBLE_PAIR = "possible_pair"


class Decision(StrEnum):
    """What a person made of a case."""

    CONFIRMED = "confirmed"
    REJECTED = "rejected"


class Reason(StrEnum):
    """Why a passage was not measured or a suspected violation was not fined."""

    ENTRY_MISSING = "entry_missing"
    EXIT_MISSING = "exit_missing"
    SINGLE_SIGHTING = "single_sighting"
    NO_DISTANCE = "no_distance"
    NO_TRAVEL_TIME = "no_travel_time"
    SPEED_MISSING = "speed_missing"
    SUPERSEDED = "superseded"
    AMBIGUOUS_PAIRING = "ambiguous_pairing"
    IMPLAUSIBLE_SPEED = "implausible_speed"
    POINT_SPEEDS = "point_speeds_only"
    POLICY_REVIEW = "policy_asks_for_a_person"
    REVISED = "revised_after_suspicion"
    NO_LONGER_OVER_LIMIT = "no_longer_over_the_limit"
    PICTURE_MISSING = "picture_missing"
    PICTURE_UNAVAILABLE = "picture_unavailable"
    PICTURE_INVALID = "picture_invalid"
    EVIDENCE_DIFFERS = "evidence_differs"
    SAME_PICTURE = "same_picture_at_both_ends"
    PLATES_NOT_READ = "plates_not_read"
    OCR_FAILED = "ocr_failed"
    CAMERA_PLATES_DIFFER = "camera_plates_differ"
    PLATE_DISAGREES = "plate_disagrees"
    NO_TEXT = "no_text"
    NO_PLATE_TEXT = "no_plate_text"
    UNKNOWN_LAYOUT = "unknown_layout"
    PLATES_DIFFER = "plates_on_pictures_differ"
    LOW_CONFIDENCE = "low_confidence"
    AMBIGUOUS_TEXT = "ambiguous_text"
    ONE_FINE_A_TRIP = "one_fine_for_the_trip"
    SEEN_ELSEWHERE = "seen_at_two_places_at_once"
    RECALLED = "recalled"
    QUARANTINED = "section_quarantined"
    LIMIT_NOT_CONFIRMED = "limit_not_confirmed"
    NOTICES_UNREADABLE = "notices_unreadable"
    CONFIRMED_BY_PERSON = "confirmed_by_a_person"
    REJECTED_BY_PERSON = "rejected_by_a_person"
    PACKET_MISSING = "packet_missing"
    ERRORS_UNDECLARED = "errors_not_declared"
    READS_CONTRADICT = "entry_and_exit_contradict"
    NEAR_TWIN = "near_twin_plate_in_the_section"


class Message(msgspec.Struct, frozen=True, gc=False):
    """What arrived, before anything is known of it: a Pub/Sub message, or lines of a file.

    position: where in their file the lines begin, in bytes; None: not from a file.
    """

    data: bytes
    message_id: str
    received_us: int
    attributes: dict[str, str] = {}
    position: int | None = None


class Sighting(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One vehicle seen once. `timed` is false where `time_us` is only the time of publishing."""

    event_id: str
    vehicle_id: str
    time_us: int
    timed: bool = True
    camera_id: str | None = None
    location: Coordinates | None = None
    radar_id: str | None = None
    speed_kmh: float | None = None
    plate: str | None = None
    plate_region: str | None = None
    plate_confidence: float | None = None
    vehicle_class: str | None = None
    lane: int | None = None
    image_url: str | None = None
    extra: str | None = None


class ErrorBudget(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """By how much at most the terms of a measurement may be off: the length, and the times of entry and exit together,
    by their clocks and by the steps in which they are stamped; of a track without times, by its readings' errors."""

    length_m: float = 0.0
    clock_s: float = 0.0
    resolution_s: float = 0.0
    speeds_s: float = 0.0

    @property
    def time_s(self) -> float:
        """By how much the travel time may be off."""
        return self.clock_s + self.resolution_s + self.speeds_s


class Leg(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A passage that another one of the same trip stands for: it was over its limit too, and is not fined."""

    passage_id: str
    section_id: str
    first_us: int
    last_us: int
    avg_speed_kmh: float | None
    counted_speed_kmh: float | None
    limit_kmh: float


class Passage(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One vehicle's way through one section, or the part of it that was seen.

    `entry` and `exit` are the sightings the measurement rests on; `first_us` and `last_us` the first and last time the
    vehicle was seen on this passage. `min_speed_kmh` is the lowest average speed that the evidence allows: the shortest
    length over the longest time within `errors`, and like these None where a radar declares none; `counted_speed_kmh`
    what the policy makes of it, `amount` what it asks for a suspected violation, in `currency`. `outcome` is None while
    a suspected violation is not decided. `points`: all sightings of a radar track while a violation is suspected, since
    the measurement rests on each of them. `trip`: of the passage that is fined for a whole trip, the others that were
    over their limits. `limits`: those that were in force on the way, while a violation is suspected, where `limit_kmh`
    is not the one that the section always has.
    """

    passage_id: str
    section_id: str
    vehicle_id: str
    limit_kmh: float
    first_us: int
    last_us: int
    n_sightings: int
    revision: int = 1
    distance_m: float | None = None
    travel_time_s: float | None = None
    avg_speed_kmh: float | None = None
    basis: Basis | None = None
    ambiguous: bool = False
    outcome: Outcome | None = None
    reasons: tuple[Reason, ...] = ()
    entry: Sighting | None = None
    exit: Sighting | None = None
    min_speed_kmh: float | None = None
    errors: ErrorBudget | None = None
    policy: str = ""
    counted_speed_kmh: float | None = None
    mean_of_points_kmh: float | None = None
    amount: float | None = None
    currency: str = ""
    points: tuple[Sighting, ...] = ()
    trip: tuple[Leg, ...] = ()
    limits: AppliedLimits | None = None


class Passages(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Several passages, as one element."""

    passages: tuple[Passage, ...]


class Picture(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One picture of a suspected violation in the evidence bucket, or why there is none, and what was read on it.

    `claimed`, `region`, `claimed_confidence`: the camera's own reading. `text` is None until the picture is read;
    `doubt` says why its text does not confirm the plate, None if it does. `words`: all that the reader found, None
    where the reading failed or was not asked for.
    """

    camera_id: str | None
    image_url: str | None = None
    sha256: str | None = None
    claimed: str | None = None
    region: str | None = None
    claimed_confidence: float | None = None
    problem: Reason | None = None
    text: str | None = None
    confidence: float | None = None
    doubt: Reason | None = None
    words: tuple[TextBox, ...] | None = None


class Case(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A suspected violation with its pictures: of the exit first, then of the entry."""

    passage: Passage
    pictures: tuple[Picture, ...]


def passage_id(section_id: str, vehicle: str, first_us: int) -> str:
    """UUIDv5 of section, vehicle and time of entry: the same passage always has the same id.

    `vehicle`: its pseudonym, where there is privacy.
    """
    return _uuid5(f"{len(section_id)}|{section_id}|{vehicle}|{first_us}")


def passage_ids(section_ids: Sequence[str], vehicles: Sequence[str], first_us: Sequence[int]) -> list[str]:
    """The same of many passages (n), faster: what their ids are written as is put together column by column."""
    begun = {name: _begun(f"{len(name)}|{name}|") for name in set(section_ids)}
    digests = []
    for section_id, vehicle, time_us in zip(section_ids, vehicles, first_us, strict=True):
        one = begun[section_id].copy()
        one.update(f"{vehicle}|{time_us}".encode())
        digests.append(one.digest())
    digits = np.frombuffer(b"".join(digests).hex().encode(), np.uint8).reshape(-1, 40)
    written = np.empty((len(digests), len(_UUID)), np.uint8)
    written[:] = np.frombuffer(_UUID, np.uint8)
    for start, end, digit in ((0, 8, 0), (9, 13, 8), (15, 18, 13), (20, 23, 17), (24, 36, 20)):
        written[:, start:end] = digits[:, digit : digit + end - start]
    written[:, 19] = _VARIANTS[digits[:, 16]]
    return written.tobytes().decode("ascii").split("\n")[:-1]


def _begun(text: str) -> hashlib._Hash:
    begun = _BEGUN.copy()
    begun.update(text.encode())
    return begun


def fine_id(passage: str) -> str:
    """UUIDv5 of the passage: one fine for one passage, however often it is computed."""
    return _uuid5(f"fine|{passage}")


def alarm_id(kind: AlarmKind, *of: str) -> str:
    """UUIDv5 of what an alarm is about: the same alarm always has the same id."""
    return _uuid5("|".join(("alarm", kind, *of)))


def review_id(fine: str, revision: int, decision: Decision, reviewer: str) -> str:
    """UUIDv5 of what was decided and by whom: one decision, however often it is sent."""
    return _uuid5(f"review|{fine}|{revision}|{decision}|{reviewer}")


def _uuid5(name: str) -> str:
    """str(uuid.uuid5(ID_NAMESPACE, name)) without the object in between: four times faster, once for each passage."""
    begun = _BEGUN.copy()
    begun.update(name.encode())
    digits = begun.hexdigest()
    variant = _VARIANT_OF_RFC_9562[digits[16]]
    return f"{digits[:8]}-{digits[8:12]}-5{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
