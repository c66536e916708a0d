"""Many vehicles' passages at once: the same, to the last bit, as those of one session after the other."""

import itertools
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.enforcement import bulk, passages
from pipeline.enforcement.intake import Located
from pipeline.enforcement.model import ErrorBudget, Passage, Sighting
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.sections import Section

T0_US = 1_776_000_000_000_000
SECOND_US = 1_000_000
GAP_US = 60 * SECOND_US
SECTIONS = {
    section.section_id: section
    for section in (
        Section("two", 40.0, cameras=("G0", "G1"), length_m=(400.0,)),
        Section("back", 40.0, cameras=("G1", "G0"), length_m=(380.0,)),
        Section("chain", 60.0, cameras=("G0", "G1", "G2"), length_m=(400.0, 333.3), errors=ErrorBudget(1.5, 0.02, 0.1)),
        Section("short", 30.0, cameras=("G1", "G2"), length_m=(1.0,), errors=ErrorBudget(2.0)),
        Section("track", 40.0),
    )
}
ROADS = bulk.Roads(SECTIONS)
SECTIONS_OF = {
    camera: tuple(name for name, section in SECTIONS.items() if camera in section.cameras)
    for camera in ("G0", "G1", "G2")
}


def one_by_one(found: list[Located], pseudonyms: Pseudonyms) -> list[Passage]:
    """What bulk.measure must give: the sessions of each vehicle in each section by themselves."""
    keyed = defaultdict(list)
    for located in found:
        for section_id in located.section_ids:
            keyed[section_id, located.sighting.vehicle_id].append(located.sighting)
    return [
        passage
        for (section_id, vehicle_id), sightings in keyed.items()
        for session in sessions_of(sightings)
        for passage in passages.measure(SECTIONS[section_id], vehicle_id, session, pseudonyms).passages
    ]


def sessions_of(sightings: list[Sighting]) -> list[list[Sighting]]:
    sessions = []
    for sighting in sorted(sightings, key=lambda sighting: sighting.time_us):
        if not sessions or sighting.time_us - sessions[-1][-1].time_us >= GAP_US:
            sessions.append([])
        sessions[-1].append(sighting)
    return sessions


def at_once(found: list[Located], pseudonyms: Pseudonyms = IN_CLEAR) -> list[Passage]:
    return list(bulk.measure(ROADS, found, GAP_US, pseudonyms))


def by_id(found: list[Passage]) -> list[Passage]:
    return sorted(found, key=lambda passage: (passage.passage_id, passage.section_id, str(passage)))


def located(camera: str, at_s: float, vehicle_id: str = "A", **fields: object) -> Located:
    time_us = T0_US + round(at_s * SECOND_US)
    sighting = Sighting(f"{vehicle_id}{camera}{time_us}", vehicle_id, time_us, camera_id=camera, **fields)
    return Located(sighting, SECTIONS_OF[camera])


@st.composite
def traffic(draw: st.DrawFn) -> list[Located]:
    """Few vehicles, many sightings each, most of them in driving order."""
    found = []
    for vehicle in draw(st.lists(st.sampled_from("ABC"), min_size=1, max_size=6)):
        at_us = T0_US + draw(st.integers(0, 300)) * SECOND_US
        region = draw(st.sampled_from([None, "US-NY", "US-NJ"]))
        for camera in draw(
            st.sampled_from([("G0", "G1"), ("G0", "G1", "G2"), ("G1", "G2"), ("G0", "G2"), ("G1", "G0")])
        ):
            fields = {
                "timed": draw(st.sampled_from([True] * 9 + [False])),
                "plate_region": draw(st.sampled_from([region] * 9 + ["US-NY"])),
            }
            sighting = Sighting(str(len(found)), vehicle, at_us, camera_id=camera, **fields)
            names = SECTIONS_OF[camera]
            found.append(Located(sighting, draw(st.sampled_from([names] * 5 + [names[:1], ()]))))
            at_us += draw(st.sampled_from([0, 1, SECOND_US, 20 * SECOND_US, GAP_US - 1, GAP_US]))
    if draw(st.booleans()):
        place = Sighting("track", "A", T0_US, location=(40.7, -73.9), speed_kmh=50.0)
        found.append(Located(place, ("track",)))
    return draw(st.permutations(found))


@settings(max_examples=400, deadline=None)
@given(traffic(), st.sampled_from([IN_CLEAR, Pseudonyms(b"0" * 16)]))
def test_passages_at_once_are_those_of_each_session_by_itself(found, pseudonyms):
    assert by_id(at_once(found, pseudonyms)) == by_id(one_by_one(found, pseudonyms))


def test_no_sighting_gives_no_passage():
    assert at_once([]) == []


def test_sightings_that_count_for_no_section_give_no_passage():
    assert at_once([Located(Sighting("e", "A", T0_US, camera_id="G9"), ())]) == []


def spans(*at_us: int, gap_us: int = 100) -> list[tuple[int, int]]:
    """First and last time of each session of one vehicle."""
    seen = [Located(Sighting(f"e{at}", "A", T0_US + at, camera_id="G1"), ("two",)) for at in at_us]
    found = bulk.measure(ROADS, seen, gap_us)
    return sorted((passage.first_us - T0_US, passage.last_us - T0_US) for passage in found)


def test_within_gap_is_one_session():
    assert spans(0, 99) == [(0, 99)]


def test_exact_gap_is_two_sessions():
    assert spans(0, 100) == [(0, 0), (100, 100)]


def test_gap_is_measured_from_the_last_sighting():
    assert spans(0, 99, 198, 298) == [(0, 198), (298, 298)]


def test_sessions_do_not_depend_on_arrival():
    assert spans(298, 0, 198, 99) == [(0, 198), (298, 298)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.integers(1, 300))
def test_sessions_are_the_finest_cut_at_gaps(times, gap_us):
    found = spans(*times, gap_us=gap_us)
    steps = [(earlier, later) for earlier, later in itertools.pairwise(sorted(times)) if later - earlier >= gap_us]
    assert [(earlier[1], later[0]) for earlier, later in itertools.pairwise(found)] == steps
    assert (found[0][0], found[-1][1]) == (min(times), max(times))


@pytest.mark.parametrize("last", [1, 3, 10, 36.000001])
def test_speeds_are_the_same_to_the_last_bit(last):
    found = [located("G0", 0.1), located("G1", 0.1 + last), located("G2", 0.7 + last)]
    for one, other in zip(by_id(at_once(found)), by_id(one_by_one(found, IN_CLEAR)), strict=True):
        assert (one.avg_speed_kmh, one.min_speed_kmh) == (other.avg_speed_kmh, other.min_speed_kmh)
        assert type(one.avg_speed_kmh) is type(other.avg_speed_kmh)


def test_plain_sessions_are_not_left_to_the_slow_way(monkeypatch):
    monkeypatch.setattr(passages, "measure", None)
    sightings = [
        Located(sight.sighting, ("chain",))
        for at, c in ((0, "G0"), (9, "G1"), (20, "G2"))
        for sight in [located(c, at)]
    ]
    (found,) = at_once(sightings)
    assert (found.n_sightings, found.distance_m, found.travel_time_s) == (3, 733.3, 20.0)
