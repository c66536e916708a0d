"""What is written: one record type for each table, file and topic. Names and units are part of the format.

The BigQuery schemas are derived from these types (pipeline/warehouse), the JSON is their msgspec encoding.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from typing import Annotated

import msgspec

from pipeline.enforcement import model
from pipeline.enforcement.model import (
    Basis,
    Coordinates,
    Leg,
    Message,
    Outcome,
    Passage,
    Picture,
    Reason,
    Sighting,
    Status,
)
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.sections import Section
from pipeline.enforcement.times import rfc3339, rfc3339_of_all

MAX_PAYLOAD_BYTES = 64 * 1024

Time = Annotated[str, msgspec.Meta(description="RFC 3339, UTC")]


class SightingRecord(msgspec.Struct, frozen=True, gc=False):
    """A stored sighting; vehicle_id and plate are pseudonyms unless privacy is off."""

    event_id: str
    vehicle_id: str
    timestamp: Time
    timed: bool
    camera_id: str | None
    location: Coordinates | None
    radar_id: str | None
    section_ids: tuple[str, ...]
    speed: float | None
    plate: str | None
    plate_region: str | None
    plate_confidence: float | None
    vehicle_class: str | None
    lane: int | None
    image_url: str | None
    extra: str | None
    schema_version: int = model.SCHEMA_VERSION


class PassageRecord(msgspec.Struct, frozen=True, gc=False):
    """One revision of a passage; vehicle_id is a pseudonym unless privacy is off. avg_speed is in km/h.

    min_speed, on which the decision rests: the shortest length over the longest time within the errors, in km/h.
    clock_error_s and resolution_s are those of entry and exit together; speeds_error_s is what the errors of a radar's
    readings make of the time where they tell speeds alone. All null: of a radar that declares none.
    """

    passage_id: str
    revision: int
    section_id: str
    vehicle_id: str
    entry_time: Time
    exit_time: Time
    distance_m: float | None
    travel_time_s: float | None
    avg_speed: float | None
    limit_kmh: float
    basis: Basis | None
    ambiguous: bool
    outcome: Outcome
    reasons: tuple[Reason, ...]
    n_sightings: int
    coordinates: Coordinates | None
    schema_version: int = model.SCHEMA_VERSION
    min_speed: float | None = None
    length_error_m: float | None = None
    clock_error_s: float | None = None
    resolution_s: float | None = None
    policy: str | None = None
    counted_speed: float | None = None
    speeds_error_s: float | None = None


class PassageRecords(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Several stored passages, as one element."""

    records: list[PassageRecord]


class Evidence(msgspec.Struct, frozen=True, gc=False):
    """A picture in the evidence bucket and what was read on it; plate and plate_region: its camera's own reading."""

    camera_id: str | None
    image_url: str | None
    sha256: str | None
    text: str | None
    confidence: float | None
    plate: str | None = None
    plate_region: str | None = None


class TripLeg(msgspec.Struct, frozen=True, gc=False):
    """A passage of the same trip that was over its limit too, and is not fined; speeds in km/h."""

    passage_id: str
    section: str
    entry_time: Time
    exit_time: Time
    avg_speed: float | None
    counted_speed: float | None
    limit_kmh: float


class Fine(msgspec.Struct, frozen=True, gc=False):
    """A fine, a case for a person, or a fine taken back. The first seven keys are EDEM's; avg_speed is in km/h.

    amount: what the policy asks for it, in currency; null where the policy names none. packet_url: the signed packet
    that proves it; null where packets are not made, and of a case or a withdrawal where it could not be written. trip:
    what it stands for too.
    """

    radar_id: str
    vehicle_id: str
    avg_speed: float | None
    coordinates: Coordinates | None
    is_Ticketed: bool  # EDEM's name
    license_plate: str | None
    image_url: str | None
    fine_id: str
    passage_id: str
    revision: int
    status: Status
    reasons: tuple[Reason, ...]
    section: str
    entry_time: Time
    exit_time: Time
    distance_m: float | None
    travel_time_s: float | None
    limit_kmh: float
    basis: Basis | None
    evidence: tuple[Evidence, ...]
    schema_version: int = model.SCHEMA_VERSION
    min_speed: float | None = None
    length_error_m: float | None = None
    clock_error_s: float | None = None
    resolution_s: float | None = None
    policy: str | None = None
    counted_speed: float | None = None
    amount: float | None = None
    currency: str | None = None
    packet_url: str | None = None
    trip: tuple[TripLeg, ...] = ()
    speeds_error_s: float | None = None


class Verdict(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """How a case ended: its passage, what is published of it, and the pictures that it was judged by."""

    passage: Passage
    fine: Fine
    pictures: tuple[Picture, ...] = ()


class PublicPassage(msgspec.Struct, frozen=True, gc=False):
    """EDEM's record of a vehicle that is not fined: its seven keys and the passage they speak of."""

    radar_id: str
    vehicle_id: str
    avg_speed: float | None
    coordinates: Coordinates | None
    is_Ticketed: bool  # EDEM's name
    license_plate: None
    image_url: str | None
    passage_id: str
    revision: int
    schema_version: int = model.SCHEMA_VERSION


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """What could not be processed: why, where, and its original bytes (base64, the first 64 KiB).

    origin: the id of its message and, where it is one object of it, its number, so that equal bytes that came twice are
    two, and one that is read twice is one. None: it has no message, such as a row, which is one whatever it came from.
    """

    stage: str
    reason: str
    field: str | None
    error: str
    payload: str
    payload_bytes: int
    attributes: str
    received_at: Time
    schema_version: int = model.SCHEMA_VERSION
    origin: str | None = None


def sighting_records(
    sightings: Sequence[Sighting], section_ids: Iterable[tuple[str, ...]], pseudonyms: Pseudonyms
) -> list[SightingRecord]:
    """The rows of sightings, their fields in order: by their names it takes three times as long."""
    times = rfc3339_of_all([sighting.time_us for sighting in sightings])
    name_of, found = pseudonyms.of, []
    for sighting, counts_for, time in zip(sightings, section_ids, times, strict=True):
        name, plate = name_of(sighting.vehicle_id, sighting.time_us), sighting.plate
        if plate is not None:
            plate = name if plate == sighting.vehicle_id else name_of(plate, sighting.time_us)
        record = SightingRecord(
            sighting.event_id,
            name,
            time,
            sighting.timed,
            sighting.camera_id,
            sighting.location,
            sighting.radar_id,
            counts_for,
            sighting.speed_kmh,
            plate,
            sighting.plate_region,
            sighting.plate_confidence,
            sighting.vehicle_class,
            sighting.lane,
            sighting.image_url,
            sighting.extra,
        )
        found.append(record)
    return found


def passage_records(passages: Sequence[Passage], pseudonyms: Pseudonyms) -> list[PassageRecord]:
    """The rows of passages whose outcomes are known."""
    entry_times = rfc3339_of_all([passage.first_us for passage in passages])
    exit_times = rfc3339_of_all([passage.last_us for passage in passages])
    return [
        _passage_record(passage, pseudonyms.of(passage.vehicle_id, passage.first_us), entry_time, exit_time)
        for passage, entry_time, exit_time in zip(passages, entry_times, exit_times, strict=True)
    ]


def _passage_record(passage: Passage, name: str, entry_time: Time, exit_time: Time) -> PassageRecord:
    """Its fields in order."""
    if passage.outcome is None:
        raise ValueError(f"passage {passage.passage_id} has no outcome yet")
    length_error_m, clock_error_s, resolution_s = _errors(passage)
    return PassageRecord(
        passage.passage_id,
        passage.revision,
        passage.section_id,
        name,
        entry_time,
        exit_time,
        passage.distance_m,
        passage.travel_time_s,
        passage.avg_speed_kmh,
        passage.limit_kmh,
        passage.basis,
        passage.ambiguous,
        passage.outcome,
        passage.reasons,
        passage.n_sightings,
        last_coordinates(passage),
        model.SCHEMA_VERSION,
        passage.min_speed_kmh,
        length_error_m,
        clock_error_s,
        resolution_s,
        passage.policy or None,
        passage.counted_speed_kmh,
        _speeds_error_s(passage),
    )


def _errors(passage: Passage) -> tuple[float, float, float] | tuple[None, None, None]:
    errors = passage.errors
    return (None, None, None) if errors is None else (errors.length_m, errors.clock_s, errors.resolution_s)


def _speeds_error_s(passage: Passage) -> float | None:
    """Null of a time that was measured."""
    return None if passage.errors is None else passage.errors.speeds_s or None


def last_coordinates(passage: Passage) -> Coordinates | None:
    """Where the vehicle was seen last on this passage."""
    last = passage.exit or passage.entry
    return last.location if last else None


def _trip_leg(leg: Leg) -> TripLeg:
    times = rfc3339(leg.first_us), rfc3339(leg.last_us)
    return TripLeg(leg.passage_id, leg.section_id, *times, leg.avg_speed_kmh, leg.counted_speed_kmh, leg.limit_kmh)


def fine(
    passage: Passage,
    section: Section,
    status: Status,
    *,
    plate: str | None = None,
    reasons: tuple[Reason, ...] = (),
    evidence: tuple[Evidence, ...] = (),
) -> Fine:
    """The message about a suspected violation. Its picture shows the exit if there is one, else the entry."""
    kept = [item.image_url for item in evidence if item.image_url]
    length_error_m, clock_error_s, resolution_s = _errors(passage)
    return Fine(
        radar_id=passage.section_id,
        vehicle_id=passage.vehicle_id,
        avg_speed=passage.avg_speed_kmh,
        coordinates=last_coordinates(passage),
        is_Ticketed=status is Status.ISSUED,
        license_plate=plate,
        image_url=kept[0] if kept else None,
        fine_id=model.fine_id(passage.passage_id),
        passage_id=passage.passage_id,
        revision=passage.revision,
        status=status,
        reasons=reasons,
        section=section.name or section.section_id,
        entry_time=rfc3339(passage.first_us),
        exit_time=rfc3339(passage.last_us),
        distance_m=passage.distance_m,
        travel_time_s=passage.travel_time_s,
        limit_kmh=passage.limit_kmh,
        basis=passage.basis,
        evidence=evidence,
        trip=tuple(map(_trip_leg, passage.trip)),
        min_speed=passage.min_speed_kmh,
        length_error_m=length_error_m,
        clock_error_s=clock_error_s,
        resolution_s=resolution_s,
        policy=passage.policy or None,
        counted_speed=passage.counted_speed_kmh,
        amount=passage.amount,
        currency=passage.currency or None,
        speeds_error_s=_speeds_error_s(passage),
    )


def fine_attributes(fine: Fine) -> dict[str, str]:
    """What subscribers of fines filter by."""
    return {"fine_id": fine.fine_id, "status": fine.status.value, "radar_id": fine.radar_id}


def public_passage(passage: Passage) -> PublicPassage:
    """EDEM's record of a passage that is not fined."""
    last = passage.exit or passage.entry
    return PublicPassage(
        radar_id=passage.section_id,
        vehicle_id=passage.vehicle_id,
        avg_speed=passage.avg_speed_kmh,
        coordinates=last_coordinates(passage),
        is_Ticketed=False,
        license_plate=None,
        image_url=last.image_url if last else None,
        passage_id=passage.passage_id,
        revision=passage.revision,
    )


def rejected(message: Message, stage: str, reason: str, error: str, field: str | None = None) -> Rejected:
    """The record of something that could not be processed, with its original bytes."""
    return Rejected(
        stage=stage,
        reason=reason,
        field=field,
        error=error,
        payload=base64.b64encode(message.data[:MAX_PAYLOAD_BYTES]).decode("ascii"),
        payload_bytes=len(message.data),
        attributes=msgspec.json.encode(message.attributes).decode(),
        received_at=rfc3339(message.received_us),
        origin=message.message_id or None,
    )
