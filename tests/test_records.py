"""What is written: names and units are part of the format."""

import base64
import json

import msgspec
import pytest
from single_records import passage_record, sighting_record

from pipeline.enforcement import records
from pipeline.enforcement.model import Basis, ErrorBudget, Message, Outcome, Passage, Reason, Sighting, Status
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.sections import Section

T0_US = 1_776_000_000_123_456
EDEM_KEYS = ["radar_id", "vehicle_id", "avg_speed", "coordinates", "is_Ticketed", "image_url", "license_plate"]
LAST = Sighting("e2", "ABC1234", T0_US + 36_000_000, camera_id="G1", location=(40.75, -73.98), image_url="gs://c/1.jpg")
PASSAGE = Passage(
    "p",
    "s",
    "ABC1234",
    40.2336,
    T0_US,
    T0_US + 36_000_000,
    2,
    distance_m=400.1,
    travel_time_s=36.0,
    avg_speed_kmh=40.01,
    basis=Basis.DISTANCE_TIME,
    outcome=Outcome.CLEAR,
    exit=LAST,
    min_speed_kmh=39.5,
    errors=ErrorBudget(1.0, 0.2, 0.1),
    policy="nl",
    counted_speed_kmh=36.0,
)
SECTION = Section("s", 40.2336, name="First Avenue")
OPEN, CLOSED = Pseudonyms(None), Pseudonyms(b"0123456789abcdef")


def wire(record: msgspec.Struct) -> dict:
    return json.loads(msgspec.json.encode(record))


@pytest.mark.parametrize(
    "record", [records.fine(PASSAGE, SECTION, Status.ISSUED, plate="ABC1234"), records.public_passage(PASSAGE)]
)
def test_seven_keys_of_the_class_exercise_come_first(record):
    found = wire(record)
    assert sorted(list(found)[:7]) == sorted(EDEM_KEYS)
    assert list(found)[:5] == EDEM_KEYS[:5]


def test_fine_on_the_wire():
    found = wire(
        records.fine(
            PASSAGE,
            SECTION,
            Status.REVIEW,
            plate="no texts found",
            reasons=(Reason.NO_TEXT,),
            evidence=(
                records.Evidence("G1", None, None, None, None),
                records.Evidence("G0", "gs://e/0.jpg", "ab", "X", 0.5, "XY1", "US-NY"),
            ),
        )
    )
    unread = dict.fromkeys(("image_url", "sha256", "text", "confidence", "plate", "plate_region"))
    assert found == {
        "radar_id": "s",
        "vehicle_id": "ABC1234",
        "avg_speed": 40.01,
        "coordinates": [40.75, -73.98],
        "is_Ticketed": False,
        "license_plate": "no texts found",
        "image_url": "gs://e/0.jpg",
        "fine_id": found["fine_id"],
        "passage_id": "p",
        "revision": 1,
        "status": "review",
        "reasons": ["no_text"],
        "section": "First Avenue",
        "entry_time": "2026-04-12T13:20:00.123456Z",
        "exit_time": "2026-04-12T13:20:36.123456Z",
        "distance_m": 400.1,
        "travel_time_s": 36.0,
        "limit_kmh": 40.2336,
        "basis": "distance_time",
        "evidence": [
            unread | {"camera_id": "G1"},
            {
                "camera_id": "G0",
                "image_url": "gs://e/0.jpg",
                "sha256": "ab",
                "text": "X",
                "confidence": 0.5,
                "plate": "XY1",
                "plate_region": "US-NY",
            },
        ],
        "schema_version": 1,
        "min_speed": 39.5,
        "length_error_m": 1.0,
        "clock_error_s": 0.2,
        "resolution_s": 0.1,
        "policy": "nl",
        "counted_speed": 36.0,
        "amount": None,
        "currency": None,
        "packet_url": None,
        "trip": [],
        "speeds_error_s": None,
    }


@pytest.mark.parametrize(
    ("status", "ticketed"), [(Status.ISSUED, True), (Status.REVIEW, False), (Status.WITHDRAWN, False)]
)
def test_only_an_issued_fine_is_ticketed(status, ticketed):
    assert records.fine(PASSAGE, SECTION, status).is_Ticketed is ticketed


def test_passage_on_the_wire():
    assert wire(passage_record(PASSAGE, OPEN)) == {
        "passage_id": "p",
        "revision": 1,
        "section_id": "s",
        "vehicle_id": "ABC1234",
        "entry_time": "2026-04-12T13:20:00.123456Z",
        "exit_time": "2026-04-12T13:20:36.123456Z",
        "distance_m": 400.1,
        "travel_time_s": 36.0,
        "avg_speed": 40.01,
        "limit_kmh": 40.2336,
        "basis": "distance_time",
        "ambiguous": False,
        "outcome": "clear",
        "reasons": [],
        "n_sightings": 2,
        "coordinates": [40.75, -73.98],
        "schema_version": 1,
        "min_speed": 39.5,
        "length_error_m": 1.0,
        "clock_error_s": 0.2,
        "resolution_s": 0.1,
        "policy": "nl",
        "counted_speed": 36.0,
        "speeds_error_s": None,
    }


def test_passage_without_an_outcome_is_not_written():
    with pytest.raises(ValueError, match="passage p has no outcome"):
        passage_record(msgspec.structs.replace(PASSAGE, outcome=None), OPEN)


def test_names_are_hidden_in_sightings_and_passages():
    sighting = Sighting("e", "ABC1234", T0_US, camera_id="G0", plate="ABC1234", plate_region="US-NY")
    texts = [
        msgspec.json.encode(record).decode()
        for record in (sighting_record(sighting, ("s",), CLOSED), passage_record(PASSAGE, CLOSED))
    ]
    assert not any("ABC1234" in text for text in texts)
    assert wire(sighting_record(sighting, ("s",), CLOSED))["vehicle_id"] == json.loads(texts[1])["vehicle_id"]


def test_names_are_shown_with_privacy_off():
    found = wire(sighting_record(msgspec.structs.replace(LAST, plate="P"), ("s", "t"), OPEN))
    assert (found["vehicle_id"], found["plate"], found["section_ids"]) == ("ABC1234", "P", ["s", "t"])
    assert found["timestamp"] == "2026-04-12T13:20:36.123456Z"


def test_absent_plate_stays_absent_under_pseudonyms():
    assert sighting_record(LAST, (), CLOSED).plate is None


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 200_000])
def test_rejected_keeps_the_first_64_kib(size):
    data = bytes(number % 251 for number in range(size))
    found = records.rejected(Message(data, "m", T0_US, {"b": "2", "a": 'x"'}), "decode", "r", "e", "f")
    assert base64.b64decode(found.payload) == data[:65_536]
    assert found.payload_bytes == size
    assert json.loads(found.attributes) == {"a": 'x"', "b": "2"}
    assert found.received_at == "2026-04-12T13:20:00.123456Z"


def test_public_passage_is_not_ticketed():
    found = records.public_passage(PASSAGE)
    assert (found.is_Ticketed, found.license_plate, found.image_url) == (False, None, "gs://c/1.jpg")


def test_coordinates_are_of_the_last_sighting_known():
    entry = Sighting("e1", "A", T0_US, location=(1.0, 2.0))
    assert records.last_coordinates(msgspec.structs.replace(PASSAGE, entry=entry)) == (40.75, -73.98)
    assert records.last_coordinates(msgspec.structs.replace(PASSAGE, entry=entry, exit=None)) == (1.0, 2.0)
    assert records.last_coordinates(msgspec.structs.replace(PASSAGE, exit=None)) is None
