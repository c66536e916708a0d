"""Notices as a self-test reads them: what stands of a section's lines, which days it covers, what it explains."""

import json
from pathlib import Path

import pytest

from pipeline import quarantine
from pipeline.enforcement.times import parse_rfc3339_us
from pipeline.option_values import OptionError
from pipeline.quarantine import State


def at(clock, day="2026-03-02"):
    return parse_rfc3339_us(f"{day}T{clock}:00Z")


def line(clock, why="works", until=None):
    told = {"section_id": "a-b", "from": f"2026-03-02T{clock}:00Z", "quarantine": why}
    return told if until is None else told | {"until": f"2026-03-02T{until}:00Z"}


def states(tmp_path, *told):
    path = tmp_path / "notices.ndjson"
    path.write_text("".join(json.dumps(one) + "\n" for one in told))
    return quarantine.read(str(path)).get("a-b", [])


def test_dated_quarantine_has_its_end_and_an_open_one_none(tmp_path):
    assert states(tmp_path, line("11:00", until="12:00"), line("12:30")) == [
        State(at("11:00"), at("12:00"), in_quarantine=True),
        State(at("12:30"), None, in_quarantine=True),
    ]


def test_null_ends_what_began_before_it_whatever_the_order_of_the_lines(tmp_path):
    end = line("12:00", why=None)
    told = line("11:00"), end, line("12:30")
    expected = [State(at("12:00"), None, in_quarantine=False), State(at("12:30"), None, in_quarantine=True)]
    assert states(tmp_path, *told) == expected
    assert states(tmp_path, *reversed(told)) == expected


@pytest.mark.parametrize(
    ("until", "said"),
    [("noon", "line 1: until: found 'noon'; allowed: an RFC 3339 time"), ("2026-03-02T11:00:00Z", "line 1: until: ")],
)
def test_end_that_is_none_is_told(until, said, tmp_path):
    with pytest.raises(OptionError, match="--notices: .*notices.ndjson, " + said):
        states(tmp_path, line("11:00") | {"until": until})


def test_quarantine_covers_the_days_of_which_it_holds_a_part():
    dated = State(at("11:00"), at("00:00", "2026-03-04"), in_quarantine=True)
    days = [f"2026-03-0{number}" for number in range(1, 6)]
    assert [day for day in days if dated.covers(day)] == ["2026-03-02", "2026-03-03"]
    assert [day for day in days if dated._replace(until_us=None).covers(day)] == days[1:]
    assert not any(dated._replace(in_quarantine=False).covers(day) for day in days)


DATED = State(at("11:00"), at("12:00"), in_quarantine=True)
OPEN = State(at("12:30"), None, in_quarantine=True)


@pytest.mark.parametrize(
    ("told", "seen", "expected"),
    [
        ([], "13:00", (0, None)),
        ([DATED], "13:00", (at("12:00"), None)),
        # It has not begun, or is not over: what came before it is for the test.
        ([DATED], "10:00", (0, at("11:00"))),
        ([DATED], "11:30", (0, at("11:00"))),
        # An open one explains nothing: it stands until a person ends it.
        ([OPEN], "13:00", (0, None)),
        ([DATED, OPEN], "13:00", (at("12:00"), None)),
        ([OPEN._replace(from_us=at("10:00")), DATED], "13:00", (0, None)),
        ([State(at("10:00"), None, in_quarantine=False), DATED], "11:30", (at("10:00"), at("11:00"))),
        ([State(at("10:00"), None, in_quarantine=False), OPEN], "13:00", (at("10:00"), None)),
    ],
)
def test_what_a_quarantine_explains_is_not_looked_at(told, seen, expected):
    assert quarantine.unexplained(told, at(seen)) == expected


def test_file_that_is_not_there_says_nothing():
    assert not Path("none.ndjson").exists()
    assert quarantine.read("none.ndjson") == {}
