"""A packet's record: the same verdict from nothing but itself, and whatever was changed in it is found."""

import copy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from packet_samples import (
    PLATE,
    POLICIES,
    SECTION,
    T0_US,
    TRACK,
    VERSIONS,
    jpeg,
    pictures,
    reads,
    rules,
    verdict,
    words,
)

from pipeline.enforcement import evidence, packet, passages, policy
from pipeline.enforcement.model import Case, Reason, Sighting, Status
from pipeline.enforcement.plain_json import PacketError, canonical, decoded
from pipeline.enforcement.records import Verdict
from pipeline.enforcement.track_errors import TrackErrors


def parts_of(found: Verdict, under=None):
    return packet.parts(found, under or rules(), VERSIONS, pictures(found))


def recheck(parts):
    return packet.recheck(parts[packet.NAME], {name: data for name, data in parts.items() if name != packet.NAME})


def of_classes(entry: str, leaving: str) -> tuple[Sighting, Sighting]:
    one, other = reads()
    return replace(one, vehicle_class=entry), replace(other, vehicle_class=leaving)


def edited(found: Verdict, change) -> dict[str, bytes]:
    """The parts of a packet whose record somebody changed, and spelt as it must be."""
    parts = parts_of(found)
    told = decoded(parts[packet.NAME], "case")
    change(told)
    return parts | {packet.NAME: canonical(told)}


def test_verdict_is_computed_again_from_its_record():
    found = verdict()
    assert found.fine.status is Status.ISSUED
    told = recheck(parts_of(found))
    assert (told.fine, told.grounds.passage, told.versions) == (found.fine, found.passage, VERSIONS)
    assert told.grounds.pictures == found.pictures


def test_same_verdict_has_the_same_bytes():
    found = verdict()
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Verdict)
    assert parts_of(found) == parts_of(again)


def test_where_the_packet_lies_is_no_part_of_it():
    found = verdict()
    placed = Verdict(found.passage, replace(found.fine, packet_url="gs://b/p.zip"), found.pictures)
    assert parts_of(found) == parts_of(placed)


def test_packet_of_a_release_that_did_not_tell_the_cameras_readings_in_its_message_is_read():
    def as_before(told):
        for one in told["fine"]["evidence"]:
            del one["plate"], one["plate_region"]

    found = verdict()
    assert [one.plate for one in found.fine.evidence] == [PLATE, PLATE]
    assert recheck(edited(found, as_before)).grounds.passage == found.passage


def test_camera_reading_in_the_message_is_that_of_the_picture():
    def another(told):
        told["fine"]["evidence"][0]["plate"] = "KLM4822"

    with pytest.raises(PacketError, match=r"fine\.evidence: computed"):
        recheck(edited(verdict(), another))


def test_pictures_are_named_by_their_end_and_kind():
    assert sorted(parts_of(verdict())) == ["case.json", "entry.jpg", "exit.jpg"]
    found = verdict()
    parts = packet.parts(found, rules(), VERSIONS, (b"\x89PNG\r\n", None))
    assert sorted(parts) == ["case.json", "exit.png"]


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (verdict(read=words("KLM4827")), Reason.PLATE_DISAGREES),
        (verdict(read=words(confidence=0.1)), Reason.LOW_CONFIDENCE),
        (verdict(read=()), Reason.NO_TEXT),
        (verdict(read=None), Reason.OCR_FAILED),
        (verdict(reads(4_000_000)), Reason.IMPLAUSIBLE_SPEED),
        (verdict(reads(timed=False)), Reason.AMBIGUOUS_PAIRING),
        (verdict(of_classes("car", "truck")), Reason.READS_CONTRADICT),
    ],
)
def test_case_for_a_person_is_computed_again_with_its_reason(found, reason):
    assert (found.fine.status, reason in found.fine.reasons) == (Status.REVIEW, True)
    assert recheck(parts_of(found)).fine == found.fine


def test_doubts_that_the_rest_of_the_session_gave_are_kept():
    """Whether sightings that are not in the packet made a pairing doubtful, or a case was revised, it must be told."""
    fined = verdict()
    suspected = replace(fined.passage, outcome=None, reasons=(), ambiguous=True, revision=2)
    suspected = policy.decide(suspected, rules().policy)
    suspected = replace(suspected, reasons=(*suspected.reasons, Reason.REVISED, Reason.NEAR_TWIN))
    found = Verdict(*evidence.judge(Case(suspected, fined.pictures), SECTION), fined.pictures)
    assert found.fine.reasons == (Reason.AMBIGUOUS_PAIRING, Reason.REVISED, Reason.NEAR_TWIN)
    assert recheck(parts_of(found)).fine == found.fine


def test_doubt_that_the_reads_themselves_give_cannot_be_left_out():
    def sure(told):
        told["grounds"]["passage"]["ambiguous"] = False
        told["grounds"]["passage"]["reasons"] = told["fine"]["reasons"] = []
        told["grounds"]["passage"]["outcome"], told["fine"]["status"] = "fined", "issued"
        told["fine"]["is_Ticketed"] = True

    with pytest.raises(PacketError, match=r"fine.is_Ticketed: computed False, told True"):
        recheck(edited(verdict(reads(timed=False)), sure))


def test_picture_that_was_not_kept():
    fined = verdict()
    lost = (fined.pictures[0], replace(fined.pictures[1], image_url=None, sha256=None, problem=Reason.PICTURE_MISSING))
    undecided = replace(fined.passage, outcome=None, reasons=())
    found = Verdict(*evidence.judge(Case(undecided, lost), SECTION), lost)
    assert found.fine.reasons == (Reason.PICTURE_MISSING,)
    assert sorted(parts_of(found)) == ["case.json", "exit.jpg"]
    assert recheck(parts_of(found)).fine == found.fine


@given(
    name=st.sampled_from(sorted(POLICIES)),
    travel_us=st.integers(4_000_000, 34_000_000),
    tolerance_kmh=st.sampled_from([0.0, 1.5, 3.0]),
)
def test_every_policy_is_computed_again_to_the_last_bit(name, travel_us, tolerance_kmh):
    under = rules(name=name, tolerance_kmh=tolerance_kmh)
    entry, leaving = reads(travel_us)
    (measured,) = passages.measure(SECTION, "KLM4821", (entry, leaving)).passages
    if not policy.is_suspected(policy.decide(measured, under.policy, tolerance_kmh)):
        return
    found = verdict((entry, leaving), under)
    told = recheck(parts_of(found, under))
    assert (told.fine, told.grounds.passage) == (found.fine, found.passage)


# --- radar tracks: each point counts


def track(timed: bool, n: int = 10) -> tuple[Sighting, ...]:
    return tuple(
        Sighting(
            f"t{number}",
            "KLM4821",
            T0_US + number * 1_000_000,
            timed=timed,
            location=(40.76 - 0.0001 * number, -73.97 - 0.0001 * number),
            speed_kmh=50.0 + number % 3,
            image_url="gs://cameras/1.jpg",
        )
        for number in range(n)
    )


ROAD = ((40.76, -73.97), (40.7591, -73.9709))
RADAR = TrackErrors(0.5, speed_kmh=2.0, clock_s=0.05, resolution_s=0.01)


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize(("line", "errors"), [((), None), (ROAD, None), (ROAD, RADAR)])
def test_radar_track_is_computed_again_from_its_points(timed, line, errors):
    under = rules(replace(TRACK, line=line, track=errors))
    found = verdict(track(timed), under)
    assert len(found.passage.points) == 10
    assert (found.passage.min_speed_kmh is None) == (found.passage.errors is None) == (errors is None)
    told = recheck(parts_of(found, under))
    assert (told.fine, told.grounds.passage) == (found.fine, found.passage)


@pytest.mark.parametrize(("name", "claimed"), [("location_m", 0.0), ("speed_kmh", None), ("clock_s", 0.0)])
def test_other_errors_of_a_radar_are_found(name, claimed):
    under = rules(replace(TRACK, line=ROAD, track=RADAR))
    parts = packet.parts(found := verdict(track(name == "clock_s"), under), under, VERSIONS, pictures(found))
    told = decoded(parts[packet.NAME], "case")
    told["grounds"]["rules"]["section"]["track"][name] = claimed
    with pytest.raises(PacketError, match=r"passage.errors: computed"):
        recheck(parts | {packet.NAME: canonical(told)})


def test_point_that_is_missing_is_found():
    under = rules(TRACK)
    parts = packet.parts(found := verdict(track(timed=False), under), under, VERSIONS, pictures(found))
    told = decoded(parts[packet.NAME], "case")
    del told["grounds"]["reads"][4]
    with pytest.raises(PacketError, match=r"fine.travel_time_s: computed"):
        recheck(parts | {packet.NAME: canonical(told)})


def test_nobody_else_keeps_the_points():
    points = tuple(replace(point, speed_kmh=20.0) for point in track(timed=False))
    (measured,) = passages.measure(TRACK, "KLM4821", points).passages
    assert policy.decide(measured, rules().policy).points == ()
    (alone,) = passages.measure(TRACK, "KLM4821", points[:1]).passages
    assert policy.decide(alone, rules().policy).points == ()


# --- what was changed


def leaves(value, path=()):
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, (*path, name))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, number))
    else:
        yield path, value


def other(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}x" if isinstance(value, str) else "x"


def changed(told, path, value):
    told = copy.deepcopy(told)
    inner = told
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return told


# Another value of these leaves this verdict as it is; that they are unchanged, the signature says alone.
SAID_ONLY = {
    "reads": {"event_id", "extra", "image_url", "radar_id", "vehicle_class"},
    "pictures": {"text", "confidence", "x", "y", "width", "height"},  # of words
    "rules": {
        "title", "sources", "currency", "region", "policy", "least_length_m", "one_fine_per_trip", "fines_point_speeds",
        "counts_mean_of_points", "more_than_kmh", "tolerance_kmh", "time_zone", "grace_s",
    },
    "passage": {"n_sightings"},
}  # fmt: skip


def test_any_other_value_anywhere_in_the_record_is_found():
    parts = parts_of(verdict())
    told = decoded(parts[packet.NAME], "case")
    unnoticed = set()
    for path, value in leaves(told):
        try:
            recheck(parts | {packet.NAME: canonical(changed(told, path, other(value)))})
        except PacketError:
            continue
        unnoticed.add(path)
    assert {path[0] for path in unnoticed} == {"grounds", "versions"}, "nothing that was published"
    for _, of, *path in (path for path in unnoticed if path[0] == "grounds"):
        assert {*path} & SAID_ONLY[of], f"{of} {path}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda told: told.pop("fine"), "allowed: an object of"),
        (lambda told: told.update(more=1), "allowed: an object of"),
        (lambda told: told.update(format=2), "no record of format 1"),
        (lambda told: told.update(grounds=None), "only a case that was taken back"),
        (lambda told: told["grounds"].update(reads=[]), "reads: none"),
        (lambda told: told["grounds"].update(reads=5), "reads: no list"),
        (lambda told: told["grounds"]["reads"].pop(), "no violation is suspected: the passage is unmeasurable"),
        (lambda told: told["grounds"]["pictures"].pop(), "pictures: 1 of 2"),
        (lambda told: told["grounds"]["rules"]["section"].update(limit_kmh=39.0), "limits: not the section's limit"),
        (lambda told: told["grounds"]["limits"].append(told["grounds"]["limits"][0]), "limits: not the section's"),
        (lambda told: told["grounds"]["passage"].pop("limit_kmh"), "limit_kmh is missing"),
        (lambda told: told["grounds"]["reads"][0].update(time_us="noon"), "reads.0: Expected `int`"),
        (lambda told: told["grounds"]["pictures"][0].update(part=None), "a part and its hash belong together"),
        (lambda told: told["grounds"]["pictures"][0].update(part=["exit.jpg"]), "a part and its hash belong"),
    ],
)
def test_what_is_no_record_is_told(change, says):
    with pytest.raises(PacketError, match=says):
        recheck(edited(verdict(), change))


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 100_000, b'{"a":1}'])
def test_what_is_no_json_is_told(data):
    with pytest.raises(PacketError):
        packet.recheck(data, {})


def test_other_picture_is_found():
    parts = parts_of(verdict())
    with pytest.raises(PacketError, match=r"exit.jpg: another picture than the one that was judged"):
        recheck(parts | {"exit.jpg": jpeg(7)})


@pytest.mark.parametrize("names", [{"exit.jpg"}, {"exit.jpg", "entry.jpg", "more.jpg"}])
def test_picture_that_is_missing_or_too_many_is_found(names):
    parts = parts_of(verdict())
    with pytest.raises(PacketError, match="not those that are in the packet"):
        packet.recheck(parts[packet.NAME], {name: parts.get(name, b"") for name in names})


def test_withdrawal_has_nothing_to_prove():
    fine = evidence.withdraw(verdict().passage, SECTION)
    parts = packet.withdrawal(fine, VERSIONS)
    assert packet.recheck(parts[packet.NAME], {}) == packet.Told(fine, None, VERSIONS)
    with pytest.raises(PacketError):
        packet.recheck(parts[packet.NAME], {"exit.jpg": jpeg(1)})


def test_number_of_another_processor_is_the_same_and_any_other_is_not():
    """Cosines may differ in their last bit."""
    under = rules(TRACK)
    found = verdict(track(timed=False), under)

    def computed_elsewhere(factor):
        parts = parts_of(found, under)
        told = decoded(parts[packet.NAME], "case")
        told["fine"]["distance_m"] *= factor
        return parts | {packet.NAME: canonical(told)}

    assert recheck(computed_elsewhere(1 + 2**-52)).fine.fine_id == found.fine.fine_id
    with pytest.raises(PacketError, match=r"fine.distance_m: computed"):
        recheck(computed_elsewhere(1 + 1e-11))
