"""The limit that applied to a passage: how it is found, what keeps a case from being a fine, and its packet."""

import pytest
from msgspec.structs import replace
from packet_samples import SECTION, VERSIONS, pictures, reads, rules, verdict

from pipeline.enforcement import applied_limit, packet, passages, policy, sheet, wording
from pipeline.enforcement.limits import Limits, Quarantine, Rule, SectionNotices, SignNotice
from pipeline.enforcement.model import ErrorBudget, Passage, Reason, Sighting, Status
from pipeline.enforcement.packet import Rules
from pipeline.enforcement.plain_json import PacketError, canonical, decoded
from pipeline.enforcement.records import Verdict
from pipeline.enforcement.times import parse_rfc3339_us, rfc3339

SECOND_US = 1_000_000
RULED = replace(
    SECTION,
    limit_kmh=100.0,
    limits=Limits((Rule(40.0), Rule(100.0, hours=("02:00-03:00",)), Rule(30.0, ("truck",))), "Europe/Vienna"),
)
VARIABLE = replace(SECTION, limits=Limits(variable=True))
UNDER, UNDER_SIGN = rules(RULED), rules(VARIABLE)


def measured(seen: tuple[Sighting, ...], section=RULED, notices: SectionNotices | None = None) -> Passage:
    (found,) = passages.measure(section, seen[0].vehicle_id, seen).passages
    return applied_limit.with_limit(found, section, notices)


def ends(*classes: str | None) -> tuple[Sighting, ...]:
    return tuple(replace(read, vehicle_class=one) for read, one in zip(reads(), classes, strict=True))


@pytest.mark.parametrize(
    ("entry", "leaving", "limit_kmh"),
    [
        ("truck", "truck", 30.0),
        ("truck", None, 30.0),
        (None, "truck", 30.0),
        ("car", "car", 40.0),
        (None, None, 40.0),
        ("truck", "car", 40.0),  # they contradict each other
        ("truck", "other", 40.0),
        ("other", "other", 40.0),  # as good as unknown
    ],
)
def test_class_is_what_both_ends_say(entry, leaving, limit_kmh):
    found = measured(ends(entry, leaving))
    assert found.limit_kmh == limit_kmh
    assert found.limits.vehicle_class == (None if limit_kmh == 40.0 and entry != "car" else entry or leaving)


def sign(*changes: tuple[int, float | None], **more: object) -> SectionNotices:
    return SectionNotices("G1-G2", tuple(SignNotice(*change) for change in changes), **more)


@pytest.mark.parametrize(("before_us", "applies"), [(-1, True), (0, True), (10_121_999, True), (10_122_000, False)])
def test_limit_counts_from_a_grace_and_the_clocks_errors_before_the_entry(before_us, applies):
    """The sign is lowered from 80 so long before the entry; clocks and their steps may be wrong by 0.122 s."""
    seen = reads()
    lowered_us = seen[0].time_us - before_us
    found = measured(seen, SECTION, sign((lowered_us - 10**9, 80.0), (lowered_us, 30.0)))
    assert found.limit_kmh == (80.0 if applies else 30.0)


@pytest.mark.parametrize(("after_us", "applies"), [(0, True), (122_000, True), (122_001, False)])
def test_limit_counts_to_the_exit_and_the_clocks_errors(after_us, applies):
    seen = reads()
    found = measured(seen, SECTION, sign((seen[0].time_us - 10**9, 30.0), (seen[1].time_us + after_us, 80.0)))
    assert found.limit_kmh == (80.0 if applies else 30.0)


def test_grace_is_the_sections():
    seen = reads()
    section = replace(SECTION, limits=Limits(grace_s=60.0))
    notices = sign((seen[0].time_us - 10**9, 80.0), (seen[0].time_us - 59 * SECOND_US, 30.0))
    assert (measured(seen, section, notices).limit_kmh, measured(seen, SECTION, notices).limit_kmh) == (80.0, 30.0)


def test_constant_limit_costs_nothing():
    (found,) = passages.measure(SECTION, "KLM4821", seen := reads()).passages
    assert applied_limit.with_limit(found, SECTION) is found
    later = sign((seen[1].time_us + 10**9, 30.0), confirmed_until_us=1)
    assert applied_limit.with_limit(found, SECTION, later) is found


def test_passage_that_cannot_be_measured_has_its_limit_too():
    found = measured(reads()[:1])
    assert (found.outcome, found.limit_kmh, found.limits) == ("unmeasurable", 40.0, None)
    assert measured(ends("truck", "truck")[:1]).limit_kmh == 30.0


def test_clear_passage_keeps_no_grounds():
    seen = reads(60_000_000)
    notices = sign(quarantines=(Quarantine(seen[0].time_us, None, "works"),))
    decided = policy.decide(measured(seen, RULED, notices), UNDER.policy)
    assert (decided.outcome, decided.reasons, decided.limits, decided.limit_kmh) == ("clear", (), None, 40.0)


# --- on the time of publishing


def untimed(seen: tuple[Sighting, ...], at_us: int) -> tuple[Sighting, ...]:
    """Points that tell their speed and place alone, published at this time."""
    return tuple(
        replace(
            seen[0], event_id=f"{n}", time_us=at_us + n, timed=False, camera_id=None, location=place, speed_kmh=60.0
        )
        for n, place in enumerate([(40.740, -73.99), (40.745, -73.99), (40.750, -73.99)])
    )


RADAR = replace(RULED, cameras=(), length_m=(), errors=ErrorBudget(), line=((40.740, -73.99), (40.750, -73.99)))
NIGHT_US, NOON_US = (parse_rfc3339_us(f"2026-03-02T{hour}:30:00Z") for hour in ("01", "11"))


@pytest.mark.parametrize("at_us", [NIGHT_US, NOON_US])
def test_hour_of_publishing_sets_no_limit(at_us):
    """By night it is 100 km/h there, and 40 by day."""
    found = measured(untimed(reads(), at_us), RADAR)
    assert (found.limit_kmh, [step.rule for step in found.limits.steps]) == (100.0, [2])
    truck = tuple(replace(one, vehicle_class="truck") for one in untimed(reads(), at_us))
    assert measured(truck, RADAR).limit_kmh == 100.0


def test_one_end_without_its_time_is_enough():
    seen = reads()
    for end in (0, 1):
        told = tuple(replace(one, timed=number != end) for number, one in enumerate(seen))
        assert measured(told).limit_kmh == 100.0
        assert measured(told[end : end + 1]).limit_kmh == 100.0
    assert measured(seen).limit_kmh == 40.0


def test_limit_that_depends_on_the_class_alone_needs_no_time():
    section = replace(RADAR, limit_kmh=40.0, limits=Limits((Rule(40.0), Rule(30.0, ("truck",)))))
    truck = tuple(replace(one, vehicle_class="truck") for one in untimed(reads(), NOON_US))
    assert measured(truck, section).limit_kmh == 30.0


@pytest.mark.parametrize(("shown_kmh", "limit_kmh"), [(30.0, 40.0), (50.0, 50.0)])
@pytest.mark.parametrize("after_s", [-(10**6), 10**6])
def test_sign_of_any_time_may_have_been_the_one(shown_kmh, limit_kmh, after_s):
    constant = replace(RADAR, limit_kmh=40.0, limits=Limits())
    sign_us = NOON_US + after_s * SECOND_US
    notices = sign((sign_us - 1, 20.0), (sign_us, shown_kmh), (sign_us + 1, None))
    found = measured(untimed(reads(), NOON_US), constant, notices)
    assert found.limit_kmh == limit_kmh
    lower_too = replace(notices, signs=(*notices.signs, SignNotice(sign_us + 2, 25.0)))
    assert measured(untimed(reads(), NOON_US), constant, lower_too).limits.steps == found.limits.steps


def test_quarantine_and_what_is_not_known_hold_for_them_too():
    notices = sign((0, 30.0), quarantines=(Quarantine(NOON_US, None, "works"),), unread=True)
    found = measured(untimed(reads(), NOON_US), replace(RADAR, limits=replace(RADAR.limits, variable=True)), notices)
    assert found.reasons == (Reason.QUARANTINED, Reason.LIMIT_NOT_CONFIRMED, Reason.NOTICES_UNREADABLE)


# --- for a person


def reasons(section, notices: SectionNotices | None, seen: tuple[Sighting, ...]) -> tuple[Reason, ...]:
    return policy.decide(measured(seen, section, notices), UNDER.policy).reasons


def test_variable_sign_must_be_known_up_to_the_exit():
    seen = reads()
    exit_us = seen[1].time_us + 122_000
    assert reasons(VARIABLE, None, seen) == (Reason.LIMIT_NOT_CONFIRMED,)
    assert reasons(VARIABLE, sign(), seen) == (Reason.LIMIT_NOT_CONFIRMED,)
    assert reasons(VARIABLE, sign(confirmed_until_us=exit_us - 1), seen) == (Reason.LIMIT_NOT_CONFIRMED,)
    assert reasons(VARIABLE, sign(confirmed_until_us=exit_us), seen) == ()
    assert reasons(SECTION, sign((0, 30.0)), seen) == (), "others need no confirmation"


@pytest.mark.parametrize("section", [VARIABLE, RULED, SECTION])
def test_confirmation_that_moves_on_makes_no_other_passage(section):
    """Or a sighting that is repeated later would take a fine back."""
    seen = reads()
    first, later = (replace(known(seen), confirmed_until_us=seen[1].time_us + more_us) for more_us in (10**6, 10**9))
    assert measured(seen, section, first) == measured(seen, section, later)


@pytest.mark.parametrize(
    ("begin_s", "end_s", "quarantined"),
    [(-100, -11, False), (-100, -10, True), (5, 6, True), (31, None, True), (33, None, False), (-100, None, True)],
)
def test_quarantine_is_for_a_person(begin_s, end_s, quarantined):
    seen = reads()
    until_us = None if end_s is None else seen[0].time_us + end_s * SECOND_US
    one = Quarantine(seen[0].time_us + begin_s * SECOND_US, until_us, "works")
    assert (Reason.QUARANTINED in reasons(SECTION, sign(quarantines=(one,)), seen)) is quarantined


def test_notices_that_cannot_be_read_are_for_a_person():
    assert reasons(SECTION, sign(unread=True), reads()) == (Reason.NOTICES_UNREADABLE,)


# --- the packet


def known(seen: tuple[Sighting, ...]) -> SectionNotices:
    """30 km/h when it enters, 35 while it is inside."""
    first_us = seen[0].time_us
    changes = (first_us - 10**8, 30.0), (first_us + 10 * SECOND_US, 35.0)
    return sign(*changes, confirmed_until_us=seen[1].time_us + SECOND_US)


def parts_of(found: Verdict, under: Rules) -> dict[str, bytes]:
    return packet.parts(found, under, VERSIONS, pictures(found))


def recheck(parts: dict[str, bytes]) -> packet.Told:
    return packet.recheck(parts[packet.NAME], {name: data for name, data in parts.items() if name != packet.NAME})


@pytest.mark.parametrize("signs", [(), ((NOON_US, 30.0),), ((0, 50.0), (NOON_US + 10**9, 55.0))])
@pytest.mark.parametrize("limits", [Limits(), Limits((Rule(40.0), Rule(30.0, ("truck",)))), RADAR.limits])
def test_verdict_without_times_is_computed_again_with_its_limits(limits, signs):
    highest_kmh = max((rule.limit_kmh for rule in limits.rules), default=40.0)
    under = rules(replace(RADAR, limit_kmh=highest_kmh, limits=limits))
    seen = tuple(replace(one, speed_kmh=120.0, vehicle_class="truck") for one in untimed(reads(), NOON_US))
    found = verdict(seen, under, notices=sign(*signs) if signs else None)
    told = recheck(parts_of(found, under))
    assert (told.fine, told.grounds.passage) == (found.fine, found.passage)


@pytest.mark.parametrize(
    ("under", "notices", "status"),
    [
        (UNDER, lambda _: None, Status.ISSUED),
        (UNDER_SIGN, known, Status.ISSUED),
        (UNDER_SIGN, lambda _: sign(), Status.REVIEW),
        (rules(), known, Status.ISSUED),
        (rules(), lambda seen: replace(known(seen), unread=True), Status.REVIEW),
        (rules(), lambda seen: sign(quarantines=(Quarantine(seen[0].time_us, None, "works"),)), Status.REVIEW),
    ],
)
def test_verdict_is_computed_again_with_its_limits(under, notices, status):
    seen = reads()
    found = verdict(seen, under, notices=notices(seen))
    assert found.fine.status is status
    told = recheck(parts_of(found, under))
    assert (told.fine, told.grounds.passage) == (found.fine, found.passage)


def test_record_names_each_step_and_where_it_comes_from():
    seen = reads()
    notices = known(seen)
    record = decoded(parts_of(verdict(seen, UNDER_SIGN, notices=notices), UNDER_SIGN)[packet.NAME], "case")
    first, changed, last = (
        rfc3339(us) for us in (seen[0].time_us - 10_122_000, notices.signs[1].from_us, seen[1].time_us + 122_000)
    )
    assert record["grounds"]["limits"] == [
        {"from": first, "to": changed, "limit_kmh": 30.0, "of": f"notice from {rfc3339(notices.signs[0].from_us)}"},
        {"from": changed, "to": last, "limit_kmh": 35.0, "of": f"notice from {changed}"},
    ]
    assert record["fine"]["limit_kmh"] == 35.0
    ruled = decoded(parts_of(verdict(ends("truck", "truck"), UNDER), UNDER)[packet.NAME], "case")
    assert [step["of"] for step in ruled["grounds"]["limits"]] == ["rule 3"]


def without(*path: object):
    def change(told) -> None:
        inner = told
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]

    return change


@pytest.mark.parametrize(
    "change",
    [
        without("grounds", "passage", "limits", "notices", "signs", 1),
        without("grounds", "passage", "limits", "steps", 1),
        without("grounds", "limits", 1),
        without("grounds", "passage", "limits"),
        lambda told: told["grounds"]["passage"]["limits"].update(vehicle_class="truck"),
        lambda told: told["grounds"]["passage"]["limits"]["notices"].update(confirmed_until_us=1),
        lambda told: told["grounds"]["passage"]["limits"].update(from_us=told["grounds"]["passage"]["first_us"]),
        lambda told: told["grounds"]["rules"]["section"]["limits"].update(grace_s=0.0),
        lambda told: told["grounds"]["passage"].update(limit_kmh=30.0),
        lambda told: told["grounds"]["reads"][0].update(vehicle_class="truck"),
    ],
)
def test_limit_that_does_not_follow_is_found(change):
    seen = reads()
    parts = parts_of(verdict(seen, UNDER_SIGN, notices=known(seen)), UNDER_SIGN)
    told = decoded(parts[packet.NAME], "case")
    change(told)
    with pytest.raises(PacketError):
        recheck(parts | {packet.NAME: canonical(told)})


def test_other_rule_is_found():
    parts = parts_of(verdict(reads(), UNDER), UNDER)
    told = decoded(parts[packet.NAME], "case")
    told["grounds"]["rules"]["section"]["limits"]["rules"][0]["limit_kmh"] = 39.0
    with pytest.raises(PacketError, match=r"passage.limit_kmh: computed 39.0, told 40.0"):
        recheck(parts | {packet.NAME: canonical(told)})


def test_packet_of_an_earlier_release_is_checked_as_before():
    """It had neither the passage's limits nor the section's rules."""
    parts = parts_of(verdict(), rules())
    told = decoded(parts[packet.NAME], "case")
    assert told["grounds"]["passage"].pop("limits") is None
    del told["grounds"]["rules"]["section"]["limits"]
    assert recheck(parts | {packet.NAME: canonical(told)}).fine.limit_kmh == SECTION.limit_kmh


# --- the sheet


def why(found: Verdict, under: Rules) -> str:
    blocks = sheet.of_verdict(found, under, VERSIONS, packet.names(found.passage, pictures(found)), "0123456789abcdef")
    (facts,) = (block for block in blocks if isinstance(block, sheet.Facts))
    return dict(facts.rows).get("Why this speed", "")


def test_sheet_says_why():
    seen = reads()
    notices = known(seen)
    found = verdict(seen, UNDER_SIGN, notices=notices)
    shown, changed = (sign.from_us for sign in notices.signs)
    assert why(found, UNDER_SIGN) == (
        "The limit here is not always the same. In force was at "
        f"{wording.clock(seen[0].time_us - 10_122_000)}, 10 s or a little more before the entry, 30 km/h (the sign "
        f"showed it from {wording.day(shown)}, {wording.clock(shown)} on); from {wording.clock(changed)} on 35 km/h "
        f"(the sign showed it from {wording.day(changed)}, {wording.clock(changed)} on). The highest one until the "
        "exit counts, 35 km/h."
    )


def test_sheet_says_which_rule_and_which_class():
    of_truck = why(verdict(ends("truck", "truck"), UNDER), UNDER)
    assert "The cameras took this vehicle for a truck." in of_truck
    assert "30 km/h (truck)" in of_truck
    of_unknown = why(verdict(reads(), UNDER), UNDER)
    assert "is not known: that with the highest limit counts." in of_unknown
    assert "40 km/h (unless another rule of the section holds)" in of_unknown


def test_sheet_of_a_track_without_times_names_no_time():
    under = rules(RADAR)
    seen = tuple(replace(one, speed_kmh=120.0) for one in untimed(reads(), NOON_US))
    assert why(verdict(seen, under), under).endswith(
        "When it passed is not known: the highest limit that it may have had counts, 100 km/h (02:00-03:00; by the "
        "clock of Europe/Vienna)."
    )


def test_sheet_of_a_constant_limit_is_as_it_was():
    assert why(verdict(), rules()) == ""
