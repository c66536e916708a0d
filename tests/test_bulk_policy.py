"""What counts of many speeds in many sections at once: the same, to the last bit, as of each by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.enforcement.bulk_policy import Policies
from pipeline.enforcement.policy import Deduction, Least, Policy
from pipeline.policies import shipped

LIMITS_KMH = [30.0, 40.2336, 50.0, 80.0, 100.0, 130.0]
OWN = [
    Policy("rounds first", rounds_first=True, deductions=(Deduction(100.0, kmh=3.0), Deduction(share=0.03))),
    Policy("gap", deductions=(Deduction(60.0, share=0.05),), rounds=True),
    Policy("fixed", fixed_limit_kmh=70.0, more_than_kmh=5.0),
    Policy("least", least=(Least(4.0, 50.0), Least(7.0, 90.0))),
]
POLICIES = [*shipped().values(), *OWN]
SECTIONS = st.lists(st.tuples(st.sampled_from(POLICIES), st.sampled_from(LIMITS_KMH)), min_size=1, max_size=6)
STEPS = st.sampled_from([0.0, 1e-9, -1e-9, 1e-6, 2e-6, 3.0, 4.0, 5.0, 7.0, 10.0])
SPEEDS_KMH = st.floats(0.0, 400.0) | st.builds(float.__add__, st.sampled_from([*LIMITS_KMH, 60.0, 70.0, 90.0]), STEPS)


@settings(max_examples=500, deadline=None)
@given(SECTIONS, st.sampled_from([0.0, 1.5]), st.lists(st.tuples(st.integers(0, 5), SPEEDS_KMH), max_size=12))
def test_decisions_at_once_are_those_of_each_speed(sections, tolerance_kmh, seen):
    limits_kmh = [limit_kmh + tolerance_kmh for _, limit_kmh in sections]
    decisions = Policies([applied for applied, _ in sections], limits_kmh)
    numbers = np.array([number % len(sections) for number, _ in seen], np.int64)
    counted_kmh = decisions.counted_kmh(numbers, np.array([speed_kmh for _, speed_kmh in seen], np.float64))
    expected = [
        sections[number][0].counted_kmh(speed_kmh) for number, (_, speed_kmh) in zip(numbers, seen, strict=True)
    ]
    assert counted_kmh.tolist() == expected
    over = [
        sections[number][0].is_over(counted, limits_kmh[number])
        for number, counted in zip(numbers, expected, strict=True)
    ]
    assert decisions.are_over(numbers, counted_kmh).tolist() == over


@pytest.mark.parametrize("applied", POLICIES, ids=lambda applied: applied.name)
def test_speeds_that_were_given_stay_as_they_are(applied):
    speeds_kmh = np.array([50.7, 120.3])
    Policies([applied], [50.0]).counted_kmh(np.zeros(2, np.int64), speeds_kmh)
    assert speeds_kmh.tolist() == [50.7, 120.3]
