"""From messages to located sightings: the sections of a camera, and what cannot be placed."""

import base64
import gzip
import json

import pytest

from pipeline.enforcement.intake import Intake, Located
from pipeline.enforcement.model import Message
from pipeline.enforcement.records import Rejected
from pipeline.enforcement.sections import parse_network, single_track

RECEIVED_US = 1_776_000_000_000_000
HOUR_US = 3_600_000_000
NETWORK = parse_network("""
cameras:
  G1: {location: [40.7400, -73.9900]}
  G2: {location: [40.7431, -73.9877]}
  G3: {location: [40.7526, -73.9808]}
  SPARE: {location: [40.7, -73.9]}
sections:
  - {id: G1-G2, cameras: [G1, G2], length_m: [400.1], limit: 25 mph}
  - {id: G1-G3, cameras: [G1, G2, G3], length_m: [400.1, 1200], limit: 25 mph}
  - {id: track, line: [[40.74, -73.99], [40.75, -73.98]], limit: 40 km/h}
  - {id: other-track, line: [[40.74, -73.99], [40.75, -73.98]], limit: 40 km/h}
""")


def read(*objects: object, intake: Intake | None = None) -> tuple[list[Located], list[Rejected]]:
    data = "\n".join(json.dumps(item) for item in objects).encode()
    batch, refused = (intake or Intake(NETWORK)).read(Message(data, "m", RECEIVED_US), RECEIVED_US)
    return list(batch.located), refused


def one(intake: Intake | None = None, **fields: object) -> Located | Rejected:
    located, refused = read({"vehicle_id": "A"} | fields, intake=intake)
    (found,) = [*located, *refused]
    return found


def refusal(found: Located | Rejected) -> tuple[str, str, str | None]:
    assert isinstance(found, Rejected)
    return found.stage, found.reason, found.field


def test_camera_feeds_each_of_its_sections():
    assert one(camera_id="G2").section_ids == ("G1-G2", "G1-G3")
    assert one(camera_id="G3").section_ids == ("G1-G3",)


def test_camera_of_no_section_is_stored_for_none():
    assert one(camera_id="SPARE").section_ids == ()


def test_sighting_of_no_known_vehicle_is_stored_for_none():
    """Its camera and section are checked all the same."""
    found = one(camera_id="G1", vehicle_id="NO_PLATE")
    assert (found.section_ids, found.sighting.location) == ((), (40.74, -73.99))
    assert one(camera_id="G2", radar_id="G1-G3", vehicle_id="??????").section_ids == ()
    assert one(location=[40.74, -73.99], radar_id="track", vehicle_id="0000000").section_ids == ()
    assert refusal(one(camera_id="G9", vehicle_id="UNKNOWN")) == ("locate", "unknown_camera", "camera_id")


@pytest.mark.parametrize("vehicle_id", ["0", "7", "1111"])
def test_number_of_a_tracker_is_an_identity(vehicle_id):
    assert one(location=[40.74, -73.99], radar_id="track", vehicle_id=vehicle_id).section_ids == ("track",)


def test_radar_id_chooses_among_the_sections_of_its_camera():
    assert one(camera_id="G2", radar_id="G1-G3").section_ids == ("G1-G3",)


@pytest.mark.parametrize("radar_id", ["track", "nowhere"])
def test_radar_id_of_another_section_is_refused(radar_id):
    assert refusal(one(camera_id="G2", radar_id=radar_id)) == ("locate", "unknown_section", "radar_id")


def test_camera_without_location_gets_its_place():
    assert one(camera_id="G1").sighting.location == (40.74, -73.99)


def test_location_of_the_sighting_is_kept():
    assert one(camera_id="G1", location=[1, 2]).sighting.location == (1.0, 2.0)


def test_unknown_camera_is_refused_with_its_bytes():
    found = one(camera_id="G9", note=1)
    assert refusal(found) == ("locate", "unknown_camera", "camera_id")
    assert json.loads(base64.b64decode(found.payload)) == {"vehicle_id": "A", "camera_id": "G9", "note": 1}


def test_unknown_camera_rejects_itself_only():
    cameras = ["G1", "G9", "G2", "G8"]
    located, refused = read(*({"vehicle_id": "A", "camera_id": camera} for camera in cameras))
    assert [found.sighting.camera_id for found in located] == ["G1", "G2"]
    assert [json.loads(base64.b64decode(found.payload))["camera_id"] for found in refused] == ["G9", "G8"]
    assert [found.origin for found in refused] == ["m-000001", "m-000003"]


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
@pytest.mark.parametrize("shape", ["array", "lines"])
def test_refused_object_of_a_batch_keeps_its_own_bytes(shape, pack):
    """Also where an object that is none at all stands before it."""
    objects = [b'{"vehicle_id": "A", "camera_id": "G1"}', b"{}", b' {"vehicle_id":"B", "camera_id": "G9"}', b"7"]
    data = b"[" + b",".join(objects) + b"]" if shape == "array" else b"\n\n".join(objects)
    encoding = {} if pack(b"") == b"" else {"content_encoding": "gzip"}
    batch, refused = Intake(NETWORK).read(Message(pack(data), "m", RECEIVED_US, {"gate": "1", **encoding}), RECEIVED_US)
    assert len(batch.located) == 1
    assert [base64.b64decode(found.payload) for found in refused] == [item.strip() for item in objects[1:]]
    assert {found.attributes for found in refused} == {'{"gate":"1"}'}


def test_sighting_without_a_camera_belongs_to_the_named_track():
    assert one(location=[40.74, -73.99], radar_id="track").section_ids == ("track",)


def test_sighting_without_a_camera_belongs_to_the_tracks_option():
    assert one(Intake(NETWORK, "other-track"), location=[40.74, -73.99]).section_ids == ("other-track",)
    assert one(Intake(NETWORK, "other-track"), location=[40.74, -73.99], radar_id="track").section_ids == ("track",)


@pytest.mark.parametrize("radar_id", [None, "nowhere", "G1-G2"])
def test_sighting_of_no_track_is_refused(radar_id):
    found = one(location=[40.74, -73.99], **({"radar_id": radar_id} if radar_id else {}))
    assert refusal(found) == ("locate", "unknown_section", "radar_id")
    assert "track, other-track" in found.error


def test_class_exercise_needs_no_section_file():
    intake = Intake(single_track("M30", "25 mph"), "M30")
    assert one(intake, speed=38.5, location=[40.76, -73.97]).section_ids == ("M30",)


def aged(age_us: int, max_age_us: int | None = HOUR_US) -> Located | Rejected:
    return one(Intake(NETWORK, max_age_us=max_age_us), camera_id="G1", timestamp=(RECEIVED_US - age_us) / 1e6)


def test_exactly_the_allowed_lateness_is_taken():
    assert isinstance(aged(HOUR_US), Located)


def test_more_than_the_allowed_lateness_is_refused_aloud():
    found = aged(HOUR_US + 1_000)
    assert refusal(found) == ("locate", "too_late", "timestamp")
    assert "--allowed_lateness" in found.error


def test_files_may_be_of_any_age():
    assert isinstance(aged(24 * 365 * HOUR_US, None), Located)


def test_untimed_sighting_is_never_late():
    assert isinstance(one(Intake(NETWORK, max_age_us=1), camera_id="G1"), Located)


def test_every_object_is_placed_or_refused():
    objects = [{"vehicle_id": "A", "camera_id": camera} for camera in ("G1", "G9", "SPARE", "")] + [
        7,
        {},
        {"vehicle_id": ""},
    ]
    located, refused = read(*objects)
    assert (len(located), len(refused)) == (2, len(objects) - 2)


def test_intake_travels_to_workers():
    import pickle

    again = pickle.loads(pickle.dumps(Intake(NETWORK, "track", HOUR_US)))
    assert one(again, location=[40.74, -73.99]).section_ids == ("track",)
