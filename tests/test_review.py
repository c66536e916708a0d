"""The queue of cases for a person: what a person can settle, who is first, and who cannot be reached in time."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from review_samples import DAY_US, EVIDENCE, NOW_US, SECTION_LIMIT_KMH, case

from pipeline import policies
from pipeline.enforcement import review
from pipeline.enforcement.model import Reason
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.review import NEEDS, Needs, Standing
from pipeline.enforcement.times import parse_rfc3339_us, rfc3339

POLICIES = policies.shipped() | {"quick": Policy("quick", days_to_notice=2)}


def due_in(days, **fields):
    """A case of the policy nyc, whose notice must be sent within 14 days, with so many days left."""
    exit_us = NOW_US + round((days - 14) * DAY_US)
    return case(policy="nyc", exit_time=rfc3339(exit_us), **fields)


def ids(waiting):
    return [one.fine.fine_id for one in waiting]


def standings(waiting):
    return [one.standing for one in waiting]


# --- what a person can settle


def test_every_reason_is_classified():
    """A new one: may a person confirm a case that has it, after a look at one picture, at both, or never?"""
    assert set(NEEDS) == set(Reason)


def test_reason_that_nobody_classified_needs_both_pictures(monkeypatch):
    known = {reason: needs for reason, needs in NEEDS.items() if reason is not Reason.LOW_CONFIDENCE}
    monkeypatch.setattr(review, "NEEDS", known)
    assert review.needs_of(case(reasons=(Reason.LOW_CONFIDENCE,))) is Needs.BOTH_PICTURES


@pytest.mark.parametrize("reasons", list(itertools.permutations([Reason.LOW_CONFIDENCE, Reason.AMBIGUOUS_PAIRING])))
def test_worst_reason_counts(reasons):
    assert review.needs_of(case(reasons=reasons)) is Needs.BOTH_PICTURES


@pytest.mark.parametrize("lacking", [{"image_url": None}, {"sha256": None}])
def test_case_without_kept_pictures_cannot_be_confirmed(lacking):
    one, other = EVIDENCE
    assert review.needs_of(case(evidence=(one, replace(other, **lacking)))) is Needs.MORE_THAN_PICTURES
    assert review.needs_of(case(evidence=())) is Needs.MORE_THAN_PICTURES


def test_camera_that_read_no_plate_makes_both_pictures_needed():
    one, other = EVIDENCE
    unread = (one, replace(other, plate=None))
    assert review.needs_of(case(evidence=unread, vehicle_id="track-7")) is Needs.BOTH_PICTURES
    assert review.needs_of(case(evidence=unread, vehicle_id="KLM4821")) is Needs.ONE_PICTURE  # a plate by its layout


# --- severity and deadline


@pytest.mark.parametrize(("over", "band"), [(0.0, 0), (0.0999, 0), (0.1001, 1), (0.26, 2), (0.49, 2), (0.6, 3), (3, 3)])
def test_severity_is_a_band_of_the_limit(over, band):
    assert review.severity(case(counted_speed=SECTION_LIMIT_KMH * (1 + over))) == band


def test_severity_of_a_case_of_an_early_release_is_of_the_speed_that_it_tells():
    told = case(counted_speed=None, min_speed=None, avg_speed=SECTION_LIMIT_KMH * 1.3)
    assert review.severity(told) == 2


def test_deadline_is_so_many_days_after_the_exit():
    told = case(policy="nyc")
    assert review.deadline_us(told, POLICIES) == parse_rfc3339_us(told.exit_time) + 14 * DAY_US


@pytest.mark.parametrize("policy", ["edem", None, "nobody-knows-it"])
def test_policy_without_days_or_unknown_has_no_deadline(policy):
    assert review.deadline_us(case(policy=policy), POLICIES) is None


def test_unknown_policies_are_named():
    found = review.unknown_policies([case(policy=one) for one in ("nl", None, "ours", "ours")], POLICIES)
    assert found == ["ours"]


@pytest.mark.parametrize(("days", "expired"), [(0.0, False), (-1 / DAY_US, True), (1.0, False)])
def test_case_is_expired_after_its_deadline_and_not_at_it(days, expired):
    (waiting,) = review.queue([due_in(days)], POLICIES, NOW_US)
    assert (waiting.standing is Standing.EXPIRED) == expired


# --- the order


def test_deadline_goes_before_severity_and_severity_before_evidence():
    mild, grave = SECTION_LIMIT_KMH * 1.05, SECTION_LIMIT_KMH * 1.6
    weak, strong = (Reason.AMBIGUOUS_PAIRING,), (Reason.LOW_CONFIDENCE,)
    wanted = [
        due_in(3, counted_speed=mild, reasons=weak),
        due_in(5, counted_speed=grave, reasons=strong),
        due_in(5, counted_speed=grave, reasons=weak),
        due_in(5, counted_speed=mild, reasons=strong),
        case(policy="edem", counted_speed=grave, reasons=strong),
    ]
    for given_order in itertools.permutations(wanted):
        assert ids(review.queue(given_order, POLICIES, NOW_US)) == ids_of(wanted)


def ids_of(fines):
    return [fine.fine_id for fine in fines]


def test_hour_of_the_deadline_does_not_go_before_severity():
    sooner, graver = due_in(5.0), due_in(5.01, counted_speed=SECTION_LIMIT_KMH * 1.6)
    assert ids(review.queue([sooner, graver], POLICIES, NOW_US)) == ids_of([graver, sooner])


def test_cases_that_cannot_be_confirmed_and_expired_ones_are_shown_at_the_end():
    hopeless = due_in(1, reasons=(Reason.PICTURE_MISSING,))
    expired, open_one = due_in(-1, reasons=(Reason.LOW_CONFIDENCE,)), due_in(9)
    found = review.queue([expired, hopeless, open_one], POLICIES, NOW_US, capacity=1)
    assert ids(found) == ids_of([open_one, hopeless, expired])
    assert standings(found) == [Standing.WAITS, Standing.NOT_CONFIRMABLE, Standing.EXPIRED]


# --- capacity


def test_case_that_cannot_be_reached_is_marked_and_takes_no_place():
    cases = [due_in(1.5), due_in(1.5), due_in(2.5), due_in(2.5)]
    found = review.queue(cases, POLICIES, NOW_US, capacity=1)
    late = Standing.NOT_REACHED
    assert standings(found) == [Standing.WAITS, late, Standing.WAITS, late]


def test_case_without_deadline_is_always_reached():
    found = review.queue([case(policy="edem") for _ in range(5)], POLICIES, NOW_US, capacity=1)
    assert set(standings(found)) == {Standing.WAITS}


def test_without_capacity_all_are_reached():
    assert standings(review.queue([due_in(0.1)] * 9, POLICIES, NOW_US)) == [Standing.WAITS] * 9


DAYS = st.lists(st.floats(-3, 20), max_size=40)


@given(DAYS, st.integers(1, 5))
def test_none_is_left_out_and_those_to_look_at_are_reached_at_this_pace(days, capacity):
    cases = [due_in(one) for one in days]
    found = review.queue(cases, POLICIES, NOW_US, capacity)
    assert sorted(ids(found)) == sorted(ids_of(cases))
    reached = [one for one in found if one.standing is Standing.WAITS]
    for number, one in enumerate(reached):
        assert NOW_US + (number // capacity + 1) * DAY_US <= one.deadline_us


@given(DAYS, st.integers(1, 5))
def test_more_capacity_reaches_no_fewer(days, capacity):
    cases = [due_in(one) for one in days]
    fewer, more = (standings(review.queue(cases, POLICIES, NOW_US, at)) for at in (capacity, capacity + 1))
    assert fewer.count(Standing.WAITS) <= more.count(Standing.WAITS)
