"""Plates: spelling, layouts, repair, finding the plate among other texts, and agreement with a sighting."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.enforcement import plates
from pipeline.enforcement.plates import (
    Agreement,
    PlateText,
    TextBox,
    Verdict,
    agree,
    normalise,
    read_plate,
    repair,
    same_plate,
)

LETTERS, DIGITS = string.ascii_uppercase, string.digits
CONFUSED = ("O0", "D0", "Q0", "I1", "Z2", "S5", "G6", "B8")
REGIONS = sorted(plates.LAYOUTS)


def box(text, x=100.0, y=300.0, width=None, height=40.0, confidence=0.95):
    """A text in a picture; as wide as its characters unless a width is given."""
    return TextBox(text, confidence, x, y, width if width is not None else 0.6 * height * len(text), height)


def serials(layout):
    return st.tuples(*(st.sampled_from(DIGITS if kind == "D" else LETTERS) for kind in layout)).map("".join)


@st.composite
def registered(draw):
    """A region and a plate of one of its layouts."""
    region = draw(st.sampled_from(REGIONS))
    return region, draw(serials(draw(st.sampled_from(plates.LAYOUTS[region]))))


@st.composite
def near_twins(draw):
    """A region and two plates of it that differ in one character."""
    region, plate = draw(registered())
    i = draw(st.integers(0, len(plate) - 1))
    other = draw(st.sampled_from((DIGITS if plate[i].isdigit() else LETTERS).replace(plate[i], "")))
    return region, plate, plate[:i] + other + plate[i + 1 :]


class TestSpelling:
    @given(st.text())
    def test_is_stable_and_plain(self, text):
        once = normalise(text)
        assert normalise(once) == once
        assert set(once) <= set(LETTERS + DIGITS)

    @pytest.mark.parametrize(
        ("written", "plate"),
        [("abc-1234", "ABC1234"), ("ABC·1234", "ABC1234"), ("ＡＢＣ １２３４", "ABC1234"), ("é1ñ", "E1N"), ("—", "")],
    )
    def test_folds_what_cameras_and_readers_write(self, written, plate):
        assert normalise(written) == plate


class TestLayouts:
    def test_every_layout_is_letters_and_digits_of_plate_length(self):
        for layouts in plates.LAYOUTS.values():
            for layout in layouts:
                assert set(layout) == {"L", "D"}
                assert 5 <= len(layout) <= 8

    def test_every_state_name_leads_to_its_layouts(self):
        assert set(plates.STATE_NAMES.values()) == set(plates.LAYOUTS)

    def test_an_unlisted_region_has_none(self):
        assert plates.layouts_of("DE-BE") == ()

    @given(registered())
    def test_a_plate_has_a_layout_of_its_region_and_of_all(self, case):
        region, plate = case
        assert plates.has_layout(plate, plates.layouts_of(region))
        assert plates.has_layout(plate, plates.layouts_of(None))


class TestRepair:
    @pytest.mark.parametrize(
        ("read", "region", "plate"),
        [
            ("ABC12S4", "US-NY", "ABC1254"),
            ("A8C1234", "US-NY", "ABC1234"),
            ("ABCI2O4", "US-NY", "ABC1204"),
            ("A1Z8CD", "US-NJ", "A12BCD"),
            ("7ABCI23", "US-CA", "7ABC123"),
        ],
    )
    def test_sets_lookalikes_right_by_layout(self, read, region, plate):
        assert repair(read, plates.layouts_of(region)) == plate

    def test_a_plate_of_another_state_is_not_bent_to_this_one(self):
        assert repair("AAG0000", plates.layouts_of("US-CT")) == "AAG0000"
        assert not same_plate("AAG0000", "AA60000", "US-CT")

    @pytest.mark.parametrize("read", ["AB01234", "ABC123", "ABCISO4", "5550198", "SUBARUX", "ABCX234", ""])
    def test_leaves_alone_what_has_no_single_answer(self, read):
        assert repair(read, plates.layouts_of("US-NY")) == read

    def test_several_possible_plates_are_no_repair(self):
        assert repair("B1CD", ["LLLD", "DDLD"]) == "B1CD"
        assert repair("S1IZ", ["DDDL", "LDDD"]) == "S1IZ"

    @given(st.text(LETTERS + DIGITS, max_size=9), st.sampled_from([*REGIONS, None]))
    def test_keeps_length_and_changes_only_lookalikes_to_a_valid_plate(self, text, region):
        layouts = plates.layouts_of(region)
        fixed = repair(text, layouts)
        changed = [(old, new) for old, new in zip(text, fixed, strict=True) if old != new]
        assert len(changed) <= plates.MAX_REPAIRS
        assert all(old + new in CONFUSED or new + old in CONFUSED for old, new in changed)
        assert not changed or plates.has_layout(fixed, layouts)
        assert repair(fixed, layouts) == fixed

    @given(registered())
    def test_never_touches_a_plate_of_the_region(self, case):
        region, plate = case
        assert repair(plate, plates.layouts_of(region)) == plate
        assert repair(plate, plates.layouts_of(None)) == plate


class TestSamePlate:
    @given(near_twins())
    def test_plates_one_character_apart_are_two(self, case):
        region, one, other = case
        assert not same_plate(one, other, region)
        assert not same_plate(one, other, None)

    @given(registered(), registered())
    def test_different_valid_plates_are_two(self, one, other):
        assume(one[1] != other[1])
        assert not same_plate(one[1], other[1], None)
        assert not same_plate(one[1], other[1], one[0])

    @given(
        st.text(LETTERS + DIGITS + "- ", max_size=9), st.text(LETTERS + DIGITS, max_size=9), st.sampled_from(REGIONS)
    )
    def test_is_symmetric(self, one, other, region):
        assert same_plate(one, other, region) == same_plate(other, one, region)

    def test_spelling_does_not_matter(self):
        assert same_plate("abc-1234", "ABC 1234", "US-NY")
        assert same_plate("ABC12O4", "ABC1204", "US-NY")

    def test_nothing_is_no_plate(self):
        assert not same_plate("", "--", "US-NY")


SCENE = (
    box("TOYOTA", x=150, y=180, height=30),
    box("CAMRY", x=20, y=240, height=22),
    box("NEW YORK", x=140, y=280, height=12),
    box("EXCELSIOR", x=140, y=345, height=10),
    box("PARKWAY AUTO 212-555-0142", x=60, y=380, height=16),
    box("CAM G1 2026-04-13 16:30:38.690", x=10, y=620, height=16),
)


class TestReadingThePlate:
    def test_among_brand_state_slogan_phone_and_clock(self):
        found = read_plate([*SCENE, box("ABC-1234")], region="US-NY")
        assert (found.text, found.confidence, found.raw, found.known_layout) == ("ABC1234", 0.95, "ABC-1234", True)
        assert found.box is not None
        assert found.box.x == 100.0

    def test_without_a_plate_the_scene_is_not_recognized(self):
        found = read_plate(SCENE, region="US-NY")
        assert (found.text, found.is_plate, found.rivals) == ("not recognized", False, ())

    @pytest.mark.parametrize("nothing", [[], [box("")], [box(" -.- ")]])
    def test_without_any_text(self, nothing):
        assert read_plate(nothing, region="US-NY") == PlateText("no texts found")

    def test_two_boxes_of_one_plate_are_merged_and_as_sure_as_the_less_sure(self):
        found = read_plate([box("1234", x=195, confidence=0.7), box("ABC", x=100, y=303)], region="US-NY")
        assert (found.text, found.confidence, found.raw) == ("ABC1234", 0.7, "ABC 1234")

    @given(st.permutations([*SCENE, box("ABC", x=100), box("1234", x=195, y=302)]))
    def test_order_of_boxes_does_not_matter(self, boxes):
        assert read_plate(boxes, region="US-NY").text == "ABC1234"

    @pytest.mark.parametrize(
        "second",
        [
            box("1234", x=400),
            box("1234", x=195, y=350),
            box("1234", x=195, y=290, height=90),
        ],
        ids=["too far", "another line", "another size"],
    )
    def test_words_apart_are_not_merged(self, second):
        assert not read_plate([box("ABC", x=100), second], region="US-NY").is_plate

    def test_words_of_one_box_are_judged_apart(self):
        assert read_plate([box("NEW YORK ABC 1234")], region="US-NY").text == "ABC1234"

    def test_a_whole_plate_is_preferred_to_its_part(self):
        assert read_plate([box("A", x=100), box("BC12345", x=130)], region=None).text == "BC12345"
        assert read_plate([box("7", x=100), box("ABC1234", x=130)], region="US-CA").text != "ABC1234"

    @pytest.mark.parametrize("beside", ["5", "X"])
    @pytest.mark.parametrize("region", ["US-NY", None])
    def test_what_may_be_the_end_of_the_plate_makes_it_ambiguous(self, beside, region):
        found = read_plate([box("ABC1234"), box(beside, x=280)], region=region)
        assert (found.text, found.rivals) == ("ABC1234", ("ABC1234", f"ABC1234{beside}"))
        for claimed in ("ABC1234", f"ABC1234{beside}", None):
            assert agree(found, claimed, region) == Verdict(Agreement.UNREADABLE, "ambiguous_text")

    def test_what_may_be_its_beginning_does_too(self):
        found = read_plate([box("A", x=100), box("BC12345", x=130)], region=None)
        assert (found.text, found.rivals) == ("BC12345", ("ABC12345", "BC12345"))

    def test_a_whole_of_several_words_has_its_part_as_a_rival_where_that_may_be_a_plate(self):
        assert read_plate([box("1ABC12"), box("3", x=250)], region=None).rivals == ("1ABC12", "1ABC123")
        assert read_plate([box("ABC12"), box("34", x=226)], region="US-NY").rivals == ("ABC12", "ABC1234")
        assert read_plate([box("ABC"), box("1234", x=180)], region="US-NY").rivals == ()

    def test_an_ambiguous_plate_still_contradicts_a_claim_that_it_cannot_be(self):
        found = read_plate([box("ABC1234"), box("5", x=280)], region="US-NY")
        assert agree(found, "XYZ9876", "US-NY") == Verdict(Agreement.DISAGREES, "plate_disagrees")

    @pytest.mark.parametrize(
        "beside",
        [
            box("NO", x=260),
            box("56", x=260, height=20),
            box("56", x=320),
            box("56", x=100, y=350),
            box("567", x=260),
        ],
        ids=["a label", "smaller", "far", "another line", "longer than any plate"],
    )
    def test_what_cannot_be_a_part_of_the_plate_is_no_rival(self, beside):
        found = read_plate([box("A12BCD"), beside], region="US-NJ")
        assert (found.text, found.rivals) == ("A12BCD", ())
        assert agree(found, "A12BCD", "US-NJ").agreement == Agreement.AGREES

    @given(registered(), st.text(LETTERS + DIGITS, min_size=1, max_size=2), st.booleans())
    def test_no_plate_is_confirmed_by_a_part_of_a_longer_one(self, case, more, before):
        """Whatever stands beside the claimed plate on its line may belong to it: then it is another plate."""
        region, claimed = case
        assume(len(claimed) + len(more) <= 8)
        assume(more not in plates.LABELS)
        texts = (more, claimed) if before else (claimed, more)
        second = box(texts[1], x=100 + 24 * len(texts[0]) + 10)
        for asked in (region, None):
            found = read_plate([box(texts[0]), second], region=asked)
            for claim in (claimed, None):
                assert agree(found, claim, asked).agreement != Agreement.AGREES

    @pytest.mark.parametrize(
        "text",
        ["BUS 4512", "BUS4512", "EST 1984", "TEL 5550", "212-555-0142", "(718) 555 0142", "2026-04-13", "16:30:38"],
    )
    def test_numbers_painted_or_burnt_in_are_no_plates(self, text):
        assert not read_plate([box(text)], region=None).is_plate

    def test_what_stands_beside_the_clock_belongs_to_it(self):
        assert not read_plate([box("ABC1234 2026-04-13 16:30:38")], region="US-NY").is_plate

    def test_two_plates_of_like_size_are_ambiguous(self):
        found = read_plate([box("ABC1234"), box("XYZ9876", x=500)], region="US-NY")
        assert (found.text, found.rivals) == ("not recognized", ("ABC1234", "XYZ9876"))

    def test_the_much_larger_of_two_is_the_plate(self):
        assert read_plate([box("ABC1234"), box("GLS4500", x=500, height=20)], region="US-NY").text == "ABC1234"

    def test_the_same_plate_found_twice_is_one(self):
        found = read_plate([box("ABC1234", confidence=0.6), box("ABC-1234", x=500)], region="US-NY")
        assert (found.text, found.confidence) == ("ABC1234", 0.95)

    def test_a_state_named_on_the_plate_tells_its_layout(self):
        plate = box("A1ZBCD", x=100, y=300)
        named = read_plate([plate, box("NEW JERSY", x=120, y=280, height=12)], region=None)
        far = read_plate([plate, box("NEW JERSEY", x=120, y=20, height=12)], region=None)
        assert (named.text, named.known_layout) == ("A12BCD", True)
        assert (far.text, far.known_layout) == ("A1ZBCD", False)
        assert not read_plate([box("ABC1234"), box("FLORIDA", x=120, y=280, height=12)], region=None).known_layout

    def test_a_personalised_plate_has_no_known_layout(self):
        found = read_plate([box("BIG4ME")], region="US-NY")
        assert (found.text, found.known_layout) == ("BIG4ME", False)

    def test_a_reader_without_confidence(self):
        assert read_plate([box("ABC1234", confidence=None)], region="US-NY").confidence is None

    @given(
        st.lists(st.builds(box, st.text(max_size=12), *[st.floats(0, 900)] * 2), max_size=8),
        st.sampled_from([*REGIONS, None]),
    )
    def test_any_texts_give_a_plate_or_a_wire_value(self, boxes, region):
        found = read_plate(boxes, region=region)
        assert found.is_plate == (found.text not in (plates.NOT_RECOGNIZED, plates.NO_TEXTS))
        assert found.text == normalise(found.text) or not found.is_plate

    @given(registered())
    def test_every_registered_plate_is_read_when_alone(self, case):
        region, plate = case
        letters = plate[: next(i for i, c in enumerate(plate) if c.isdigit())]
        assume(letters not in plates.LABELS)
        assert read_plate([box(plate)], region=region).text == plate


class TestCorners:
    def test_the_box_around_a_tilted_text(self):
        tilted = TextBox.of_polygon("A", None, [(10, 20), (60, 25), (58, 45), (8, 40)])
        assert (tilted.x, tilted.y, tilted.right, tilted.bottom) == (8, 20, 60, 45)

    def test_no_corners_are_an_error(self):
        with pytest.raises(ValueError, match="'A' has no corners"):
            TextBox.of_polygon("A", None, [])


def plate_text(text, confidence=0.95, *, known=True):
    return PlateText(text, confidence, text, box(text), known_layout=known)


class TestAgreement:
    @pytest.mark.parametrize("claimed", ["ABC1234", "abc-1234"])
    def test_equal_plates_agree(self, claimed):
        assert agree(plate_text("ABC1234"), claimed, "US-NY").agreement == Agreement.AGREES

    @given(near_twins(), st.floats(0, 1) | st.none(), st.booleans())
    def test_near_twins_never_agree(self, case, confidence, known):
        region, read, claimed = case
        for asked in (region, None):
            verdict = agree(plate_text(read, confidence, known=known), claimed, asked)
            assert (verdict.agreement, verdict.reason) == (Agreement.DISAGREES, "plate_disagrees")

    @given(near_twins())
    def test_a_picture_of_the_twin_never_confirms_the_claim(self, case):
        region, shown, claimed = case
        for asked in (region, None):
            assert agree(read_plate([box(shown)], region=asked), claimed, asked).agreement != Agreement.AGREES

    @given(registered(), st.lists(st.tuples(st.integers(0, 5), st.sampled_from(LETTERS + DIGITS)), max_size=3))
    def test_a_claim_is_met_only_by_lookalikes_that_the_layout_excludes(self, case, misreads):
        region, claimed = case
        read = claimed
        for i, wrong in misreads:
            read = read[:i] + wrong + read[i + 1 :]
        if agree(read_plate([box(read)], region=region), claimed, region).agreement == Agreement.AGREES:
            differing = [(a, b) for a, b in zip(read, claimed, strict=True) if a != b]
            assert all(a + b in CONFUSED or b + a in CONFUSED for a, b in differing)
            assert all(a.isdigit() != b.isdigit() for a, b in differing)

    @pytest.mark.parametrize(
        ("read", "reason"),
        [
            (PlateText(plates.NO_TEXTS), "no_text"),
            (PlateText(plates.NOT_RECOGNIZED), "no_plate_text"),
            (PlateText(plates.NOT_RECOGNIZED, rivals=("ABC1234", "XYZ9876")), "ambiguous_text"),
            (plate_text("ABC1234", 0.49), "low_confidence"),
        ],
    )
    def test_unreadable_and_why(self, read, reason):
        verdict = agree(read, "ABC1234", "US-NY")
        assert (verdict.agreement, verdict.reason) == (Agreement.UNREADABLE, reason)

    def test_a_personalised_plate_agrees_with_an_equal_claim_only(self):
        assert agree(plate_text("BIG4ME", known=False), "BIG4ME", "US-NY").agreement == Agreement.AGREES
        assert agree(plate_text("BIG4ME", known=False), "BI64ME", "US-NY").agreement == Agreement.DISAGREES


class TestStandingAlone:
    @pytest.mark.parametrize("claimed", [None, "", " - "])
    def test_a_sure_reading_with_a_known_layout_does(self, claimed):
        assert agree(plate_text("ABC1234"), claimed).agreement == Agreement.AGREES

    def test_so_does_one_of_a_reader_that_states_no_confidence(self):
        assert agree(plate_text("ABC1234", None), None).agreement == Agreement.AGREES

    @pytest.mark.parametrize(
        ("read", "reason"),
        [
            (plate_text("ABC1234", plates.MIN_CONFIDENCE_ALONE - 0.01), "low_confidence"),
            (plate_text("BIG4ME", known=False), "unknown_layout"),
            (plate_text("OWJA28"), "ambiguous_text"),
        ],
    )
    def test_a_doubtful_one_does_not(self, read, reason):
        verdict = agree(read, None)
        assert (verdict.agreement, verdict.reason) == (Agreement.UNREADABLE, reason)

    @given(st.text(LETTERS + DIGITS, min_size=1, max_size=9))
    def test_nothing_but_a_known_layout_does(self, text):
        if agree(read_plate([box(text)]), None).agreement == Agreement.AGREES:
            assert plates.has_layout(repair(text, plates.layouts_of(None)), plates.layouts_of(None))
