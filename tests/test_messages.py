"""Bytes to sightings: every object gives exactly one result, whatever the bytes."""

import base64
import gzip
import json
import string

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.enforcement import messages
from pipeline.enforcement.messages import Raw, Refusal, part, read, split
from pipeline.enforcement.model import Message, Sighting
from pipeline.enforcement.records import Rejected

RECEIVED_US = 1_776_000_000_000_000  # 2026-04-12T13:20:00Z
GOOD = {"vehicle_id": "ABC1234", "camera_id": "G1", "timestamp": "2026-04-12T13:19:00Z"}
EDEM = b'{"vehicle_id": "car-7", "speed": 38.5, "location": [40.76, -73.97]}'


def message(data: bytes, message_id: str = "m1", **attributes: str) -> Message:
    return Message(data, message_id, RECEIVED_US, attributes)


def decode(found: Message) -> list[tuple[Sighting | Rejected, Raw, int]]:
    """What becomes of each object of a message, its bytes and number."""
    try:
        objects = split(found)
    except Refusal as refusal:
        return [(refusal.record(found), found.data, 0)]
    return [(sighting_or_refusal(raw, found, number), raw, number) for number, raw in objects]


def sighting_or_refusal(raw: Raw, found: Message, number: int) -> Sighting | Rejected:
    try:
        return read(raw, found, number)
    except Refusal as refusal:
        return refusal.record(part(found, raw, number))


def results(data: bytes, message_id: str = "m1", **attributes: str) -> list[Sighting | Rejected]:
    return [found for found, _, _ in decode(message(data, message_id, **attributes))]


def one(**fields: object) -> Sighting | Rejected:
    """The result of one object: GOOD with other fields; a field given as None is left out."""
    wire = {name: value for name, value in (GOOD | fields).items() if value is not None}
    (found,) = results(json.dumps(wire).encode())
    return found


def kinds(found: list[Sighting | Rejected]) -> list[str]:
    return [getattr(item, "reason", "sighting") for item in found]


def payload(rejected: Rejected) -> bytes:
    return base64.b64decode(rejected.payload)


def travels(found: Sighting | Rejected) -> bool:
    """Whether the record survives the way to another machine: what cannot be encoded stops the whole run."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=type(found)) == found


# --- what is accepted


def test_edem_message_is_accepted_unchanged():
    (found,) = results(EDEM)
    assert found == Sighting(
        event_id="m1-000000",
        vehicle_id="car-7",
        time_us=RECEIVED_US,
        timed=False,
        location=(40.76, -73.97),
        speed_kmh=38.5,
    )


def test_all_fields_arrive_in_their_units():
    (found,) = results(
        json.dumps(
            GOOD
            | {
                "location": [40, -73],
                "radar_id": "G1-G2",
                "speed": 50,
                "plate": "ABC1234",
                "plate_region": "US-NY",
                "plate_confidence": 1,
                "vehicle_class": "van",
                "lane": 2,
                "image_url": "gs://camera/a.jpg",
                "event_id": "e1",
            }
        ).encode()
    )
    assert found == Sighting(
        event_id="e1",
        vehicle_id="ABC1234",
        time_us=RECEIVED_US - 60_000_000,
        camera_id="G1",
        location=(40.0, -73.0),
        radar_id="G1-G2",
        speed_kmh=50.0,
        plate="ABC1234",
        plate_region="US-NY",
        plate_confidence=1.0,
        vehicle_class="van",
        lane=2,
        image_url="gs://camera/a.jpg",
    )


@pytest.mark.parametrize(
    "timestamp",
    [
        "2026-04-12T13:19:00Z",
        "2026-04-12T15:19:00+02:00",
        "2026-04-12T13:19:00.000000+00:00",
        1_775_999_940,
        1_775_999_940.0,
    ],
)
def test_one_moment_in_every_notation(timestamp):
    assert one(timestamp=timestamp).time_us == RECEIVED_US - 60_000_000


@pytest.mark.parametrize("timestamp", ["2026-04-12T13:18:59.123456Z", 1_775_999_939.123456])
def test_microseconds_are_kept(timestamp):
    assert one(timestamp=timestamp).time_us == RECEIVED_US - 60_876_544


def test_null_is_absent():
    (found,) = results(b'{"vehicle_id": "A", "camera_id": "G1", "location": null, "speed": null, "timestamp": null}')
    assert (found.location, found.speed_kmh, found.timed, found.time_us) == (None, None, False, RECEIVED_US)


def test_unknown_fields_are_kept():
    assert json.loads(one(weather="rain", tyres={"worn": [1, 2]}).extra) == {
        "weather": "rain",
        "tyres": {"worn": [1, 2]},
    }


def test_known_fields_leave_no_extra():
    assert one(lane=1).extra is None


@pytest.mark.parametrize("value", [0, 1000, 999.999])
def test_speed_at_its_bounds(value):
    assert one(speed=value).speed_kmh == value


@pytest.mark.parametrize("place", [[90, 180], [-90, -180], [0, 0]])
def test_location_at_its_bounds(place):
    assert one(location=place).location == tuple(place)


def test_year_2000_is_accepted():
    assert one(timestamp="2000-01-01T00:00:00Z").time_us == messages.EARLIEST_US


def test_one_day_ahead_is_accepted():
    assert one(timestamp="2026-04-13T13:20:00Z").time_us == RECEIVED_US + 86_400_000_000


# --- shapes of a message

LINES = {
    "one": (b'{"vehicle_id":"A","camera_id":"G1"}', ["A"]),
    "array": (b'[{"vehicle_id":"A","camera_id":"G1"},\n {"vehicle_id":"B","camera_id":"G1"}]', ["A", "B"]),
    "lines": (b'{"vehicle_id":"A","camera_id":"G1"}\n{"vehicle_id":"B","camera_id":"G1"}\n', ["A", "B"]),
    "windows lines": (
        b'{"vehicle_id":"A","camera_id":"G1"}\r\n\r\n{"vehicle_id":"B","camera_id":"G1"}\r\n',
        ["A", "B"],
    ),
    "pretty": (b'{\n  "vehicle_id": "A",\n  "camera_id": "G1"\n}\n', ["A"]),
    "lines of arrays": (b'[{"vehicle_id":"A","camera_id":"G1"}]\n{"vehicle_id":"B","camera_id":"G1"}', ["A", "B"]),
}


@pytest.mark.parametrize("shape", LINES)
def test_shapes_of_a_message(shape):
    data, vehicles = LINES[shape]
    assert [found.vehicle_id for found in results(data)] == vehicles


@pytest.mark.parametrize("shape", LINES)
def test_shapes_of_a_gzip_message(shape):
    data, vehicles = LINES[shape]
    assert [found.vehicle_id for found in results(gzip.compress(data), content_encoding="gzip")] == vehicles


def test_two_gzip_members_are_one_message():
    packed = gzip.compress(b'{"vehicle_id":"A","camera_id":"G1"}\n') + gzip.compress(
        b'{"vehicle_id":"B","camera_id":"G1"}'
    )
    assert [found.vehicle_id for found in results(packed, content_encoding="gzip")] == ["A", "B"]


def test_empty_array_is_no_sighting_and_no_fault():
    assert results(b"[]") == []


def test_event_ids_within_a_message_differ():
    found = results(b"[" + EDEM + b"," + EDEM + b"]")
    assert len({item.event_id for item in found}) == 2


def test_redelivered_message_has_the_same_event_ids():
    assert results(EDEM) == results(EDEM)


def test_same_line_of_a_file_has_the_same_event_id():
    (first,), (again,) = results(EDEM, message_id=""), results(EDEM, message_id="")
    (other,) = results(EDEM.replace(b"38.5", b"38.6"), message_id="")
    assert first.event_id == again.event_id != other.event_id


# --- what is refused, by field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("vehicle_id", ""),
        ("vehicle_id", "x" * 65),
        ("vehicle_id", 7),
        ("vehicle_id", ["A"]),
        ("vehicle_id", {"a": 1}),
        ("camera_id", ""),
        ("camera_id", 1),
        ("location", "40.7,-73.9"),
        ("location", [40.7]),
        ("location", [40.7, -73.9, 10]),
        ("location", [95, 0]),
        ("location", [-90.0001, 0]),
        ("location", [0, 180.0001]),
        ("location", ["40", "-73"]),
        ("location", [True, False]),
        ("location", {"lat": 1, "lon": 2}),
        ("speed", -0.001),
        ("speed", 1000.1),
        ("speed", "30"),
        ("speed", True),
        ("plate", ""),
        ("plate", 5),
        ("plate", "x" * 33),
        ("plate_region", 5),
        ("plate_confidence", 1.01),
        ("plate_confidence", -0.1),
        ("vehicle_class", "spaceship"),
        ("vehicle_class", 5),
        ("lane", 1.5),
        ("lane", "1"),
        ("image_url", "http://camera/a.jpg"),
        ("image_url", "file:///etc/passwd"),
        ("image_url", "gs://"),
        ("image_url", "gs://bucket"),
        ("image_url", 3),
        ("event_id", ""),
        ("event_id", 5),
        ("radar_id", ""),
        ("radar_id", 5),
        ("timestamp", []),
        ("timestamp", True),
    ],
)
def test_wrong_value_names_its_field(field, value):
    found = one(**{field: value})
    assert isinstance(found, Rejected)
    assert (found.stage, found.field) == ("decode", field)
    assert field in found.error
    assert "allowed" in found.error


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"-1e400"])
@pytest.mark.parametrize("field", ["speed", "location", "plate_confidence", "timestamp"])
def test_nan_and_infinity_name_their_field(field, number):
    value = b"[" + number + b", 0]" if field == "location" else number
    (found,) = results(b'{"vehicle_id": "A", "camera_id": "G1", "' + field.encode() + b'": ' + value + b"}")
    assert isinstance(found, Rejected)
    assert found.field == field


@pytest.mark.parametrize(
    "timestamp",
    [
        "1970-01-01T00:00:00Z",
        0,
        -1,
        "1999-12-31T23:59:59.999999Z",
        "2026-04-13T13:20:00.000001Z",
        "9999-12-31T23:59:59Z",
        1_775_999_940_000,  # milliseconds
        1e300,
        10**30,
        "0001-01-01T00:00:00+23:59",
        "2026-04-12T13:19:00",  # no zone
        "2026-04-12",
        "yesterday",
        "",
        "2026-02-30T00:00:00Z",
        "2026-04-12T25:00:00Z",
        "2026-04-12T13:19:00+99:00",
    ],
)
def test_absurd_time_is_refused(timestamp):
    found = one(timestamp=timestamp)
    assert isinstance(found, Rejected)
    assert found.field == "timestamp"


@pytest.mark.parametrize("field", ["vehicle_id", "camera_id"])
def test_absent_field_is_named(field):
    found = one(**{field: None})
    assert isinstance(found, Rejected)
    assert (found.reason, found.field) == ("missing_field", field)


@pytest.mark.parametrize("data", [b"1", b"null", b'"A"', b"true", b"[1]", b"[[]]", b"[null]", b"1.5e3"])
def test_no_object(data):
    assert kinds(results(data)) == ["not_an_object"]


@pytest.mark.parametrize("data", [b"", b" \n\t ", b"\n\n"])
def test_empty_message_is_refused(data):
    assert kinds(results(data)) == ["empty"]


MALFORMED = [
    b"{",
    b"}",
    b'{"vehicle_id": "A"',
    b'{"vehicle_id": "A",}',
    b"{'vehicle_id': 'A'}",
    b"\x00\x01\x02",
    b"\xff\xfe",
    b'{"vehicle_id": "\xff", "camera_id": "G1"}',
    b"nul",
    b'{"vehicle_id": "A", "camera_id": "G1"} trailing',
]


@pytest.mark.parametrize("data", MALFORMED)
def test_malformed_json_is_refused_with_its_bytes(data):
    (found,) = results(data)
    assert found.reason == "malformed_json"
    assert payload(found) == data


@pytest.mark.parametrize("data", [b"[", b"[,]", b"[ , , ", b'["', b"[]]", b"[]x", b"[[", b"[]\n["])
def test_broken_array_without_elements_is_not_lost(data):
    assert {type(found) for found in results(data)} == {Rejected}


# --- one bad object rejects itself only

BAD = b'{"vehicle_id": "B", "camera_id": "G1", "speed": -1}'
TORN = b'{"vehicle_id": "B", "camera_id: "G1"'
A, C = b'{"vehicle_id": "A, [x]", "camera_id": "G1"}', b'{"vehicle_id": "C \\"}{", "camera_id": "G1"}'


def test_bad_object_in_an_array_rejects_itself_only():
    found = results(b"[" + A + b", " + BAD + b" ," + C + b"]")
    assert kinds(found) == ["sighting", "invalid_field", "sighting"]
    assert payload(found[1]) == BAD


def test_malformed_element_of_an_array_rejects_itself_only():
    found = results(b"[" + A + b", {'vehicle_id': 'B'}, " + C + b"]")
    assert kinds(found) == ["sighting", "malformed_json", "sighting"]
    assert payload(found[1]) == b"{'vehicle_id': 'B'}"


def test_nan_in_an_array_rejects_itself_only():
    bad = b'{"vehicle_id": "B", "camera_id": "G1", "speed": NaN}'
    found = results(b"[" + A + b"," + bad + b"," + C + b"]")
    assert kinds(found) == ["sighting", "invalid_field", "sighting"]
    assert (payload(found[1]), found[1].field) == (bad, "speed")


@pytest.mark.parametrize("torn", [TORN, BAD, b"???", b'{"a": "'])
def test_bad_line_rejects_itself_only(torn):
    found = results(A + b"\n" + torn + b"\n" + C)
    assert [type(item) for item in found] == [Sighting, Rejected, Sighting]
    assert payload(found[1]) == torn


def test_cut_off_array_keeps_its_whole_objects():
    whole = b"[" + A + b"," + C + b"," + BAD
    found = results(whole[:-10])
    assert [type(item) for item in found] == [Sighting, Sighting, Rejected]
    assert payload(found[2]) == BAD[:-10]


def test_part_of_a_message_is_the_object_alone():
    packed = message(gzip.compress(A + b"\n" + C), content_encoding="gzip", gate="7")
    parts = [part(packed, raw, number) for _, raw, number in decode(packed)]
    assert [part.data for part in parts] == [A, C]
    assert [part.attributes for part in parts] == [{"gate": "7"}] * 2
    assert {part.received_us for part in parts} == {RECEIVED_US}


def test_rejected_object_says_which_one_of_which_message_it_was():
    """Equal bytes are told apart by it, and a second look at the same message is not."""
    data = b"[" + BAD + b"," + A + b"," + BAD + b"]"
    assert [item.origin for item in results(data) if isinstance(item, Rejected)] == ["m1-000000", "m1-000002"]
    assert results(data) == results(data)
    (whole,) = results(b"", message_id="m2")
    assert whole.origin == "m2"
    (unnamed,) = results(BAD, message_id="")
    assert unnamed.origin is None


def test_rejected_part_of_a_gzip_message_can_be_sent_again():
    (found,) = results(gzip.compress(BAD), content_encoding="gzip", gate="7")
    assert payload(found) == BAD
    assert json.loads(found.attributes) == {"gate": "7"}


# --- size, gzip, depth


def test_ten_megabytes_are_read():
    line = b'{"vehicle_id": "A", "camera_id": "G1", "note": "%s"}'
    data = line % (b"x" * (messages.MAX_MESSAGE_BYTES - len(line) + 2))
    assert len(data) == messages.MAX_MESSAGE_BYTES
    assert kinds(results(data)) == ["sighting"]


def test_one_byte_more_than_ten_megabytes_is_refused():
    (found,) = results(b" " * messages.MAX_MESSAGE_BYTES + b"{")
    assert (found.reason, found.payload_bytes) == ("too_large", messages.MAX_MESSAGE_BYTES + 1)
    assert len(payload(found)) == 64 * 1024


def test_gzip_bomb_is_refused():
    bomb = gzip.compress(b" " * (messages.MAX_INFLATED_BYTES + 1))
    (found,) = results(bomb, content_encoding="gzip")
    assert found.reason == "too_large"
    assert payload(found) == bomb[: 64 * 1024]


def test_gzip_bomb_in_many_members_is_refused():
    member = gzip.compress(b" " * (messages.MAX_INFLATED_BYTES // 4))
    assert kinds(results(member * 5, content_encoding="gzip")) == ["too_large"]


@pytest.mark.parametrize("cut", [1, 5, 12, -1, -8])
def test_truncated_gzip_is_refused_with_its_bytes(cut):
    data = gzip.compress(b"[" + A + b"]")[:cut]
    (found,) = results(data, content_encoding="gzip")
    assert (found.reason, found.field) == ("malformed_gzip", "content_encoding")
    assert payload(found) == data
    assert json.loads(found.attributes) == {"content_encoding": "gzip"}


def test_gzip_with_a_wrong_checksum_is_refused():
    packed = bytearray(gzip.compress(A))
    packed[-6] ^= 1
    assert kinds(results(bytes(packed), content_encoding="gzip")) == ["malformed_gzip"]


def test_plain_data_called_gzip_is_refused():
    assert kinds(results(A, content_encoding="gzip")) == ["malformed_gzip"]


def test_gzip_without_its_attribute_is_refused():
    assert {type(found) for found in results(gzip.compress(A))} == {Rejected}


def test_unknown_encoding_is_refused():
    (found,) = results(A, content_encoding="br")
    assert (found.reason, found.field) == ("unknown_encoding", "content_encoding")


def test_identity_encoding_is_read():
    assert kinds(results(A, content_encoding="identity")) == ["sighting"]


# Around the depth where parsers and printers of Python give up, each at its own.
DEPTHS = [*range(960, 1002), 5_000, 100_000]


@pytest.mark.parametrize("shape", ["unknown field", "known field", "array", "object", "line"])
def test_deep_nesting_gives_one_result(shape):
    for depth in DEPTHS:
        deep = b"[" * depth + b"]" * depth
        data = {
            "unknown field": b'{"vehicle_id":"A","camera_id":"G1","x":' + deep + b"}",
            "known field": b'{"vehicle_id":' + deep + b',"camera_id":"G1"}',
            "array": deep,
            "object": b'{"a":' * depth + b"1" + b"}" * depth,
            "line": b'{"vehicle_id":"A","camera_id":"G1","x":' + deep + b"}\n{}",
        }[shape]
        assert len(results(data)) == (2 if shape == "line" else 1), depth


def test_deep_nesting_spares_its_neighbours():
    deep = b"[" * 100_000 + b"]" * 100_000
    assert kinds(results(A + b"\n" + deep + b"\n" + C))[::2] == ["sighting", "sighting"]


def test_many_empty_gzip_members_are_refused():
    """Each costs a copy of the rest of the message, so their number must have a limit."""
    found = results(gzip.compress(b"") * 30_000 + gzip.compress(A), content_encoding="gzip")
    assert [type(item) for item in found] == [Rejected]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("element", [b"x", b"7", b"{}"])
def test_message_of_nothing_but_faults_is_read_once(element):
    """Work in proportion to the message, not to its square: one such message would stop a worker for hours."""
    found = results(b"[" + b",".join([element] * 20_000) + b"]")
    assert len(found) == 20_000
    assert {payload(item) for item in found} == {element}


# --- whatever is accepted can travel


@pytest.mark.parametrize("lane", [2**63, 2**64, -(2**63) - 1, 10**30])
def test_lane_beyond_64_bits_is_refused(lane):
    found = one(lane=lane)
    assert isinstance(found, Rejected)
    assert found.field == "lane"


@pytest.mark.parametrize(
    "field", ["vehicle_id", "camera_id", "plate", "plate_region", "event_id", "radar_id", "image_url"]
)
def test_lone_surrogate_is_refused(field):
    value = "gs://b/\ud800" if field == "image_url" else "A\udfff"
    found = one(**{field: value})
    assert isinstance(found, Rejected)
    assert travels(found)


def test_of_several_surrogates_the_same_field_is_named_in_every_process():
    """A set's order is another one in each process, and work that is done again would give another record."""
    names = ("event_id", "plate", "plate_region", "radar_id", "camera_id", "vehicle_id")
    found = one(**dict.fromkeys(names, "\udc00"))
    assert isinstance(found, Rejected)
    assert found.field == "vehicle_id"


def test_surrogate_in_an_unknown_field_travels():
    found = one(note="\ud800")
    assert isinstance(found, Sighting)
    assert travels(found)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"1e999"])
def test_extra_is_json_even_with_nan(number):
    (found,) = results(b'{"vehicle_id": "A", "camera_id": "G1", "note": ' + number + b"}")
    assert isinstance(found, Rejected) or msgspec.json.decode(found.extra) is not None


FIELDS = [*messages.ALLOWED, "note", ""]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(10**40), 10**40),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["A", "G1", "gs://b/x", "gs://[/x", "2026-04-12T13:19:00Z", "car", 1_775_999_940, "\ud800"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
OBJECTS = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=8) | st.fixed_dictionaries(
    {"vehicle_id": st.text(min_size=1, max_size=8), "camera_id": st.just("G1")},
    optional={"note": VALUES, "lane": VALUES, "timestamp": VALUES},
)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["", "gzip"]))
def test_arbitrary_bytes_never_raise(data, encoding):
    found = results(data, content_encoding=encoding)
    assert all(travels(item) for item in found)
    assert found or data.strip().startswith(b"[")  # an array may be empty


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet='[]{}",:\\ \n1ae' + string.whitespace, max_size=60).map(str.encode))
def test_arbitrary_punctuation_never_raises(data):
    assert all(travels(item) for item in results(data))


@settings(max_examples=200, deadline=None)
@given(st.lists(OBJECTS, min_size=1, max_size=4), st.sampled_from(["array", "lines"]))
def test_every_object_gives_exactly_one_result(objects, shape):
    texts = [json.dumps(item).encode() for item in objects]
    data = b"[" + b",".join(texts) + b"]" if shape == "array" else b"\n".join(texts)
    pairs = decode(message(data))
    assert [bytes(raw) for _, raw, _ in pairs] == texts
    assert all(travels(found) for found, _, _ in pairs)
    for text, (found, _, _) in zip(texts, pairs, strict=True):
        assert isinstance(found, Sighting) or payload(found) == text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([A, C, BAD, b"{'x'}", b"nul", b"7"]), min_size=1, max_size=6))
def test_sound_objects_survive_any_neighbours(objects):
    sound = sum(item in (A, C) for item in objects)
    for data in (b"[" + b",".join(objects) + b"]", b"\n".join(objects)):
        found = results(data)
        assert len(found) == len(objects)
        assert sum(isinstance(item, Sighting) for item in found) == sound


@pytest.mark.parametrize("attributes", [{}, {"content_type": messages.LINES}])
def test_arrays_on_lines_survive_each_other_and_a_bad_line(attributes):
    data = b"[" + A + b"]\n[" + A + b"," + C + b"]\n" + BAD
    assert kinds(results(data, **attributes)) == ["sighting", "sighting", "sighting", "invalid_field"]


def test_fault_in_the_first_of_two_arrays_spares_the_second():
    data = b"[" + A + b"," + BAD + b"]\n[" + A + b"," + C + b"]"
    assert kinds(results(data)) == ["sighting", "invalid_field", "sighting", "sighting"]


def test_array_over_several_lines_with_a_fault_is_cut_at_its_commas():
    data = b"[\n" + A + b",\n" + BAD[:-1] + b",\n" + C + b"\n]"
    assert kinds(results(data))[0] == "sighting"
    assert len(results(b"[\n" + A + b",\n" + BAD + b",\n" + C + b"\n]")) == 3


def test_indented_object_with_nan_is_one_object():
    data = json.dumps(GOOD | {"speed": float("nan")}, indent=2).encode()
    (found,) = results(data)
    assert (found.reason, found.field, payload(found)) == ("invalid_field", "speed", data)


@pytest.mark.parametrize("field", ["event_id", "plate", "vehicle_id", "plate_region", "timestamp", "location"])
@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_no_number_in_a_field_is_no_text(field, number):
    """What a table with missing values writes: two vehicles must not become one named NaN."""
    wire = json.dumps(GOOD | {field: "?"}).replace('"?"', number).encode()
    (found,) = results(wire)
    assert (found.reason, found.field) == ("invalid_field", field)
    assert f"found {number}" in found.error


def test_nan_in_an_unknown_field_is_kept():
    (found,) = results(json.dumps(GOOD | {"wind": float("nan")}).encode())
    assert isinstance(found, Sighting)
    assert found.extra == '{"wind": NaN}' or "NaN" in found.extra


@pytest.mark.parametrize("depth", [500, 900, 990, 995, 1_000, 5_000])
def test_deep_nesting_rejects_its_object_alone(depth):
    deep = json.dumps(GOOD)[:-1].encode() + b', "x": ' + b"[" * depth + b"]" * depth + b"}"
    first, second = results(deep + b"\n" + A, content_type=messages.LINES)
    assert isinstance(second, Sighting)
    assert isinstance(first, Sighting) or first.reason == "malformed_json"


def test_array_cut_off_inside_a_text_takes_linear_time():
    """A text that never ends used to be looked through again from each quotation mark in it."""
    data = b"[" + A + b',{"x": "' + rb"\"" * 400_000
    found = results(data)
    assert kinds(found) == ["sighting", "malformed_json"]


def test_message_of_more_objects_than_one_message_may_hold_is_refused_whole():
    for data in (b"[" + b"1," * 200_000 + b"1]", b"1\n" * 200_000, b"[" + b"1," * 5_000_000 + b"1]"):
        (found,) = results(gzip.compress(data), content_encoding="gzip")
        assert (found.reason, found.payload_bytes) == ("too_large", len(gzip.compress(data)))
    assert len(results(b"1\n" * 1_000, content_type=messages.LINES)) == 1_000


def test_array_with_a_trailing_comma_gains_nothing():
    assert kinds(results(b"[" + A + b"," + C + b",]")) == ["sighting", "sighting"]


# --- whose bytes are whose

SOUND = b'{"vehicle_id": "%s", "camera_id": "G1", "event_id": "%s"}'


def test_two_objects_on_one_line_are_told_apart_from_the_next_line():
    """Glued objects must neither stop the run nor lend their place to another object's bytes."""
    glued = SOUND % (b"A", b"1") + SOUND % (b"B", b"2")
    data = glued + b"\n" + SOUND % (b"C", b"3")
    found = decode(message(data, "", content_type=messages.LINES))
    kinds_found = [getattr(item, "reason", getattr(item, "vehicle_id", None)) for item, _, _ in found]
    assert kinds_found == ["malformed_json", "C"]
    assert [bytes(raw) for _, raw, _ in found] == [glued, SOUND % (b"C", b"3")]
