"""Bytes to sightings. One bad object is rejected by itself, with its field, what was found and what is allowed."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Annotated, Any, Literal, get_args

import msgspec

from pipeline.enforcement.model import Message, Sighting
from pipeline.enforcement.records import Rejected, rejected
from pipeline.enforcement.times import parse_rfc3339_us, rfc3339

STAGE = "decode"
LINES = "application/x-ndjson"  # attribute content_type of a message that holds one object on each line
MAX_MESSAGE_BYTES = 10_000_000  # Pub/Sub's own limit
MIN_SIGHTING_BYTES = 32  # none is shorter: so many bytes further on in a file is another sighting
MAX_GZIP_MEMBERS = 64
MAX_INFLATED_BYTES = 64 * 1024 * 1024
MAX_OBJECTS = 100_000
MAX_SEPARATORS = 20 * MAX_OBJECTS  # no object has more fields
EARLIEST_US = parse_rfc3339_us("2000-01-01T00:00:00Z")
MAX_AHEAD_US = 24 * 3600 * 1_000_000
VehicleClass = Literal["car", "motorcycle", "van", "bus", "truck", "other"]
VEHICLE_CLASSES = frozenset(get_args(VehicleClass))

ALLOWED = {
    "vehicle_id": "a text of 1 to 64 characters",
    "timestamp": "an RFC 3339 time with its zone, or seconds since 1970, from the year 2000 to one day ahead",
    "camera_id": "a text of 1 to 128 characters",
    "location": "[latitude -90 to 90, longitude -180 to 180] in degrees",
    "radar_id": "a text of 1 to 128 characters",
    "speed": "a finite number of km/h from 0 to 1000",
    "plate": "a text of 1 to 32 characters",
    "plate_region": "a text of up to 16 characters, such as US-NY",
    "plate_confidence": "a number from 0 to 1",
    "vehicle_class": "one of " + ", ".join(sorted(VEHICLE_CLASSES)),
    "lane": "a whole number from -1000 to 1000",
    "image_url": "an address that begins with gs://",
    "event_id": "a text of 1 to 256 characters",
}

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
EventId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Latitude = Annotated[float, msgspec.Meta(ge=-90, le=90)]
_Longitude = Annotated[float, msgspec.Meta(ge=-180, le=180)]


class Wire(msgspec.Struct, gc=False):
    """The sighting as it is sent; everything but its identity may be absent."""

    vehicle_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    timestamp: str | int | float | None = None
    camera_id: Id | None = None
    location: tuple[_Latitude, _Longitude] | None = None
    radar_id: Id | None = None
    speed: Annotated[float, msgspec.Meta(ge=0, le=1000)] | None = None
    plate: Annotated[str, msgspec.Meta(min_length=1, max_length=32)] | None = None
    plate_region: Annotated[str, msgspec.Meta(max_length=16)] | None = None
    plate_confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    vehicle_class: str | None = None
    lane: Annotated[int, msgspec.Meta(ge=-1000, le=1000)] | None = None
    image_url: Annotated[str, msgspec.Meta(max_length=1024)] | None = None
    event_id: EventId | None = None


class _StrictWire(Wire, forbid_unknown_fields=True):
    """The same without any other field."""


is_image_url = re.compile(r"gs://[^/]+/.+").match  # as msgspec's own pattern it would cost more than all the decoding
_FIELDS = frozenset(Wire.__struct_fields__)
_strict_decoder = msgspec.json.Decoder(_StrictWire)
_object_decoder = msgspec.json.Decoder()
_array_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class Refusal(ValueError):
    """Why an object is no sighting that can be used."""

    def __init__(self, reason: str, error: str, field: str | None = None, stage: str = STAGE) -> None:
        super().__init__(error)
        self.reason, self.field, self.stage = reason, field, stage

    def record(self, message: Message) -> Rejected:
        """The rejected record of what is refused."""
        return rejected(message, self.stage, self.reason, str(self), self.field)


Raw = bytes | msgspec.Raw


def part(message: Message, raw: Raw, number: int) -> Message:
    """The message with one of its objects alone; what described the whole no longer holds."""
    attributes = {name: value for name, value in message.attributes.items() if not name.startswith("content_")}
    own_id = _object_id(message, number) if message.message_id else ""
    return msgspec.structs.replace(message, data=bytes(raw), message_id=own_id, attributes=attributes)


def _object_id(message: Message, number: int) -> str:
    return f"{message.message_id}-{number:06d}"


def read(raw: Raw, message: Message, number: int) -> Sighting:
    """The sighting that an object of the message is. Raises Refusal."""
    try:
        return _sighting(_strict_decoder.decode(raw), message, raw, number)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        wire, extra = _read_carefully(raw)
    return _sighting(wire, message, raw, number, extra)


def _inflate(message: Message) -> bytes:
    if len(message.data) > MAX_MESSAGE_BYTES:
        raise Refusal("too_large", f"the message has {len(message.data)} bytes; allowed: {MAX_MESSAGE_BYTES}")
    encoding = message.attributes.get("content_encoding", "")
    if encoding not in ("", "identity", "gzip"):
        raise Refusal("unknown_encoding", f"found {encoding!r}; allowed: gzip or none", "content_encoding")
    return _gunzip(message.data) if encoding == "gzip" else message.data


def _gunzip(data: bytes) -> bytes:
    inflated = b""
    try:
        for _ in range(MAX_GZIP_MEMBERS):
            if not data:
                return inflated
            member = zlib.decompressobj(wbits=31)
            inflated += member.decompress(data, MAX_INFLATED_BYTES + 1 - len(inflated))
            if len(inflated) > MAX_INFLATED_BYTES:
                raise Refusal(
                    "too_large", f"unpacked, the message exceeds {MAX_INFLATED_BYTES} bytes", "content_encoding"
                )
            if not member.eof:
                raise Refusal("malformed_gzip", "the gzip data ends too early", "content_encoding")
            data = member.unused_data
    except zlib.error as error:
        raise Refusal("malformed_gzip", f"not gzip data: {error}", "content_encoding") from error
    raise Refusal("malformed_gzip", f"more than {MAX_GZIP_MEMBERS} gzip members", "content_encoding")


def split(message: Message) -> Iterable[tuple[int, Raw]]:
    """The objects of a message, numbered: by their places in a file, whose blocks no two engines cut alike.

    Raises Refusal for a message that cannot be taken apart.
    """
    data = _inflate(message)
    if message.position is not None:
        return by_place(data, message.position)
    if len(data) > MAX_OBJECTS and data.count(b"\n") > MAX_OBJECTS:
        raise _too_many()
    return enumerate(_objects(data, lines=message.attributes.get("content_type") == LINES))


def _too_many() -> Refusal:
    return Refusal("too_large", f"more than {MAX_OBJECTS} objects in one; send them in several messages or lines")


def by_place(lines: bytes, position: int) -> list[tuple[int, Raw]]:
    """The objects on the lines that begin at this position of a file, numbered by their places in it."""
    objects: list[tuple[int, Raw]] = []
    for line in lines.split(b"\n"):
        number = position // MIN_SIGHTING_BYTES
        if line[:1] == b"{":
            objects.append((number, line))
        else:
            objects.extend(enumerate(_by_line(line), number))
        position += len(line) + 1
    return objects


def _objects(data: bytes, *, lines: bool) -> list[Raw]:
    """One object, an array of them, or one (or an array) on each line."""
    if lines:
        return _by_line(data)
    text = data.strip()
    if not text:
        raise Refusal("empty", "the message is empty; allowed: a JSON object, an array of objects, or one on each line")
    first = text.split(b"\n", 1)[0].rstrip()
    if first != text and not _is_whole(text) and (text[:1] != b"[" or first[-1:] == b"]"):
        return _by_line(text)
    return _array(text) if text[:1] == b"[" else [text]


def _by_line(text: bytes) -> list[Raw]:
    objects: list[Raw] = []
    for line in text.split(b"\n"):
        if line[:1] == b"{":
            objects.append(line)
        elif stripped := line.strip():
            objects.extend(_array_on_line(stripped) if stripped[:1] == b"[" else [stripped])
    return objects


def _array_on_line(text: bytes) -> list[Raw]:
    """Its objects; one of too many is refused as a whole, and the other lines are not."""
    try:
        return _array(text)
    except Refusal:
        return [text]


def _is_whole(text: bytes) -> bool:
    """Whether it is one JSON text; one that holds NaN or Infinity counts."""
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
    return True


def _array(text: bytes) -> list[Raw]:
    """Its elements, unless they are so many that refusing each by itself would take all memory."""
    if len(text) > MAX_SEPARATORS and text.count(b",") > MAX_SEPARATORS:
        raise _too_many()
    try:
        found: list[Raw] = list(_array_decoder.decode(text))
    except (msgspec.DecodeError, RecursionError):
        found = list(_array_with_faults(text)) or [text]
    if len(found) > MAX_OBJECTS:
        raise _too_many()
    return found


_SURROGATE = re.compile("[\ud800-\udfff]")  # half a character: cannot be encoded
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)  # a text that does not end is one token


def _array_with_faults(text: bytes) -> Iterator[bytes]:
    """The elements of an array that holds faults: cut at its own commas, so that sound elements survive."""
    depth, start = 0, 1
    for token in _TOKEN.finditer(text):
        mark = token.group()
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
        at_end = depth == 0
        if at_end or (mark == b"," and depth == 1):
            if element := text[start : token.start()].strip():
                yield element
            start = token.end()
        if at_end:
            break
    if rest := text[start:].strip():
        yield rest


def _parse(raw: Raw) -> dict[str, Any]:
    try:
        found = _object_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = _parse_leniently(bytes(raw), error)
    if not isinstance(found, dict):
        raise Refusal("not_an_object", f"found {_shown(found)}; allowed: a JSON object")
    return found


def _parse_leniently(raw: bytes, error: Exception) -> object:
    """Python's parser takes NaN and Infinity, which are no JSON but are sent; the field can then be named."""
    try:
        found = json.loads(raw, parse_constant=_NotANumber, parse_float=_finite)
    except (ValueError, RecursionError):
        raise Refusal("malformed_json", f"not JSON: {error}") from error
    for field in filter(found.__contains__, Wire.__struct_fields__) if isinstance(found, dict) else ():
        if isinstance(found[field], str) and _SURROGATE.search(found[field]):
            raise _not_allowed(field, found[field])
    return found


class _NotANumber:
    """NaN, an infinity, or a number beyond the largest: no field takes it, a text neither."""

    def __init__(self, written: str) -> None:
        self._written = written

    def __repr__(self) -> str:
        return self._written


def _finite(number: str) -> float | _NotANumber:
    return _NotANumber(number) if math.isinf(float(number)) else float(number)


def _read_carefully(raw: Raw) -> tuple[Wire, str | None]:
    """An object that has something wrong or unusual, and its unknown fields."""
    found = _parse(raw)
    try:
        wire = msgspec.convert(found, Wire)
    except msgspec.ValidationError as error:
        raise _invalid(found, str(error)) from error
    try:
        return wire, None if found.keys() <= _FIELDS else _extra(found)
    except RecursionError as error:
        raise Refusal("malformed_json", f"nested too deeply: {error}") from error


def _sighting(wire: Wire, message: Message, raw: Raw, number: int, extra: str | None = None) -> Sighting:
    """Without a time of its own it is seen when its message was published, microseconds after the one before it: so
    the order in the message or file is kept."""
    if wire.image_url is not None and not is_image_url(wire.image_url):
        raise _not_allowed("image_url", wire.image_url)
    if wire.camera_id is None and wire.location is None:
        raise Refusal("missing_field", "neither camera_id nor location; one of them is needed", "camera_id")
    if wire.vehicle_class is not None and wire.vehicle_class not in VEHICLE_CLASSES:
        raise _not_allowed("vehicle_class", wire.vehicle_class)
    seen_us = message.received_us + number if wire.timestamp is None else _time_us(wire.timestamp, message.received_us)
    return sighting(wire, wire.event_id or _event_id(message, raw, number), seen_us, extra)


def sighting(wire: Wire, event_id: str, seen_us: int, extra: str | None = None) -> Sighting:
    """What was sent, with its id and time."""
    return Sighting(  # by place: names would cost more than the decoding
        event_id,
        wire.vehicle_id,
        seen_us,
        wire.timestamp is not None,
        wire.camera_id,
        wire.location,
        wire.radar_id,
        wire.speed,
        wire.plate,
        wire.plate_region or None,
        wire.plate_confidence,
        wire.vehicle_class,
        wire.lane,
        wire.image_url,
        extra,
    )


def _event_id(message: Message, raw: Raw, number: int) -> str:
    return _object_id(message, number) if message.message_id else blake2b(raw, digest_size=16).hexdigest()


def _invalid(found: dict[str, Any], error: str) -> Refusal:
    path = re.search(r"`\$\.(\w+)", error)
    if path is None:
        missing = re.search(r"missing required field `(\w+)`", error)
        field = missing[1] if missing else None
        return Refusal("missing_field", f"{field}: absent; needed: {ALLOWED.get(field or '', 'a value')}", field)
    field = path[1]
    return _not_allowed(field, found.get(field))


def _not_allowed(field: str, found: object) -> Refusal:
    return Refusal("invalid_field", f"{field}: found {_shown(found)}; allowed: {ALLOWED[field]}", field)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _time_us(found: str | float, received_us: int) -> int:
    try:
        time_us = parse_rfc3339_us(found) if isinstance(found, str) else round(found * 1_000_000)
    except (ValueError, OverflowError):
        raise Refusal(
            "invalid_time", f"timestamp: found {_shown(found)}; allowed: {ALLOWED['timestamp']}", "timestamp"
        ) from None
    if not EARLIEST_US <= time_us <= received_us + MAX_AHEAD_US:
        received = rfc3339(received_us)
        raise Refusal(
            "implausible_time",
            f"timestamp: found {_shown(found)}, received {received}; allowed: {ALLOWED['timestamp']}",
            "timestamp",
        )
    return time_us


def _extra(found: dict[str, Any]) -> str:
    unknown = {name: value for name, value in found.items() if name not in _FIELDS}
    return json.dumps(unknown, sort_keys=True, default=repr)
