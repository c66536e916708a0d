"""Recall: what falls, changes or stands under a correction; never against the driver, and nothing guessed."""

from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace
from stored_samples import ENTRY, EXIT, SHIPPED, T0_US, fine, record, section

from pipeline.enforcement import recall, replay
from pipeline.enforcement.model import Basis, ErrorBudget, Reason, Status
from pipeline.enforcement.policy import Amount
from pipeline.enforcement.recall import Correction, Effect, Rules
from pipeline.enforcement.replay import UntoldError

BANDS = replace(SHIPPED["edem"], name="bands", currency="EUR", amounts=(Amount(0.0, 30.0), Amount(10.0, 90.0)))
SHIPPED["bands"] = BANDS
RULES = Rules(SHIPPED)
POLICIES = ("edem", "nl", "ch", "at", "it", "nyc", "bands")


def recalled(found, **correction):
    return recall.recall(found, Correction(**correction), RULES)


# --- properties

limits = st.sampled_from([30.0, 40.2336, 50.0, 80.0, 100.0, 120.0, 130.0])
lengths = st.floats(200.0, 5000.0)
length_errors = st.floats(0.0, 10.0)
clock_errors = st.floats(0.0, 2.0)
fast_us = st.integers(-20_000_000, 20_000_000)


@st.composite
def fines(draw):
    """Any fine, of any policy."""
    errors = ErrorBudget(draw(length_errors), draw(clock_errors), draw(st.sampled_from([0.0, 0.001])))
    road = section(draw(lengths), draw(limits), errors)
    over = draw(st.floats(1.0, 2.0))
    travel_us = round(road.distance_m / (road.limit_kmh * over) * 3.6e6)
    try:
        return fine(road, travel_us, draw(st.sampled_from(POLICIES)))
    except AssertionError:
        assume(False)


maybe = st.one_of
corrections = st.builds(
    Correction,
    limit_kmh=maybe(st.none(), limits),
    distance_m=maybe(st.none(), lengths),
    length_error_m=maybe(st.none(), length_errors),
    clock_error_s=maybe(st.none(), clock_errors),
    resolution_s=maybe(st.none(), st.just(0.01)),
    entry_fast_us=maybe(st.just(0), fast_us),
    exit_fast_us=maybe(st.just(0), fast_us),
)


@given(fines())
def test_correction_of_nothing_changes_nothing(found):
    one = recall.recall(found, Correction(), RULES)
    assert (one.effect, one.why, one.after) == (Effect.STANDS, "", one.before)


@given(fines())
def test_correction_to_what_was_stored_changes_nothing(found):
    terms = ("limit_kmh", "distance_m", "length_error_m", "clock_error_s", "resolution_s")
    one = recalled(found, **{name: getattr(found, name) for name in terms}, entry_fast_us=7, exit_fast_us=7)
    assert (one.effect, one.after) == (Effect.STANDS, one.before)


def counted_kmh(found, correction):
    """By hand; None where no time passed."""

    def term(name):
        corrected = getattr(correction, name)
        return getattr(found, name) if corrected is None else corrected

    shift_us = correction.entry_fast_us - correction.exit_fast_us
    travel_s = (round(found.travel_time_s * 1e6) + shift_us) / 1e6
    if travel_s <= 0:
        return None
    shortest_m = max(term("distance_m") - term("length_error_m"), 0.0)
    least_kmh = shortest_m * 3.6 / (travel_s + (term("clock_error_s") + term("resolution_s")))
    return SHIPPED[found.policy].counted_kmh(least_kmh)


@given(fines(), corrections)
def test_falls_if_and_only_if_the_counted_speed_is_not_over_the_limit_any_more(found, correction):
    counted, policy = counted_kmh(found, correction), SHIPPED[found.policy]
    limit_kmh = found.limit_kmh if correction.limit_kmh is None else correction.limit_kmh
    too_short = (correction.distance_m or found.distance_m) < policy.least_length_m
    one = recall.recall(found, correction, RULES)
    assert (one.effect is Effect.FALLS) == (counted is None or too_short or not policy.is_over(counted, limit_kmh))
    assert one.effect is not Effect.UNTOLD


@given(fines(), corrections)
def test_no_correction_is_ever_harsher(found, correction):
    one, policy = recall.recall(found, correction, RULES), SHIPPED[found.policy]
    before, after = one.before, one.after
    if one.effect is Effect.FALLS:
        assert after.amount is None
        return
    over_before = policy.over_kmh(before.counted_speed, before.limit_kmh)
    assert policy.over_kmh(after.counted_speed, after.limit_kmh) <= over_before + 1e-6
    assert (after.amount or 0) <= (before.amount or 0)
    assert (one.effect is Effect.STANDS) == (after == before)


# --- cases

ROAD = section(1000.0, 50.0)
AT_60 = fine(ROAD, 60_000_000, "bands")  # 60 km/h: EUR 30
AT_70 = fine(ROAD, 51_428_571, "bands", start_us=T0_US + 1)  # 70 km/h: EUR 90


def test_at_the_corrected_limit_a_fine_falls_and_just_over_it_does_not():
    assert recalled(AT_60, limit_kmh=60.0).effect is Effect.FALLS
    assert recalled(AT_60, limit_kmh=60.0).why == "not over the limit"
    assert recalled(AT_60, limit_kmh=59.999).effect is Effect.CHANGES


def test_radar_that_declared_no_errors_is_recalled_by_its_average():
    none = dict.fromkeys(("min_speed", "length_error_m", "clock_error_s", "resolution_s", "amount", "currency"))
    bare = replace(AT_60, basis=Basis.POINT_SPEEDS, policy="edem", counted_speed=AT_60.avg_speed, **none)
    assert (recalled(bare).effect, recalled(bare).why) == (Effect.STANDS, "")
    assert recalled(bare, limit_kmh=60.0).effect is Effect.FALLS
    assert recalled(bare, limit_kmh=59.0).effect is Effect.CHANGES
    declared = recalled(bare, length_error_m=100.0)
    assert (declared.effect, declared.after.min_speed) == (Effect.CHANGES, pytest.approx(54.0))


def test_lower_amount_of_a_higher_limit_is_a_change():
    one = recalled(AT_70, limit_kmh=61.0)
    assert (one.effect, one.before.amount, one.after.amount) == (Effect.CHANGES, 90.0, 30.0)
    assert (one.before.limit_kmh, one.after.limit_kmh) == (50.0, 61.0)


@pytest.mark.parametrize(
    "harsher", [{"limit_kmh": 40.0}, {"distance_m": 1200.0}, {"exit_fast_us": 5_000_000}, {"entry_fast_us": -1}]
)
def test_what_would_be_worse_for_the_driver_stands_as_it_is(harsher):
    one = recalled(AT_60, **harsher)
    assert (one.effect, one.after) == (Effect.STANDS, one.before)
    assert one.why.startswith("corrected, it would be worse for the driver: ")


def test_lower_error_is_not_used_against_the_driver_where_rounding_hides_it():
    found = fine(section(1000.0, 50.0, ErrorBudget(clock_s=0.2)), 60_000_000, "ch")
    one = recalled(found, clock_error_s=0.19)
    assert one.before.counted_speed == 54.0
    assert (one.effect, one.after) == (Effect.STANDS, one.before)
    assert "worse" in one.why


@pytest.mark.parametrize(("entry_us", "exit_us", "effect"), [
    (12_000_000, 0, Effect.FALLS), (0, -12_000_000, Effect.FALLS), (11_999_000, 0, Effect.CHANGES),
    (12_000_000, 12_000_000, Effect.STANDS), (-1_000_000, 0, Effect.STANDS), (0, 1_000_000, Effect.STANDS),
])  # fmt: skip
def test_fast_clock_at_the_entry_and_slow_one_at_the_exit_made_the_time_too_short(entry_us, exit_us, effect):
    one = recalled(AT_60, entry_fast_us=entry_us, exit_fast_us=exit_us, ends=(ENTRY, EXIT))
    assert one.effect is effect
    if effect is not Effect.STANDS:
        assert one.after.travel_time_s == pytest.approx(60 + (entry_us - exit_us) / 1e6, abs=0)


@pytest.mark.parametrize(
    ("term", "value"),
    [
        ("limit_kmh", 51.0),
        ("distance_m", 990.0),
        ("length_error_m", 9.0),
        ("clock_error_s", 0.5),
        ("resolution_s", 0.5),
    ],
)
def test_each_term_is_corrected_alone(term, value):
    one = recalled(AT_60, **{term: value})
    assert (one.effect, getattr(one.after, term)) == (Effect.CHANGES, value)
    others = {"limit_kmh", "distance_m", "travel_time_s", "length_error_m", "clock_error_s", "resolution_s"} - {term}
    assert all(getattr(one.after, name) == getattr(one.before, name) for name in others)


@pytest.mark.parametrize("shift_us", [60_000_000, 60_000_001])
def test_fine_without_a_travel_time_falls(shift_us):
    one = recalled(AT_60, exit_fast_us=shift_us)
    assert (one.effect, one.why) == (Effect.FALLS, "no time passed between its sightings")
    assert (one.after.avg_speed, one.after.counted_speed, one.after.travel_time_s) == (
        None,
        None,
        (60_000_000 - shift_us) / 1e6,
    )


def test_section_that_is_too_short_for_its_policy_falls():
    one = recalled(fine(section(250.0, 50.0), 9_000_000, "nl"), distance_m=199.0)
    assert (one.effect, one.why) == (Effect.FALLS, "policy nl holds for sections of at least 200 m")


def test_tolerance_of_the_run_counts():
    within = recall.recall(AT_60, Correction(limit_kmh=58.0), Rules(SHIPPED, tolerance_kmh=2.0))
    assert within.effect is Effect.FALLS
    assert recalled(AT_60, limit_kmh=58.0).effect is Effect.CHANGES


def test_case_for_a_person_is_recalled_like_a_fine():
    case = fine(ROAD, 60_000_000, "bands", Status.REVIEW)
    assert [recalled(one, limit_kmh=60.0).effect for one in (case, AT_60)] == [Effect.FALLS] * 2


@pytest.mark.parametrize(
    ("stored", "correction", "why"),
    [
        (replace(AT_60, min_speed=None), {}, "an earlier release stored it without the lowest speed"),
        (replace(AT_60, avg_speed=None), {}, "it was not measured"),
        (replace(AT_60, policy=None), {}, "an earlier release stored it without its policy"),
        (replace(AT_60, policy="gone"), {}, "policy gone is not known here"),
        (replace(AT_60, counted_speed=59.0), {}, "its own terms give counted_speed "),
        (replace(AT_60, avg_speed=61.0), {}, "its own terms give avg_speed "),
        (replace(AT_60, min_speed=59.0), {}, "its own terms give min_speed "),
        (replace(AT_60, amount=31.0), {}, "its own terms give amount 30.0, stored is 31.0"),
        (replace(AT_60, limit_kmh=60.0), {}, "by its own terms it was not over the limit"),
        (AT_60, {"entry_fast_us": 1, "ends": ("G1", "G2")}, "its evidence is of G1 and G3, not of G1 and G2"),
        (replace(AT_60, basis=Basis.POINT_SPEEDS), {"exit_fast_us": 1}, "it rests on the points of a track"),
        (replace(AT_60, basis=Basis.POINT_SPEEDS), {"distance_m": 1.0}, "it rests on the points of a track"),
    ],
)
def test_what_cannot_be_computed_again_is_told(stored, correction, why):
    one = recalled(stored, **correction)
    assert (one.effect, one.after) == (Effect.UNTOLD, None)
    assert one.why.startswith(why)


def test_mean_of_point_speeds_is_not_stored():
    found = replace(AT_60, basis=Basis.POINT_SPEEDS, policy="edem-classic", amount=None, currency=None)
    assert recalled(found, limit_kmh=55.0).why.startswith("policy edem-classic counts the mean of the point speeds")


def test_clear_passage_that_would_be_over():
    clear = record(ROAD, 75_000_000)  # 48 km/h
    assert recall.would_be_over(clear, Correction(limit_kmh=40.0), RULES)
    assert not recall.would_be_over(clear, Correction(limit_kmh=48.0), RULES)
    with pytest.raises(UntoldError, match="by its own terms it was over the limit"):
        recall.would_be_over(record(ROAD, 60_000_000), Correction(), RULES)


# --- withdrawals


def test_withdrawal_takes_the_fine_back_and_shows_nothing_of_it():
    one = recalled(AT_60, limit_kmh=60.0)
    taken_back = recall.withdrawal(AT_60, one)
    assert taken_back == recall.withdrawal(AT_60, one)
    same = ("fine_id", "passage_id", "radar_id", "vehicle_id", "section", "entry_time", "exit_time", "policy")
    assert all(getattr(taken_back, name) == getattr(AT_60, name) for name in same)
    assert (taken_back.status, taken_back.revision, taken_back.is_Ticketed) == (Status.WITHDRAWN, 2, False)
    assert taken_back.reasons == (Reason.RECALLED,)
    assert (taken_back.limit_kmh, taken_back.amount, taken_back.currency) == (60.0, None, None)
    assert (taken_back.license_plate, taken_back.image_url, taken_back.packet_url, taken_back.evidence) == (
        None, None, None, (),
    )  # fmt: skip


@pytest.mark.parametrize("correction", [{}, {"limit_kmh": 59.0}, {"limit_kmh": 40.0}])
def test_only_what_falls_is_withdrawn(correction):
    with pytest.raises(ValueError, match="does not fall"):
        recall.withdrawal(AT_60, recalled(AT_60, **correction))
    with pytest.raises(ValueError, match="does not fall"):
        recall.withdrawal(AT_70, recalled(AT_60, limit_kmh=60.0))
    with pytest.raises(ValueError, match="does not fall"):
        recall.withdrawal(replace(AT_60, revision=2), recalled(AT_60, limit_kmh=60.0))


@pytest.mark.parametrize("revisions", list(product((1, 2), Status, (1, 2), Status)))
def test_latest_fine_is_the_one_of_the_view(revisions):
    first, one, second, other = revisions
    found = [replace(AT_60, revision=first, status=one), replace(AT_60, revision=second, status=other)]
    (latest,) = replay.latest_fines(found)
    mildest = [Status.WITHDRAWN, Status.REVIEW, Status.ISSUED]
    assert latest == min(found, key=lambda item: (-item.revision, mildest.index(item.status)))


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_latest_passage_is_the_last_revision(order):
    found = [replace(record(ROAD, 60_000_000), revision=revision, n_sightings=revision) for revision in order]
    assert [one.n_sightings for one in replay.latest_passages(found)] == [2]
