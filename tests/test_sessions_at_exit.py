"""Decided as soon as the exit is seen: passed on before the session ends, and revised by all that comes later."""

import random
from collections import Counter

import apache_beam as beam
import pytest
from msgspec.structs import replace
from test_sessions import (
    CHAIN,
    NETWORK,
    NETWORKS,
    Stream,
    as_stored,
    bounded,
    brief,
    ends,
    final,
    noted,
    passed_on,
    seen,
    settings,
    traffic,
    withdrawn,
)

from pipeline import local_runner
from pipeline.enforcement import early
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.intake import Batch
from pipeline.enforcement.model import Outcome, Passage, Reason
from pipeline.enforcement.policy import is_suspected
from pipeline.enforcement.sections import Network
from pipeline.options import Settings
from pipeline.transforms.coders import StructCoder
from pipeline.transforms.sessions import GroupSessions

OF_SESSIONS = {
    "create_trigger_driver",
    "get_keyed_state",
    "_initialize_keyed_states",
    "process_timer_wrapper",
    "should_execute_serially",
    "_update_currently_evaluating",
}


def at_exit(network: Network = NETWORK, **policy: bool) -> Settings:
    found = settings(network=network)
    policies = {section_id: replace(one, **policy) for section_id, one in found.policies.items()}
    return found._replace(policies=policies, early_sections=early.may_decide(network.sections, policies))


def looks(stream: Stream, found: Settings | None = None) -> list[Passage]:
    return stream.changes(found or at_exit())


@pytest.fixture(autouse=True, params=["Beam's driver", "local driver"])
def _driver(request, monkeypatch):
    """Each test with both; of the local runner what makes sessions and keeps looks at them in order."""
    if request.param == "local driver":
        for owner, name, lighter in local_runner._replacements():
            if name in OF_SESSIONS:
                monkeypatch.setattr(owner, name, lighter)


def told(changes: list[Passage]) -> list[tuple[object, ...]]:
    return [(one.vehicle_id, *parts) for one, parts in zip(changes, brief(changes), strict=True)]


def issuable(changes: list[Passage]) -> list[tuple[str, int]]:
    return [(one.section_id, one.revision) for one in changes if is_suspected(one) and not one.reasons]


def test_exit_that_is_seen_is_passed_on_before_the_watermark_moves():
    """The session of B, which comes after it, ends before its own."""
    stream = Stream().arrive(seen(0, 0)).arrive(seen(1, 20)).arrive(seen(0, 5, "B")).watermark(66)
    assert told(looks(stream)) == [("A", 1, 20.0, None), ("B", 1, None, Outcome.UNMEASURABLE)]


def test_passed_on_once_however_often_its_session_is_looked_at():
    again = seen(1, 20, event_id="again")
    stream = Stream().arrive(seen(0, 0), seen(1, 20)).arrive(again).watermark(81).arrive(again)
    assert brief(looks(stream)) == [(1, 20.0, None)]


@pytest.mark.parametrize(
    ("sightings", "outcome"),
    [([seen(0, 0)], Outcome.UNMEASURABLE), ([seen(1, 20)], Outcome.UNMEASURABLE), ([seen(0, 0), seen(1, 40)], "clear")],
    ids=["entry", "exit", "clear"],
)
def test_what_is_no_violation_waits_for_the_end_and_is_told_once(sightings, outcome):
    stream = Stream()
    for one in sightings:
        stream.arrive(one)
    found = looks(stream.arrive(seen(0, 0, "B"), seen(1, 20, "B")))
    assert [(one.vehicle_id, one.outcome, one.revision) for one in found] == [("B", None, 1), ("A", outcome, 1)]


def test_exit_that_is_read_twice_takes_the_fine_from_the_machine():
    found = looks(Stream().arrive(seen(0, 0)).arrive(seen(1, 20)).arrive(seen(1, 22)))
    assert [(one.revision, one.travel_time_s, one.reasons) for one in found] == [
        (1, 20.0, ()),
        (2, 22.0, (Reason.AMBIGUOUS_PAIRING, Reason.REVISED)),
    ]


def test_later_exit_that_clears_withdraws_at_once_and_for_good():
    stream = Stream().arrive(seen(0, 0), seen(1, 20)).arrive(seen(1, 45)).arrive(seen(0, 0, "B"), seen(1, 20, "B"))
    found = looks(stream)
    assert told(found) == [
        ("A", 1, 20.0, None),
        ("A", 2, 45.0, Outcome.CLEAR),
        ("B", 1, 20.0, None),
    ]
    assert withdrawn() == [(found[0].passage_id, 2)]


def test_late_exit_withdraws():
    found = looks(Stream().arrive(seen(0, 0)).arrive(seen(1, 20)).watermark(200).arrive(seen(1, 45)).watermark(300))
    assert brief(found) == [(1, 20.0, None), (2, 45.0, Outcome.CLEAR)]
    assert withdrawn() == [(found[0].passage_id, 2)]


def test_entry_that_comes_after_its_exit_makes_another_passage_which_is_for_a_person():
    found = looks(Stream().arrive(seen(0, 5), seen(1, 20)).arrive(seen(0, 0)))
    assert [(one.travel_time_s, one.reasons, one.outcome) for one in found] == [
        (15.0, (), None),
        (15.0, (Reason.SUPERSEDED,), Outcome.UNMEASURABLE),
        (20.0, (Reason.AMBIGUOUS_PAIRING, Reason.REVISED), None),
    ]


@pytest.mark.parametrize(
    "policy", [{"always_reviewed": True}, {"one_fine_per_trip": True}, {}], ids=["review", "trip", "allowed"]
)
def test_policy_that_cannot_be_early_waits_for_the_end(policy):
    """Of two sections the one where it holds; of one fine for a trip both, since they may be of one trip."""
    found = at_exit(CHAIN)
    found = found._replace(policies=found.policies | {"t": replace(found.policies["t"], **policy)})
    found = found._replace(early_sections=early.may_decide(CHAIN.sections, found.policies))
    stream = Stream().arrive(seen(1, 20), seen(2, 30)).arrive(seen(0, 0, "B")).watermark(61)
    first = looks(stream, found)[0]
    assert first.vehicle_id == ("B" if policy else "A")


def test_leg_waits_while_a_section_that_it_may_be_part_of_is_open():
    """From G1 on the vehicle may be too fast on t and on u as well, of which one is fined."""
    drive = [seen(0, 0), seen(1, 20), seen(2, 45)]
    found = at_exit(CHAIN)
    stream = Stream().arrive(drive[0]).arrive(drive[1]).arrive(seen(1, 0, "B"), seen(2, 10, "B")).arrive(drive[2])
    changes = [one for one in looks(stream, found) if is_suspected(one)]
    assert [(one.vehicle_id, one.section_id, len(one.trip)) for one in changes] == [("B", "t", 0), ("A", "s", 2)]
    assert as_stored(one for one in passed_on() if one.vehicle_id == "A") == bounded(drive, found)


@pytest.mark.parametrize("sections", [{"t"}, {"s", "t", "u"}], ids=["leg", "all"])
def test_worse_passage_of_an_issued_trip_is_never_fined_without_a_person(sections):
    """What was seen at G0 comes last: only then is it known that the vehicle was faster before. Where the worse passage
    is not passed on early, the leg has long been taken back when it is."""
    found = at_exit(CHAIN)._replace(early_sections=frozenset(sections))
    stream = Stream().arrive(seen(1, 20), seen(2, 40)).arrive(seen(0, 5)).arrive(seen(0, 5, event_id="again"))
    changes = looks(stream, found)
    assert issuable(changes) == [("t", 1)]
    last = {one.passage_id: one for one in changes}
    assert [one.reasons for one in last.values() if is_suspected(one)] == [(Reason.REVISED,)]
    assert [revision for _, revision in withdrawn()] == [2]


def test_looks_travel_as_records():
    pipeline = beam.Pipeline()
    batches = pipeline | beam.Create([]).with_output_types(Batch)
    looked_at = batches | GroupSessions(at_exit())
    coder = beam.coders.registry.get_coder(looked_at.element_type)
    assert coder.coders()[1] == StructCoder(early.Look)
    batches = pipeline | "As ever" >> beam.Create([]).with_output_types(Batch)
    grouped = batches | "At the end" >> GroupSessions(settings())
    assert "Look" not in str(grouped.element_type)


def test_alarm_is_told_at_the_end_once():
    near = {"G0": (40.0, -73.0), "G1": (40.003, -73.0), "G2": (40.3, -73.0)}
    drive = [replace(one, location=near[one.camera_id or ""]) for one in (seen(0, 0), seen(1, 20), seen(2, 70))]
    stream = Stream()
    for one in drive:
        stream.arrive(one)
    looks(stream, at_exit(CHAIN))
    assert len([one for one in noted if isinstance(one, Alarm)]) == 1


@NETWORKS
@pytest.mark.parametrize("seed", range(4))
def test_looks_at_the_exit_end_where_the_files_end(seed, network):
    """Whatever comes in whatever order, on time or late: nothing is lost, nothing differs but who decides, and nobody
    is fined twice."""
    chance = random.Random(200 + seed)
    sightings = list(traffic(chance, cameras=len(network.cameras)))
    arrival = chance.sample(sightings, len(sightings))
    stream, found = Stream(), at_exit(network)
    for number, start in enumerate(range(0, len(arrival), 7)):
        stream.arrive(*arrival[start : start + 7])
        if number > 12:
            stream.watermark(300 + 10 * number)
    changes = looks(stream, found)
    taken_back = {passage_id for passage_id, _ in withdrawn()}
    expected = bounded(sightings, found)
    assert ends(final(changes)) == ends(expected)
    issued = Counter(change.passage_id for change in changes if is_suspected(change) and not change.reasons)
    assert set(issued.values()) == {1}
    fined = {one.passage_id for one in final(changes) if is_suspected(one) and not one.reasons}
    assert fined <= {one.passage_id for one in expected if isinstance(one, Passage) and not one.reasons}
    assert set(issued) - {one.passage_id for one in final(changes) if is_suspected(one)} <= taken_back
