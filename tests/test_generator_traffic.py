"""Traffic obeys physics, routes cover the sections, and fleets have plates of their states."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator import traffic
from generator.crossings import observe
from generator.edem import great_circle_m
from generator.fleet import CLASSES, draw_fleet
from generator.roads import routes_of
from generator.traffic import in_file, simulate
from pipeline.enforcement.plates import has_layout, layouts_of
from pipeline.enforcement.sections import parse_network

TEMPLATES = Path(__file__).parent.parent / "templates"
CHAIN = """
cameras:
  A: {location: [40.70, -73.95]}
  B: {location: [40.71, -73.95]}
  C: {location: [40.72, -73.95]}
sections:
  - {id: A-B, cameras: [A, B], length_m: [1120], limit: 40 km/h}
  - {id: B-C, cameras: [B, C], length_m: [1130], limit: 50 km/h}
  - {id: A-C, cameras: [A, C], length_m: [2250], limit: 60 km/h}
"""


def network(name="sections"):
    return parse_network((TEMPLATES / f"{name}.yaml").read_text())


def drive(seed=1, vehicles=400, flow=0.4, speeders=0.2, text=CHAIN):
    (route,) = routes_of(parse_network(text))
    fleet = draw_fleet(vehicles, speeders, np.random.default_rng(seed))
    return fleet, simulate(route, fleet, np.arange(vehicles), flow, np.random.default_rng(seed))


def test_a_section_over_a_camera_in_between_lies_on_the_same_route():
    (route,) = routes_of(parse_network(CHAIN))
    assert route.cameras == ("A", "B", "C")
    assert route.length_m == (1120, 1130)
    assert route.limit_kmh == (40, 50)
    assert {(s.section.section_id, s.first, s.last) for s in route.stretches} == {
        ("A-B", 0, 1),
        ("B-C", 1, 2),
        ("A-C", 0, 2),
    }


@pytest.mark.parametrize("name", ["sections", "demo_sections"])
def test_every_section_of_the_samples_lies_on_a_route(name):
    found = [stretch.section.section_id for route in routes_of(network(name)) for stretch in route.stretches]
    assert sorted(found) == sorted(network(name).sections)


@pytest.mark.parametrize("name", ["sections", "demo_sections"])
def test_surveyed_lengths_are_no_shorter_than_the_straight_line(name):
    for section in network(name).sections.values():
        for (start, end), length_m in zip(pairwise(section.cameras), section.length_m, strict=True):
            assert length_m >= great_circle_m(network(name).cameras[start], network(name).cameras[end])


def test_the_demonstration_ends_its_sessions_soon():
    assert network("demo_sections").session_gap_s() < 45


def test_two_branches_are_two_routes():
    branches = CHAIN.split("sections:", maxsplit=1)[0] + (
        "sections:\n"
        "  - {id: A-B, cameras: [A, B], length_m: [1120], limit: 40 km/h}\n"
        "  - {id: A-C, cameras: [A, C], length_m: [2250], limit: 60 km/h}\n"
    )
    assert {route.cameras for route in routes_of(parse_network(branches))} == {("A", "B"), ("A", "C")}


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0.1, 3)), min_size=1, max_size=50),
)
def test_nobody_passes_sooner_than_his_headway_nor_sooner_than_he_could(rows):
    free_s, headway_s = (np.array(column) for column in zip(*sorted(rows), strict=True))
    passed = in_file(free_s, headway_s)
    assert (np.diff(passed) >= headway_s[1:] - 1e-9).all()
    assert (passed >= free_s - 1e-9).all()
    direct = [free_s[0]]
    for free, headway in zip(free_s[1:], headway_s[1:], strict=True):
        direct.append(max(free, direct[-1] + headway))
    np.testing.assert_allclose(passed, direct, atol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.05, 0.6), st.floats(0, 1))
def test_speeds_are_positive_and_gantries_are_passed_in_order(seed, flow, speeders):
    _, trips = drive(seed, 150, flow, speeders)
    seen = ~np.isnan(trips.crossed_s)
    assert (trips.speed_kmh[seen] > 0).all()
    assert (trips.speed_kmh[seen] < 250).all()
    assert seen[:, 0].all()
    for here, there in ((0, 1), (1, 2)):
        assert (seen[:, here] | ~seen[:, there]).all()
        both = seen[:, there]
        assert (trips.crossed_s[both, there] > trips.crossed_s[both, here]).all()


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000))
def test_in_one_lane_nobody_is_passed_closer_than_the_follower_s_headway(seed):
    fleet, trips = drive(seed)
    for lane in np.unique(trips.lane):
        for gantry in range(3):
            here = np.flatnonzero((trips.lane == lane) & ~np.isnan(trips.crossed_s[:, gantry]))
            here = here[np.argsort(trips.crossed_s[here, gantry])]
            headway_s = fleet.headway_s[trips.vehicle[here]][1:]
            assert (np.diff(trips.crossed_s[here, gantry]) >= headway_s - 1e-6).all()


def test_some_leave_between_cameras_and_some_pass_twice_never_at_once():
    _, trips = drive(vehicles=3000)
    left = np.isnan(trips.crossed_s[:, -1]).mean()
    assert 0.01 < left < 0.05
    vehicles, times = np.unique(trips.vehicle, return_counts=True)
    assert len(vehicles) == 3000
    assert 0.01 < (times == 2).mean() < 0.03
    for vehicle in vehicles[times == 2]:
        first, second = np.sort(trips.crossed_s[trips.vehicle == vehicle, 0])
        assert second > trips.last_s[trips.vehicle == vehicle].min() > first


def test_waves_of_congestion_slow_drivers_down(monkeypatch):
    _, with_waves = drive(vehicles=3000, speeders=0)
    monkeypatch.setattr(traffic._Waves, "slowdown", lambda self, time_s, place_m: np.ones_like(time_s))
    _, without = drive(vehicles=3000, speeders=0)
    assert np.nanmin(with_waves.speed_kmh) < 0.7 * np.nanmin(without.speed_kmh)
    assert np.nanmean(with_waves.speed_kmh) < np.nanmean(without.speed_kmh)


def test_a_wave_travels_against_the_traffic():
    waves = traffic._Waves.draw(3600, 2000.0, np.random.default_rng(1))
    time_s = np.arange(0, 600, 0.5)
    later_s = {place_m: time_s + (2000 - place_m) / traffic.WAVE_SPEED_MPS for place_m in (2000.0, 1000.0, 0.0)}
    worst_s = [when[waves.slowdown(when, place_m).argmin()] for place_m, when in later_s.items()]
    np.testing.assert_allclose(np.diff(worst_s), 1000 / traffic.WAVE_SPEED_MPS, atol=1.0)


def test_without_speeders_nobody_is_over_the_limit_and_with_them_some_are():
    for speeders, expected in ((0.0, (0.0, 0.0)), (0.3, (0.05, 0.35))):
        fleet = draw_fleet(1500, speeders, np.random.default_rng(3))
        _, passages = observe(routes_of(network()), fleet, 1.0, np.random.default_rng(3))
        share = np.concatenate([section.over for section in passages]).mean()
        assert expected[0] <= share <= expected[1], speeders


def test_the_true_speed_is_the_surveyed_length_over_the_true_time():
    fleet = draw_fleet(200, 0.2, np.random.default_rng(3))
    crossings, passages = observe(routes_of(network()), fleet, 1.0, np.random.default_rng(3))
    for section in passages:
        entry, end = crossings.time_us[section.rows[:, 0]], crossings.time_us[section.rows[:, -1]]
        expected = section.stretch.section.distance_m * 3.6 / ((end - entry) / 1e6)
        np.testing.assert_allclose(section.avg_speed_kmh, expected)
        assert (crossings.vehicle[section.rows[:, 0]] == section.vehicle).all()


def test_plates_are_different_and_have_a_layout_of_their_state():
    fleet = draw_fleet(3000, 0.1, np.random.default_rng(1))
    assert len(set(fleet.plate.tolist())) == 3000
    assert all(has_layout(p, layouts_of(r)) for p, r in zip(fleet.plate.tolist(), fleet.region.tolist(), strict=True))
    assert set(np.unique(fleet.vehicle_class)) == set(range(len(CLASSES)))
