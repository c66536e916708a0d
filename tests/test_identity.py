"""Which vehicle_ids name a vehicle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.plates import DESIGNS, DIGITS, LETTERS, LETTERS_OF
from pipeline.enforcement.identity import PLACEHOLDERS, are_identified, is_identified
from pipeline.enforcement.plates import LAYOUTS


@pytest.mark.parametrize(
    "vehicle_id",
    [
        *("UNKNOWN", "unknown", " Unknown ", "<UNKNOWN>", "UNREAD", "UNREADABLE", "NOREAD", "NO READ", "no-read"),
        *(
            "NO_PLATE",
            "NoPlate",
            "not recognized",
            "no texts found",
            "NONE",
            "None",
            "NULL",
            "null",
            "N/A",
            "n.a.",
            "NaN",
        ),
        *("?", "??????", "-", "------", "*******", "_", " ", "\t", "…", "#N/A"),
        *("0000", "0000000", "00-00-00", "0" * 64, "XXXX", "xxxxxxx", "XXX-XXXX"),
    ],
)
def test_placeholder_names_no_vehicle(vehicle_id):
    assert not is_identified(vehicle_id)


@pytest.mark.parametrize(
    "vehicle_id",
    [
        *("0", "00", "000", "1", "7", "1111", "9999999", "00001", "10000", "0x1", "v-00000000", "12345678"),
        *("A", "X", "XXX", "XXXX1", "X0000", "0X0X0X", "AAAA", "OOOOOOO"),
        *("HTT9066", "UNK1234", "NONE1", "NOPLATES", "NULL01", "K62-FXJ", "京A12345", "А123ВС77", "Å"),
    ],
)
def test_everything_else_does(vehicle_id):
    assert is_identified(vehicle_id)


def test_list_is_spelt_as_it_is_compared():
    assert all(word == word.casefold() and word.isalnum() and not is_identified(word.upper()) for word in PLACEHOLDERS)


def serials(region: str, layout: str) -> st.SearchStrategy[str]:
    alphabets = [DIGITS if kind == "D" else LETTERS_OF.get(region, LETTERS) for kind in layout]
    return st.tuples(*map(st.sampled_from, alphabets)).map("".join)


ISSUED = [(region, layout) for region, layouts in LAYOUTS.items() for layout in layouts]


@given(st.sampled_from(ISSUED).flatmap(lambda issued: serials(*issued)), st.sampled_from(["", " ", "-"]), st.booleans())
def test_plate_that_a_state_issues_is_never_taken_for_a_placeholder(plate, mark, lower):
    assert DESIGNS.keys() <= LAYOUTS.keys()
    spelt = plate[:3] + mark + plate[3:]
    assert is_identified(spelt.lower() if lower else spelt)


SPELT = st.one_of(st.sampled_from(sorted(PLACEHOLDERS)), st.text("0X19aé٣ -?", max_size=6), st.text(max_size=6))


@given(st.lists(SPELT, max_size=8))
def test_many_are_identified_as_each_by_itself(vehicle_ids):
    assert are_identified(vehicle_ids).tolist() == list(map(is_identified, vehicle_ids))


def test_digit_of_one_is_none_of_its_neighbours():
    assert are_identified(["0000", "A1", "XXXX", "9", "?"]).tolist() == [False, True, False, True, False]
