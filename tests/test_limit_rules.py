"""Limits of a section file that depend on class, hour and date: what is read, and what each mistake says."""

import re
from pathlib import Path
from textwrap import dedent

import pytest

from pipeline.enforcement import notices
from pipeline.enforcement.limits import Limits, Rule
from pipeline.enforcement.model import ErrorBudget
from pipeline.enforcement.sections import Section, parse_network
from pipeline.enforcement.survey import SectionError

HEAD = """
cameras:
  G1: {location: [48.2000, 16.3000]}
  G2: {location: [48.2031, 16.3023]}
"""
BASE = "{limit: 50 km/h}"


def section(*rules: str, head: str = HEAD, **fields: str) -> Section:
    limit = f"[{', '.join(rules)}]" if rules else "50 km/h"
    more = "".join(f"    {name}: {value}\n" for name, value in fields.items())
    text = f"{head}sections:\n  - id: s\n    cameras: [G1, G2]\n    length_m: [400]\n    limit: {limit}\n{more}"
    return parse_network(text).sections["s"]


def mistake(*rules: str, **fields: str) -> str:
    with pytest.raises(SectionError) as caught:
        section(*rules, **fields)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rules_as_they_are_written():
    found = section(
        "{limit: 80 km/h}",
        "{limit: 25 mph, classes: [truck, bus], days: [mon, sun], hours: [22:00-06:00, '12:00-12:30']}",
        "{limit: 30 km/h, days: sat, since: 2026-03-01, until: 2026-04-01T00:00:00+02:00}",
        time_zone="Europe/Vienna",
        limit_grace_s="4.5",
        variable_limit="yes",
    )
    assert found.limits == Limits(
        (
            Rule(80.0),
            Rule(40.2336, ("truck", "bus"), ("mon", "sun"), ("22:00-06:00", "12:00-12:30")),
            Rule(30.0, days=("sat",), since="2026-03-01", until="2026-04-01T00:00:00+02:00"),
        ),
        "Europe/Vienna",
        4.5,
        variable=True,
    )
    assert found.limit_kmh == 80.0, "the highest, for whoever asks for one"


def test_plain_limit_stays_as_it_was():
    found = section()
    assert (found.limit_kmh, found.limits) == (50.0, Limits())


def test_time_zone_of_the_file_and_of_the_section():
    rules = (BASE, "{limit: 30 km/h, hours: 07:00-09:00}")
    head = f"time_zone: Europe/Vienna\n{HEAD}"
    assert section(*rules, head=head).limits.time_zone == "Europe/Vienna"
    assert section(*rules, head=head, time_zone="Europe/London").limits.time_zone == "Europe/London"


@pytest.mark.parametrize("zone", ["Vienna", "Europe", "../../etc/passwd", "/etc/localtime", "''", "[1]", "~"])
def test_time_zone_that_is_none(zone):
    text = mistake(BASE, time_zone=zone)
    assert text.startswith("section s: time_zone: found ")
    assert text.endswith("allowed: the IANA name of a time zone. Write it as in Europe/Vienna.")


@pytest.mark.parametrize("condition", ["hours: 07:00-09:00", "days: [sun]", "since: 2026-03-01", "until: 2026-03-01"])
def test_clock_needs_a_time_zone(condition):
    text = mistake(BASE, f"{{limit: 30 km/h, {condition}}}")
    assert text.startswith("section s: limit: found rules with days, hours or dates and no time_zone; allowed: ")
    assert section(BASE, f"{{limit: 30 km/h, {condition}}}", time_zone="UTC")


def test_instant_needs_no_time_zone():
    assert section(BASE, "{limit: 30 km/h, since: 2026-03-01T00:00:00Z, classes: truck}")


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        ("{limit: 30}", "limit: limit[2].limit"),
        ("{limit: 30 km/h, classes: [lorry]}", "limit[2].classes"),
        ("{limit: 30 km/h, classes: [other]}", "limit[2].classes"),
        ("{limit: 30 km/h, classes: []}", "limit[2].classes"),
        ("{limit: 30 km/h, classes: [car, car]}", "limit[2].classes"),
        ("{limit: 30 km/h, days: [Monday]}", "limit[2].days"),
        ("{limit: 30 km/h, days: }", "limit[2].days"),
        ("{limit: 30 km/h, hours: 7-9}", "limit[2].hours"),
        ("{limit: 30 km/h, hours: 07:00-24:01}", "limit[2].hours"),
        ("{limit: 30 km/h, hours: 24:00-07:00}", "limit[2].hours"),
        ("{limit: 30 km/h, hours: 07:60-08:00}", "limit[2].hours"),
        ("{limit: 30 km/h, hours: 07:00-07:00}", "limit[2].hours"),
        ("{limit: 30 km/h, since: tomorrow}", "limit[2].since"),
        ("{limit: 30 km/h, since: 2026-02-30}", "limit[2].since"),
        ("{limit: 30 km/h, since: 2026-W10-1}", "limit[2].since"),
        ("{limit: 30 km/h, since: 2026-03-01T00:00:00}", "limit[2].since"),
        ("{limit: 30 km/h, since: 2026-03-01, until: 2026-03-01}", "limit[2].until"),
        ("{limit: 30 km/h, hour: 07:00-09:00}", "limit[2].hour"),
    ],
)  # fmt: skip
def test_rule_that_is_none(rule, field):
    text = mistake(BASE, rule, time_zone="Europe/Vienna")
    assert text.startswith(f"section s: {field.removeprefix('limit: ')}: found ")
    assert "allowed: " in text


@pytest.mark.parametrize("limit", ["[]", "[30 km/h]", "[{limit: 50 km/h}, 30 km/h]", "{limit: 50 km/h}"])
def test_limit_that_is_no_list_of_rules(limit):
    with pytest.raises(SectionError, match=r"^section s: limit: found "):
        parse_network(f"{HEAD}sections:\n  - {{id: s, cameras: [G1, G2], length_m: [400], limit: {limit}}}\n")


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"limit_grace_s": "-1"}, "section s: limit_grace_s: found '-1'; allowed: seconds, from 0 to 600."),
        ({"limit_grace_s": "10s"}, "section s: limit_grace_s: found '10s'; allowed: seconds, from 0 to 600."),
        ({"variable_limit": "true"}, "section s: variable_limit: found 'true'; allowed: yes or no."),
    ],
)
def test_other_fields_that_are_none(fields, says):
    assert mistake(**fields) == says


# --- every instant and every class has a rule, and every rule an instant


@pytest.mark.parametrize(
    ("rules", "says"),
    [
        (("{limit: 30 km/h, hours: 07:00-09:00}",), "for a car no rule is in force in 9,240 of the 10,080 minutes of a "
         "week, first on mon at 00:00"),
        (("{limit: 50 km/h, hours: 09:00-06:59}",), "for a car no rule is in force in 847 of the 10,080 minutes of a "
         "week, first on mon at 06:59"),
        (("{limit: 80 km/h, classes: [car, van, bus, truck]}",), "for a motorcycle no rule is in force in 10,080 of "),
        (("{limit: 50 km/h, until: 2026-03-01}", "{limit: 30 km/h, since: 2026-03-02}"),
         "for a car no rule is in force from 2026-02-28T23:00:00+00:00 on in 10,080 of "),
        (("{limit: 50 km/h, since: 2026-03-01}",),
         "for a car no rule is in force before 2026-02-28T23:00:00+00:00 in 10,080 of "),
    ],
)  # fmt: skip
def test_gap_is_told_with_its_size(rules, says):
    text = mistake(*rules, time_zone="Europe/Vienna")
    assert text.startswith(f"section s: limit: {says}")
    assert text.endswith("List a rule without conditions first.")


@pytest.mark.parametrize(
    "rules",
    [
        ("{limit: 50 km/h, hours: 07:00-19:00}", "{limit: 30 km/h, hours: 19:00-07:00}"),
        ("{limit: 50 km/h, days: [mon, tue, wed, thu, fri]}", "{limit: 60 km/h, days: [sat, sun]}"),
        ("{limit: 50 km/h, until: 2026-03-01}", "{limit: 30 km/h, since: 2026-03-01}"),
        ("{limit: 50 km/h, until: 2026-02-28T23:00:00Z}", "{limit: 30 km/h, since: 2026-03-01}"),
        ("{limit: 90 km/h, classes: [car, van, motorcycle]}", "{limit: 70 km/h, classes: [bus, truck]}"),
    ],
)  # fmt: skip
def test_rules_that_complete_each_other(rules):
    assert len(section(*rules, time_zone="Europe/Vienna").limits.rules) == 2


@pytest.mark.parametrize(
    ("rules", "number"),
    [
        (("{limit: 30 km/h, hours: 07:00-09:00}", BASE), 1),
        ((BASE, "{limit: 60 km/h}"), 1),
        ((BASE, "{limit: 30 km/h, classes: truck, hours: 07:00-09:00}", "{limit: 40 km/h, classes: truck}"), 2),
    ],
)
def test_rule_that_never_counts_is_refused(rules, number):
    text = mistake(*rules, time_zone="Europe/Vienna")
    assert text.startswith(f"section s: limit[{number}]: never counts: ")


def test_section_must_resolve_its_highest_limit():
    """Of all its limits it is the hardest to prove: what is proven there is so at lower ones."""
    clocks = HEAD.replace("16.3000]", "16.3000], clock_error_s: 0.6").replace(
        "16.3023]", "16.3023], clock_error_s: 0.6"
    )
    found = section(BASE, "{limit: 30 km/h, classes: truck}", head=clocks)
    assert found.errors == ErrorBudget(0.0, 1.2, 0.0)
    with pytest.raises(SectionError, match=r"cannot prove that 143\.0 km/h is over the limit, 130\.0 km/h"):
        section(BASE, "{limit: 130 km/h, classes: car}", head=clocks)


PAGE = (Path(__file__).parents[1] / "docs/sections.md").read_text(encoding="utf-8")


def test_example_of_the_page_is_a_section_file():
    (example,) = re.findall(r"\n(    time_zone: .*?)\n\n", PAGE, re.DOTALL)
    found = parse_network(HEAD.replace("G1", "S1").replace("G2", "S2") + dedent(example)).sections["school"]
    assert [rule.limit_kmh for rule in found.limits.rules] == [50.0, 40.0, 30.0]


def test_notices_of_the_page_are_notices():
    lines = re.findall(r"\n    (\{\"section_id\": .*)", PAGE)
    found, problems = notices.read("\n".join(lines).encode(), {"A1-km12", "school"})
    assert (len(found), problems) == (6, [])
