"""The page: everything from data escaped, the arithmetic as the decision had it, whole also when a run was empty."""

import base64
import io
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from demo_samples import NO_FINES, SECTION, STORED, issued, review, truth_of, violation, withdrawn
from PIL import Image

from demo import ledger, wording
from demo.cases import arithmetic, at_least
from demo.findings import Findings
from demo.flow import flow
from demo.histogram import Bins, histogram
from demo.ledger import Published, Times
from demo.report import headline, page
from demo.thumbnails import WIDTH_PX, Thumbnails
from demo.warehouse import MeasuredPassage, RejectedObject, Stored
from generator.truth import TruePassage
from pipeline.enforcement.model import Reason
from pipeline.enforcement.records import Fine
from pipeline.enforcement.wording import REASONS

HOSTILE = '<script>alert("x")</script>'


def jpeg(size: tuple[int, int] = (960, 640)) -> bytes:
    out = io.BytesIO()
    Image.effect_noise(size, 60).save(out, "JPEG")
    return out.getvalue()


def findings(
    fines: list[Fine] | None = None,
    passages: list[MeasuredPassage] | None = None,
    rejected: list[RejectedObject] | None = None,
    truth: list[TruePassage] | None = None,
    stored: Stored = STORED,
    lost: tuple[str, ...] = (),
) -> Findings:
    fines = [issued(), review()] if fines is None else fines
    result = ledger.scored(truth_of(*([violation()] if truth is None else truth)), fines)
    summary = ledger.summarise(3, Published(10, 1, 4), stored, fines, result, Times(5, 60, 150), lost)
    pictures = {"gs://evidence/exit.jpg": jpeg(), "gs://evidence/entry.jpg": jpeg()}
    measured = [MeasuredPassage("s1", 35.0, "clear"), MeasuredPassage("s1", 53.8, "fined")]
    return Findings(
        summary,
        (SECTION,),
        measured if passages is None else passages,
        fines,
        rejected or [],
        result.findings,
        pictures.get,
        Path("out/demo"),
    )


class Tags(HTMLParser):
    """Counts tags and remembers addresses; void elements are not closed."""

    VOID = ("meta", "img", "br")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def parsed(html: str) -> Tags:
    tags = Tags()
    tags.feed(html)
    tags.close()
    assert tags.open == []
    return tags


def test_page_is_well_formed_and_fetches_nothing() -> None:
    html = page(findings(fines=[issued(), review(), withdrawn()]))
    tags = parsed(html)
    assert "script" not in tags.seen
    assert "link" not in tags.seen
    assert tags.addresses
    assert all(address.startswith("data:image/jpeg;base64,") for address in tags.addresses)
    assert "url(" not in html
    assert "http" not in html


@pytest.mark.parametrize("field", ["vehicle_id", "license_plate", "section", "fine_id"])
def test_hostile_text_of_a_fine_is_escaped(field: str) -> None:
    hostile = msgspec.structs.replace(issued(), **{field: HOSTILE})
    assert "script" not in parsed(page(findings(fines=[hostile]))).seen


def test_hostile_reading_camera_payload_and_section_are_escaped() -> None:
    evidence = tuple(msgspec.structs.replace(item, text=HOSTILE, camera_id=HOSTILE) for item in issued().evidence)
    payload = base64.b64encode(HOSTILE.encode()).decode()
    found = findings(
        fines=[msgspec.structs.replace(issued(), evidence=evidence)],
        rejected=[RejectedObject("decode", HOSTILE, None, HOSTILE, payload)],
        lost=(HOSTILE,),
    )
    section = msgspec.structs.replace(SECTION, name=HOSTILE)
    html = page(replace(found, sections=(section,), folder=Path(HOSTILE)))
    assert "script" not in parsed(html).seen
    assert html.count("&lt;script&gt;alert") >= 6


def test_least_speed_shows_the_errors_that_were_declared() -> None:
    fine = msgspec.structs.replace(issued(), min_speed=52.6, length_error_m=0.5, clock_error_s=0.12, resolution_s=0.001)
    assert at_least(fine) == "at least (104.6 − 0.5) m ÷ (7.000 + 0.121) s × 3.6 = 52.60 km/h: this decides"
    exact = msgspec.structs.replace(fine, length_error_m=0.0, clock_error_s=0.0, resolution_s=0.0)
    assert at_least(exact) == at_least(issued()) == ""


def test_arithmetic_shows_what_the_decision_rests_on() -> None:
    assert arithmetic(issued()) == "104.6 m ÷ 7.000 s × 3.6 = 53.79 km/h"


def test_speed_over_limit_and_status_are_on_the_card() -> None:
    html = page(findings())
    assert "13.6 over" in html
    assert "limit 40.2 km/h (25 mph)" in html
    assert "97% sure" in html
    assert "kept as evidence, not read" in html


def test_entry_comes_before_exit() -> None:
    html = page(findings(fines=[issued()]))
    assert html.index("Entry, camera A1") < html.index("Exit, camera A2")


def test_review_gives_its_reasons_in_plain_words() -> None:
    html = page(findings())
    assert "nothing can be read on the picture" in html
    assert "a camera sent no picture" in html
    assert "no picture was sent" in html
    assert "gs://evidence/gone.jpg" in html


def test_every_reason_has_words() -> None:
    assert set(REASONS) == set(Reason)


def test_empty_run_is_a_whole_page() -> None:
    found = findings(fines=[], passages=[], truth=[], stored=Stored())
    html = page(replace(found, summary=replace(found.summary, sightings_in=0, seconds_to_first_fine=None)))
    parsed(html)
    assert "No passage was measured here." in html
    assert "None was issued." in html


def test_wrong_fine_leads_the_page_and_is_explained() -> None:
    innocent = msgspec.structs.replace(violation(), over=False, avg_speed_kmh=39.0)
    found = findings(truth=[innocent])
    assert headline(found.summary) == "1 of 1 fine is wrong."
    assert "truly 39.00 where 40.23 is allowed" in page(found)


def test_lost_sighting_leads_the_page() -> None:
    found = findings(lost=("1 sightings lost",))
    assert headline(found.summary) == "1 fine, but the books do not balance."
    assert "1 sightings lost" in page(found)


def test_headline_of_a_run_without_fines() -> None:
    assert headline(findings(fines=[], truth=[], stored=NO_FINES).summary) == "No fines, and nothing lost."


def test_speed_at_the_limit_is_drawn_on_its_clear_side() -> None:
    at_limit, above = MeasuredPassage("s1", 40.2336, "clear"), MeasuredPassage("s1", 40.2337, "fined")
    bins = Bins.of([at_limit, above], 40.2336)
    assert bins.counts == {(-1, "clear"): 1, (0, "fined"): 1}
    assert bins.start_kmh(0) == 40.2336


def test_bins_widen_for_one_absurd_speed() -> None:
    bins = Bins.of([MeasuredPassage("s1", 30.0, "clear"), MeasuredPassage("s1", 2000.0, "review")], 40.0)
    assert bins.last - bins.first < 70


def test_histogram_draws_one_bar_for_each_outcome_of_a_bin() -> None:
    passages = [MeasuredPassage("s1", 45.0, outcome) for outcome in ("fined", "fined", "review")]
    svg = histogram(passages, 40.2336)
    assert svg.count("<rect") == 2
    assert "2 fined" in svg


def test_flow_names_every_count() -> None:
    svg = flow(findings().summary)
    for text in (">10<", ">8<", ">2<", ">6<", ">3<"):
        assert text in svg


def test_flow_draws_no_band_for_nothing() -> None:
    summary = findings().summary
    assert flow(summary).count("band review") == 1
    assert flow(replace(summary, passages_review=0)).count("band review") == 0


def test_thumbnail_is_reduced() -> None:
    address = Thumbnails().address(jpeg())
    assert address is not None
    with Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))) as image:
        assert image.size == (WIDTH_PX, WIDTH_PX * 2 // 3)


@pytest.mark.parametrize("picture", [None, b"", b"not a picture", jpeg()[:200]])
def test_picture_that_cannot_be_shown_has_no_address(picture: bytes | None) -> None:
    assert Thumbnails().address(picture) is None


def test_full_page_takes_no_more_pictures() -> None:
    small = len(Thumbnails().address(jpeg()) or "")
    thumbnails = Thumbnails(budget_bytes=round(small * 1.5))
    assert thumbnails.address(jpeg()) is not None
    assert thumbnails.address(jpeg()) is None


@pytest.mark.parametrize(
    ("kmh", "text"), [(40.2336, "40.2 km/h (25 mph)"), (50.0, "50 km/h"), (48.28032, "48.3 km/h (30 mph)")]
)
def test_limit_is_told_in_the_unit_it_was_set_in(kmh: float, text: str) -> None:
    assert wording.limit(kmh) == text
