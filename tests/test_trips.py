"""A vehicle's session, parted by sections: each sees what it would see if there were no other."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from pipeline.enforcement import trips
from pipeline.enforcement.model import Sighting

GAP_US = 60
SECTIONS_OF = {"A": ("first",), "B": ("first", "second"), "C": ("second",), "D": ()}


def section_ids(sighting: Sighting) -> tuple[str, ...]:
    return SECTIONS_OF[sighting.camera_id or ""]


def seen(camera: str, at_us: int) -> Sighting:
    return Sighting(f"{camera}{at_us}", "V", at_us, camera_id=camera)


def parts(*sightings: Sighting) -> list[tuple[str, list[int]]]:
    found = trips.by_section(sightings, section_ids, GAP_US)
    return [(name, [sighting.time_us for sighting in part]) for name, part in found]


def test_shared_camera_counts_for_both_sections():
    assert parts(seen("A", 0), seen("B", 10), seen("C", 20)) == [("first", [0, 10]), ("second", [10, 20])]


def test_section_is_parted_where_only_others_saw_the_vehicle():
    found = parts(seen("A", 0), seen("C", 40), seen("C", 80), seen("A", 120))
    assert found == [("first", [0]), ("first", [120]), ("second", [40, 80])]


def test_exact_gap_parts_and_a_microsecond_less_does_not():
    assert parts(seen("A", 0), seen("A", 60)) == [("first", [0]), ("first", [60])]
    assert parts(seen("A", 0), seen("A", 59)) == [("first", [0, 59])]


@given(st.lists(st.tuples(st.sampled_from("ABCD"), st.integers(0, 400)), min_size=1))
def test_each_section_by_itself_is_parted_alike(found):
    sightings = sorted((seen(camera, at_us) for camera, at_us in found), key=lambda sighting: sighting.time_us)
    alone = defaultdict(list)
    for sighting in sightings:
        for name in section_ids(sighting):
            if not alone[name] or sighting.time_us - alone[name][-1][-1] >= GAP_US:
                alone[name].append([])
            alone[name][-1].append(sighting.time_us)
    assert sorted(parts(*sightings)) == sorted((name, part) for name, rows in alone.items() for part in rows)
