"""Alarms: what a person should look at that is no case by itself."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from pipeline.enforcement import model
from pipeline.enforcement.clones import Pair
from pipeline.enforcement.model import AlarmKind, Coordinates, Passage, Reason, Sighting, alarm_id
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.records import Time
from pipeline.enforcement.times import rfc3339


class SeenAt(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A sighting, by what the stored one and its picture can be found; what is unknown is left out."""

    event_id: str
    timestamp: Time
    camera_id: str | None = None
    coordinates: Coordinates | None = None
    image_url: str | None = None


class Alarm(msgspec.Struct, frozen=True, gc=False):
    """An alarm about a vehicle; vehicle_id is a pseudonym unless privacy is off: it may well be an innocent one's.

    Of a clone: the two sightings, how far apart they lie in a straight line, the least speed in km/h that this takes,
    errors of places and clocks allowed for, and the passages that are for a person because of it.
    """

    alarm_id: str
    kind: AlarmKind
    vehicle_id: str
    time: Time
    distance_m: float
    travel_time_s: float
    speed: float
    seen: tuple[SeenAt, ...]
    passage_ids: tuple[str, ...]
    schema_version: int = model.SCHEMA_VERSION


def of_clone(pair: Pair, passages: Iterable[Passage], pseudonyms: Pseudonyms) -> Alarm:
    """The alarm for one plate at two places. passages: the vehicle's, as they were decided because of it."""
    first, second, distance_m, speed_kmh = pair
    name = pseudonyms.of(second.vehicle_id, second.time_us)
    doubted = (passage.passage_id for passage in passages if Reason.SEEN_ELSEWHERE in passage.reasons)
    return Alarm(
        alarm_id(AlarmKind.CLONE, name, *map(_identity, (first, second))),
        AlarmKind.CLONE,
        name,
        rfc3339(second.time_us),
        distance_m,
        (second.time_us - first.time_us) / 1_000_000,
        speed_kmh,
        (_seen_at(first), _seen_at(second)),
        tuple(sorted(doubted)),
    )


def _identity(sighting: Sighting) -> str:
    return f"{sighting.camera_id or ''}|{sighting.time_us}"


def _seen_at(sighting: Sighting) -> SeenAt:
    return SeenAt(
        sighting.event_id, rfc3339(sighting.time_us), sighting.camera_id, sighting.location, sighting.image_url
    )
