"""What two cameras saw of one vehicle: what no camera takes for the other speaks against the pairing."""

import json

import pytest
from msgspec.structs import replace

from pipeline.enforcement import policy
from pipeline.enforcement.contradictions import CONFUSED_CLASSES, contradict
from pipeline.enforcement.messages import VEHICLE_CLASSES
from pipeline.enforcement.model import Passage, Reason, Sighting
from pipeline.enforcement.policy import Policy

SEEN = Sighting("e", "V", 0, camera_id="G0")


def of(**fields: object) -> Sighting:
    return replace(SEEN, **fields)


def sent(**extra: object) -> Sighting:
    return replace(SEEN, extra=json.dumps(extra))


@pytest.mark.parametrize(("one", "other", "apart"), [
    ("car", "truck", True), ("car", "bus", True), ("car", "motorcycle", True), ("van", "motorcycle", True),
    ("car", "car", False), ("car", "van", False), ("van", "truck", False), ("truck", "bus", False),
    ("other", "motorcycle", False), (None, "truck", False),
])  # fmt: skip
def test_classes(one, other, apart):
    assert contradict(of(vehicle_class=one), of(vehicle_class=other)) is apart
    assert contradict(of(vehicle_class=other), of(vehicle_class=one)) is apart


def test_confused_classes_are_those_of_messages():
    assert {name for pair in CONFUSED_CLASSES for name in pair} <= VEHICLE_CLASSES


@pytest.mark.parametrize(("one", "other", "apart"), [
    ("white", "black", True), ("white", "red", True), ("silver", "blue", True),
    ("white", "WHITE ", False), ("grey", "gray", False), ("silver", "grey", False), ("black", "blue", False),
    ("unknown", "red", False), ("", "red", False), (None, "red", False), (7, "red", False),
])  # fmt: skip
def test_colours(one, other, apart):
    assert contradict(sent(vehicle_color=one), sent(vehicle_color=other)) is apart
    assert contradict(sent(vehicle_color=other), sent(vehicle_color=one)) is apart


@pytest.mark.parametrize(("one", "other", "apart"), [
    ("Ford", "Toyota", True), ("Mercedes", "Mercedes-Benz", False), ("FORD", "ford", False), ("N/A", "Ford", False),
])  # fmt: skip
def test_makes(one, other, apart):
    assert contradict(sent(vehicle_make=one), sent(vehicle_make=other)) is apart


@pytest.mark.parametrize("extra", [None, "", "{", "[]", "null", '{"vehicle_color": NaN}'])
def test_what_is_not_given_says_nothing(extra):
    assert not contradict(of(extra=extra), sent(vehicle_color="red"))
    assert not contradict(None, sent(vehicle_color="red"))


def test_other_fields_that_are_no_json_do_not_hide_it():
    assert contradict(of(extra='{"vehicle_color": "red", "x": NaN}'), sent(vehicle_color="white"))


def suspected(leaving: Sighting) -> Passage:
    measured = Passage("p", "s", "V", 40.0, 0, 1, 2, avg_speed_kmh=61.0, min_speed_kmh=60.0)
    return policy.decide(replace(measured, entry=of(vehicle_class="car"), exit=leaving), Policy("plain"))


def test_contradiction_sends_what_is_suspected_to_a_person():
    assert suspected(of(vehicle_class="truck")).reasons == (Reason.READS_CONTRADICT,)
    assert suspected(of(vehicle_class="van")).reasons == ()
