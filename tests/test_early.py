"""What an early look passes on, and what waits for the end of the session."""

import pytest
from msgspec.structs import replace

from pipeline.enforcement import early, revisions, trips
from pipeline.enforcement.model import Outcome, Passage, Reason
from pipeline.enforcement.passages import Session
from pipeline.enforcement.policy import Policy, is_suspected
from pipeline.enforcement.sections import Section

GAP_US = 60
FAST = Passage("fast", "s", "A", 40.0, 0, 20, 2)
OPEN = Passage("open", "t", "A", 40.0, 20, 20, 1, outcome=Outcome.UNMEASURABLE, reasons=(Reason.EXIT_MISSING,))
SECTIONS = {"s": Section("s", 40.0, cameras=("G0", "G1")), "t": Section("t", 40.0, cameras=("G1", "G2"))}


def passed_on(*found: Passage, last_us: int = 20, history: revisions.History = ()) -> list[str]:
    session = Session("A", 0, last_us, len(found), found)
    return [one.passage_id for one in early.passed_on(session, history, frozenset({"s"}), GAP_US).passages]


@pytest.mark.parametrize(
    "found",
    [
        replace(FAST, outcome=Outcome.CLEAR),
        replace(FAST, outcome=Outcome.UNMEASURABLE),
        replace(FAST, reasons=(Reason.AMBIGUOUS_PAIRING,)),
        replace(FAST, reasons=(Reason.SEEN_ELSEWHERE,)),
        replace(FAST, section_id="t"),
    ],
    ids=["clear", "unmeasurable", "ambiguous", "elsewhere", "section"],
)
def test_anything_but_a_proven_violation_where_it_is_allowed_waits(found):
    assert passed_on(FAST) == ["fast"]
    assert passed_on(found) == []


@pytest.mark.parametrize(("last_us", "waits"), [(79, True), (80, False), (81, False)])
def test_open_section_is_waited_for_until_one_gap_after_the_vehicle_was_seen_in_it(last_us, waits):
    assert passed_on(FAST, OPEN, last_us=last_us) == ([] if waits else ["fast"])


def test_section_that_was_left_without_being_entered_is_not_open():
    assert passed_on(FAST, replace(OPEN, reasons=(Reason.ENTRY_MISSING,))) == ["fast"]


def test_what_was_passed_on_before_is_told_of_whatever_it_is_now():
    _, history = revisions.revise((), Session("A", 0, 20, 1, (FAST,)))
    changed = replace(FAST, outcome=Outcome.CLEAR, reasons=(Reason.ONE_FINE_A_TRIP,))
    assert passed_on(changed, replace(FAST, passage_id="worse"), OPEN, history=history) == ["fast"]


def test_worse_passage_that_an_early_look_has_left_out_is_for_a_person_at_the_end():
    """When the fine was taken back, the one that now stands for the trip was not told yet."""
    _, history = revisions.revise((), Session("A", 0, 20, 2, (FAST,)))
    covered = replace(FAST, outcome=Outcome.CLEAR, reasons=(Reason.ONE_FINE_A_TRIP,))
    worse = replace(FAST, passage_id="worse", section_id="t")
    session = Session("A", 0, 40, 3, (covered, worse))
    changes, history = revisions.revise(history, early.passed_on(session, history, frozenset({"s"}), GAP_US))
    assert [(one.passage.passage_id, one.withdraws) for one in changes] == [("fast", True)]
    changes, _ = revisions.revise(history, session)
    assert [(one.passage.passage_id, one.passage.reasons) for one in changes] == [("worse", (Reason.REVISED,))]


@pytest.mark.parametrize(("over_kmh", "told"), [(5.0, []), (20.0, [("fast", True)])], ids=["lesser", "worse"])
def test_section_whose_first_camera_is_beside_the_exit_never_gives_a_second_fine(over_kmh, told):
    """It is entered 50 ms after the fine went out."""
    first = replace(FAST, last_us=20_000_000, counted_speed_kmh=50.0)
    after = replace(first, passage_id="after", section_id="t", first_us=20_050_000, last_us=40_000_000)
    after = replace(after, counted_speed_kmh=after.limit_kmh + over_kmh)
    _, history = revisions.revise((), Session("A", 0, 20_000_000, 2, (first,)))
    decided = trips.one_fine_a_trip([first, after], dict.fromkeys(SECTIONS, Policy("each")), GAP_US)
    session = Session("A", 0, 40_000_000, 4, tuple(decided))
    changes, history = revisions.revise(history, early.passed_on(session, history, frozenset(SECTIONS), GAP_US))
    assert [(one.passage.passage_id, one.withdraws) for one in changes if one.withdraws] == told
    assert not any(is_suspected(one.passage) and not one.passage.reasons for one in changes)


def test_sections_that_may_decide():
    each, always, trip = Policy("each"), Policy("always", always_reviewed=True), Policy("trip", one_fine_per_trip=True)
    track = SECTIONS | {"track": Section("track", 40.0)}
    assert early.may_decide(track, dict.fromkeys(track, each)) == {"s", "t"}
    assert early.may_decide(SECTIONS, {"s": each, "t": always}) == {"s"}
    assert early.may_decide(SECTIONS, {"s": each, "t": trip}) == set()
