"""Lines of a file read many at once: what each of them gives by itself, in whatever company it is."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.enforcement import intake, lines, records
from pipeline.enforcement.intake import Batch, Intake, Located
from pipeline.enforcement.model import Message
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.records import Rejected, SightingRecord
from pipeline.enforcement.sections import parse_network
from pipeline.enforcement.times import NO_TIME, parse_all_us, parse_rfc3339_us, rfc3339, rfc3339_of_all

RECEIVED_US = 1_776_000_000_000_000
POSITION = 4096
NETWORK = parse_network("""
cameras:
  G1: {location: [40.7400, -73.9900]}
  G2: {location: [40.7431, -73.9877]}
  SPARE: {location: [40.7, -73.9]}
sections:
  - {id: one, cameras: [G1, G2], length_m: [400.1], limit: 25 mph}
  - {id: back, cameras: [G2, G1], length_m: [400.1], limit: 25 mph}
  - {id: track, line: [[40.74, -73.99], [40.75, -73.98]], limit: 40 km/h}
""")
INTAKE = Intake(NETWORK)
PLAIN = {"event_id": "e", "vehicle_id": "ABC123", "camera_id": "G1", "timestamp": "2026-04-12T13:00:00.123456Z"}


def of_block(data: bytes, pseudonyms: Pseudonyms = IN_CLEAR) -> tuple[Batch, list[Rejected]]:
    return INTAKE.read(Message(data, "m", RECEIVED_US, position=POSITION), RECEIVED_US, pseudonyms)


def stored(batch: Batch, pseudonyms: Pseudonyms) -> list[SightingRecord]:
    section_ids = [one.section_ids for one in batch.located]
    others = records.sighting_records([one.sighting for one in batch.located], section_ids, pseudonyms)
    return sorted(lines.sighting_records(batch.plain, pseudonyms) + others, key=str)


def located(batch: Batch) -> list[Located]:
    """The sightings of the block, plain ones read again."""
    again = [
        Located(lines.read(line, time_us, wire.location), section_ids)
        for line, wire, time_us, section_ids in zip(
            batch.plain.lines, batch.plain.wires, batch.plain.times_us, batch.plain.section_ids, strict=True
        )
    ]
    return sorted((*again, *batch.located), key=str)


def one_by_one(data: bytes, monkeypatch_take: pytest.MonkeyPatch) -> tuple[Batch, list[Rejected]]:
    with monkeypatch_take.context() as patch:
        patch.setattr(intake, "take", lambda _places, message, _pseudonyms: (lines.Plain(), [(POSITION, message.data)]))
        return of_block(data)


TIMES = st.sampled_from([
    "2026-04-12T13:00:00.123456Z", "2026-04-12T13:00:00Z", "2026-04-12T13:00:00.1Z", "2026-04-12T15:00:00+02:00",
    "2026-04-12T13:00:00", "2026-02-30T13:00:00Z", "1999-12-31T23:59:59Z", "2026-04-12T24:00:00Z", "",
    "2026-04-13T13:20:00.000001Z", "2026-04-13T13:20:00Z", 1_775_998_800, 1e300, None, "2026-04-12T13:00:60Z",
])  # fmt: skip
FIELDS = {
    "event_id": st.sampled_from(["e1", "e2", "", None, 7]),
    "vehicle_id": st.sampled_from(["ABC123", "XYZ789", "UNKNOWN", "000000", "é", "", None]),
    "camera_id": st.sampled_from(["G1", "G2", "SPARE", "G9", None, ""]),
    "timestamp": TIMES,
    "radar_id": st.sampled_from(["one", "back", "track", "other", None]),
    "location": st.sampled_from([[40.0, -73.0], [91, 0], None, [1]]),
    "speed": st.sampled_from([50, 50.5, -1, None, "fast"]),
    "plate": st.sampled_from(["ABC123", "ABC124", "", None]),
    "plate_region": st.sampled_from(["US-NY", "", None]),
    "vehicle_class": st.sampled_from(["car", "tank", None]),
    "lane": st.sampled_from([1, 1.5, None]),
    "image_url": st.sampled_from(["gs://b/o", "http://b/o", None]),
    "colour": st.sampled_from(["red"]),
}
OBJECTS = st.fixed_dictionaries({}, optional=FIELDS).map(lambda odd: json.dumps(PLAIN | odd).encode())
LINES = st.lists(
    st.one_of(
        st.just(json.dumps(PLAIN).encode()),
        OBJECTS,
        st.sampled_from([b"", b"  ", b"{", b"[]", b"null", b"\xff", b'{"vehicle_id": NaN}', b"[" * 2000]),
        st.lists(OBJECTS, max_size=3).map(lambda objects: b"[" + b",".join(objects) + b"]"),
    ),
    max_size=8,
).map(b"\n".join)


@settings(max_examples=500, deadline=None)
@given(LINES, st.sampled_from([b"", b"\n"]), st.sampled_from([IN_CLEAR, Pseudonyms(b"0" * 16)]))
def test_line_gives_the_same_in_any_company(data, end, pseudonyms):
    with pytest.MonkeyPatch.context() as patch:
        expected, expected_refused = one_by_one(data + end, patch)
    found, refused = of_block(data + end, pseudonyms)
    assert stored(found, pseudonyms) == stored(expected, pseudonyms)
    assert located(found) == located(expected)
    assert refused == expected_refused


def test_plain_lines_are_not_read_one_by_one(monkeypatch):
    monkeypatch.setattr(intake, "read", None)
    unlike = PLAIN | {"camera_id": "G2", "radar_id": "back", "plate": "ABC124", "speed": 50, "vehicle_class": "van"}
    found, refused = of_block(b"\n".join(json.dumps(one).encode() for one in (PLAIN, unlike)))
    assert (len(found.plain.wires), found.located, refused) == (2, (), [])
    assert found.plain.section_ids == [("one", "back"), ("back",)]
    assert [wire.location for wire in found.plain.wires] == [(40.74, -73.99), (40.7431, -73.9877)]


def test_unusual_line_leaves_the_others_plain():
    found, refused = of_block(json.dumps(PLAIN).encode() + b"\n{\n" + json.dumps(PLAIN | {"colour": "red"}).encode())
    assert (len(found.plain.wires), len(found.located), len(refused)) == (1, 1, 1)


def test_names_are_those_of_the_vehicles_on_the_day():
    pseudonyms = Pseudonyms(b"0" * 16)
    found, _ = of_block(json.dumps(PLAIN).encode(), pseudonyms)
    assert found.plain.names == [pseudonyms.of("ABC123", found.plain.times_us[0])] != ["ABC123"]


def test_block_can_travel():
    found, _ = of_block(json.dumps(PLAIN).encode())
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Batch) == found


def one_at_a_time(text: str) -> int:
    try:
        return parse_rfc3339_us(text)
    except (ValueError, OverflowError):
        return NO_TIME


DIGIT = st.sampled_from("0123456789")
ODD = st.sampled_from([
    "2026-04-12T13:00:00.Z", "2026-04-12 13:00:00Z", "20260412T130000.000000Z", "2026-W15-7T13:00:00.000000Z", "NaT",
    "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-04-12T13:00:00,123456Z",
    "2026-04-12T13:00:00.123456z", "2026-04-12T13:00:00.1234567Z", "٢٠٢٦-04-12T13:00:00Z",
])  # fmt: skip
WRITTEN = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
DIGITS = st.lists(DIGIT, min_size=20, max_size=20).map(
    lambda d: "{}{}{}{}-{}{}-{}{}T{}{}:{}{}:{}{}.{}{}{}{}{}{}Z".format(*d)
)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.one_of(WRITTEN, DIGITS, ODD), max_size=5) | st.lists(DIGITS, min_size=1, max_size=3))
def test_times_at_once_are_those_of_each_by_itself(texts):
    assert parse_all_us(texts).tolist() == list(map(one_at_a_time, texts))


@pytest.mark.parametrize("decimals", range(7))
def test_times_written_alike_are_parsed_at_once(decimals, monkeypatch):
    text = "2026-04-12T13:00:00.123456"[: 19 + decimals + bool(decimals)] + "Z"
    expected = parse_rfc3339_us(text)
    monkeypatch.setattr("pipeline.enforcement.times.parse_rfc3339_us", None)
    assert parse_all_us([text, text]).tolist() == [expected, expected]


MOMENTS = st.datetimes().map(lambda moment: parse_rfc3339_us(moment.isoformat() + "Z"))


@settings(max_examples=200, deadline=None)
@given(st.lists(MOMENTS, max_size=8), st.integers(0, 60))
def test_times_written_at_once_are_those_of_each_by_itself(times_us, n_more):
    """Few are written one by one, many column by column: days before 1970 and far apart among them."""
    many = times_us + [RECEIVED_US + 86_399_999_999 * number for number in range(n_more)]
    assert rfc3339_of_all(many) == list(map(rfc3339, many))
    assert rfc3339_of_all(np.array(many, np.int64)) == list(map(rfc3339, many))


ONE, OTHER = json.dumps(PLAIN).encode(), json.dumps(PLAIN | {"event_id": "f"}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"\n" + ONE + OTHER,
        ONE + b"\n\n" + OTHER,
        ONE + b" " + OTHER + b"\n" + ONE,
        ONE[:-1] + b'\n,"lane":1}\n' + ONE + OTHER,
        ONE[:-1] + b',"plate":"}\n{"}\n' + ONE + OTHER,
        ONE[:-1] + b',"plate":"a}\n' + ONE,
        ONE + b"\r\n" + OTHER,
        b"{}\n" + ONE,
    ],
)
def test_objects_that_are_not_one_a_line_are_told_apart(data):
    """As many objects as lines, or braces at the ends of lines, and yet not one on each."""
    with pytest.MonkeyPatch.context() as patch:
        expected, expected_refused = one_by_one(data, patch)
    found, refused = of_block(data)
    assert stored(found, IN_CLEAR) == stored(expected, IN_CLEAR)
    assert refused == expected_refused


def test_lines_of_one_object_each_are_decoded_at_once(monkeypatch):
    monkeypatch.setattr(lines, "_decode", None)
    found, refused = of_block(ONE + b"\n" + OTHER)
    assert ([wire.event_id for wire in found.plain.wires], refused) == (["e", "f"], [])
