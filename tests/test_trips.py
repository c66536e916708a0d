"""A vehicle's session: each section sees what it would see if there were no other, and there is one fine for a trip."""

from collections import defaultdict
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.enforcement import trips
from pipeline.enforcement.model import Outcome, Passage, Reason, Sighting
from pipeline.enforcement.policy import Policy

GAP_US = 60
SECTIONS_OF = {"A": ("first",), "B": ("first", "second"), "C": ("second",), "D": ()}


def section_ids(sighting: Sighting) -> tuple[str, ...]:
    return SECTIONS_OF[sighting.camera_id or ""]


def seen(camera: str, at_us: int) -> Sighting:
    return Sighting(f"{camera}{at_us}", "V", at_us, camera_id=camera)


def parts(*sightings: Sighting) -> list[tuple[str, list[int]]]:
    found = trips.by_section(sightings, section_ids, GAP_US)
    return [(name, [sighting.time_us for sighting in part]) for name, part in found]


def test_shared_camera_counts_for_both_sections():
    assert parts(seen("A", 0), seen("B", 10), seen("C", 20)) == [("first", [0, 10]), ("second", [10, 20])]


def test_section_is_parted_where_only_others_saw_the_vehicle():
    found = parts(seen("A", 0), seen("C", 40), seen("C", 80), seen("A", 120))
    assert found == [("first", [0]), ("first", [120]), ("second", [40, 80])]


def test_exact_gap_parts_and_a_microsecond_less_does_not():
    assert parts(seen("A", 0), seen("A", 60)) == [("first", [0]), ("first", [60])]
    assert parts(seen("A", 0), seen("A", 59)) == [("first", [0, 59])]


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(0, 400)), min_size=1))
def test_each_section_by_itself_is_parted_alike(found):
    sightings = sorted((seen(camera, at_us) for camera, at_us in found), key=lambda sighting: sighting.time_us)
    alone = defaultdict(list)
    for sighting in sightings:
        for name in section_ids(sighting):
            if not alone[name] or sighting.time_us - alone[name][-1][-1] >= GAP_US:
                alone[name].append([])
            alone[name][-1].append(sighting.time_us)
    assert sorted(parts(*sightings)) == sorted((name, part) for name, rows in alone.items() for part in rows)


# --- one fine for a trip

S_US = 1_000_000
ONCE, EACH = Policy("once", one_fine_per_trip=True), Policy("each")


def over(section_id: str, first_s: int, last_s: int, over_kmh: float = 10.0, **fields: object) -> Passage:
    """A suspected violation."""
    name = f"{section_id} {first_s}"
    fields = {"counted_speed_kmh": 50.0 + over_kmh, "avg_speed_kmh": 55.0 + over_kmh, "distance_m": 500.0} | fields
    return Passage(name, section_id, "V", 50.0, first_s * S_US, last_s * S_US, 2, **fields)


def clear(section_id: str, first_s: int, last_s: int) -> Passage:
    return replace(over(section_id, first_s, last_s), outcome=Outcome.CLEAR)


def told(*decided: Passage, policy: Policy = EACH) -> dict[str, list[str] | None]:
    """The suspected violations that are left, with what they stand for; None: clear."""
    policies = dict.fromkeys((passage.section_id for passage in decided), policy)
    settled = trips.one_fine_a_trip(decided, policies, GAP_US * S_US)
    assert [passage.passage_id for passage in settled] == [passage.passage_id for passage in decided]
    return {one.passage_id: None if one.outcome else [leg.passage_id for leg in one.trip] for one in settled}


def test_legs_and_the_whole_are_one_fine_for_the_worst():
    found = told(over("A-B", 0, 30, 12.0), over("A-C", 0, 70, 11.0), over("B-C", 30, 70, 10.0))
    assert found == {"A-B 0": ["A-C 0", "B-C 30"], "A-C 0": None, "B-C 30": None}


def test_what_stands_for_nothing_else_is_as_it_was():
    decided = [over("A-B", 0, 30), clear("B-C", 30, 70)]
    assert trips.one_fine_a_trip(decided, {"A-B": ONCE, "B-C": ONCE}, GAP_US * S_US) == decided


@pytest.mark.parametrize(("policy", "begins_s", "fines"), [
    (EACH, 30, 1), (EACH, 34, 1), (EACH, 35, 2), (ONCE, 31, 1), (ONCE, 89, 1), (ONCE, 90, 2),
])  # fmt: skip
def test_trip_ends_with_the_passage_or_under_the_policy_a_gap_later(policy, begins_s, fines):
    found = told(over("A-B", 0, 30), over("C-D", begins_s, 120), policy=policy)
    assert sum(legs is not None for legs in found.values()) == fines


@pytest.mark.parametrize("policy", [EACH, ONCE])
@pytest.mark.parametrize("gap_us", [1, GAP_US * S_US])
def test_cameras_beside_each_other_part_no_trip(policy, gap_us):
    """The second one's stamp is 50 ms later; their clocks may be 60 ms wrong."""
    to, since = over("A-B1", 0, 30), replace(over("B2-C", 30, 70), first_us=30 * S_US + 50_000)
    settled = trips.one_fine_a_trip([to, since], dict.fromkeys(("A-B1", "B2-C"), policy), gap_us)
    assert [one.outcome for one in settled] == [None, Outcome.CLEAR]


@pytest.mark.parametrize(("apart_us", "fines"), [(trips.TOUCHING_US - 1, 1), (trips.TOUCHING_US, 2)])
def test_passages_touch_until_so_much_is_between_them(apart_us, fines):
    decided = [over("A-B", 0, 30), replace(over("C-D", 30, 70), first_us=30 * S_US + apart_us)]
    settled = trips.one_fine_a_trip(decided, {"A-B": EACH, "C-D": EACH}, GAP_US * S_US)
    assert sum(one.outcome is None for one in settled) == fines


def test_proven_violation_goes_before_a_worse_one_in_doubt():
    doubtful = over("A-B", 0, 30, 40.0, reasons=(Reason.AMBIGUOUS_PAIRING,))
    assert told(doubtful, over("B-C", 30, 70, 5.0)) == {"A-B 0": None, "B-C 30": ["A-B 0"]}


def test_worst_is_what_costs_most():
    dear = over("A-B", 0, 30, 5.0, amount=200.0, currency="EUR")
    assert told(dear, over("B-C", 30, 70, 9.0, amount=100.0, currency="EUR")) == {"A-B 0": ["B-C 30"], "B-C 30": None}


def test_plates_of_two_states_are_two_trips():
    ends = [Sighting("e", "V", 0, camera_id="A", plate_region=region) for region in ("US-NY", "US-NJ")]
    found = told(over("A-B", 0, 30, entry=ends[0]), over("B-C", 30, 70, entry=ends[1]))
    assert found == {"A-B 0": [], "B-C 30": []}


def test_what_is_stood_for_is_clear_and_costs_nothing():
    cost = {"amount": 10.0, "currency": "EUR"}
    decided = [over("A-B", 0, 30, **cost), over("B-C", 30, 70, 5.0, **cost)]
    worst, other = trips.one_fine_a_trip(decided, {"A-B": EACH, "B-C": EACH}, GAP_US * S_US)
    assert (other.outcome, other.reasons, other.amount, other.currency) == (
        Outcome.CLEAR,
        (Reason.ONE_FINE_A_TRIP,),
        None,
        "",
    )
    (leg,) = worst.trip
    assert (leg.section_id, leg.first_us, leg.last_us, leg.counted_speed_kmh) == ("B-C", 30 * S_US, 70 * S_US, 55.0)


PASSAGES = st.lists(
    st.builds(
        lambda section, first, lasts, kmh, suspected: replace(
            over(section, first, first + lasts, kmh), outcome=None if suspected else Outcome.CLEAR
        ),
        st.sampled_from(["A-B", "B-C", "A-C"]),
        st.integers(0, 300),
        st.integers(1, 60),
        st.floats(0.1, 100),
        st.booleans(),
    ),
    unique_by=lambda passage: passage.passage_id,
)


@given(PASSAGES, st.sampled_from([ONCE, EACH]))
def test_each_violation_is_fined_or_stood_for_exactly_once(decided, policy):
    found = trips.one_fine_a_trip(decided, dict.fromkeys(("A-B", "B-C", "A-C"), policy), GAP_US * S_US)
    fined = [passage for passage in found if passage.outcome is None]
    legs = [leg.passage_id for passage in fined for leg in passage.trip]
    suspected = [passage.passage_id for passage in decided if passage.outcome is None]
    assert sorted([*legs, *(passage.passage_id for passage in fined)]) == sorted(suspected)
    for one, other in combinations(fined, 2):
        apart_us = max(one.first_us - other.last_us, other.first_us - one.last_us)
        assert apart_us >= (GAP_US * S_US if policy is ONCE else trips.TOUCHING_US)
