"""Many vehicles' passages at once: the same, to the last bit, as those of one session after the other."""

import itertools
from collections import defaultdict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.enforcement import alarms, applied_limit, bulk, clones, passages, policy, records, trips, twins
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.intake import Batch, Intake, Located
from pipeline.enforcement.limits import Limits, Quarantine, Rule, SectionNotices, SignNotice
from pipeline.enforcement.model import ErrorBudget, Message, Passage, Sighting
from pipeline.enforcement.policy import Deduction, Least, Policy
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.records import PassageRecord
from pipeline.enforcement.sections import Network, Section
from pipeline.enforcement.shares import SHARES, share_out
from pipeline.enforcement.times import rfc3339
from pipeline.enforcement.twins import Unmatched

T0_US = 1_776_000_000_000_000
SECOND_US = 1_000_000
GAP_US = 60 * SECOND_US
# Over, at and within the tolerance of the limits of 400 m at 40 km/h, and of 733.3 m at 60 km/h in one or two legs.
NEAR_LIMITS_US = [round(at_s * SECOND_US) for at_s in (20, 22, 25, 34, 34.7, 35, 36, 37, 43, 44, 46)]
TOLERANCE_KMH = 1.5
RULED = Limits((Rule(60.0), Rule(40.0, hours=("13:21-13:24",)), Rule(30.0, ("truck",))), "UTC", variable=True)
SECTIONS = {
    section.section_id: section
    for section in (
        Section("two", 40.0, cameras=("G0", "G1"), length_m=(400.0,)),
        Section("back", 40.0, cameras=("G1", "G0"), length_m=(380.0,)),
        Section("chain", 60.0, cameras=("G0", "G1", "G2"), length_m=(400.0, 333.3), errors=ErrorBudget(1.5, 0.02, 0.1)),
        Section("short", 30.0, cameras=("G1", "G2"), length_m=(1.0,), errors=ErrorBudget(2.0)),
        Section("track", 40.0),
        Section("ruled", 60.0, cameras=("G0", "G1"), length_m=(400.0,), limits=RULED),
        Section("signed", 40.0, cameras=("G0", "G2"), length_m=(733.3,)),
    )
}
SECTIONS_OF = {
    camera: tuple(name for name, section in SECTIONS.items() if camera in section.cameras)
    for camera in ("G0", "G1", "G2", "G9")
}
PLACES = {"G0": (40.700, -73.900), "G1": (40.703, -73.902), "G2": (40.706, -73.904), "G9": (40.730, -73.930)}
NETWORK = Network(PLACES, SECTIONS, SECTIONS_OF)
ROUNDS = Policy("rounds", rounds=True, deductions=(Deduction(kmh=5.0),), least=(Least(4.0),), more_than_kmh=0.5)
POLICIES = dict.fromkeys(SECTIONS, Policy("plain")) | {"chain": ROUNDS, "back": Policy("")}
NOTICES = {
    "ruled": SectionNotices("ruled", confirmed_until_us=T0_US + 200 * SECOND_US),
    "signed": SectionNotices(
        "signed",
        (SignNotice(T0_US + 50 * SECOND_US, 70.0), SignNotice(T0_US + 150 * SECOND_US, 50.0, ("truck", "car"))),
        (Quarantine(T0_US + 100 * SECOND_US, T0_US + 160 * SECOND_US, "works"),),
    ),
}
ROADS = bulk.Roads(NETWORK, POLICIES, TOLERANCE_KMH, NOTICES)
INTAKE = Intake(NETWORK)
RULES = trips.Rules(POLICIES, GAP_US)
Found = tuple[list[PassageRecord], list[Passage], list[Alarm], list[Unmatched]]


def one_by_one(found: list[Located], pseudonyms: Pseudonyms) -> Found:
    """What bulk.measure must give: the sessions of each vehicle in each section by themselves."""
    keyed = defaultdict(list)
    for located in found:
        for section_id in located.section_ids:
            keyed[section_id, located.sighting.vehicle_id].append(located.sighting)
    of_vehicle, decided, raised = defaultdict(list), list[Passage](), list[Alarm]()
    for one in found:
        if one.section_ids:
            of_vehicle[one.sighting.vehicle_id].append(one.sighting)
    for vehicle_id, sightings in of_vehicle.items():
        pairs = clones.impossible(passages.in_order(sightings), RULES.ceiling_kmh)
        of_pairs = defaultdict[clones.Pair, list[Passage]](list)
        for session in sessions_of(sightings):
            own = [
                policy.decide(
                    applied_limit.with_limit(passage, SECTIONS[section_id], NOTICES.get(section_id)),
                    POLICIES[section_id],
                    TOLERANCE_KMH,
                )
                for (section_id, driver), seen in keyed.items()
                if driver == vehicle_id
                for part in sessions_of(seen)
                if session[0].time_us <= part[0].time_us <= session[-1].time_us
                for passage in passages.measure(SECTIONS[section_id], vehicle_id, part, pseudonyms).passages
            ]
            here = [pair for pair in pairs if any(one in session for one in pair[:2])]
            settled = trips.settle(own, here, RULES)
            decided.extend(settled)
            for pair in here:
                of_pairs[pair].extend(settled)
        raised.extend(alarms.of_clone(pair, of_pairs[pair], pseudonyms) for pair in pairs)
    settled = [passage for passage in decided if not policy.is_suspected(passage)]
    suspected = [passage for passage in decided if policy.is_suspected(passage)]
    return in_order(records.passage_records(settled, pseudonyms), suspected, raised, list(twins.unmatched(decided)))


def in_order(
    settled: list[PassageRecord], suspected: list[Passage], raised: list[Alarm], unmatched: list[Unmatched]
) -> Found:
    return sorted(settled, key=str), sorted(suspected, key=str), sorted(raised, key=str), sorted(unmatched, key=str)


def sessions_of(sightings: list[Sighting]) -> list[list[Sighting]]:
    sessions = []
    for sighting in sorted(sightings, key=lambda sighting: sighting.time_us):
        if not sessions or sighting.time_us - sessions[-1][-1].time_us >= GAP_US:
            sessions.append([])
        sessions[-1].append(sighting)
    return sessions


def of_lines(found: list[Located], pseudonyms: Pseudonyms) -> Batch:
    """The same sightings out of a file; those that no line can tell of stay as they are."""
    told = [one for one in found if one.sighting.timed and one.sighting.camera_id]
    lines = b"\n".join(msgspec.json.encode(line_of(one)) for one in told)
    batch, refused = INTAKE.read(Message(lines, "m", T0_US, position=0), T0_US, pseudonyms)
    assert refused == []
    assert len(batch.plain.wires) == len(told)
    return Batch((*batch.located, *(one for one in found if one not in told)), batch.plain)


def line_of(located: Located) -> dict[str, object]:
    sighting, all_of_camera = located.sighting, SECTIONS_OF[located.sighting.camera_id or ""]
    told = {
        name: getattr(sighting, name)
        for name in ("event_id", "vehicle_id", "camera_id", "plate", "plate_region", "vehicle_class")
    }
    told["radar_id"] = None if located.section_ids == all_of_camera else located.section_ids[0]
    return told | {"timestamp": rfc3339(sighting.time_us)}


def at_once(batches: list[Batch], pseudonyms: Pseudonyms = IN_CLEAR, gap_us: int = GAP_US) -> Found:
    shares = defaultdict(list)
    for batch in batches:
        for number, share in share_out(batch):
            assert 0 <= number < SHARES
            shares[number].append(share)
    rules = RULES._replace(gap_us=gap_us)
    found = [part for share in shares.values() for part in bulk.measure(ROADS, share, rules, pseudonyms)]
    settled = [record for part in found for record in part.settled]
    raised = [alarm for part in found for alarm in part.alarms]
    unmatched = [read for part in found for read in part.unmatched]
    return in_order(settled, [passage for part in found for passage in part.suspected], raised, unmatched)


def located(camera: str, at_s: float, vehicle_id: str = "A", **fields: object) -> Located:
    time_us = T0_US + round(at_s * SECOND_US)
    name, place = f"{vehicle_id}{camera}{time_us}", NETWORK.cameras[camera]
    sighting = Sighting(name, vehicle_id, time_us, camera_id=camera, location=place, **fields)
    return Located(sighting, SECTIONS_OF[camera])


@st.composite
def traffic(draw: st.DrawFn) -> list[Located]:
    """Few vehicles, many sightings each, most of them in driving order."""
    found = []
    for vehicle in draw(st.lists(st.sampled_from("ABC"), min_size=1, max_size=6)):
        at_us = T0_US + draw(st.integers(0, 300)) * SECOND_US
        region = draw(st.sampled_from([None, "US-NY", "US-NJ"]))
        kind = draw(st.sampled_from([None, "car", "truck", "other"]))
        for camera in draw(
            st.sampled_from([("G0", "G1"), ("G0", "G1", "G2"), ("G1", "G2"), ("G0", "G2"), ("G1", "G0")])
        ):
            fields = {
                "timed": draw(st.sampled_from([True] * 9 + [False])),
                "plate_region": draw(st.sampled_from([region] * 9 + ["US-NY"])),
                "plate": draw(st.sampled_from([None, "HTT9066"])),
                "vehicle_class": draw(st.sampled_from([kind] * 9 + ["car", "truck"])),
            }
            names = SECTIONS_OF[camera]
            of = draw(st.sampled_from([names] * 5 + [names[:1]]))
            radar_id = None if of == names else of[0]
            place = NETWORK.cameras[camera]
            sighting = Sighting(
                str(len(found)), vehicle, at_us, camera_id=camera, location=place, radar_id=radar_id, **fields
            )
            found.append(Located(sighting, of))
            at_us += draw(st.sampled_from([0, 1, SECOND_US, *NEAR_LIMITS_US, GAP_US - 1, GAP_US]))
    if draw(st.booleans()):
        place = Sighting("track", "A", T0_US, location=(40.7, -73.9), speed_kmh=50.0)
        found.append(Located(place, ("track",)))
    return draw(st.permutations(found))


@settings(max_examples=300, deadline=None)
@given(traffic(), st.sampled_from([IN_CLEAR, Pseudonyms(b"0" * 16)]), st.integers(0, 4))
def test_passages_at_once_are_those_of_each_session_by_itself(found, pseudonyms, cut):
    expected = one_by_one(found, pseudonyms)
    assert at_once([Batch(tuple(found))], pseudonyms) == expected
    assert at_once([of_lines(found, pseudonyms)], pseudonyms) == expected
    parts = [of_lines(found[:cut], pseudonyms), Batch(tuple(found[cut:]))]
    assert at_once(parts, pseudonyms) == expected


@settings(max_examples=100, deadline=None)
@given(traffic())
def test_passages_are_the_same_in_whatever_parts_they_are_measured(found):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bulk, "PASSAGES_AT_ONCE", 2)
        assert at_once([Batch(tuple(found))]) == one_by_one(found, IN_CLEAR)


def test_no_sighting_gives_no_passage():
    assert at_once([Batch(())]) == ([], [], [], [])
    assert list(bulk.measure(ROADS, [], RULES)) == []


def test_sightings_that_count_for_no_section_give_no_passage():
    seen = located("G9", 0)
    assert at_once([Batch((seen,))]) == at_once([of_lines([seen], IN_CLEAR)]) == ([], [], [], [])


def spans(*at_us: int, gap_us: int = 100) -> list[tuple[str, str]]:
    """First and last time of each session of one vehicle."""
    seen = [Located(Sighting(f"e{at}", "A", T0_US + at, camera_id="G1"), ("two",)) for at in at_us]
    settled, *_ = at_once([Batch(tuple(seen))], gap_us=gap_us)
    return sorted((record.entry_time, record.exit_time) for record in settled)


def at(*times: tuple[int, int]) -> list[tuple[str, str]]:
    return [(rfc3339(T0_US + first), rfc3339(T0_US + last)) for first, last in times]


def test_within_gap_is_one_session():
    assert spans(0, 99) == at((0, 99))


def test_exact_gap_is_two_sessions():
    assert spans(0, 100) == at((0, 0), (100, 100))


def test_gap_is_measured_from_the_last_sighting():
    assert spans(0, 99, 198, 298) == at((0, 198), (298, 298))


def test_sessions_do_not_depend_on_arrival():
    assert spans(298, 0, 198, 99) == at((0, 198), (298, 298))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=1, max_size=12), st.integers(1, 300))
def test_sessions_are_the_finest_cut_at_gaps(times, gap_us):
    ordered = sorted(times)
    cuts = [number for number, (one, other) in enumerate(itertools.pairwise(ordered), 1) if other - one >= gap_us]
    sessions = [ordered[start:end] for start, end in itertools.pairwise([0, *cuts, len(ordered)])]
    assert spans(*times, gap_us=gap_us) == at(*((session[0], session[-1]) for session in sessions))


@pytest.mark.parametrize("last", [1, 3, 10, 36.000001, 60])
def test_speeds_are_the_same_to_the_last_bit(last):
    found = [located("G0", 0.1), located("G1", 0.1 + last), located("G2", 0.7 + last)]
    settled, suspected, *others = at_once([of_lines(found, IN_CLEAR)])
    assert (settled, suspected, *others) == one_by_one(found, IN_CLEAR)
    assert all(type(record.avg_speed) in (float, type(None)) for record in settled)
    assert all(type(passage.avg_speed_kmh) is float for passage in suspected)


@pytest.mark.parametrize(("at_s", "limit_kmh"), [(0, 40.0), (58, 70.0), (250, 70.0)])
def test_limit_that_applies_is_that_of_the_time(at_s, limit_kmh):
    seen = [Located(located(camera, at_s + leg_s).sighting, ("signed",)) for camera, leg_s in (("G0", 0), ("G2", 20))]
    _, (passage,), *_ = at_once([of_lines(seen, IN_CLEAR)])
    assert passage.limit_kmh == limit_kmh
    assert (passage.limits is None) == (limit_kmh == 40.0), "nothing to tell where no notice says anything"


def test_plain_sessions_are_not_left_to_the_slow_way(monkeypatch):
    monkeypatch.setattr(passages, "measure", None)
    chain = [located(camera, at_s) for at_s, camera in ((0, "G0"), (9, "G1"), (50, "G2"))]
    settled, *_ = at_once([of_lines([Located(one.sighting, ("chain",)) for one in chain], IN_CLEAR)])
    (found,) = settled
    assert (found.n_sightings, found.distance_m, found.travel_time_s) == (3, 733.3, 50.0)


@pytest.mark.parametrize(("beside_s", "fines"), [(0.05, 1), (4.999, 1), (5, 2)])
def test_cameras_beside_each_other_part_no_trip(beside_s, fines):
    ways = (("two", "G0", 0), ("two", "G1", 20), ("signed", "G0", 20 + beside_s), ("signed", "G2", 55))
    seen = [Located(located(camera, at_s, radar_id=name).sighting, (name,)) for name, camera, at_s in ways]
    found = at_once([of_lines(seen, IN_CLEAR)])
    assert found == one_by_one(seen, IN_CLEAR)
    assert len(found[1]) == fines


def test_sightings_of_clear_passages_are_not_read_again(monkeypatch):
    seen = [located("G0", 0), located("G2", 59), located("G1", 0, "B")]
    batch = of_lines([Located(one.sighting, ("chain",)) for one in seen], IN_CLEAR)
    monkeypatch.setattr(bulk.lines, "read", None)
    settled, suspected, *_ = at_once([batch])
    assert {record.outcome for record in settled} == {"clear", "unmeasurable"}
    assert suspected == []
