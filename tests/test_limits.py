"""Limits in force: worked examples of roads, and every second of a span looked at by itself."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.enforcement.limits import (
    CLASSES,
    DAYS,
    Limits,
    Rule,
    SectionNotices,
    SignNotice,
    most_favourable,
    readings_us,
)
from pipeline.enforcement.times import parse_rfc3339_us

SECOND_US = 1_000_000
SCHOOL = Limits(
    (
        Rule(50.0),
        Rule(30.0, days=("mon", "tue", "wed", "thu", "fri"), hours=("07:00-09:00", "15:00-16:30")),
        Rule(50.0, since="2026-07-04", until="2026-09-07"),
    ),
    "Europe/Vienna",
)
MOTORWAY = Limits(
    (Rule(130.0), Rule(110.0, hours=("22:00-05:00",)), Rule(80.0, classes=("truck", "bus"))), "Europe/Vienna"
)
NIGHT = Limits((Rule(50.0), Rule(30.0, hours=("22:00-02:30",))), "Europe/Vienna")
FRIDAY_NIGHT = Limits((Rule(50.0), Rule(30.0, days=("fri",), hours=("22:00-05:00",))), "Europe/Vienna")
EXTENDED = Limits((Rule(50.0), Rule(100.0, hours=("02:00-03:00",))), "Europe/Vienna")
DATED = Limits((Rule(100.0, until="2026-03-01"), Rule(80.0, since="2026-03-01")), "Europe/Vienna")
NONE = SectionNotices("s")


def at(text: str) -> int:
    return parse_rfc3339_us(text)


@pytest.mark.parametrize(
    ("limits", "vehicle_class", "begin", "end", "expected"),
    [
        # School hours, winter and summer: by the clock of Vienna, not by UTC.
        (SCHOOL, "car", "2026-03-02T07:10:00+01:00", "2026-03-02T07:11:00+01:00", [30]),
        (SCHOOL, "car", "2026-03-30T07:10:00+02:00", "2026-03-30T07:11:00+02:00", [30]),
        (SCHOOL, "car", "2026-03-30T07:10:00+01:00", "2026-03-30T07:11:00+01:00", [30]),  # 08:10 there
        (SCHOOL, "car", "2026-03-30T06:59:59+02:00", "2026-03-30T07:01:00+02:00", [50, 30]),
        (SCHOOL, "car", "2026-03-30T08:59:59+02:00", "2026-03-30T08:59:59.999999+02:00", [30]),
        (SCHOOL, "car", "2026-03-30T08:59:59+02:00", "2026-03-30T09:00:00+02:00", [30, 50]),
        (SCHOOL, "car", "2026-04-04T07:10:00+02:00", "2026-04-04T07:11:00+02:00", [50]),  # a Saturday
        (SCHOOL, "car", "2026-07-06T07:10:00+02:00", "2026-07-06T07:11:00+02:00", [50]),  # holidays
        (SCHOOL, "car", "2026-09-07T07:10:00+02:00", "2026-09-07T07:11:00+02:00", [30]),  # school again
        # Lorries: the class counts before the hour, since its rule is the last one.
        (MOTORWAY, "car", "2026-03-02T12:00:00Z", "2026-03-02T12:05:00Z", [130]),
        (MOTORWAY, "car", "2026-03-02T23:00:00Z", "2026-03-02T23:05:00Z", [110]),
        (MOTORWAY, "truck", "2026-03-02T12:00:00Z", "2026-03-02T12:05:00Z", [80]),
        (MOTORWAY, "truck", "2026-03-02T23:00:00Z", "2026-03-02T23:05:00Z", [80]),
        (MOTORWAY, None, "2026-03-02T12:00:00Z", "2026-03-02T12:05:00Z", [130]),
        # A night belongs to the day on which it begins.
        (FRIDAY_NIGHT, "car", "2026-03-06T22:30:00+01:00", "2026-03-06T22:31:00+01:00", [30]),
        (FRIDAY_NIGHT, "car", "2026-03-07T04:30:00+01:00", "2026-03-07T04:31:00+01:00", [30]),
        (FRIDAY_NIGHT, "car", "2026-03-06T04:30:00+01:00", "2026-03-06T04:31:00+01:00", [50]),
        (FRIDAY_NIGHT, "car", "2026-03-07T22:30:00+01:00", "2026-03-07T22:31:00+01:00", [50]),
        # The hour that exists twice, 2026-10-25 02:00 to 03:00: wherever one reading allows 50, 50 is allowed.
        (NIGHT, "car", "2026-10-25T00:59:00+02:00", "2026-10-25T00:59:30+02:00", [30]),
        (NIGHT, "car", "2026-10-25T02:10:00+02:00", "2026-10-25T02:11:00+02:00", [30]),  # else read as 01:10
        (NIGHT, "car", "2026-10-25T02:40:00+02:00", "2026-10-25T02:41:00+02:00", [50]),
        (NIGHT, "car", "2026-10-25T02:10:00+01:00", "2026-10-25T02:11:00+01:00", [50]),  # else read as 03:10
        # The hour that does not exist, 2026-03-29 02:00 to 03:00: whoever counts on it may have it.
        (EXTENDED, "car", "2026-03-29T00:59:00+01:00", "2026-03-29T00:59:30+01:00", [50]),
        (EXTENDED, "car", "2026-03-29T01:30:00+01:00", "2026-03-29T01:31:00+01:00", [100]),
        (EXTENDED, "car", "2026-03-29T03:30:00+02:00", "2026-03-29T03:31:00+02:00", [100]),
        (EXTENDED, "car", "2026-03-29T04:00:00+02:00", "2026-03-29T04:01:00+02:00", [50]),
        # A dated change, at midnight there.
        (DATED, "car", "2026-02-28T23:59:00+01:00", "2026-02-28T23:59:59+01:00", [100]),
        (DATED, "car", "2026-02-28T23:59:00+01:00", "2026-03-01T00:01:00+01:00", [100, 80]),
        (DATED, "car", "2026-03-01T00:00:00+01:00", "2026-03-01T00:01:00+01:00", [80]),
    ],
)  # fmt: skip
def test_limits_in_force(limits, vehicle_class, begin, end, expected):
    found = most_favourable(limits, 0.0, NONE, vehicle_class, at(begin), at(end))
    assert [step.limit_kmh for step in found.steps] == expected
    assert found.limit_kmh == max(expected)
    assert found.steps[0].from_us == at(begin)


CHANGES = (
    SignNotice(at("2026-03-02T12:00:00Z"), 60.0),
    SignNotice(at("2026-03-02T12:30:00Z"), 80.0, ("truck",)),
    SignNotice(at("2026-03-02T13:00:00Z"), None),
    SignNotice(at("2026-03-02T14:00:00Z"), 90.0),
    SignNotice(at("2026-03-02T14:00:00Z"), 70.0),
)


@pytest.mark.parametrize(
    ("vehicle_class", "begin", "end", "expected"),
    [
        ("car", "11:50:00", "11:59:59.999999", [130]),
        ("car", "11:59:59.999999", "12:05:00", [130, 60]),  # lowered while it is inside
        ("car", "12:00:00", "12:05:00", [60]),
        ("truck", "12:00:00", "12:05:00", [60]),
        ("truck", "12:31:00", "12:32:00", [80]),  # until the next notice for its class
        ("car", "12:31:00", "12:32:00", [60]),
        (None, "12:31:00", "12:32:00", [80]),
        ("car", "12:59:00", "13:00:00", [60, 130]),  # raised as it leaves
        ("truck", "13:10:00", "13:11:00", [80]),  # the section's rules again
        ("car", "14:10:00", "14:11:00", [90]),  # two that contradict each other
    ],
)
def test_what_a_sign_shows_replaces_the_rules(vehicle_class, begin, end, expected):
    notices = SectionNotices("s", CHANGES)
    begin_us, end_us = at(f"2026-03-02T{begin}Z"), at(f"2026-03-02T{end}Z")
    found = most_favourable(MOTORWAY, 0.0, notices, vehicle_class, begin_us, end_us)
    assert [step.limit_kmh for step in found.steps] == expected


def test_each_step_names_what_it_came_from():
    notices = SectionNotices("s", CHANGES)
    begin_us, end_us = at("2026-03-02T11:59:00Z"), at("2026-03-02T12:01:00Z")
    found = most_favourable(MOTORWAY, 0.0, notices, "car", begin_us, end_us)
    assert [(step.rule, step.notice_us) for step in found.steps] == [(1, None), (0, CHANGES[0].from_us)]
    assert found.notices.signs == CHANGES[:1], "others say nothing of this time"
    constant = most_favourable(Limits(), 50.0, NONE, "car", begin_us, end_us)
    assert [(step.limit_kmh, step.rule) for step in constant.steps] == [(50.0, 0)]


def test_two_readings_only_near_a_change_of_clocks():
    change_us = at("2026-03-29T01:00:00Z")
    near = [
        len(readings_us(change_us + round(hours * 3600) * SECOND_US, "Europe/Vienna"))
        for hours in (-2, -1, 0, 0.99, 1, 2)
    ]
    assert near == [1, 2, 2, 2, 1, 1]


# --- every second by itself

ZONES = {
    "Europe/Vienna": ["2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"],
    "America/New_York": ["2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"],
    "Australia/Lord_Howe": ["2026-04-04T15:00:00Z", "2026-10-03T15:30:00Z"],  # by half an hour
    "America/Santiago": ["2026-04-05T03:00:00Z", "2026-09-06T04:00:00Z"],  # at midnight
    "Asia/Kolkata": ["2026-03-29T01:00:00Z"],  # not at all
}


def wall(time_us: int, zone: str, hours: int) -> datetime:
    """What a clock shows that goes as the clocks of the place go some hours before or after this time."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)
    offset = (moment + timedelta(hours=hours)).astimezone(ZoneInfo(zone)).utcoffset()
    return (moment + offset).replace(tzinfo=None)


def holds(rule: Rule, time_us: int, shown: datetime) -> bool:
    """By the words of the section file, with the standard library's calendar."""
    for text, must_have_begun in ((rule.since, True), (rule.until, False)):
        begun = shown >= datetime.fromisoformat(text) if len(text) == 10 else bool(text) and time_us >= at(text)
        if text and begun is not must_have_begun:
            return False
    spans = [tuple(map(int, span.replace("-", ":").split(":"))) for span in rule.hours or ("00:00-24:00",)]
    for begin_h, begin_m, end_h, end_m in spans:
        for days_ago in (0, 1):
            midnight = datetime(shown.year, shown.month, shown.day) - timedelta(days=days_ago)
            begin, end = (
                midnight + timedelta(hours=begin_h, minutes=begin_m),
                midnight + timedelta(hours=end_h, minutes=end_m),
            )
            end += timedelta(days=end < begin)
            if (not rule.days or DAYS[midnight.weekday()] in rule.days) and begin <= shown < end:
                return True
    return False


def shown_to(limits: Limits, signs: tuple[SignNotice, ...], vehicle_class: str, time_us: int) -> float:
    def by_rule() -> float:
        found = []
        for hours in (-1, 0, 1):
            reading = wall(time_us, limits.time_zone, hours)
            of_class = [rule for rule in limits.rules if not rule.classes or vehicle_class in rule.classes]
            found.append([rule.limit_kmh for rule in of_class if holds(rule, time_us, reading)][-1])
        return max(found)

    known = [one for one in signs if one.from_us <= time_us and (not one.classes or vehicle_class in one.classes)]
    newest = [one for one in known if one.from_us == max(sign.from_us for sign in known)]
    return max((by_rule() if one.limit_kmh is None else one.limit_kmh for one in newest), default=None) or by_rule()


kmh = st.sampled_from([20.0, 30.0, 50.0, 80.0, 100.0, 130.0])
some_classes = st.lists(st.sampled_from(CLASSES), unique=True, max_size=2).map(tuple)
minute = st.sampled_from(["00:00", "00:30", "01:00", "01:59", "02:00", "02:15", "02:30", "03:00", "23:30"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Limits, SectionNotices, str | None, int, int]:
    zone = draw(st.sampled_from(sorted(ZONES)))
    change_us = at(draw(st.sampled_from(ZONES[zone])))
    day = (datetime(1970, 1, 1) + timedelta(microseconds=change_us)).date()
    dates = st.sampled_from(["", *(str(day + timedelta(days=n)) for n in (-1, 0, 1)), f"{day}T01:23:45Z"])
    rules = [Rule(draw(kmh))]
    for _ in range(draw(st.integers(0, 3))):
        spans = draw(st.lists(st.tuples(minute, minute).filter(lambda span: span[0] != span[1]), max_size=2))
        days = draw(st.lists(st.sampled_from(DAYS), unique=True, max_size=3))
        hours = tuple(f"{begin}-{end}" for begin, end in spans)
        rules.append(Rule(draw(kmh), draw(some_classes), tuple(days), hours, draw(dates), draw(dates)))
    begin_us = change_us + draw(st.integers(-3 * 3600, 3 * 3600)) * SECOND_US
    end_us = begin_us + draw(st.integers(0, 900)) * SECOND_US
    times = st.sampled_from([-600, -1, 0, 299, 450, 1200]).map(lambda at_s: begin_us + at_s * SECOND_US)
    signs = draw(st.lists(st.builds(SignNotice, times, st.none() | kmh, some_classes), max_size=4))
    notices = SectionNotices("s", tuple(sorted(signs, key=lambda sign: sign.from_us)))
    return Limits(tuple(rules), zone), notices, draw(st.none() | st.sampled_from(CLASSES)), begin_us, end_us


@settings(max_examples=250, deadline=None)
@given(cases())
@example((NIGHT, NONE, "car", at("2026-10-25T00:58:00Z"), at("2026-10-25T01:02:00Z")))
def test_limits_are_those_of_every_second(case):
    limits, notices, vehicle_class, begin_us, end_us = case
    found = most_favourable(limits, 0.0, notices, vehicle_class, begin_us, end_us)
    steps = list(found.steps)
    for time_us in range(begin_us, end_us + 1, SECOND_US):
        while len(steps) > 1 and steps[1].from_us <= time_us:
            steps.pop(0)
        classes = CLASSES if vehicle_class is None else (vehicle_class,)
        assert steps[0].limit_kmh == max(shown_to(limits, notices.signs, one, time_us) for one in classes)


@settings(max_examples=200, deadline=None)
@given(cases(), st.randoms())
def test_a_wider_span_is_never_against_the_driver(case, chance):
    limits, notices, vehicle_class, begin_us, end_us = case
    narrow = most_favourable(limits, 0.0, notices, vehicle_class, begin_us, end_us)
    wide = most_favourable(limits, 0.0, notices, vehicle_class, begin_us - chance.randrange(10**9), end_us + 10**7)
    unknown = most_favourable(limits, 0.0, notices, None, begin_us, end_us)
    assert narrow.limit_kmh <= min(wide.limit_kmh, unknown.limit_kmh)


@settings(max_examples=200, deadline=None)
@given(cases())
def test_notices_that_bear_on_a_span_give_the_same_again(case):
    limits, notices, vehicle_class, begin_us, end_us = case
    found = most_favourable(limits, 0.0, notices, vehicle_class, begin_us, end_us)
    assert most_favourable(limits, 0.0, found.notices, vehicle_class, begin_us, end_us) == found
