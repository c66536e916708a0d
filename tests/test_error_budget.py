"""The lowest speed that the evidence allows: never above the true one, whatever the errors within their bounds."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_policy import decide
from test_sections import CAMERAS, file, mistake

from pipeline.enforcement import passages, policy
from pipeline.enforcement.model import ErrorBudget, Outcome, Passage, Sighting
from pipeline.enforcement.sections import KMH_PER_MPH, Section, parse_network, undeclared
from pipeline.enforcement.speed import average_speed_kmh, guaranteed_minimum_kmh
from pipeline.enforcement.survey import SectionError, refuse_unprovable

T0_US = 1_776_000_000_000_000
CLOCKS = CAMERAS.replace("[40.7400, -73.9900]", "[40.7400, -73.9900], clock_error_s: 0.05, resolution_s: 0.01").replace(
    "[40.7431, -73.9877]", "[40.7431, -73.9877], clock_error_s: 0.03"
)


def measured(errors: ErrorBudget, distance_m: float, travel_us: int, limit_kmh: float = 40.0) -> Passage:
    section = Section("s", limit_kmh, cameras=("G0", "G1"), length_m=(distance_m,), errors=errors)
    seen = [Sighting(f"e{at}", "A", T0_US + at, camera_id=camera) for camera, at in (("G0", 0), ("G1", travel_us))]
    (found,) = passages.measure(section, "A", seen).passages
    return found


def test_minimum_speed_is_never_above_the_true_one():
    """200,000 random drives: true length, true times, clocks that are off and stamps that are cut or rounded."""
    rng, n = np.random.default_rng(1), 200_000
    survey_m, speed_kmh = rng.uniform(50, 5_000, n), rng.uniform(5, 250, n)
    length_error_m, clock_s, resolution_s = rng.uniform(0, 5, n), rng.uniform(0, 0.5, n), rng.choice([0, 0.01, 1.0], n)
    true_m = survey_m + rng.uniform(-1, 1, n) * length_error_m
    true_s = true_m * 3.6 / speed_kmh

    def stamped(at_s):
        shown_s = at_s + rng.uniform(-1, 1, n) * clock_s
        steps_s = np.where(resolution_s > 0, resolution_s, 1.0)
        cut = rng.choice([0.0, 0.5, 1.0], n)  # down, to the nearest, up
        return np.where(resolution_s > 0, np.floor(shown_s / steps_s + cut) * steps_s, shown_s)

    entry_s = rng.uniform(0, 100, n)
    travel_s = stamped(entry_s + true_s) - stamped(entry_s)
    wrong, checked = 0, 0
    for row in np.flatnonzero(travel_s > 0):
        errors = ErrorBudget(length_error_m[row], 2 * clock_s[row], 2 * resolution_s[row])
        checked += 1
        wrong += guaranteed_minimum_kmh(survey_m[row], travel_s[row], errors) > speed_kmh[row] * (1 + 1e-12)
    assert checked > 100_000
    assert wrong == 0


@given(
    st.integers(1, 10_000), st.integers(1, 10_000_000), st.integers(0, 100), st.integers(0, 5_000), st.integers(0, 1000)
)
def test_minimum_speed_is_shortest_length_over_longest_time(distance_m, travel_us, length_error_m, clock_ms, step_ms):
    found = measured(ErrorBudget(length_error_m, clock_ms / 1000, step_ms / 1000), distance_m, travel_us)
    time_s = Fraction(travel_us, 10**6) + Fraction(clock_ms + step_ms, 1000)
    exact = max(distance_m - length_error_m, 0) * Fraction(36, 10) / time_s
    assert found.min_speed_kmh == pytest.approx(float(exact), rel=1e-12)
    assert found.min_speed_kmh <= found.avg_speed_kmh == average_speed_kmh(distance_m, travel_us / 1e6)


def test_without_declared_errors_the_minimum_is_the_average():
    found = measured(ErrorBudget(), 400.0, 36_000_000)
    assert found.min_speed_kmh == found.avg_speed_kmh == 40.0


@settings(max_examples=200)
@given(st.floats(0, 2), st.floats(0, 1), st.integers(10_000_000, 60_000_000))
def test_only_the_minimum_decides(clock_s, length_error_m, travel_us):
    found = decide(measured(ErrorBudget(length_error_m, clock_s), 400.0, travel_us))
    proven = (400.0 - length_error_m) * 3.6 / (travel_us / 1e6 + clock_s) > 40.0 + policy.MARGIN_KMH
    assert (found.outcome is None) == proven


def test_driver_just_over_by_a_clock_error_is_clear():
    """40.2 km/h by two clocks that may be 0.1 s off each, where 40 is allowed."""
    travel_us = round(400 * 3.6 / 40.2 * 1e6)
    assert decide(measured(ErrorBudget(), 400.0, travel_us)).outcome is None
    assert decide(measured(ErrorBudget(clock_s=0.2), 400.0, travel_us)).outcome is Outcome.CLEAR


# --- what is declared, and where


def test_errors_of_entry_and_exit_and_of_all_legs_add_up():
    whole = file(CLOCKS, names="[G1, G2, G3]", length_m="[400.1, 1210]", length_error_m="[0.5, 1]")
    assert parse_network(whole).sections["G1-G2"].errors == ErrorBudget(1.5, 0.05, 0.01)
    leg = parse_network(file(CLOCKS, length_error_m="[0.5]")).sections["G1-G2"]
    assert leg.errors == ErrorBudget(0.5, pytest.approx(0.08), 0.01)


def test_clocks_that_nobody_vouches_for_are_told():
    told, _ = undeclared(parse_network(file()))
    assert told.startswith("sections G1-G2: no clock_error_s is declared")
    assert undeclared(parse_network(file(CLOCKS, length_error_m="[0.5]"))) == ()


@pytest.mark.parametrize(
    ("cameras", "fields", "field"),
    [
        (CAMERAS.replace("-73.9900]", "-73.9900], clock_error_s: -1"), {}, "cameras.G1.clock_error_s: found '-1'"),
        (
            CAMERAS.replace("-73.9900]", "-73.9900], clock_error_s: 20 ms"),
            {},
            "cameras.G1.clock_error_s: found '20 ms'",
        ),
        (CAMERAS.replace("-73.9900]", "-73.9900], resolution_s: 61"), {}, "cameras.G1.resolution_s: found '61'"),
        (CAMERAS.replace("-73.9900]", "-73.9900], clock: 1"), {}, "cameras.G1.clock: found 'clock'"),
        (CAMERAS, {"length_error_m": "[1, 2]"}, "section G1-G2: length_error_m: found ['1', '2']"),
        (CAMERAS, {"length_error_m": "[-1]"}, "section G1-G2: length_error_m: found '-1'"),
    ],
)
def test_mistakes_in_errors_are_named(cameras, fields, field):
    assert mistake(file(cameras, **fields)).startswith(field)


def test_section_that_cannot_prove_a_violation_is_refused_with_the_arithmetic():
    cameras = CAMERAS.replace("]}", "], clock_error_s: 2}")
    assert mistake(file(cameras)) == (
        "section G1-G2: 400.1 m with an error of 0 m and of 4 s in time cannot prove that 44.3 km/h is over the limit, "
        "40.2 km/h. Needed: more than 492 m, or clock_error_s and resolution_s of both ends together below 3.255 s."
    )
    assert "or a better survey of the length" in mistake(file(length_error_m="[40]"))


@given(st.floats(50, 5_000), st.floats(0, 20), st.floats(0, 5), st.floats(1, 130))
def test_section_that_is_accepted_proves_a_tenth_over(distance_m, length_error_m, time_s, limit_kmh):
    """And one that is refused does not: the border is where the arithmetic says."""
    errors = ErrorBudget(length_error_m, time_s)
    fastest_s = distance_m * 3.6 / (limit_kmh * 1.1)
    margin = guaranteed_minimum_kmh(distance_m, fastest_s, errors) / limit_kmh - 1
    try:
        refuse_unprovable("s", distance_m, limit_kmh, errors)
    except SectionError:
        assert margin < 1e-9
    else:
        assert margin > -1e-9


def test_limit_in_mph_is_compared_as_such():
    """25 mph and a car at exactly that: clear with and without errors."""
    limit_kmh = 25 * KMH_PER_MPH
    travel_us = round(400 * 3.6 / limit_kmh * 1e6) + 1
    assert decide(measured(ErrorBudget(), 400.0, travel_us, limit_kmh)).outcome is Outcome.CLEAR
