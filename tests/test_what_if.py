"""What-if: what another policy makes of stored passages, and that the sums agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from stored_samples import SHIPPED, record, section

from pipeline.enforcement import passages, policy, replay, what_if
from pipeline.enforcement.model import Basis, Outcome, Reason, Sighting
from pipeline.enforcement.privacy import IN_CLEAR
from pipeline.enforcement.records import passage_records
from pipeline.enforcement.replay import UntoldError
from pipeline.enforcement.sections import Section
from pipeline.enforcement.track_errors import TrackErrors
from pipeline.enforcement.what_if import Comparison, Effect, Judgement, Standing

ROAD = section(1000.0, 50.0)
T0_US = 1_776_000_000_000_000
AT_48, AT_52, AT_58, AT_80 = (record(ROAD, round(3.6e9 / kmh)) for kmh in (48.0, 52.0, 58.0, 80.0))
UNMEASURABLE = replace(AT_48, outcome=Outcome.UNMEASURABLE, avg_speed=None, min_speed=None, distance_m=None)


def compared(comparison, found, policy):
    before = what_if.stored(found, SHIPPED)
    return comparison.add(found, before, what_if.replayed(found, SHIPPED[policy], 0.0))


@pytest.mark.parametrize(
    ("found", "policy", "effect"),
    [
        (AT_48, "nl", None),
        (AT_52, "nl", Effect.FALLS),
        (AT_58, "nl", Effect.CHANGES),
        (AT_58, "edem", None),
        (AT_58, "nyc", Effect.FALLS),
        (replace(AT_52, policy="nl", counted_speed=48.9, outcome=Outcome.CLEAR), "edem", Effect.ARISES),
        (UNMEASURABLE, "edem", None),
        (replace(AT_58, outcome=Outcome.CLEAR, reasons=(Reason.ONE_FINE_A_TRIP,)), "edem", None),
    ],
)
def test_difference_of_one_passage(found, policy, effect):
    one = compared(Comparison(), found, policy)
    assert (one and one.effect) == effect


ROAD_OF_RADAR = Section("r", 40.0, line=((40.74, -73.99), (40.75, -73.98)))


def tracked(errors):
    """A stored track without times, at 90 km/h all along, decided by edem."""
    (start, end), n = ROAD_OF_RADAR.line, 10
    points = [
        Sighting(f"e{at}", "A", T0_US + at, False, speed_kmh=90.0, location=_between(start, end, at / (n - 1)))
        for at in range(n)
    ]
    (found,) = passages.measure(replace(ROAD_OF_RADAR, track=errors), "A", points).passages
    decided = replace(policy.decide(found, SHIPPED["edem"]), outcome=Outcome.FINED)
    (stored,) = passage_records([decided], IN_CLEAR)
    return decided, stored


def _between(start, end, share):
    return tuple(one + (other - one) * share for one, other in zip(start, end, strict=True))


@pytest.mark.parametrize(
    ("errors", "under_nl"), [(None, Judgement.UNMEASURABLE), (TrackErrors(5.0, 2.0), Judgement.SUSPECTED)]
)
def test_track_is_decided_again_by_the_errors_that_it_declares(errors, under_nl):
    """With none it proves nothing to a policy that does not take readings as they are."""
    decided, stored = tracked(errors)
    assert (stored.min_speed is None) == (stored.speeds_error_s is None) == (errors is None)
    assert replay.measured(stored).min_speed_kmh == decided.min_speed_kmh
    assert what_if.replayed(stored, SHIPPED["edem"], 0.0).counted_speed == decided.counted_speed_kmh
    assert what_if.replayed(stored, SHIPPED["nl"], 0.0).judgement is under_nl


def test_each_difference_tells_both_sides():
    one = compared(Comparison(), AT_80, "nyc")
    assert one.effect is Effect.CHANGES
    assert one.before == Standing(Judgement.SUSPECTED, "edem", AT_80.min_speed)
    assert one.after == Standing(Judgement.SUSPECTED, "nyc", AT_80.min_speed, 50.0, "USD")
    assert one.vehicle_id == AT_80.vehicle_id != "A"


@given(
    st.lists(st.tuples(st.floats(30.0, 120.0), st.sampled_from(["edem", "nl", "ch", "nyc"]))),
    st.sampled_from([*SHIPPED]),
)
def test_sums_agree(passages, policy):
    comparison = Comparison()
    found = [record(ROAD, round(3.6e9 / kmh), rule) for kmh, rule in passages]
    differences = list(filter(None, (compared(comparison, one, policy) for one in found)))
    effects, suspected = comparison.effects, Judgement.SUSPECTED
    assert comparison.before.total() == comparison.after.total() == len(found)
    both = effects[Effect.STANDS] + effects[Effect.CHANGES]
    assert comparison.before[suspected] == both + effects[Effect.FALLS]
    assert comparison.after[suspected] == both + effects[Effect.ARISES]
    assert len(differences) == effects.total() - effects[Effect.STANDS]
    nyc_before = sum(one.policy == "nyc" and one.outcome is Outcome.REVIEW for one in found)
    assert comparison.money_before["USD"] == 50.0 * nyc_before
    assert comparison.money_after["USD"] == (50.0 * comparison.after[suspected] if policy == "nyc" else 0.0)


@given(st.floats(30.0, 120.0), st.sampled_from(["edem", "nl", "ch", "at", "it", "nyc"]))
def test_own_policy_changes_nothing(kmh, policy):
    found = record(ROAD, round(3.6e9 / kmh), policy)
    assert what_if.stored(found, SHIPPED) == what_if.replayed(found, SHIPPED[policy], 0.0)


def test_tolerance_of_the_replay_counts():
    assert what_if.replayed(AT_52, SHIPPED["edem"], 1.9).judgement is Judgement.SUSPECTED
    assert what_if.replayed(AT_52, SHIPPED["edem"], 2.1).judgement is Judgement.CLEAR


def test_section_that_is_too_short_for_the_policy_is_clear():
    short = record(section(199.0, 50.0), 7_000_000, "nyc")
    assert what_if.replayed(short, SHIPPED["nl"], 0.0).judgement is Judgement.CLEAR
    of_a_run = replace(short, policy="nl", outcome=Outcome.REVIEW)
    assert what_if.of_run(of_a_run, SHIPPED["nl"]).judgement is Judgement.CLEAR
    long_enough = record(section(200.0, 50.0), 7_000_000, "nl")
    assert what_if.of_run(long_enough, SHIPPED["nl"]).judgement is Judgement.SUSPECTED


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (replace(AT_58, policy="gone"), "policy gone is not known"),
        (replace(AT_58, policy=None), "without its policy"),
        (replace(AT_58, counted_speed=None), "without the speed that counted"),
        (replace(AT_58, min_speed=None), "without the lowest speed"),
        (replace(AT_58, basis=Basis.POINT_SPEEDS), "the mean of the point speeds"),
    ],
)
def test_what_the_record_does_not_hold_is_told(found, why):
    with pytest.raises(UntoldError, match=why):
        compared(Comparison(), found, "edem-classic")
