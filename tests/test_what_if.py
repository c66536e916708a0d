"""What-if: what another policy makes of stored passages, and that the sums agree."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from stored_samples import SHIPPED, record, section

from pipeline.enforcement import what_if
from pipeline.enforcement.model import Basis, Outcome, Reason
from pipeline.enforcement.replay import UntoldError
from pipeline.enforcement.what_if import Comparison, Effect, Judgement, Standing

ROAD = section(1000.0, 50.0)
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
