"""The lines of a file, many at once.

Most lines are plain: one object that says when, where and which vehicle, of a known camera, and nothing unknown. They
are read as columns. Every other line, whatever is unusual about it, is left to messages.py and intake.py, which also
say what a plain one must give: that nobody can tell which way a line went is proven by a property test.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, compress, repeat

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.enforcement import messages
from pipeline.enforcement.identity import are_identified
from pipeline.enforcement.messages import EventId, Id, VehicleClass, Wire, is_image_url
from pipeline.enforcement.model import Coordinates, Message, Sighting
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.records import SightingRecord
from pipeline.enforcement.sections import Network
from pipeline.enforcement.times import NO_TIME, parse_all_us, rfc3339_of_all

Numbers = npt.NDArray[np.int64]


class PlainWire(Wire, forbid_unknown_fields=True, kw_only=True, gc=False):
    """The object of a plain line."""

    event_id: EventId
    camera_id: Id
    timestamp: str
    vehicle_class: VehicleClass | None = None


_decoder = msgspec.json.Decoder(PlainWire)
_decode, _decode_lines = _decoder.decode, _decoder.decode_lines
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

    def of(self, wires: Sequence[PlainWire]) -> Numbers:
        """The numbers of their places (n); -1 where place, vehicle or picture is not known for one."""
        at = zip([wire.camera_id for wire in wires], [wire.radar_id for wire in wires], strict=True)
        numbers = np.fromiter(map(self._of_wire.get, at, repeat(-1)), np.int64, len(wires))
        numbers[~are_identified([wire.vehicle_id for wire in wires])] = -1
        for index, wire in enumerate(wires):
            if wire.image_url is not None and not is_image_url(wire.image_url):
                numbers[index] = -1
        return numbers


def take(places: Places, message: Message, pseudonyms: Pseudonyms) -> tuple[Plain, list[tuple[int, bytes]]]:
    """The plain lines of a message from a file, and the others with their positions in it."""
    data = message.data.removesuffix(b"\n")
    texts = data.split(b"\n")
    wires = _wires(data, texts)
    numbers = places.of(wires)
    known = np.flatnonzero(numbers >= 0)
    times_us = np.full(len(texts), NO_TIME)
    times_us[known] = parse_all_us([wires[index].timestamp for index in known.tolist()])
    is_plain = (times_us >= messages.EARLIEST_US) & (times_us <= message.received_us + messages.MAX_AHEAD_US)
    others: list[tuple[int, bytes]] = []
    if not is_plain.all():
        positions = accumulate((len(text) + 1 for text in texts), initial=message.position or 0)
        others = list(compress(zip(positions, texts, strict=False), ~is_plain))
        texts, wires = list(compress(texts, is_plain)), list(compress(wires, is_plain))
    times_us, at = times_us[is_plain], numbers[is_plain].tolist()
    for wire, number in zip(wires, at, strict=True):
        if wire.location is None:
            wire.location = places.locations[number]
    names = pseudonyms.of_all([wire.vehicle_id for wire in wires], times_us)
    section_ids = [places.section_ids[number] for number in at]
    return Plain(texts, wires, times_us.tolist(), at, section_ids, names), others


def _wires(data: bytes, lines: Sequence[bytes]) -> list[PlainWire]:
    """The objects of lines, joined and apart: read at once where each line is one object.

    A line that ends in a brace is one object or several, since no plain one holds another, nor a text the end of a
    line: as many objects as lines are one each.
    """
    written = np.frombuffer(data, np.uint8)
    before_ends = written[np.flatnonzero(written == ord("\n")) - 1]
    if data[:1] == b"{" and data[-1:] == b"}" and (before_ends == ord("}")).all():
        try:
            found = _decode_lines(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            if len(found) == len(lines):
                return found
    return list(map(_wire, lines))


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
