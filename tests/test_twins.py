"""Near twins: found by the index as by looking at all pairs, and only where they matter."""

from collections import defaultdict
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.enforcement import passages, policy, twins
from pipeline.enforcement.limits import SectionNotices, SignNotice
from pipeline.enforcement.model import AlarmKind, Outcome, Passage, Reason, Sighting
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.sections import Section
from pipeline.enforcement.twins import Reads, Rules, Unmatched

S_US = 1_000_000
T0_US = 1_776_000_000_000_000
GAP_US = 60 * S_US
SECTION = Section("s", 40.0, cameras=("G0", "G1"), length_m=(400.0,))  # 36 s at the limit
RULES = Rules({"s": SECTION}, {"s": Policy("plain")}, GAP_US)


def seen(camera: int, at_s: float, plate: str = "HTT9066", **fields: object) -> Sighting:
    time_us = T0_US + round(at_s * S_US)
    fields = {"plate": plate} | fields
    return Sighting(f"{plate} {camera}@{time_us}", plate, time_us, camera_id=f"G{camera}", **fields)


def half(read: Sighting) -> Unmatched:
    (one,) = twins.unmatched(measured(read))
    return one


def measured(*sightings: Sighting) -> list[Passage]:
    found = passages.measure(SECTION, sightings[0].vehicle_id, sightings).passages
    return [policy.decide(passage, RULES.policies["s"]) for passage in found]


def fast(at_s: float, plate: str = "HTT9066", takes_s: float = 20) -> Passage:
    (passage,) = measured(seen(0, at_s, plate), seen(1, at_s + takes_s, plate))
    assert policy.is_suspected(passage)
    return passage


@pytest.mark.parametrize(("one", "other", "near"), [
    ("HTT9066", "HTT9067", True),  # changed
    ("HTT9066", "HTT906", True),  # missing
    ("HTT9066", "HTT90666", True),  # too many
    ("BOI8S2Z", "80185ZZ", True),  # confused
    ("HTTO066", "HTT0067", True),  # one confused and one changed
    ("htt-9066", "HTT 9066", True),  # spelt otherwise
    ("HTT9066", "HTT9607", False),  # changed twice
    ("HTT9066", "TT90667", False),  # shares all but one with it, and is two edits apart
    ("HTT9066", "HTT9", False),
])  # fmt: skip
def test_plates(one, other, near):
    assert twins.near_twins(seen(0, 0, one), seen(1, 1, other)) is near
    assert twins.near_twins(seen(0, 0, other), seen(1, 1, one)) is near


def test_vehicle_is_no_twin_of_itself():
    assert not twins.near_twins(seen(0, 0), seen(1, 1))
    assert not twins.near_twins(seen(0, 0, plate_region="US-NY"), seen(1, 1))


def test_of_two_regions_only_the_same_plate_is():
    here, there = seen(0, 0, plate_region="US-NY"), seen(1, 1, plate_region="US-NJ")
    assert twins.near_twins(here, there)
    assert not twins.near_twins(here, seen(1, 1, "HTT9067", plate_region="US-NJ"))
    assert twins.near_twins(here, seen(1, 1, "HTT9067"))


def test_numbers_of_trackers_are_no_plates():
    one, other = (replace(seen(0, at, str(1000 + at)), plate=None) for at in (0, 1))
    assert not twins.near_twins(one, other)
    assert list(twins.unmatched(measured(one))) == []


def test_identity_that_is_a_plate_is_one():
    one, other = replace(seen(0, 0), plate=None), replace(seen(1, 1, "HTT9067"), plate=None)
    assert twins.near_twins(one, other)


def test_unmatched_are_those_seen_at_one_end():
    assert half(seen(0, 0)).at_entry
    assert not half(seen(1, 0)).at_entry
    assert list(twins.unmatched(measured(seen(0, 0), seen(1, 50)))) == []
    assert list(twins.unmatched([fast(0)])) == []


def test_time_of_publishing_matches_nothing():
    assert list(twins.unmatched(measured(seen(0, 0, timed=False)))) == []


def test_twin_at_one_end_sends_the_case_to_a_person():
    twin = half(seen(1, 25, "HTT9067"))
    (found,), (alarm,) = twins.compare([fast(0)], Reads([twin]), RULES)
    assert found.reasons == (Reason.NEAR_TWIN,)
    assert (alarm.kind, alarm.vehicle_id) == (AlarmKind.NEAR_TWIN, "HTT9067")
    assert alarm.passage_ids == (found.passage_id, twin.passage_id)
    assert [one.camera_id for one in alarm.seen] == ["G1", "G0", "G1"]


@pytest.mark.parametrize(("at_s", "near"), [(-60.000001, False), (-60, True), (80, True), (80.000001, False)])
def test_window_is_a_gap_before_and_after(at_s, near):
    (found,), _ = twins.compare([fast(0)], Reads([half(seen(0, at_s, "HTT9067"))]), RULES)
    assert (Reason.NEAR_TWIN in found.reasons) is near


def pair(at_s: float, plate: str = "HTT9067") -> list[AlarmKind]:
    reads = [half(seen(0, 0)), half(seen(1, at_s, plate))]
    stretch = twins.stretch_of("s", reads[0].read.time_us, RULES)
    assert list(twins.pairs(twins.stretch_of("s", T0_US - twins.STRETCH_US, RULES), Reads(reads), RULES)) == []
    return [alarm.kind for alarm in twins.pairs(stretch, Reads(reads), RULES)]


@pytest.mark.parametrize(("at_s", "offered"), [
    (20, True), (35.9, True),
    (36, False),  # at the limit
    (5.7, False),  # faster than anybody drives
    (0, False), (-20, False),
])  # fmt: skip
def test_pair_is_offered_where_it_would_be_a_violation(at_s, offered):
    assert pair(at_s) == [AlarmKind.POSSIBLE_PAIR] * offered


def test_pair_of_strangers_is_none():
    assert pair(20, "KLM4827") == []


def test_pair_of_a_car_and_a_truck_is_none():
    reads = [half(seen(0, 0, vehicle_class="car")), half(seen(1, 20, "HTT9067", vehicle_class="truck"))]
    assert list(twins.pairs(twins.stretch_of("s", T0_US, RULES), Reads(reads), RULES)) == []


@pytest.mark.parametrize(("shown_kmh", "kinds"), [(30.0, [AlarmKind.POSSIBLE_PAIR]), (60.0, []), (None, [])])
def test_pair_is_compared_with_the_limit_that_a_sign_shows(shown_kmh, kinds):
    """40 s are 36 km/h."""
    signs = (SignNotice(T0_US - 3_600 * S_US, shown_kmh),) if shown_kmh else ()
    rules = RULES._replace(notices={"s": SectionNotices("s", signs)})
    reads = Reads([half(seen(0, 0)), half(seen(1, 40, "HTT9067"))])
    assert [alarm.kind for alarm in twins.pairs(twins.stretch_of("s", T0_US, rules), reads, rules)] == kinds


def test_read_is_in_each_stretch_of_a_passage_that_took_a_gap_from_camera_to_camera():
    """However low the limit is that a sign shows."""
    chain = Section("s", 40.0, cameras=("G0", "G1", "G2"), length_m=(400.0, 400.0))
    rules = RULES._replace(sections={"s": chain}, stretch_us=S_US)
    last_us = T0_US + 2 * (GAP_US - 1)
    for read_us in (T0_US - GAP_US, last_us + GAP_US):
        one = Unmatched("p", "s", replace(seen(0, 0, "HTT9067"), time_us=read_us), at_entry=True)
        assert twins.stretch_of("s", T0_US, rules) in set(twins.stretches_of(one, rules))


def test_alarms_name_no_plate():
    entry, leaving = half(seen(0, 0)), half(seen(1, 20, "HTT9067"))
    secret = Pseudonyms(b"0" * 16)
    (alarm,) = twins.pairs(twins.stretch_of("s", entry.read.time_us, RULES), Reads([entry, leaving]), RULES, secret)
    assert alarm.vehicle_id == secret.of("HTT9067", leaving.read.time_us)
    assert (alarm.distance_m, alarm.travel_time_s, alarm.passage_ids) == (
        400.0,
        20.0,
        (entry.passage_id, leaving.passage_id),
    )
    _, (alarm,) = twins.compare([fast(0)], Reads([leaving]), RULES, secret)
    assert alarm.vehicle_id == secret.of("HTT9067", leaving.read.time_us)


# --- all at once, and by stretches

PLATES = ["HTT9066", "HTT9067", "HTT906", "HTTO066", "ITT9066", "KLM4827", "KLM4B27"]
REGIONS = [None, "US-NY", "US-NJ"]
READS = st.builds(
    lambda camera, at_s, plate, region: half(seen(camera, at_s, plate, plate_region=region)),
    st.integers(0, 1),
    st.integers(0, 900),
    st.sampled_from(PLATES),
    st.sampled_from(REGIONS),
)
CASES = st.builds(fast, st.integers(0, 900), st.sampled_from(PLATES), st.integers(6, 35))


@settings(max_examples=300, deadline=None)
@given(st.lists(CASES, max_size=6, unique_by=str), st.lists(READS, max_size=14))
def test_index_and_stretches_find_what_looking_at_all_finds(suspected, reads):
    by_stretch = defaultdict(lambda: ([], []))
    for passage in suspected:
        by_stretch[twins.stretch_of("s", passage.first_us, RULES)][0].append(passage)
    for read in reads:
        for stretch in twins.stretches_of(read, RULES):
            by_stretch[stretch][1].append(read)
    found = [twins.compare(cases, Reads(of_stretch), RULES) for cases, of_stretch in by_stretch.values()]
    doubted = {one.passage_id for part in found for one in part.suspected if Reason.NEAR_TWIN in one.reasons}
    speaking = [alarm.passage_ids for part in found for alarm in part.alarms]
    offered = [
        alarm.passage_ids
        for stretch, (_, own) in by_stretch.items()
        for alarm in twins.pairs(stretch, Reads(own), RULES)
    ]
    unique = list({twins.key_of(read): read for read in reads}.values())
    assert sum(len(part.suspected) for part in found) == len(suspected)
    assert sorted(speaking) == sorted((case.passage_id, read.passage_id) for case, read in against(suspected, unique))
    assert doubted == {case.passage_id for case, _ in against(suspected, unique)}
    assert sorted(offered) == sorted(violations(unique))


def against(suspected: list[Passage], reads: list[Unmatched]) -> list[tuple[Passage, Unmatched]]:
    return [
        (case, read)
        for case, read in product(suspected, reads)
        if case.first_us - GAP_US <= read.read.time_us <= case.last_us + GAP_US
        and any(end and twins.near_twins(end, read.read) for end in (case.entry, case.exit))
    ]


def violations(reads: list[Unmatched]) -> list[tuple[str, str]]:
    found = []
    for one, other in product(reads, reads):
        time_s = (other.read.time_us - one.read.time_us) / 1e6
        plausible = time_s > 0 and 40 < 400 / time_s * 3.6 <= 250
        if one.at_entry and not other.at_entry and plausible and twins.near_twins(one.read, other.read):
            found.append((one.passage_id, other.passage_id))
    return found


def test_outcome_is_not_decided_here():
    (found,), _ = twins.compare([fast(0)], Reads([half(seen(1, 25, "HTT9067"))]), RULES)
    assert found.outcome is None
    assert all(passage.outcome is Outcome.UNMEASURABLE for passage in measured(seen(0, 0)))


# --- roads of several sections, and of several legs

CHAIN = ("G0", "G1", "G2")
ROADS = {
    "whole": Section("whole", 40.0, cameras=CHAIN, length_m=(400.0, 400.0)),
    "first": Section("first", 40.0, cameras=CHAIN[:2], length_m=(400.0,)),
    "second": Section("second", 40.0, cameras=CHAIN[1:], length_m=(400.0,)),
    "ramp": Section("ramp", 40.0, cameras=("G9", "G2"), length_m=(400.0,)),
    "elsewhere": Section("elsewhere", 40.0, cameras=("G7", "G8"), length_m=(400.0,)),
}
OF_ROADS = Rules(ROADS, dict.fromkeys(ROADS, Policy("plain")), GAP_US, neighbours=twins.neighbours(ROADS))


def on(section_id: str, *sightings: Sighting) -> list[Passage]:
    found = passages.measure(ROADS[section_id], sightings[0].vehicle_id, sightings).passages
    return [policy.decide(passage, OF_ROADS.policies[section_id]) for passage in found]


def compared(cases: list[Passage], others: list[Passage]) -> list[tuple[str, bool]]:
    """The cases by their section, and whether a near twin speaks against them, looked for as the job does."""
    reads = defaultdict(list)
    for read in twins.unmatched([*cases, *others]):
        for stretch in twins.stretches_of(read, OF_ROADS):
            reads[stretch].append(read)
    found = []
    for case in cases:
        of_stretch = reads[twins.stretch_of(case.section_id, case.first_us, OF_ROADS)]
        (one,), _ = twins.compare([case], Reads(of_stretch), OF_ROADS)
        found.append((one.section_id, Reason.NEAR_TWIN in one.reasons))
    return found


@pytest.mark.parametrize(("section_id", "camera", "speaks"), [
    ("whole", 0, True), ("first", 0, True), ("ramp", 9, True), ("elsewhere", 7, False),
])  # fmt: skip
def test_twin_that_came_from_a_section_with_a_camera_in_common_speaks(section_id, camera, speaks):
    case = on("whole", seen(0, 15), seen(2, 62))
    assert compared(case, on(section_id, seen(camera, 0, "HTT9067"))) == [("whole", speaks)]


def test_twin_seen_at_middle_cameras_alone_speaks():
    case = on("whole", seen(0, 0), seen(2, 60))
    middle = seen(1, 30, "HTT9067")
    assert compared(case, on("whole", middle)) == [("whole", False)]
    assert compared(case, [*on("whole", middle), *on("second", middle)]) == [("whole", True)]


def test_twin_on_its_way_as_long_as_each_camera_sees_it_within_a_gap_speaks():
    case = on("whole", seen(0, 100), seen(2, 150))
    entered = on("whole", seen(0, 35, "HTT9067"))  # and had 59 s for each leg
    assert compared(case, entered) == [("whole", True)]
    assert compared(case, on("whole", seen(0, -21, "HTT9067"))) == [("whole", False)]


def test_pair_may_take_a_gap_for_each_leg():
    entry, leaving = on("whole", seen(0, 0)), on("whole", seen(2, 65, "HTT9067"))
    reads = list(twins.unmatched([*entry, *leaving]))
    (alarm,) = twins.pairs(twins.stretch_of("whole", T0_US, OF_ROADS), Reads(reads), OF_ROADS)
    assert alarm.passage_ids == (entry[0].passage_id, leaving[0].passage_id)


def test_pair_is_of_one_section():
    reads = list(twins.unmatched([*on("first", seen(0, 0)), *on("ramp", seen(2, 65, "HTT9067"))]))
    assert list(twins.pairs(twins.stretch_of("first", T0_US, OF_ROADS), Reads(reads), OF_ROADS)) == []


def test_passage_in_doubt_explains_no_read():
    """The twin entered twice: which of its entries belongs to its exit, nobody knows, or to whose exit the other."""
    case = on("first", seen(0, 15), seen(1, 42))
    (twin,) = on("first", seen(0, 0, "HTT9067"), seen(0, 40, "HTT9067"), seen(1, 85, "HTT9067"))
    assert twin.ambiguous
    assert compared(case, [twin]) == [("first", True)]
    assert compared(case, on("first", seen(0, 0, "HTT9067"), seen(1, 45, "HTT9067"))) == [("first", False)]
