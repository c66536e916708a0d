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

    Of a near twin: its sighting, then entry and exit of the suspected passage that it speaks against, the length, time
    and lowest speed of that one, and both passages, that one first.

    Of a possible pair: an entry and an exit, the length, time and lowest speed that they would be as one passage, and
    the two passages that they are now.
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


def of_near_twin(twin: Sighting, twin_id: str, passage: Passage, pseudonyms: Pseudonyms) -> Alarm:
    """The alarm for a near twin's sighting, of the passage twin_id, that speaks against a suspected passage."""
    name = pseudonyms.of(twin.vehicle_id, twin.time_us)
    return Alarm(
        alarm_id(AlarmKind.NEAR_TWIN, passage.passage_id, _identity(twin), name),
        AlarmKind.NEAR_TWIN,
        name,
        rfc3339(twin.time_us),
        *_measured(passage),
        tuple(_seen_at(one) for one in (twin, passage.entry, passage.exit) if one),
        (passage.passage_id, twin_id),
    )


def of_possible_pair(entry_id: str, exit_id: str, passage: Passage, pseudonyms: Pseudonyms) -> Alarm:
    """The alarm for an entry and an exit of near twins, each without the other end, that may be one passage."""
    last = passage.exit or passage.entry
    name = "" if last is None else pseudonyms.of(last.vehicle_id, last.time_us)
    return Alarm(
        alarm_id(AlarmKind.POSSIBLE_PAIR, entry_id, exit_id),
        AlarmKind.POSSIBLE_PAIR,
        name,
        rfc3339(passage.last_us),
        *_measured(passage),
        tuple(_seen_at(one) for one in (passage.entry, passage.exit) if one),
        (entry_id, exit_id),
    )


def latest(found: Iterable[Alarm]) -> list[Alarm]:
    """Each once, in their order: of one that was told again the one that names the most passages."""
    told: dict[str, Alarm] = {}
    for one in found:
        known = told.setdefault(one.alarm_id, one)
        if len(one.passage_ids) > len(known.passage_ids):
            told[one.alarm_id] = one
    return list(told.values())


def _measured(passage: Passage) -> tuple[float, float, float]:
    return passage.distance_m or 0.0, passage.travel_time_s or 0.0, passage.min_speed_kmh or 0.0


def _identity(sighting: Sighting) -> str:
    return f"{sighting.camera_id or ''}|{sighting.time_us}"


def _seen_at(sighting: Sighting) -> SeenAt:
    return SeenAt(
        sighting.event_id, rfc3339(sighting.time_us), sighting.camera_id, sighting.location, sighting.image_url
    )
