"""Cumulative sums: what a change is, where it began at the earliest, and what is none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.enforcement.sequential import (
    Change,
    change,
    excursion,
    fall_scores,
    first_gap,
    longest_gap,
    peak,
    rate_scores,
)

SCORES = st.lists(st.floats(-3, 3), min_size=1, max_size=60).map(np.array)


@given(SCORES)
def test_excursion_is_the_recursion_of_page(scores):
    level, expected = 0.0, []
    for score in scores:
        level = max(0.0, level + score)
        expected.append(level)
    assert excursion(scores) == pytest.approx(np.array(expected), abs=1e-9)
    assert peak(scores) == pytest.approx(max(expected), abs=1e-9)


@given(SCORES, st.floats(0.5, 10), st.floats(0, 5), st.integers(0, 5))
def test_begin_is_never_behind_the_alarm(scores, threshold, slack, lead):
    found = change(scores, threshold, slack, lead)
    if found is None:
        assert peak(scores) <= threshold
    else:
        assert 0 <= found.earliest <= found.begun <= found.found
        assert excursion(scores)[found.found] > threshold


def test_change_is_found_where_it_is():
    scores = np.array([-1.0] * 10 + [1.0] * 10)
    assert change(scores, 4.5, 0.0, 0) == Change(10, 10, 14)


def test_earliest_begin_goes_back_as_far_as_the_slack():
    scores = np.array([-1.0] * 10 + [1.0] * 10)
    assert change(scores, 4.5, 3.0, 0) == Change(7, 10, 14)
    assert change(scores, 4.5, 3.0, 5) == Change(2, 10, 14)
    assert change(scores, 4.5, 3.0, 50) == Change(0, 10, 14)


def test_change_from_the_first_place_on():
    assert change(np.ones(5), 2.5, 0.0, 0) == Change(0, 0, 2)


def test_sum_at_the_threshold_is_no_change():
    assert change(np.ones(3), 3.0, 0.0, 0) is None
    assert change(np.array([]), 3.0, 0.0, 0) is None


def test_scores_of_a_share_fall_at_its_usual_value_and_rise_at_the_other():
    rng = np.random.default_rng(1)
    assert rate_scores(rng.random(5000) < 0.02, 0.02, 0.1).mean() < 0
    assert rate_scores(rng.random(5000) < 0.1, 0.02, 0.1).mean() > 0


def test_no_single_value_proves_a_fall():
    scores = fall_scores(np.array([-1e9, 0.95]), 0.95, 0.03, 0.5)
    assert scores[0] == pytest.approx(0.5 * (3 - 0.25))
    assert scores[1] < 0


@pytest.mark.parametrize(
    ("hits", "longest"), [([1, 0, 0, 1], (2, 1)), ([0, 0, 0], (3, 0)), ([1, 0, 0, 0], (3, 1)), ([1, 1], (0, 0))]
)
def test_longest_gap_counts_both_ends(hits, longest):
    assert longest_gap(np.array(hits, bool)) == longest


def test_gap_is_found_when_it_is_longer_than_allowed():
    hits = np.array([1, 0, 0, 1, 0, 0, 0, 0], bool)
    assert first_gap(hits, 2) == Change(4, 4, 6)
    assert first_gap(hits, 4) is None
