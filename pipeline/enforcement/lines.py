"""The lines of a file, many at once.

Most lines are plain: one object that says when, where and which vehicle, of a known camera, and nothing unknown. They
are read as columns. Every other line, whatever is unusual about it, is left to messages.py and intake.py, which also
say what a plain one must give: that nobody can tell which way a line went is proven by a property test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, compress

import msgspec
import numpy as np

from pipeline.enforcement import messages
from pipeline.enforcement.identity import is_identified
from pipeline.enforcement.messages import EventId, Id, VehicleClass, Wire, is_image_url
from pipeline.enforcement.model import Coordinates, Message, Sighting
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.records import SightingRecord
from pipeline.enforcement.sections import Network
from pipeline.enforcement.times import NO_TIME, parse_all_us, rfc3339_of_all


class PlainWire(Wire, forbid_unknown_fields=True, kw_only=True, gc=False):
    """The object of a plain line."""

    event_id: EventId
    camera_id: Id
    timestamp: str
    vehicle_class: VehicleClass | None = None


_decode = msgspec.json.Decoder(PlainWire).decode
_NOT_PLAIN = PlainWire(vehicle_id="", event_id="", camera_id="", timestamp="")  # of no camera's place


class Plain(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Plain sightings (n), a column each; `places`: the numbers of their places, `names`: the vehicles' pseudonyms."""

    lines: list[bytes] = []
    wires: list[PlainWire] = []
    times_us: list[int] = []
    places: list[int] = []
    section_ids: list[tuple[str, ...]] = []
    names: list[str] = []


class Places:
    """Where a sighting may be, and the sections that it counts for there: numbered alike wherever the network is."""

    def __init__(self, network: Network) -> None:
        tracks = [(None, (name,)) for name, section in network.sections.items() if not section.cameras]
        found: dict[tuple[str | None, tuple[str, ...]], int] = {place: number for number, place in enumerate(tracks)}
        self._of_wire: dict[tuple[str | None, str | None], int] = {}
        for camera in network.cameras:
            sections = network.by_camera.get(camera, ())
            for radar_id, section_ids in ((None, sections), *((name, (name,)) for name in sections)):
                self._of_wire[camera, radar_id] = found.setdefault((camera, section_ids), len(found))
        self.numbers = found
        self.section_ids = [section_ids for _, section_ids in found]
        self.locations = [network.cameras[camera] if camera else None for camera, _ in found]

    def of(self, wires: Iterable[PlainWire]) -> list[int]:
        """The numbers of their places (n); -1 where place, vehicle or picture is not known for one."""
        known = self._of_wire.get
        return [
            known((wire.camera_id, wire.radar_id), -1)
            if is_identified(wire.vehicle_id) and (wire.image_url is None or is_image_url(wire.image_url))
            else -1
            for wire in wires
        ]


def take(places: Places, message: Message, pseudonyms: Pseudonyms) -> tuple[Plain, list[tuple[int, bytes]]]:
    """The plain lines of a message from a file, and the others with their positions in it."""
    texts = message.data.removesuffix(b"\n").split(b"\n")
    read = _wires(texts)
    numbers = np.array(places.of(read))
    known = np.flatnonzero(numbers >= 0)
    times_us = np.full(len(texts), NO_TIME)
    times_us[known] = parse_all_us([read[index].timestamp for index in known.tolist()])
    is_plain = (times_us >= messages.EARLIEST_US) & (times_us <= message.received_us + messages.MAX_AHEAD_US)
    chosen = np.flatnonzero(is_plain)
    positions = accumulate((len(text) + 1 for text in texts), initial=message.position or 0)
    others = [] if is_plain.all() else list(compress(zip(positions, texts, strict=False), ~is_plain))
    wires = [read[index] for index in chosen.tolist()]
    found_us, at = times_us[chosen].tolist(), numbers[chosen].tolist()
    for wire, number in zip(wires, at, strict=True):
        if wire.location is None:
            wire.location = places.locations[number]
    names = [pseudonyms.of(wire.vehicle_id, time_us) for wire, time_us in zip(wires, found_us, strict=True)]
    section_ids = [places.section_ids[number] for number in at]
    return Plain([texts[index] for index in chosen.tolist()], wires, found_us, at, section_ids, names), others


def _wires(lines: Sequence[bytes]) -> list[PlainWire]:
    try:
        return list(map(_decode, lines))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return [_wire(line) for line in lines]


def _wire(line: bytes) -> PlainWire:
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOT_PLAIN


def read(line: bytes, time_us: int, location: Coordinates | None) -> Sighting:
    """A plain line again, one by itself, with the time and place that were found for it."""
    wire = _decode(line)
    wire.location = location
    return messages.sighting(wire, wire.event_id, time_us)


def sighting_records(found: Plain, pseudonyms: Pseudonyms) -> list[SightingRecord]:
    """The rows of plain sightings, their fields in order."""
    return [
        SightingRecord(
            wire.event_id,
            name,
            time,
            True,
            wire.camera_id,
            wire.location,
            wire.radar_id,
            section_ids,
            wire.speed,
            wire.plate and (name if wire.plate == wire.vehicle_id else pseudonyms.of(wire.plate, time_us)),
            wire.plate_region or None,
            wire.plate_confidence,
            wire.vehicle_class,
            wire.lane,
            wire.image_url,
            None,
        )
        for wire, name, time, time_us, section_ids in zip(
            found.wires, found.names, rfc3339_of_all(found.times_us), found.times_us, found.section_ids, strict=True
        )
    ]
