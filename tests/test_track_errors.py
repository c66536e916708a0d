"""A radar's declared errors: whatever its readings are wrong by, the lowest speed is not above the true one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline import policies
from pipeline.enforcement import passages, policy, speed, track_errors
from pipeline.enforcement.model import Basis, ErrorBudget, Outcome, Reason, Sighting
from pipeline.enforcement.sections import Section
from pipeline.enforcement.track_errors import TrackErrors

T0_US = 1_776_000_000_000_000
ORIGIN = (40.74, -73.99)
CASES = 100_000
SHIPPED = policies.shipped()
RADAR = TrackErrors(5.0, speed_kmh=2.0, clock_s=0.05, resolution_s=0.01)


def place(east_m: float, north_m: float) -> tuple[float, float]:
    """On the plane that touches the earth at ORIGIN, as speed.plane_m has it."""
    one_east, one_north = speed.plane_m([(ORIGIN[0], ORIGIN[1] + 1e-3), (ORIGIN[0] + 1e-3, ORIGIN[1])], ORIGIN)
    return ORIGIN[0] + north_m / one_north[1] * 1e-3, ORIGIN[1] + east_m / one_east[0] * 1e-3


STRAIGHT = (ORIGIN, place(1200.0, 900.0))
HAIRPIN = (ORIGIN, place(600.0, 0.0), place(600.0, 30.0), place(0.0, 40.0))


def at(line, chainages):
    """Places (n) on a line, in metres of the plane (n, 2)."""
    vertices = speed.plane_m(line, line[0])
    ends = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(vertices, axis=0).T))])
    return np.column_stack([np.interp(chainages, ends, vertices[:, axis]) for axis in (0, 1)])


def wrong_by(rng, metres, n):
    """Vectors (n, 2) that are no longer than so many metres, many of them as long."""
    angle, length = rng.uniform(0, 2 * math.pi, n), metres * np.minimum(rng.uniform(0, 1.5, n), 1.0)
    return np.column_stack([length * np.cos(angle), length * np.sin(angle)])


def places(metres):
    return [place(east, north) for east, north in metres]


# --- where a reading may be


@pytest.mark.parametrize("line", [STRAIGHT, HAIRPIN])
def test_place_is_among_those_that_its_reading_allows(line):
    rng = np.random.default_rng(1)
    true = rng.uniform(0, speed.line_length_m(line), 2000)
    radius_m = 25.0
    read = at(line, true) + wrong_by(rng, radius_m, len(true))
    first, last = speed.reaches_m(places(read), line, radius_m + 1e-6)
    assert (first <= true + 1e-6).all()
    assert (true <= last + 1e-6).all()


def test_place_may_be_on_either_side_of_a_hairpin_and_nowhere_near():
    read = [place(300.0, 18.0), place(300.0, 500.0)]
    first, last = speed.reaches_m(read, HAIRPIN, 20.0)
    assert first[0] == pytest.approx(300.0 - math.sqrt(400.0 - 18.0**2), abs=0.01)
    assert last[0] > 900.0
    assert np.isnan([first[1], last[1]]).all()


# --- the arithmetic, a hundred thousand cases each


def test_lowest_speed_of_a_timed_track_is_never_above_the_true_one():
    rng = np.random.default_rng(2)
    length_m = speed.line_length_m(STRAIGHT)
    true = np.sort(rng.uniform(0, length_m, (2, CASES)), axis=0)
    time_s = np.diff(true, axis=0)[0] / rng.uniform(1, 70, CASES)
    radius_m = 15.0
    reach = [
        speed.reaches_m(places_fast(at(STRAIGHT, one) + wrong_by(rng, radius_m, CASES)), STRAIGHT, radius_m + 1e-6)
        for one in true
    ]
    first, last = (np.stack([one[end] for one in reach], axis=-1) for end in (0, 1))
    shortest_m = np.maximum(track_errors.shortest_way_m(first, last), 0.0)
    clock_s, resolution_s = 0.3, 0.1
    stamps_s = rng.uniform(-clock_s - resolution_s, clock_s + resolution_s, (2, CASES))
    measured_s = time_s + stamps_s[1] - stamps_s[0]
    longest_s = measured_s + 2 * (clock_s + resolution_s)
    true_kmh = speed.average_speed_kmh(np.diff(true, axis=0)[0], time_s)
    least_kmh = speed.average_speed_kmh(shortest_m, longest_s)
    assert (least_kmh <= true_kmh + policy.MARGIN_KMH).all()
    assert (least_kmh > 0.9 * true_kmh).sum() > CASES / 10, "it says something"


def places_fast(metres):
    """As places, all at once: the plane is linear."""
    one_east, one_north = speed.plane_m([(ORIGIN[0], ORIGIN[1] + 1e-3), (ORIGIN[0] + 1e-3, ORIGIN[1])], ORIGIN)
    return np.column_stack(
        [ORIGIN[0] + metres[:, 1] / one_north[1] * 1e-3, ORIGIN[1] + metres[:, 0] / one_east[0] * 1e-3]
    )


@pytest.mark.parametrize("n", [2, 3, 10])
def test_lowest_speed_of_point_speeds_is_never_above_the_true_one(n):
    """Under their rule: each piece of the way is driven at the speed of the point where it begins."""
    rng = np.random.default_rng(n)
    radius_m, speed_kmh = 5.0, 3.0
    true = np.cumsum(rng.uniform(2 * radius_m, 200.0, (CASES, n)), axis=1)
    true_kmh = rng.uniform(speed_kmh + 1, 120.0, (CASES, n - 1))
    time_s = (np.diff(true, axis=1) * 3.6 / true_kmh).sum(axis=1)
    read = true + radius_m * np.clip(rng.uniform(-1.5, 1.5, true.shape), -1, 1)
    read_kmh = true_kmh + speed_kmh * np.clip(rng.uniform(-1.5, 1.5, true_kmh.shape), -1, 1)
    slowest_kmh = read_kmh - speed_kmh
    proven = (slowest_kmh > 0).all(axis=1)
    first, last = read[proven] - radius_m, read[proven] + radius_m
    shortest_m = np.maximum(track_errors.shortest_way_m(first, last), 0.0)
    longest_s = track_errors.longest_time_s(first, last, slowest_kmh[proven])
    average_kmh = speed.average_speed_kmh(true[proven, -1] - true[proven, 0], time_s[proven])
    assert (longest_s >= time_s[proven] - 1e-9).all()
    assert (speed.average_speed_kmh(shortest_m, longest_s) <= average_kmh + policy.MARGIN_KMH).all()


# --- through the measurement


def sightings(read, times_us=None, speeds_kmh=None):
    return [
        Sighting(
            f"e{number}",
            "A",
            T0_US + (number * 700 if times_us is None else times_us[number]),
            times_us is not None,
            location=where,
            speed_kmh=None if speeds_kmh is None else speeds_kmh[number],
        )
        for number, where in enumerate(places(read))
    ]


def measure(section, found):
    (passage,) = passages.measure(section, "A", found).passages
    return passage


SEEDS = st.integers(0, 2**32 - 1)


@settings(max_examples=300, deadline=None)
@given(SEEDS, st.sampled_from([STRAIGHT, HAIRPIN]), st.integers(2, 12), st.booleans())
def test_whatever_the_readings_are_wrong_by_the_passage_is_not_faster_than_the_truth(seed, line, n, timed):
    """What is not certain of its order or its place is marked, and never a fine by itself."""
    rng = np.random.default_rng(seed)
    track = TrackErrors(rng.uniform(0, 12), rng.uniform(0, 5), rng.uniform(0, 0.5), rng.uniform(0, 0.2))
    section = Section("r", 40.0, line=line, track=track, errors=track.times)
    true = np.sort(rng.uniform(0, speed.line_length_m(line), n))
    kmh = rng.uniform(6, 130, n)
    time_s = np.concatenate([[0.0], np.cumsum(np.diff(true) * 3.6 / kmh[:-1])])
    read = at(line, true) + 0.9999 * wrong_by(rng, track.location_m, n)
    stamp_s = track.clock_s + track.resolution_s
    times_us = np.round((time_s + rng.uniform(-stamp_s, stamp_s, n) * 0.999) * 1e6).astype(int).tolist()
    speeds_kmh = np.maximum(kmh + rng.uniform(-track.speed_kmh, track.speed_kmh, n), 0.0).tolist()
    found = measure(section, sightings(read, times_us if timed else None, speeds_kmh))
    assert found.errors is None or found.min_speed_kmh <= found.avg_speed_kmh
    if found.outcome is not None or found.ambiguous:
        return
    first, last = (0, -1) if not timed else (int(np.argmin(times_us)), int(np.argmax(times_us)))
    true_kmh = speed.average_speed_kmh(true[last] - true[first], time_s[last] - time_s[first])
    assert found.min_speed_kmh <= true_kmh + policy.MARGIN_KMH


def track(timed, n=10, kmh=60.0):
    """Of a straight road, all readings right."""
    true = np.linspace(0, speed.line_length_m(STRAIGHT), n)
    times_us = np.round(true * 3.6 / kmh * 1e6).astype(int).tolist()
    return sightings(at(STRAIGHT, true), times_us if timed else None, [kmh] * n)


LINE = Section("r", 40.0, line=STRAIGHT)


def test_terms_of_a_timed_track():
    found = measure(replace(LINE, track=RADAR), track(timed=True))
    assert found.errors == ErrorBudget(pytest.approx(10.0, abs=1e-3), 0.1, 0.02)
    assert found.distance_m == pytest.approx(1500.0, abs=0.01)
    expected = (found.distance_m - found.errors.length_m) * 3.6 / (found.travel_time_s + 0.12)
    assert found.min_speed_kmh == pytest.approx(expected, rel=1e-12)
    assert not found.ambiguous


def test_terms_of_point_speeds():
    """At one speed all along: 2 km/h slower, and 5 m shorter at each end; the road is no longer than its line."""
    found = measure(replace(LINE, track=RADAR), track(timed=False))
    assert found.errors.length_m == pytest.approx(10.0, abs=1e-3)
    assert (found.errors.clock_s, found.errors.resolution_s) == (0.0, 0.0)
    assert found.travel_time_s + found.errors.speeds_s == pytest.approx(1500.0 * 3.6 / 58.0, rel=1e-6)
    assert found.min_speed_kmh == pytest.approx(1490.0 / 1500.0 * 58.0, rel=1e-6)


@pytest.mark.parametrize("slow_kmh", [0.5, 2.0])
def test_vehicle_that_may_have_stood_is_proven_nothing(slow_kmh):
    found = track(timed=False)
    found[4] = replace(found[4], speed_kmh=slow_kmh)
    assert measure(replace(LINE, track=RADAR), found).min_speed_kmh == 0.0


@pytest.mark.parametrize("timed", [True, False])
def test_reading_farther_from_the_road_than_its_error_is_for_a_person(timed):
    found = track(timed)
    (beside,) = places([at(STRAIGHT, [500.0])[0] + [-6.0, 8.0]])  # 10 m, at a right angle
    found[3] = replace(found[3], location=beside)
    assert measure(replace(LINE, track=RADAR), found).ambiguous
    assert not measure(replace(LINE, track=replace(RADAR, location_m=10.1)), found).ambiguous


def test_points_nearer_to_each_other_than_their_errors_do_not_tell_their_order():
    near, far = replace(RADAR, location_m=84.0), replace(RADAR, location_m=83.0)  # every 166.7 m
    assert measure(replace(LINE, track=near), track(timed=False)).ambiguous
    assert not measure(replace(LINE, track=far), track(timed=False)).ambiguous
    assert not measure(replace(LINE, track=near), track(timed=True)).ambiguous, "time tells it"


# --- what nobody has declared


@pytest.mark.parametrize(
    ("declared", "timed"),
    [
        (None, True),
        (None, False),
        (TrackErrors(5.0, speed_kmh=2.0), True),
        (TrackErrors(5.0, clock_s=0.1), False),
    ],
)
def test_without_its_errors_a_track_has_no_lowest_speed(declared, timed):
    found = measure(replace(LINE, track=declared), track(timed))
    assert (found.min_speed_kmh, found.errors) == (None, None)
    assert found.avg_speed_kmh == pytest.approx(60.0, abs=0.01)


# policy, timed, reasons of the suspicion; None: it is unmeasurable.
UNDECLARED = [
    ("edem", False, ()),
    ("edem", True, (Reason.ERRORS_UNDECLARED,)),
    ("edem-classic", False, (Reason.POINT_SPEEDS, Reason.POLICY_REVIEW)),
    ("edem-classic", True, None),
    *((name, timed, None) for name in ("nl", "ch", "at", "it", "nyc") for timed in (True, False)),
]


@pytest.mark.parametrize(("name", "timed", "reasons"), UNDECLARED)
def test_only_a_policy_that_says_so_goes_by_what_is_not_proven(name, timed, reasons):
    found = policy.decide(measure(LINE, track(timed, kmh=90.0)), SHIPPED[name])
    if reasons is None:
        expected = (Outcome.UNMEASURABLE, (Reason.ERRORS_UNDECLARED,), name, None, ())
        assert (found.outcome, found.reasons, found.policy, found.counted_speed_kmh, found.points) == expected
    else:
        assert (found.outcome, found.reasons, found.min_speed_kmh) == (None, reasons, None)
        assert found.counted_speed_kmh == pytest.approx(90.0, abs=0.02)


def test_every_shipped_policy_is_in_that_table():
    assert {(name, timed) for name, timed, _ in UNDECLARED} == {
        (name, timed) for name in SHIPPED for timed in (True, False)
    }


@pytest.mark.parametrize(("name", "timed", "fined"), [("at", True, True), ("at", False, False), ("edem", False, True)])
def test_what_is_declared_is_decided_by_the_lowest_speed(name, timed, fined):
    """Point speeds are proof only where the policy says so, whatever is declared."""
    found = policy.decide(measure(replace(LINE, track=RADAR), track(timed, kmh=90.0)), SHIPPED[name])
    assert found.outcome is None
    assert found.counted_speed_kmh == SHIPPED[name].counted_kmh(found.min_speed_kmh)
    assert (found.reasons == ()) == fined
    assert (Reason.POINT_SPEEDS in found.reasons) == (not fined)
    assert found.basis is (Basis.DISTANCE_TIME if timed else Basis.POINT_SPEEDS)
