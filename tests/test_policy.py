"""What is over the limit, to the last microsecond."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.enforcement import passages, policy
from pipeline.enforcement.model import Basis, Outcome, Passage, Reason, Sighting
from pipeline.enforcement.sections import KMH_PER_MPH, Section, parse_limit_kmh
from pipeline.policies import shipped

T0_US = 1_776_000_000_000_000


EDEM = shipped()["edem"]


def decide(found: Passage, tolerance_kmh: float = 0.0) -> Passage:
    """Under the policy of a true speed over the limit."""
    return policy.decide(found, EDEM, tolerance_kmh)


def passage(avg_speed_kmh: float | None, limit_kmh: float = 40.2336, **fields: object) -> Passage:
    speeds = {"avg_speed_kmh": avg_speed_kmh, "min_speed_kmh": avg_speed_kmh} | fields
    return Passage("p", "s", "A", limit_kmh, T0_US, T0_US + 1, 2, **speeds)


def measured(section: Section, travel_us: int) -> Passage:
    """One clean passage from the first camera to the last."""
    seen = [
        Sighting("e1", "A", T0_US, camera_id=section.cameras[0]),
        Sighting("e2", "A", T0_US + travel_us, camera_id=section.cameras[-1]),
    ]
    (found,) = passages.measure(section, "A", seen).passages
    return found


def camera_section(limit_kmh: float, *length_m: float) -> Section:
    cameras = tuple(f"G{number}" for number in range(len(length_m) + 1))
    return Section("s", limit_kmh, cameras=cameras, length_m=length_m)


def test_exact_limit_is_clear():
    assert decide(passage(40.2336)).outcome is Outcome.CLEAR


def test_below_the_limit_is_clear():
    assert decide(passage(40.2)).outcome is Outcome.CLEAR


def test_above_the_limit_is_suspected():
    found = decide(passage(40.234))
    assert (found.outcome, found.reasons) == (None, ())
    assert policy.is_suspected(found)


def test_exact_tolerance_is_clear():
    assert decide(passage(45.2336), 5.0).outcome is Outcome.CLEAR
    assert decide(passage(45.234), 5.0).outcome is None


def test_twenty_five_mph_is_not_forty_kmh():
    assert decide(passage(40.1, parse_limit_kmh("25 mph"))).outcome is Outcome.CLEAR


def test_unmeasurable_stays_unmeasurable():
    before = passage(None, outcome=Outcome.UNMEASURABLE, reasons=(Reason.EXIT_MISSING,))
    assert decide(before) == before


def test_measured_and_cleared_is_not_decided_again():
    before = passage(99.0, outcome=Outcome.CLEAR)
    assert decide(before) == before


def test_ambiguous_suspicion_carries_its_doubt():
    assert decide(passage(60.0, ambiguous=True)).reasons == (Reason.AMBIGUOUS_PAIRING,)


def test_ambiguous_clear_passage_is_clear():
    assert decide(passage(30.0, ambiguous=True)).outcome is Outcome.CLEAR


def test_implausible_suspicion_carries_its_doubt():
    assert decide(passage(250.1)).reasons == (Reason.IMPLAUSIBLE_SPEED,)
    assert decide(passage(250.0)).reasons == ()


@pytest.mark.parametrize("basis", list(Basis))
def test_doubts_do_not_depend_on_the_basis(basis):
    assert decide(passage(300.0, ambiguous=True, basis=basis)).reasons == (
        Reason.AMBIGUOUS_PAIRING,
        Reason.IMPLAUSIBLE_SPEED,
    )


LIMITS = st.one_of(
    st.integers(1, 100).map(lambda mph: (f"{mph} mph", Fraction(mph) * Fraction("1.609344"))),
    st.integers(1, 200).map(lambda kmh: (f"{kmh} km/h", Fraction(kmh))),
    st.decimals(1, 150, places=3).map(lambda kmh: (f"{kmh} km/h", Fraction(kmh))),
)
DECIMETRES = st.integers(1, 200_000)


def test_mile_is_exact():
    assert Fraction(str(KMH_PER_MPH)) == Fraction("1.609344")


@settings(max_examples=300, deadline=None)
@given(LIMITS, st.lists(DECIMETRES, min_size=1, max_size=4), st.integers(1, 10**10))
def test_suspected_implies_above_the_limit(limit, legs, travel_us):
    text, exact_limit = limit
    section = camera_section(parse_limit_kmh(text), *(leg / 10 for leg in legs))
    exact_speed = Fraction(sum(legs), 10) * Fraction(36, 10) / Fraction(travel_us, 10**6)
    found = decide(measured(section, travel_us))
    if policy.is_suspected(found):
        assert exact_speed > exact_limit
    elif found.outcome is Outcome.CLEAR:
        assert exact_speed <= exact_limit + Fraction(1, 10**5)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 200), st.integers(1, 10**6), st.integers(-1, 1))
def test_one_microsecond_around_the_exact_limit(limit_kmh, tens_of_seconds, shift_us):
    """length = limit x time, exactly: neither this time nor a longer one is ever suspected."""
    travel_us = tens_of_seconds * 36_000
    length_m = limit_kmh * tens_of_seconds / 100
    section = camera_section(float(limit_kmh), length_m)
    found = decide(measured(section, travel_us + shift_us))
    if shift_us >= 0:
        assert found.outcome is Outcome.CLEAR
    else:
        assert found.avg_speed_kmh > limit_kmh


@settings(max_examples=200, deadline=None)
@given(st.floats(0.1, 300), st.floats(0.1, 300), st.floats(0, 30))
def test_more_tolerance_never_makes_a_suspicion(kmh, limit_kmh, tolerance_kmh):
    if decide(passage(kmh, limit_kmh)).outcome is Outcome.CLEAR:
        assert decide(passage(kmh, limit_kmh), tolerance_kmh).outcome is Outcome.CLEAR
