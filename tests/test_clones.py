"""One plate at two places: what no vehicle can have driven is found, and what one can is not."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.enforcement import alarms, clones
from pipeline.enforcement.model import Coordinates, Outcome, Passage, Reason, Sighting
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.speed import plane_m

T0_US = 1_776_000_000_000_000
MANHATTAN, NEWARK = (40.70, -74.00), (40.735, -74.17)  # some 15 km apart
NORTH_M = math.radians(1) * 6_356_752.0  # of a degree, on the sphere that is measured on


def seen(place: Coordinates | None, at_s: float, camera: str | None = None, **fields: object) -> Sighting:
    name = camera or str(place)
    return Sighting(f"{name}@{at_s}", "V", T0_US + round(at_s * 1e6), camera_id=name, location=place, **fields)


def north(metres: float) -> Coordinates:
    return (40.0 + metres / NORTH_M, -73.0)


def found(*sightings: Sighting, ceiling_kmh: float = 250.0) -> list[tuple[float, float]]:
    pairs = clones.impossible(sightings, ceiling_kmh)
    return [((one.first.time_us - T0_US) / 1e6, (one.second.time_us - T0_US) / 1e6) for one in pairs]


def test_two_places_at_once():
    assert found(seen(MANHATTAN, 0), seen(NEWARK, 60)) == [(0, 60)]


def test_a_drive_is_none():
    assert found(seen(MANHATTAN, 0), seen(NEWARK, 600)) == []


@pytest.mark.parametrize(("distance_m", "n"), [(5_000 + 100 - 1, 0), (5_000 + 100 + 1, 1)])
def test_exactly_the_ceiling_is_none(distance_m, n):
    """67 s and 5 s of clocks at 250 km/h are 5,000 m, and 100 m are allowed for places."""
    assert len(found(seen(north(0), 0), seen(north(distance_m), 67))) == n


@pytest.mark.parametrize(("distance_m", "n"), [(430, 0), (460, 1)])
def test_equal_times_allow_for_clocks_and_places(distance_m, n):
    assert len(found(seen(north(0), 0, "A"), seen(north(distance_m), 0, "B"))) == n


def test_clones_that_take_turns_are_found_each_time():
    assert found(seen(MANHATTAN, 0), seen(NEWARK, 60), seen(MANHATTAN, 120), seen(MANHATTAN, 180)) == [
        (0, 60),
        (60, 120),
    ]


def test_other_regions_are_other_vehicles():
    apart = seen(MANHATTAN, 0, plate_region="US-NY"), seen(NEWARK, 60, plate_region="US-NJ")
    assert found(*apart) == []
    assert found(*apart, seen(MANHATTAN, 90, plate_region="US-NJ")) == [(60, 90)]


def test_sighting_of_another_region_hides_nothing_that_is_seen_without_one():
    apart = seen(MANHATTAN, 0, plate_region="DE"), seen(NEWARK, 60)
    for other in (seen(MANHATTAN, 9_000, plate_region="FR"), seen(NEWARK, 30, plate_region="FR")):
        assert (0, 60) in found(*sorted([*apart, other], key=lambda one: one.time_us))
    pairs = clones.impossible(apart, 250.0, [seen(MANHATTAN, 9_000, plate_region="FR")])
    assert [pair[:2] for pair in pairs] == [apart]


def test_unknown_region_may_be_the_same_vehicle():
    assert found(seen(MANHATTAN, 0, plate_region="US-NY"), seen(NEWARK, 60)) == [(0, 60)]


def test_times_of_publishing_and_unknown_places_say_nothing():
    assert found(seen(MANHATTAN, 0), seen(NEWARK, 60, timed=False)) == []
    assert found(seen(MANHATTAN, 0), seen(None, 30, "X"), seen(NEWARK, 600)) == []
    assert found(seen(MANHATTAN, 0), seen(None, 30, "X"), seen(NEWARK, 60)) == [(0, 60)]


def test_across_the_date_line_is_no_journey_around_the_world():
    assert found(seen((-17.0, 179.999), 0), seen((-17.0, -179.999), 60)) == []


def test_end_of_another_session_is_compared_like_any_sighting():
    before, after = seen(MANHATTAN, -600), seen(MANHATTAN, 700)
    assert [pair[:2] for pair in clones.impossible([seen(NEWARK, 0)], 250.0, [before, after])] == []
    assert len(clones.impossible([seen(NEWARK, -500), seen(NEWARK, 600)], 250.0, [before, after])) == 2


def test_what_other_sessions_are_among_themselves_was_told_with_them():
    others = [seen(MANHATTAN, 0), seen(NEWARK, 60)]
    assert clones.impossible([seen(NEWARK, 700)], 250.0, others) == []


def test_ends_of_a_session_are_its_first_and_last_of_each_region():
    told = {"image_url": "gs://b/1", "plate": "V", "lane": 1}
    drive = [
        seen(None, 0),
        seen(MANHATTAN, 1, plate_region="US-NY", **told),
        seen(MANHATTAN, 2, plate_region="US-NJ"),
        seen(MANHATTAN, 3, plate_region="US-NJ"),
        seen(MANHATTAN, 4, plate_region="US-NY"),
        seen(NEWARK, 5, plate_region="US-NY"),
        seen(NEWARK, 6, timed=False),
    ]
    found = clones.ends(drive)
    assert sorted((one.time_us - T0_US) // 10**6 for one in found) == [1, 2, 3, 5]
    assert all((one.vehicle_id, one.plate, one.lane) == ("", None, None) for one in found)
    assert [one.image_url for one in found].count("gs://b/1") == 1
    assert clones.ends([seen(None, 0)]) == ()


PLACES = st.tuples(st.floats(40.0, 40.3), st.floats(-74.3, -74.0))
DRIVES = st.lists(st.tuples(PLACES, st.integers(0, 900), st.sampled_from([None, "US-NY", "US-NJ"])), max_size=8)


@given(DRIVES, st.sampled_from([150.0, 250.0, 1000.0]))
def test_what_is_looked_at_holds_all_that_is_found(drive, ceiling_kmh):
    """The look over many at once may say yes too often, and never no."""
    sightings = sorted((seen(at, s, plate_region=region) for at, s, region in drive), key=lambda one: one.time_us)
    if len(sightings) > 1 and clones.impossible(sightings, ceiling_kmh):
        places = np.array([sighting.location for sighting in sightings])
        times_s = np.array([sighting.time_us / 1e6 for sighting in sightings])
        assert clones.may_be_impossible(places, times_s, ceiling_kmh).any()


@given(DRIVES, DRIVES)
def test_what_is_seen_at_another_time_hides_nothing(drive, later):
    first = sorted((seen(at, s, plate_region=region) for at, s, region in drive), key=lambda one: one.time_us)
    after = [seen(at, s + 2_000, plate_region=region) for at, s, region in later]
    whole = [*first, *sorted(after, key=lambda one: one.time_us)]
    alone = {pair[:2] for pair in clones.impossible(first, 250.0)}
    assert alone <= {pair[:2] for pair in clones.impossible(whole, 250.0)}
    assert alone <= {pair[:2] for pair in clones.impossible(first, 250.0, clones.ends(whole[len(first) :]))}


@given(PLACES, PLACES)
def test_distance_is_never_longer_than_on_the_ellipsoid(one, other):
    (apart,) = clones.impossible([seen(one, 0, "A"), seen(other, 0, "B")], -1.0)
    assert apart.distance_m <= math.hypot(*plane_m([other], one)[0]) * 1.005 + 0.01


def passage(outcome: Outcome | None) -> Passage:
    return Passage(f"p{outcome}", "s", "V", 50.0, T0_US, T0_US + 1, 2, outcome=outcome)


def test_only_what_is_suspected_goes_to_a_person():
    suspected, clear = clones.doubted([passage(None), passage(Outcome.CLEAR)])
    assert (suspected.reasons, clear.reasons) == ((Reason.SEEN_ELSEWHERE,), ())


def test_alarm_tells_both_sightings_and_no_plate():
    (pair,) = clones.impossible([seen(MANHATTAN, 0, "A", image_url="gs://b/1"), seen(NEWARK, 60, "B")], 250.0)
    decided = clones.doubted([passage(None), passage(Outcome.CLEAR)])
    alarm = alarms.of_clone(pair, decided, Pseudonyms(b"0" * 16))
    assert [one.camera_id for one in alarm.seen] == ["A", "B"]
    assert (alarm.seen[0].image_url, alarm.passage_ids) == ("gs://b/1", ("pNone",))
    assert alarm.vehicle_id != "V"
    assert alarm.alarm_id == alarms.of_clone(pair, (), Pseudonyms(b"0" * 16)).alarm_id
    assert alarm.alarm_id != alarms.of_clone(pair, (), IN_CLEAR).alarm_id
