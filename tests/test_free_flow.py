"""Travel times of free traffic, and shifts of them."""

import numpy as np
import pytest

from pipeline.enforcement.free_flow import POINTS, FreeFlow, points_of

RNG = np.random.default_rng(3)
PAST = 50 * np.exp(RNG.normal(0, 0.08, 8000))
NOW = 50 * np.exp(RNG.normal(0, 0.08, 3000))
FLOW = FreeFlow(points_of(PAST), len(PAST))


def test_day_is_kept_as_points_of_its_distribution():
    points = points_of(PAST)
    assert len(points) == POINTS
    assert np.median(points) == pytest.approx(np.median(PAST), abs=0.05)


@pytest.mark.parametrize("shift_s", [-5.0, -2.0, -1.0, 0.0, 1.0, 2.0, 5.0])
def test_shift_is_estimated(shift_s):
    assert FLOW.shift_s(NOW + shift_s, shift_s) == pytest.approx(shift_s, abs=0.5)


def test_shift_is_estimated_whatever_drives_in_congestion():
    jammed = np.where(RNG.random(len(NOW)) < 0.4, NOW * 3, NOW)
    assert FLOW.shift_s(jammed - 2) == pytest.approx(-2, abs=0.5)


def test_nothing_that_is_quick_is_no_shift():
    assert FLOW.shift_s(NOW * 4) == 0.0
    assert not FLOW.scores(NOW * 4, -2.0).any()


@pytest.mark.parametrize("shift_s", [-2.0, 2.0])
def test_scores_rise_under_their_shift_alone(shift_s):
    assert FLOW.scores(NOW + shift_s, shift_s).mean() > 0
    assert FLOW.scores(NOW, shift_s).mean() < 0


def test_single_passage_proves_little():
    assert np.abs(FLOW.scores(np.array([0.1, 20.0, 45.0, 1e6]), -2.0)).max() <= 1.0


def test_larger_shift_is_found_sooner():
    found = [FLOW.passages_to_find(shift_s, 12.0) for shift_s in (-0.5, -1.0, -2.0)]
    assert None not in found
    assert found == sorted(found, reverse=True)
