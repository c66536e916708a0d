"""Each check of a self-test: what fails it, what does not, and since when."""

import numpy as np
import pytest
from selftest_samples import FIRST_US, NETWORK, SECTION, traffic, without_lanes

from pipeline.enforcement import selftest
from pipeline.enforcement.model import fine_id
from pipeline.enforcement.selftest_records import Thresholds, Verdict
from pipeline.enforcement.times import parse_rfc3339_us

DEFAULT = Thresholds()
OTHER = NETWORK.sections["b-a"]


def kept(seed, **how):
    day = selftest.summary(SECTION, f"day {seed}", traffic(8000, seed, **how), (), DEFAULT)
    assert day is not None
    return day


PAST = (kept(100), kept(101))


def examine(found, past=PAST, opposite=None):
    return selftest.examine(SECTION, "2026-03-02", found, past, DEFAULT, opposite)


def failed(examined):
    return {check.name: check for check in examined.checks if check.verdict is Verdict.FAILED}


@pytest.mark.parametrize("past", [PAST, ()], ids=["with a past", "by its own first passages"])
def test_good_day_passes(past):
    examined = examine(traffic(3000, 1), past)
    assert (examined.verdict, failed(examined)) == (Verdict.PASSED, {})
    assert (examined.quarantined_from_us, examined.issued_since) == (None, ())
    assert examined.day.passages > 2800


@pytest.mark.parametrize("past", [PAST, ()], ids=["with a past", "by its own first passages"])
@pytest.mark.parametrize("shift_s", [-5.0, -2.0, 2.0, 5.0])
def test_clock_step_is_found_within_500_vehicles(shift_s, past):
    found = traffic(2000, 2, shift_s=shift_s, after=1500)
    examined = examine(found, past)
    check = failed(examined)["clock"]
    assert check.measured == pytest.approx(shift_s, abs=1.0)
    assert abs(check.measured - shift_s) <= check.uncertainty + 0.5
    assert check.vehicles <= 500
    # Nothing behind the step is left out, whichever of the two times is looked at.
    assert examined.quarantined_from_us <= FIRST_US + 1500 * 3_000_000
    assert ("faster" in check.said) == (shift_s < 0)


def test_step_within_the_declared_error_is_not_looked_for():
    declared = SECTION.errors.time_s
    assert declared == pytest.approx(0.12)
    generous = selftest.Section("s", 40.0, cameras=("A", "B"), length_m=(500.5,), errors=type(SECTION.errors)(0, 3, 0))
    examined = selftest.examine(generous, "d", traffic(3000, 2, shift_s=-2.0, after=1500), PAST, DEFAULT)
    assert "clock" not in failed(examined)
    assert set(examined.found_within) == {"-5 s", "+5 s"}


def test_clock_that_was_wrong_before_the_day_began_is_found_by_the_past_alone():
    wrong = traffic(3000, 3, shift_s=-2.0)
    assert failed(examine(wrong))["clock"].begun is not None
    assert failed(examine(wrong, ())) == {}


@pytest.mark.parametrize("factor", [1.3, 2.0, 3.0])
def test_hour_of_congestion_is_no_clock(factor):
    assert failed(examine(traffic(4000, 4, slowed=(1000, 2200, factor)))) == {}


def test_end_of_congestion_is_no_clock_either():
    assert failed(examine(traffic(4000, 4, slowed=(0, 2000, 2.0)))) == {}


def test_drift_is_found_and_doubts_the_whole_day():
    slow = Thresholds(shifts_s=(30.0,))  # so that the steps do not find it first
    examined = selftest.examine(SECTION, "d", traffic(4000, 5, drift_s=-3.0), PAST, slow)
    check = failed(examined)["clock drift"]
    assert check.measured == pytest.approx(-3.0, abs=1.0)
    assert examined.quarantined_from_us == FIRST_US


def test_offset_of_both_ways_is_found_from_the_start():
    """Even without a past: the same clock makes one direction quicker and the other slower."""
    there, back = traffic(3000, 6, shift_s=-2.0), traffic(3000, 7, shift_s=2.0)
    check = failed(examine(there, (), (OTHER, back, ())))["clocks both ways"]
    assert check.measured == pytest.approx(-2.0, abs=0.5)


def test_slower_traffic_both_ways_is_no_offset():
    there, back = (traffic(3000, seed, slowed=(0, 3000, 1.06)) for seed in (6, 7))
    assert "clocks both ways" not in failed(examine(there, (), (OTHER, back, ())))


def test_directions_that_always_differed_are_compared_with_their_past():
    uphill = tuple(kept(seed, slowed=(0, 8000, 1.1)) for seed in (102, 103))
    back = traffic(3000, 7, slowed=(0, 3000, 1.1))
    assert "clocks both ways" in failed(examine(traffic(3000, 6), (), (OTHER, back, ())))
    assert "clocks both ways" not in failed(examine(traffic(3000, 6), PAST, (OTHER, back, uphill)))


def test_silent_lane():
    examined = examine(traffic(3000, 8, silent_lane=1, after=1500))
    check = failed(examined)["camera B lane 1"]
    assert check.measured > check.threshold
    begun_us = parse_rfc3339_us(check.begun)
    assert abs(begun_us - (FIRST_US + 1500 * 3_000_000 + 50_000_000)) < 120e6


def test_silent_camera():
    assert "camera B" in failed(examine(traffic(3000, 8, silent_camera=1, after=1500)))
    assert "camera B" in failed(examine(traffic(3000, 8, silent_camera=1)))


def test_cameras_that_tell_no_lanes():
    bare = without_lanes(traffic(8000, 100))
    past = (selftest.summary(SECTION, "day", bare, (), DEFAULT),)
    examined = examine(without_lanes(traffic(3000, 8)), past)
    assert examined.verdict is Verdict.PASSED
    assert not any("lane" in check.name for check in examined.checks)


def test_falling_read_confidence():
    checks = failed(examine(traffic(3000, 9, unsure=0.03, after=1500)))
    assert set(checks) == {"read confidence of A", "read confidence of B"}
    assert checks["read confidence of B"].measured < 0.93


def test_missing_exits_rise():
    assert set(failed(examine(traffic(3000, 10, lost=0.15, after=1500)))) == {"passages without exit"}


def test_impossible_speeds():
    assert set(failed(examine(traffic(3000, 11, impossible=0.05, after=1500)))) == {"impossible speeds"}
    assert failed(examine(traffic(3000, 11, impossible=0.0005))) == {}


def test_cases_issued_since_the_change_are_listed():
    found = traffic(3000, 12, shift_s=-2.0, after=1500)
    examined = examine(found)
    passages = found.passages
    since = passages.is_fined & (passages.last_us >= examined.quarantined_from_us)
    assert examined.issued_since == tuple(map(fine_id, passages.ids[since]))
    assert 0 < len(examined.issued_since) < passages.is_fined.sum()


def test_too_few_passages_are_not_judged():
    examined = examine(traffic(1100, 13), ())
    assert (examined.verdict, examined.day) == (Verdict.NOT_JUDGED, None)
    assert "1200 are needed" in examined.checks[0].said
    empty = traffic(100, 13).within(2**60, None)
    assert examine(empty).verdict is Verdict.NOT_JUDGED or failed(examine(empty)) == {}
    assert examine(empty, ()).verdict is Verdict.NOT_JUDGED


def test_radar_track_is_not_judged():
    track = NETWORK.sections["track"]
    assert selftest.examine(track, "d", traffic(2000), PAST, DEFAULT).verdict is Verdict.NOT_JUDGED


def test_opposite_is_the_section_between_the_same_cameras():
    assert selftest.opposite_of(SECTION, NETWORK) == OTHER
    assert selftest.opposite_of(OTHER, NETWORK) == SECTION
    assert selftest.opposite_of(NETWORK.sections["track"], NETWORK) is None


def test_past_that_swung_widely_asks_for_more_evidence():
    calm = examine(traffic(3000, 1)).found_within["-2 s"]
    restless = [
        type(day)(**{**{name: getattr(day, name) for name in day.__struct_fields__}, "peaks": {"clock -2 s": 50.0}})
        for day in PAST
    ]
    assert examine(traffic(3000, 1), restless).found_within["-2 s"] > 3 * calm


def test_nothing_kept_names_a_vehicle():
    day = kept(104)
    assert not np.intersect1d(day.travel_time_s, traffic(8000, 104).passages.travel_time_s[:200].round(6)).size > 100
    assert "p1" not in repr(day)
