"""The driver's sheet: plain words and the record's own figures, on a page of HTML and on paper."""

import re
from decimal import ROUND_FLOOR, Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from packet_samples import POLICIES, SECTION, TRACK, VERSIONS, jpeg, packed, pictures, reads, rules, verdict, words
from test_packet import track

from pipeline.enforcement import evidence, packet, passages, policy, sheet, sheet_html, wording
from pipeline.enforcement.model import ErrorBudget, Reason
from pipeline.enforcement.sheet import Facts, Pictures, Shown, Steps, Text, Title
from pipeline.enforcement.track_errors import TrackErrors
from pipeline.packets import container, printing


def sheet_of(found, under=None):
    names = packet.names(found.passage, pictures(found))
    return sheet.of_verdict(found, under or rules(), VERSIONS, names, "0123456789abcdef")


def only(blocks, kind):
    (found,) = (block for block in blocks if isinstance(block, kind))
    return found


def results(blocks) -> dict[str, str]:
    return {words_: result for words_, _, result in only(blocks, Steps).rows}


def test_figures_are_those_of_the_record():
    found = verdict(reads(31_500_000))
    blocks = sheet_of(found)
    assert only(blocks, Steps).rows == (
        ("Length of the way, surveyed, the shortest way", "", "400.1 m"),
        (
            "Time from entry to exit",
            f"{wording.clock(found.passage.first_us)} to {wording.clock(found.passage.last_us)}",
            "31.500 s",
        ),
        ("Average speed: length ÷ time", "400.1 m ÷ 31.500 s × 3.6", "45.72 km/h"),
        ("In your favour: the length may be shorter by", "− 0.5 m", "399.6 m"),
        ("In your favour: both clocks may be wrong, and tell time in steps", "+ 0.120 s + 0.002 s", "31.622 s"),
        ("So the vehicle was at least this fast", "399.6 m ÷ 31.622 s × 3.6", "45.49 km/h"),
        ("The speed that counts", "", "45.49 km/h"),
        ("The speed that is allowed here", "", "40.2336 km/h (25 mph)"),
        ("Over it by", "45.49 km/h − 40.2336 km/h", "5.25 km/h"),
        (
            "The rule that was applied: edem, true speed over the limit, as in the class exercise",
            "a violation when over the limit at all",
            "",
        ),
    )
    assert dict(only(blocks, Facts).rows)["Plate"] == "KLM4821 (US-NY)"
    assert [shown.part for shown in only(blocks, Pictures).pictures] == ["entry.jpg", "exit.jpg"]


@given(st.integers(20_000_000, 31_000_000))
def test_what_is_over_the_limit_is_the_difference_of_what_is_printed(travel_us):
    rows = only(sheet_of(verdict(reads(travel_us))), Steps).rows
    ((printed, over),) = [row[1:] for row in rows if row[0] == "Over it by"]
    shown, limit = (Decimal(part.removesuffix(" km/h")) for part in printed.split(" − "))
    assert Decimal(over.removesuffix(" km/h")) == (shown - limit).quantize(Decimal("0.01"), ROUND_FLOOR)


@pytest.mark.parametrize(("kmh", "shown"), [(1.15, "1.15"), (51.29 - 50, "1.29"), (52.039999, "52.03"), (0.0, "0.00")])
def test_speed_is_cut_behind_the_second_digit(kmh, shown):
    assert wording.speed(kmh) == f"{shown} km/h"


def test_rule_is_told_step_by_step():
    under = rules(name="nl")
    found = verdict(reads(26_000_000), under)
    steps = results(sheet_of(found, under))
    assert steps["So the vehicle was at least this fast"] == "55.07 km/h"
    assert steps["In your favour: the rule takes off"] == "52.07 km/h"
    assert steps["In your favour: rounded down to whole km/h"] == "52.00 km/h"
    assert steps["The speed that counts"] == "52.00 km/h"


def test_amount_is_told_or_that_there_is_none():
    new_york = rules(replace(SECTION, policy="nyc"), name="nyc")
    under = packet.Rules(new_york.section, replace(new_york.policy, always_reviewed=False), 0.0)
    found = verdict(reads(20_000_000), under)
    assert dict(only(sheet_of(found, under), Facts).rows)["What it costs"] == "50.00 USD"
    assert dict(only(sheet_of(verdict()), Facts).rows)["What it costs"] == "The rule that was applied names no amount."


@settings(max_examples=60)
@given(
    name=st.sampled_from(sorted(POLICIES)),
    travel_us=st.integers(4_000_000, 34_000_000),
    tolerance_kmh=st.sampled_from([0.0, 2.0]),
    errors=st.sampled_from([ErrorBudget(), SECTION.errors]),
)
def test_steps_of_every_rule_lead_to_the_speed_that_counts(name, travel_us, tolerance_kmh, errors):
    """The step before it has the same result: nothing is taken off that is not told."""
    under = rules(replace(SECTION, errors=errors), name, tolerance_kmh)
    seen = reads(travel_us)
    (measured,) = passages.measure(under.section, "KLM4821", seen).passages
    if not policy.is_suspected(policy.decide(measured, under.policy, tolerance_kmh)):
        return
    steps = [(words_, result) for words_, _, result in only(sheet_of(verdict(seen, under), under), Steps).rows]
    at = [words_ for words_, _ in steps].index("The speed that counts")
    assert steps[at][1] == steps[at - 1][1]


def test_track_is_told_as_one():
    under = rules(TRACK)
    blocks = sheet_of(verdict(track(timed=False), under), under)
    assert "radar" in only(blocks[:2], Text).text
    assert "received at" in dict(only(blocks, Facts).rows)["When"]
    assert only(blocks, Pictures).pictures[0].caption.startswith("On the way.")
    timed = sheet_of(verdict(track(timed=True), under), under)
    assert "received" not in dict(only(timed, Facts).rows)["When"]


def test_errors_of_a_radar_are_told_term_by_term():
    road = replace(TRACK, line=((40.76, -73.97), (40.7591, -73.9709)), track=TrackErrors(0.5, 2.0, 0.05, 0.01))
    for timed, terms in ((True, ("shorter", "the clock")), (False, ("shorter", "each place and each speed"))):
        found = verdict(track(timed), rules(road))
        steps = only(sheet_of(found, rules(road)), Steps).rows
        for term in terms:
            assert any(said.startswith("In your favour") and term in said for said, _, _ in steps)
        (least,) = (speed for said, _, speed in steps if said == "So the vehicle was at least this fast")
        assert least == wording.speed(found.passage.min_speed_kmh)


def test_undeclared_errors_of_a_radar_are_told():
    steps = only(sheet_of(verdict(track(timed=False), rules(TRACK)), rules(TRACK)), Steps).rows
    assert any("is not declared" in said for said, _, _ in steps)
    assert not any("at least" in said for said, _, _ in steps)


def test_case_for_a_person_says_why_it_is_no_fine():
    blocks = sheet_of(verdict(read=words("KLM4827")))
    assert only(blocks, Title).text == "A case for a person: no fine"
    assert any(isinstance(block, Text) and wording.REASONS[Reason.PLATE_DISAGREES] in block.text for block in blocks)
    assert "What it costs" not in dict(only(blocks, Facts).rows)


def test_withdrawal_says_that_it_counts_for_nothing():
    fine = evidence.withdraw(verdict().passage, SECTION)
    blocks = sheet.of_withdrawal(fine, VERSIONS, "0123")
    assert only(blocks, Title).text == "This case was taken back: no fine"
    assert wording.REASONS[Reason.NO_LONGER_OVER_LIMIT] in dict(only(blocks, Facts).rows)["Why"]


def test_what_is_shown_is_never_more_than_what_was_found():
    assert wording.speed(45.9999) == "45.99 km/h"
    assert wording.speed(52.0) == "52.00 km/h"
    assert wording.limit(40.2336) == "40.2336 km/h (25 mph)"
    assert wording.limit(40.0) == "40 km/h"
    assert wording.seconds(31.5) == "31.500 s"
    assert wording.seconds(31.123456) == "31.123456 s"
    assert wording.number(1234.5, 1) == "1,234.5"


# --- HTML


class Parsed(HTMLParser):
    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.text, self.tags, self.sources = "", set(), []
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_page_escapes_all_that_comes_from_data():
    hostile = "<script>alert(1)</script>"
    under = rules(replace(SECTION, name=hostile, region='"><img src=x>'))
    found = verdict(reads(vehicle_id="KLM4821", plate_region='US-NY"><b>'), under, read=words("KLM4821"))
    page = Parsed(sheet_html.page(sheet_of(found, under)))
    assert hostile in page.text
    assert not page.tags & {"script", "b", "link"}
    assert page.sources == ["entry.jpg", "exit.jpg"], "nothing from elsewhere"


def test_page_has_every_letter():
    assert "First <Avenue> & Łódź" in Parsed(sheet_html.page(sheet_of(verdict()))).text


def test_it_names_nobody_and_nothing_that_nobody_told_it():
    text = Parsed(sheet_html.page(sheet_of(verdict()))).text
    assert not re.search(r"(?i)police|court|department|ministry|article|within \d+ days|https?:|@[a-z]+[.]", text)


# --- paper


def test_paper_has_the_same_bytes_each_time_and_both_pictures_as_they_are():
    found = verdict()
    parts = container.unpacked(packed(found).data)
    assert parts["sheet.pdf"] == container.unpacked(packed(found).data)["sheet.pdf"]
    assert all(jpeg(shade) in parts["sheet.pdf"] for shade in (50, 150))
    assert parts["sheet.pdf"].startswith(b"%PDF-")
    assert b"45.49 km/h" in parts["sheet.pdf"]


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff\xe0" + bytes(3000) + b"\xff\xd9", b"\x89PNG\r\n\x1a\n" + bytes(99)]
)
def test_picture_that_cannot_be_opened_has_a_frame(data):
    blocks = (Title("t"), Pictures((Shown("exit.jpg", "Exit"), Shown(None, "Entry"))))
    found = printing.pdf(blocks, {"exit.jpg": data})
    assert b"exit.jpg cannot be shown" in found
    assert b"no picture" in found


def test_letters_that_the_fonts_lack_are_bare_or_a_question_mark():
    found = printing.pdf((Text("Zażółć, naïve, 東京, − 3"),), {})
    assert b"Za" in found
    assert "Zazólc, naïve, ??, – 3".encode("cp1252") in found or b"\\3" in found


def test_long_sheet_goes_on_on_another_page():
    found = printing.pdf(tuple(Text("word " * 200) for _ in range(12)), {})
    assert found.count(b"/Type /Page\n") >= 2 or found.count(b"/Type /Page ") >= 2
