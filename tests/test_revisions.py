"""What a later look at the same session changes: nothing is fined twice, nothing cleared stays fined."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from test_policy import decide

from pipeline.enforcement import clones, passages, policy, records, revisions, trips
from pipeline.enforcement.model import Outcome, Passage, Reason, Sighting
from pipeline.enforcement.passages import Session
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.revisions import Change, History
from pipeline.enforcement.sections import Section

T0_US = 1_776_000_000_000_000
SECOND_US = 1_000_000
SECTION = Section("s", 40.0, cameras=("G0", "G1"), length_m=(400.0,))  # 36 s at the limit


def seen(camera: int, at_s: float, event_id: str | None = None) -> Sighting:
    time_us = T0_US + round(at_s * SECOND_US)
    return Sighting(event_id or f"{camera}@{time_us}", "A", time_us, camera_id=f"G{camera}")


def look(*sightings: Sighting) -> Session:
    """One look at a session: measured and decided."""
    session = passages.measure(SECTION, "A", sightings)
    return session._replace(passages=tuple(decide(passage) for passage in session.passages))


def looks(*steps: Sequence[Sighting]) -> list[list[Change]]:
    """The changes of each look, one after the other."""
    history: History = ()
    found = []
    for step in steps:
        changes, history = revisions.revise(history, look(*step))
        found.append(changes)
    return found


def issuable(change: Change) -> bool:
    return policy.is_suspected(change.passage) and not change.passage.reasons


IN, OUT, FAST_OUT = seen(0, 0), seen(1, 40), seen(1, 20)


def test_first_look_passes_everything_on():
    ((change,),) = looks([IN, OUT])
    assert (change.passage.revision, change.passage.outcome, change.withdraws) == (1, Outcome.CLEAR, False)


def test_same_look_again_changes_nothing():
    assert looks([IN, OUT], [IN, OUT], [OUT, IN])[1:] == [[], []]


def test_duplicate_changes_nothing():
    assert looks([IN, FAST_OUT], [IN, FAST_OUT, seen(1, 20, "again")])[1] == []


def test_late_exit_revises_the_same_passage():
    (first,), (second,) = looks([IN], [IN, OUT])
    assert (first.passage.outcome, second.passage.outcome) == (Outcome.UNMEASURABLE, Outcome.CLEAR)
    assert second.passage.passage_id == first.passage.passage_id
    assert (first.passage.revision, second.passage.revision) == (1, 2)
    assert not second.withdraws


def test_late_exit_may_make_the_first_suspicion():
    _, (second,) = looks([IN], [IN, FAST_OUT])
    assert issuable(second)
    assert second.passage.revision == 2


def test_suspected_then_clear_is_withdrawn():
    (first,), (second,) = looks([IN, FAST_OUT], [IN, FAST_OUT, OUT])
    assert issuable(first)
    assert (second.passage.outcome, second.passage.revision, second.withdraws) == (Outcome.CLEAR, 2, True)


def test_withdrawn_once_only():
    changes = looks([IN, FAST_OUT], [IN, FAST_OUT, OUT], [IN, FAST_OUT, OUT, seen(1, 45)])
    assert [change.withdraws for step in changes for change in step] == [False, True, False]


def test_suspected_then_otherwise_suspected_is_never_issued_twice():
    (first,), (second,) = looks([IN, FAST_OUT], [IN, FAST_OUT, seen(1, 25)])
    assert issuable(first)
    assert Reason.REVISED in second.passage.reasons
    assert (second.passage.revision, second.withdraws) == (2, False)


def test_suspected_clear_suspected_is_never_issued_twice():
    """An earlier entry clears the passage, an exit in between brings the suspicion back."""
    late_in, late_out = seen(0, 50), seen(1, 60)
    steps = looks([late_in, late_out], [IN, late_in, late_out], [IN, FAST_OUT, late_in, late_out])
    ids = [change.passage.passage_id for step in steps for change in step if issuable(change)]
    assert len(ids) == len(set(ids))
    again = [change.passage for change in steps[2] if change.passage.first_us == late_in.time_us]
    assert [Reason.REVISED in passage.reasons for passage in again] == [True]


def test_earlier_entry_supersedes_the_passage_it_swallows():
    late_in, late_out = seen(0, 50), seen(1, 60)
    _, second = looks([late_in, late_out], [IN, late_in, late_out])
    gone, whole = sorted(second, key=lambda change: -change.passage.first_us)
    assert (gone.passage.outcome, gone.passage.reasons, gone.passage.revision) == (
        Outcome.UNMEASURABLE,
        (Reason.SUPERSEDED,),
        2,
    )
    assert gone.withdraws
    assert (whole.passage.first_us, whole.passage.travel_time_s) == (IN.time_us, 60.0)


def test_swallowed_suspicion_is_not_issued_under_another_id():
    _, second = looks([seen(0, 5), seen(1, 20)], [IN, seen(0, 5), seen(1, 20)])
    assert not any(issuable(change) for change in second)


def test_half_passage_is_superseded_by_the_whole():
    (half,), second = looks([OUT], [IN, OUT])
    states = {change.passage.passage_id: change.passage.outcome for change in second}
    assert states.pop(half.passage.passage_id) is Outcome.UNMEASURABLE
    assert list(states.values()) == [Outcome.CLEAR]


def test_second_passage_leaves_the_first_alone():
    _, (second,) = looks([IN, FAST_OUT], [IN, FAST_OUT, seen(0, 50), seen(1, 70)])
    assert second.passage.first_us == T0_US + 50 * SECOND_US
    assert issuable(second)


@pytest.mark.parametrize(
    ("large", "small"),
    [
        ([IN, FAST_OUT, OUT], [IN, FAST_OUT]),
        ([IN, OUT], [IN]),
        ([IN, FAST_OUT, OUT], [IN, OUT]),
        ([IN, OUT], [OUT]),
        ([IN, FAST_OUT, OUT], [FAST_OUT]),
        ([IN, FAST_OUT, seen(0, 50), seen(1, 70)], [FAST_OUT, seen(0, 50)]),
    ],
)
def test_smaller_look_after_a_larger_one_is_ignored(large, small):
    assert looks(large, small)[1] == []


def test_unchanged_passage_remembers_how_much_its_session_held():
    """The second look changes nothing in the first passage; a look from between the two is stale all the same."""
    first, second = [IN, FAST_OUT], [seen(0, 50), seen(1, 70)]
    assert looks(first, first + second, [*first, seen(0, 50)])[2] == []
    assert looks(first, first + second, [*first, seen(1, 70)])[2] == []


def test_look_at_another_session_is_not_stale():
    later = [seen(0, 5000), seen(1, 5020)]
    _, (change,) = looks([IN, FAST_OUT, OUT], later)
    assert issuable(change)


def test_merged_sessions_supersede_nothing_that_still_holds():
    first, second, between = [IN, FAST_OUT], [seen(0, 50), seen(1, 70)], seen(0, 30)
    *_, merged = looks(first, second, [*first, between, *second])
    for change in merged:
        assert change.passage.first_us != T0_US


TIMES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 60)), min_size=1, max_size=7, unique=True)


def overlapping(one: Passage, other: Passage) -> bool:
    return one.first_us <= other.last_us and other.first_us <= one.last_us


@settings(max_examples=300, deadline=None)
@given(st.permutations(range(7)), TIMES, st.lists(st.integers(1, 3), min_size=7, max_size=7))
def test_growing_sessions(order, times, sizes):
    """Sightings of one session in any order of arrival, some at a time: the last state is a fresh measurement, each
    passage is issuable once at most, and a suspicion that is gone is withdrawn."""
    arriving = [seen(*times[index]) for index in order if index < len(times)]
    history: History = ()
    states: dict[str, Change] = {}
    open_cases: set[str] = set()
    issued: list[Passage] = []
    held: list[Sighting] = []
    for size in sizes:
        held, arriving = held + arriving[:size], arriving[size:]
        changes, history = revisions.revise(history, look(*held))
        for change in changes:
            known = states.get(change.passage.passage_id)
            assert change.passage.revision == (1 if known is None else known.passage.revision + 1)
            assert change.withdraws == (
                change.passage.passage_id in open_cases and not policy.is_suspected(change.passage)
            )
            states[change.passage.passage_id] = change
            (open_cases.add if policy.is_suspected(change.passage) else open_cases.discard)(change.passage.passage_id)
            if issuable(change):
                issued.append(change.passage)
        fresh = {passage.passage_id: passage for passage in look(*held).passages}
        living = {
            name: change.passage for name, change in states.items() if Reason.SUPERSEDED not in change.passage.reasons
        }
        assert living.keys() == fresh.keys()
        for name, passage in living.items():
            assert (passage.outcome, passage.avg_speed_kmh) == (fresh[name].outcome, fresh[name].avg_speed_kmh)
            assert set(fresh[name].reasons) <= set(passage.reasons)
    assert len({passage.passage_id for passage in issued}) == len(issued)
    living_issued = [passage for passage in issued if states[passage.passage_id].passage.revision == passage.revision]
    assert not any(
        overlapping(one, other) for number, one in enumerate(living_issued) for other in living_issued[number + 1 :]
    )


@settings(max_examples=200, deadline=None)
@given(TIMES.filter(lambda times: len(times) > 1), st.data())
def test_any_smaller_look_is_stale(times, data):
    """Once a session was seen whole, no look at a part of it passes anything on."""
    whole = [seen(*time) for time in times]
    part = data.draw(
        st.lists(st.sampled_from(whole), min_size=1, max_size=len(whole) - 1, unique_by=lambda item: item.event_id)
    )
    _, history = revisions.revise((), look(*whole))
    assert revisions.revise(history, look(*part))[0] == []


@settings(max_examples=150, deadline=None)
@given(TIMES, TIMES)
def test_looks_at_two_sessions_do_not_mix(first, second):
    one = [seen(*time) for time in first]
    other = [seen(camera, at_s + 10_000) for camera, at_s in second]
    _, history = revisions.revise((), look(*one))
    changes, history = revisions.revise(history, look(*other))
    assert [change.passage for change in changes] == list(look(*other).passages)
    assert revisions.revise(history, look(*one))[0] == []


# --- what is kept of them


def as_stored(change: Change) -> tuple[object, ...]:
    """What tables and messages tell of a change."""
    bare = replace(change.passage, entry=None, exit=None)
    return bare, records.last_coordinates(change.passage), change.withdraws


def of_earlier_release(history: History, passed_on: dict[str, Passage]) -> History:
    """The same history, with whole passages."""
    return tuple(replace(old, passage=passed_on[old.passage.passage_id], evidence=b"") for old in history)


@settings(max_examples=200, deadline=None)
@given(st.permutations(range(7)), TIMES, st.lists(st.integers(1, 3), min_size=7, max_size=7))
def test_history_of_whole_passages_gives_the_same_changes(order, times, sizes):
    arriving = [replace(seen(*times[index]), location=(40.0, -73.0 - index)) for index in order if index < len(times)]
    kept: History = ()
    whole: History = ()
    passed_on: dict[str, Passage] = {}
    held: list[Sighting] = []
    for size in sizes:
        held, arriving = held + arriving[:size], arriving[size:]
        (changes, kept), (same, _) = (revisions.revise(history, look(*held)) for history in (kept, whole))
        assert list(map(as_stored, changes)) == list(map(as_stored, same))
        passed_on |= {change.passage.passage_id: change.passage for change in changes}
        whole = of_earlier_release(kept, passed_on)


def test_passage_that_is_superseded_is_told_whole():
    early, late = (replace(seen(0, at_s), location=(40.0, -73.0)) for at_s in (0, 5))
    _, second = looks([late], [early, late])
    (gone,) = [change.passage for change in second if Reason.SUPERSEDED in change.passage.reasons]
    assert (gone.section_id, gone.vehicle_id, records.last_coordinates(gone)) == ("s", "A", (40.0, -73.0))


@pytest.mark.parametrize("field", ["image_url", "plate", "plate_confidence"])
def test_other_evidence_of_the_same_passage_is_a_change(field):
    shown = replace(FAST_OUT, image_url="gs://b/1", plate="A", plate_confidence=0.5)
    other = replace(shown, **{field: 0.9 if field == "plate_confidence" else "gs://b/2"})
    assert [change.passage.revision for change in looks([IN, shown], [IN, other])[1]] == [2]


def test_history_keeps_little_more_than_a_passage_with_its_sightings():
    """The passage without them, and with its session the ends of it, whose pictures a person may have to look at."""
    told = {"location": (40.735180, -73.980110), "plate": "HGR0701", "plate_region": "US-NY", "plate_confidence": 0.9}
    told |= {"vehicle_class": "car", "lane": 0, "image_url": "gs://cameras/FIRST-20/69a589d0-1-000001.jpg"}
    sightings = [replace(IN, **told), replace(OUT, **told)]
    session = look(*sightings)._replace(ends=clones.ends(sightings))
    _, history = revisions.revise((), session)
    encoded = [len(msgspec.msgpack.encode(one)) for one in (history, session.passages)]
    assert encoded[0] < encoded[1] * 1.1


# --- one fine for a trip


def trip(*sightings: Sighting, severities: Mapping[str, float]) -> Session:
    """A look at a vehicle's session of which each suspected passage is so far over its limit."""
    session = look(*sightings)
    decided = [
        replace(one, section_id=f"s{number}", counted_speed_kmh=40.0 + severities[str(number)])
        for number, one in enumerate(session.passages)
    ]
    policies = dict.fromkeys((one.section_id for one in decided), Policy("once", one_fine_per_trip=True))
    return session._replace(passages=tuple(trips.one_fine_a_trip(decided, policies, 600 * SECOND_US)))


def test_worse_leg_that_comes_late_is_no_second_fine():
    """The first fine is taken back, and the worse one is for a person: the driver has had a notice."""
    first = [IN, FAST_OUT]
    changes, history = revisions.revise((), trip(*first, severities={"0": 5.0}))
    assert [issuable(change) for change in changes] == [True]
    later = trip(*first, seen(0, 60), seen(1, 70), severities={"0": 5.0, "1": 30.0})
    changes, _ = revisions.revise(history, later)
    found = {change.passage.section_id: change for change in changes}
    assert (found["s0"].passage.reasons, found["s0"].withdraws) == ((Reason.ONE_FINE_A_TRIP,), True)
    assert (found["s1"].passage.reasons, issuable(found["s1"])) == ((Reason.REVISED,), False)


def test_lesser_leg_that_comes_late_leaves_the_fine_as_it_is():
    first = [IN, FAST_OUT]
    _, history = revisions.revise((), trip(*first, severities={"0": 5.0}))
    later = trip(*first, seen(0, 60), seen(1, 80), severities={"0": 5.0, "1": 3.0})
    changes, _ = revisions.revise(history, later)
    assert [(change.passage.section_id, change.passage.outcome) for change in changes] == [("s1", Outcome.CLEAR)]


# --- a plate at two places, in two sessions

HERE, FAR = {"G0": (40.0, -73.0), "G1": (40.003, -73.0)}, {"G0": (41.0, -73.0), "G1": (41.003, -73.0)}  # 111 km
GAP_US = 600 * SECOND_US
RULES = trips.Rules({"s": Policy("each")}, GAP_US)


def drive(
    at_s: float, places: Mapping[str, tuple[float, float]] = HERE, travel_s: float = 20, region: str | None = None
) -> list[Sighting]:
    """Through the section, there or elsewhere."""
    ends = seen(0, at_s), seen(1, at_s + travel_s)
    return [replace(one, location=places[one.camera_id or ""], plate_region=region) for one in ends]


def look_among(history: History, sightings: Sequence[Sighting]) -> Session:
    """A look at a session of a vehicle whose other sessions are remembered."""
    session = look(*sightings)
    others = revisions.ends_of_others(history, "A", session.first_us, session.last_us)
    pairs = clones.impossible(sightings, RULES.ceiling_kmh, others)
    settled = tuple(trips.settle(session.passages, pairs, RULES))
    return session._replace(passages=settled, pairs=pairs, ends=clones.ends(sightings))


def test_session_elsewhere_brings_both_before_a_person():
    first, second = drive(0), drive(700, FAR)
    changes, history = revisions.revise((), look_among((), first))
    assert [issuable(change) for change in changes] == [True]
    session = look_among(history, second)
    changes, history = revisions.revise(history, session)
    later, earlier = changes
    assert later.passage.reasons == (Reason.SEEN_ELSEWHERE,)
    assert earlier.passage.reasons == (Reason.SEEN_ELSEWHERE, Reason.REVISED)
    assert (earlier.passage.revision, earlier.withdraws) == (2, False)
    assert (earlier.passage.entry, earlier.passage.exit) == tuple(first), "a person sees what the case rests on"
    assert set(revisions.doubted_by(session.pairs[0], history)) >= {later.passage}
    assert {one.passage_id for one in revisions.doubted_by(session.pairs[0], history)} == {
        earlier.passage.passage_id,
        later.passage.passage_id,
    }
    assert revisions.revise(history, look_among(history, second))[0] == []
    assert revisions.revise(history, look_among(history, first))[0] == []


def test_session_that_comes_late_is_compared_with_the_next_one():
    _, history = revisions.revise((), look_among((), drive(700, FAR)))
    session = look_among(history, drive(0))
    changes, _ = revisions.revise(history, session)
    assert [(change.passage.reasons, change.passage.revision) for change in changes] == [
        ((Reason.SEEN_ELSEWHERE,), 1),
        ((Reason.SEEN_ELSEWHERE, Reason.REVISED), 2),
    ]
    assert [(pair.first.vehicle_id, pair.second.vehicle_id) for pair in session.pairs] == [("A", "A")]


def test_session_that_could_be_driven_to_throws_no_doubt():
    _, history = revisions.revise((), look_among((), drive(0)))
    changes, _ = revisions.revise(history, look_among(history, drive(3_000, FAR)))
    assert [change.passage.reasons for change in changes] == [()]


def test_suspicion_that_an_earlier_release_kept_without_its_sightings_is_taken_back():
    (first,), history = revisions.revise((), look_among((), drive(0)))
    without = replace(first.passage, vehicle_id="", entry=None, exit=Sighting("", "", 0, location=HERE["G1"]))
    history = tuple(replace(old, passage=without) for old in history)
    changes, _ = revisions.revise(history, look_among(history, drive(700, FAR)))
    gone = changes[-1]
    assert (gone.passage.outcome, gone.passage.reasons) == (Outcome.UNMEASURABLE, (Reason.SEEN_ELSEWHERE,))
    assert (gone.withdraws, gone.passage.revision, gone.passage.vehicle_id) == (True, 2, "A")


def test_suspicion_that_an_earlier_release_kept_without_its_sightings_gets_them_when_it_is_looked_at_again():
    (first,), history = revisions.revise((), look_among((), drive(0)))
    without = replace(first.passage, vehicle_id="", entry=None, exit=Sighting("", "", 0, location=HERE["G1"]))
    history = tuple(replace(old, passage=without) for old in history)
    changes, history = revisions.revise(history, look_among(history, drive(0)))
    assert (changes, [old.passage for old in history]) == ([], [first.passage])


SESSIONS = st.lists(
    st.tuples(
        st.integers(600, 3_000),
        st.sampled_from([HERE, FAR]),
        st.sampled_from([20.0, 50.0]),
        st.sampled_from([None, "DE", "FR"]),
    ),
    min_size=1,
    max_size=5,
)


def doubted_in_turn(drives: Sequence[Sequence[Sighting]]) -> dict[str, bool]:
    """The passages, and whether the last that is told of each is that the vehicle was elsewhere."""
    history: History = ()
    last: dict[str, bool] = {}
    for one in drives:
        changes, history = revisions.revise(history, look_among(history, one))
        last |= {change.passage.passage_id: Reason.SEEN_ELSEWHERE in change.passage.reasons for change in changes}
    return last


@settings(max_examples=300, deadline=None)
@given(SESSIONS, st.data())
def test_sessions_one_by_one_are_doubted_like_all_at_once(sessions, data):
    """What a stream remembers finds what a look at the whole vehicle does; out of turn it may doubt more, since it has
    compared with one session what lies before or behind the next."""
    at_s, drives = 0, []
    for wait_s, places, travel_s, region in sessions:
        drives.append(drive(at_s, places, travel_s, region))
        at_s += round(travel_s) + wait_s
    decided = [passage for one in drives for passage in look(*one).passages]
    settled, _ = trips.settle_all([sighting for one in drives for sighting in one], decided, RULES)
    at_once = {one.passage_id: Reason.SEEN_ELSEWHERE in one.reasons for one in settled}
    assert doubted_in_turn(drives) == at_once
    in_any_order = doubted_in_turn(data.draw(st.permutations(drives)))
    assert in_any_order.keys() == at_once.keys()
    assert all(in_any_order[name] for name, doubted in at_once.items() if doubted)
