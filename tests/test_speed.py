"""Distance, time and speed, against formulas and tables that the code does not use."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.enforcement import speed

START, END = (40.74, -73.99), (40.75, -73.98)
# Lengths of one degree on the WGS 84 ellipsoid, metres (National Geospatial-Intelligence Agency, "Length of a degree").
DEGREE_OF_LATITUDE_M = {0: 110_574.3, 40: 111_034.6, 60: 111_412.2}
DEGREE_OF_LONGITUDE_M = {0: 111_319.5, 40: 85_393.9, 60: 55_799.5}


def cartesian_m(place):
    """On the WGS 84 ellipsoid, metres from the centre of the earth."""
    lat, lon = map(math.radians, place)
    squared_eccentricity = 6.69437999014e-3
    normal = 6_378_137.0 / math.sqrt(1 - squared_eccentricity * math.sin(lat) ** 2)
    across = normal * math.cos(lat)
    return across * math.cos(lon), across * math.sin(lon), normal * (1 - squared_eccentricity) * math.sin(lat)


def straight_m(one, other):
    """Through the earth: over a section's length the same as along it."""
    return math.dist(cartesian_m(one), cartesian_m(other))


def between(fraction, start=START, end=END):
    return tuple(a + (b - a) * fraction for a, b in zip(start, end, strict=True))


@pytest.mark.parametrize(("distance_m", "travel_time_s", "kmh"), [(1000, 3600, 1), (400.1, 36.009, 40.0), (1, 1, 3.6)])
def test_average_speed(distance_m, travel_time_s, kmh):
    assert speed.average_speed_kmh(distance_m, travel_time_s) == pytest.approx(kmh, rel=1e-12)


def test_chainages_along_a_line():
    places = [between(fraction) for fraction in (0, 0.25, 0.5, 1)]
    length_m = straight_m(START, END)
    assert speed.chainages_m(places, (START, END)) == pytest.approx([0, length_m / 4, length_m / 2, length_m], rel=1e-4)


def test_chainages_along_two_legs_add_up():
    corner = (40.74, -73.98)
    found = speed.chainages_m([START, corner, END], (START, corner, END))
    assert found == pytest.approx(
        [0, straight_m(START, corner), straight_m(START, corner) + straight_m(corner, END)], rel=1e-4
    )


def test_point_beyond_an_end_counts_as_the_end():
    found = speed.chainages_m([between(-0.5), between(1.5)], (START, END))
    assert found == pytest.approx([0, straight_m(START, END)], rel=1e-4)


def test_point_beside_the_line_counts_at_its_foot():
    middle = between(0.5)
    beside = (middle[0] + 0.0001, middle[1] - 0.0001 / math.cos(math.radians(START[0])))
    assert speed.chainages_m([beside], (START, END))[0] == pytest.approx(straight_m(START, END) / 2, abs=3)


def test_line_across_the_date_line():
    found = speed.chainages_m([(0, 179.99), (0, -179.99)], ((0, 179.99), (0, -179.99)))
    assert found[1] == pytest.approx(0.02 * 111_319.5, rel=1e-3)


@pytest.mark.parametrize("latitude", DEGREE_OF_LATITUDE_M)
def test_north_south_length_is_not_above_the_earths(latitude):
    """A length above the true one is a speed above the true one, and a fine."""
    line = ((latitude - 0.005, 10.0), (latitude + 0.005, 10.0))
    assert speed.chainages_m(line, line)[-1] <= DEGREE_OF_LATITUDE_M[latitude] * 0.01 * 1.0002


@pytest.mark.parametrize("latitude", DEGREE_OF_LONGITUDE_M)
def test_east_west_length_is_not_above_the_earths(latitude):
    line = ((latitude, 10.0), (latitude, 10.01))
    assert speed.chainages_m(line, line)[-1] <= DEGREE_OF_LONGITUDE_M[latitude] * 0.01 * 1.0002


def test_track_runs_in_the_order_of_sending():
    places = [between(fraction) for fraction in (0, 0.3, 0.6, 1)]
    forward, backward = speed.track_chainages_m(places), speed.track_chainages_m(places[::-1])
    length_m = straight_m(START, END)
    assert forward == pytest.approx([0, 0.3 * length_m, 0.6 * length_m, length_m], rel=1e-4)
    assert backward == pytest.approx([0, 0.4 * length_m, 0.7 * length_m, length_m], rel=1e-4)


def test_track_of_one_place_has_no_length():
    assert list(speed.track_chainages_m([START, START, START])) == [0, 0, 0]


def test_track_longer_with_noise_is_never_longer_than_its_ends():
    places = [START, (between(0.5)[0] + 0.00005, between(0.5)[1]), END]
    assert speed.track_chainages_m(places)[-1] == pytest.approx(straight_m(START, END), rel=1e-4)


def test_last_speed_is_not_used():
    times = [
        speed.point_speeds_time_s(np.array([0.0, 100.0, 300.0]), np.array([36.0, 72.0, last]))
        for last in (0.0, 1.0, 500.0)
    ]
    assert times == pytest.approx([10 + 10] * 3)


def test_leg_takes_the_speed_of_the_point_where_it_begins():
    assert speed.point_speeds_time_s(np.array([0.0, 100.0, 110.0]), np.array([10.0, 100.0, 1.0])) == pytest.approx(
        36 + 0.36
    )


def test_standing_on_a_leg_takes_for_ever():
    assert speed.point_speeds_time_s(np.array([0.0, 100.0]), np.array([0.0, 50.0])) == math.inf


def test_standing_without_a_leg_takes_no_time():
    assert speed.point_speeds_time_s(np.array([0.0, 0.0, 100.0]), np.array([0.0, 36.0, 0.0])) == pytest.approx(10)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 500), st.floats(1, 200)), min_size=1, max_size=12))
def test_total_distance_over_total_time_lies_between_the_speeds(legs):
    chainages = np.concatenate([[0.0], np.cumsum([length for length, _ in legs])])
    speeds = np.array([kmh for _, kmh in legs] + [999.0])
    found = speed.average_speed_kmh(float(chainages[-1]), speed.point_speeds_time_s(chainages, speeds))
    assert min(speeds[:-1]) * (1 - 1e-9) <= found <= max(speeds[:-1]) * (1 + 1e-9)


@settings(max_examples=100, deadline=None)
@given(st.floats(-80, 80), st.floats(-179, 179), st.floats(-0.02, 0.02), st.floats(-0.02, 0.02))
def test_plane_agrees_with_the_earth(lat, lon, north, east):
    one, other = (lat, lon), (lat + north, lon + east)
    found = speed.plane_m([other], one)[0]
    # 2 km and less; at 80 degrees the plane's scale differs most.
    assert math.hypot(*found) == pytest.approx(straight_m(one, other), rel=2e-3, abs=0.01)
