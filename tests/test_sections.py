"""Section files: what is read, and what each mistake says."""

from pathlib import Path

import pytest

from pipeline.enforcement.sections import (
    doubts,
    parse_limit_kmh,
    parse_network,
    parse_speed_kmh,
    single_track,
    undeclared,
)
from pipeline.enforcement.survey import SectionError
from pipeline.enforcement.track_errors import TrackErrors

CAMERAS = """
cameras:
  G1: {location: [40.7400, -73.9900]}
  G2: {location: [40.7431, -73.9877]}
  G3: {location: [40.7526, -73.9808]}
"""
SECTION = {"id": "G1-G2", "cameras": "[G1, G2]", "length_m": "[400.1]", "limit": "25 mph"}


CAMERA_1 = CAMERAS.splitlines()[2]


def file(cameras: str = CAMERAS, **fields: str | None) -> str:
    """A section file with one section: SECTION with other fields; a field given as None is left out."""
    if "names" in fields:  # of the section's cameras
        fields["cameras"] = fields.pop("names")
    lines = [f"{name}: {value}" for name, value in (SECTION | fields).items() if value is not None]
    return cameras + "sections:\n  - " + "\n    ".join(lines) + "\n"


def mistake(text: str) -> str:
    with pytest.raises(SectionError) as caught:
        parse_network(text)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_file():
    network = parse_network(
        CAMERAS
        + """
sections:
  - id: G1-G3
    name: First Avenue
    region: Manhattan
    cameras: [G1, G2, G3]
    length_m: [400.1, 1200]
    limit: 25 mph
  - id: G2-G3
    cameras: [G2, G3]
    length_m: [1200]
    limit: 40 km/h
  - id: edem
    cameras: []
    line: [[40.74, -73.99], [40.75, -73.98]]
    limit: 40 km/h
"""
    )
    first = network.sections["G1-G3"]
    assert (first.name, first.region, first.cameras) == ("First Avenue", "Manhattan", ("G1", "G2", "G3"))
    assert (first.length_m, first.distance_m) == ((400.1, 1200.0), 1600.1)
    assert first.limit_kmh == pytest.approx(40.2336, abs=1e-12)
    assert network.sections["edem"].line == ((40.74, -73.99), (40.75, -73.98))
    assert network.by_camera == {"G1": ("G1-G3",), "G2": ("G1-G3", "G2-G3"), "G3": ("G1-G3", "G2-G3")}
    assert network.cameras["G1"] == (40.74, -73.99)


def test_gap_is_the_longest_leg_at_ten_kmh():
    network = parse_network(file(names="[G1, G2, G3]", length_m="[400.1, 1250]"))
    assert network.session_gap_s() == pytest.approx(450.0)


def test_gap_of_a_track_without_a_line():
    assert single_track("edem", "25 mph").session_gap_s() == 30.0


@pytest.mark.parametrize(
    ("text", "limit_kmh"),
    [("25 mph", 40.2336), ("40 km/h", 40.0), ("40.5km/h", 40.5), (" 30 MPH ", 48.28032), ("1 mph", 1.609344)],
)
def test_limit_in_its_unit(text, limit_kmh):
    assert parse_limit_kmh(text) == pytest.approx(limit_kmh, abs=1e-12)


@pytest.mark.parametrize(
    "limit", ["25", "25 kph", "mph", "0 mph", "-25 mph", "1e3 mph", "nan km/h", "[25 mph]", "25,5 mph", "~", "true"]
)
def test_limit_that_is_none(limit):
    text = mistake(file(limit=limit))
    assert text.startswith("section G1-G2: limit: found ")
    assert "mph or km/h" in text


@pytest.mark.parametrize("limit", ["0.9 km/h", "0.0000001 mph", "300.1 km/h", "187 mph", f"{'9' * 400} km/h"])
def test_limit_that_no_road_has(limit):
    text = mistake(file(limit=limit))
    assert text.startswith(f"section G1-G2: limit: found '{limit}'")
    assert "from 1 to 300 km/h" in text


@pytest.mark.parametrize("limit", ["1 km/h", "0.63 mph", "300 km/h", "186 mph"])
def test_lowest_and_highest_limit(limit):
    assert 1 <= parse_network(file(limit=limit)).sections["G1-G2"].limit_kmh <= 300


def test_speed_with_bounds_of_its_own():
    assert parse_speed_kmh("0 mph", "--x", 0, 10) == 0
    assert parse_speed_kmh("2.5 mph", "--x", 0, 10) == pytest.approx(4.02336)
    with pytest.raises(SectionError, match=r"^--x: found '11 km/h'; allowed: .* from 0 to 10 km/h\."):
        parse_speed_kmh("11 km/h", "--x", 0, 10)


def test_limit_absent():
    assert mistake(file(limit=None)).startswith("section G1-G2: limit: found None")


@pytest.mark.parametrize("length", ["[-400.1]", "[0]", "[.nan]", "[.inf]", "[true]", "[~]", "[1e7]", "[[400]]"])
def test_length_that_is_none(length):
    text = mistake(file(length_m=length))
    assert text.startswith("section G1-G2: length_m: found ")
    assert "positive length in metres" in text


# --- surveyed lengths against the places of the cameras: G1 and G2 are 395.3 m apart


@pytest.mark.parametrize(
    ("length", "bound"),
    [("0.4001", "from 357.4"), ("357", "from 357.4"), ("4953", "to 4952.8"), ("40010", "to 4952.8")],
    ids=["kilometres", "below the straight line", "more than ten times it", "decimal point lost"],
)
def test_length_that_cannot_be(length, bound):
    text = mistake(file(length_m=f"[{length}]"))
    assert text.startswith(f"section G1-G2: length_m: found {length} for the leg from G1 to G2")
    assert "395.3 m apart in a straight line" in text
    assert bound in text


@pytest.mark.parametrize(("length", "doubtful"), [("358", 0), ("990", 0), ("991", 1), ("1312.7", 1), ("4952", 1)])
def test_length_that_may_be_wrong_is_told(length, doubtful):
    found = doubts(parse_network(file(length_m=f"[{length}]")))
    assert len(found) == doubtful
    assert all(f"length_m: found {length} for the leg from G1 to G2" in text for text in found)
    assert all("every speed" in text and "\n" not in text for text in found)


def test_each_leg_is_compared_with_its_own_cameras():
    """Two lengths in the wrong order make one part of the road too fast, though their sum is right."""
    text = mistake(file(names="[G1, G2, G3]", length_m="[1210, 400.1]"))
    assert "found 400.1 for the leg from G2 to G3" in text


@pytest.mark.parametrize(("length", "doubtful"), [("20", 0), ("200", 0), ("201", 1), ("1000", 1)])
def test_loop_between_cameras_at_one_place(length, doubtful):
    """Their places say nothing of the length, so that a long one can only be told of."""
    network = parse_network(file(f"cameras:\n{CAMERA_1}\n{CAMERA_1.replace('G1', 'G2')}\n", length_m=f"[{length}]"))
    assert len(doubts(network)) == doubtful


def test_long_loop_needs_a_camera_in_between():
    """One that is passed at the wrong end within seconds would have driven kilometres."""
    cameras = f"cameras:\n{CAMERA_1}\n{CAMERA_1.replace('G1', 'G2')}\n  G3: {{location: [40.76, -73.99]}}\n"
    assert "put a camera in between" in mistake(file(cameras, length_m="[5000]"))
    assert doubts(parse_network(file(cameras, names="[G1, G3, G2]", length_m="[2500, 2500]"))) == ()


@pytest.mark.parametrize("lon", [("179.999", "-179.999"), ("-179.999", "179.999")])
def test_leg_across_the_date_line(lon):
    """0.002 degrees at the equator are 223 m."""
    cameras = "cameras:\n" + "\n".join(f"  G{n}: {{location: [0, {place}]}}" for n, place in enumerate(lon, 1))
    assert doubts(parse_network(file(cameras + "\n", length_m="[225]"))) == ()
    assert "222.6 m apart" in mistake(file(cameras + "\n", length_m="[100]"))


def test_swapped_coordinates():
    cameras = CAMERAS.replace("[40.7431, -73.9877]", "[-73.9877, 40.7431]")
    assert mistake(file(cameras)).startswith("section G1-G2: length_m: found 400.1 for the leg from G1 to G2")


@pytest.mark.parametrize("length", ["[]", "[400, 400]", "~", "[1, 2, 3]"])
def test_wrong_number_of_legs(length):
    text = mistake(file(length_m=length))
    assert text.startswith("section G1-G2: length_m: found ")
    assert "each of the 1 legs" in text


def test_length_without_a_list():
    assert mistake(file(length_m="400")).startswith("section G1-G2: length_m: found '400'")


def test_camera_named_twice_in_the_file():
    text = mistake(file(cameras=CAMERAS + "  G1: {location: [1, 2]}\n"))
    assert "'G1' is named twice" in text
    assert "line 6" in text


def test_camera_named_twice_in_different_spelling_of_one_name():
    """YAML tells the number 1 from the text "1"; a sighting's camera_id cannot."""
    text = mistake(
        "cameras:\n  1: {location: [1, 2]}\n  '1': {location: [3, 4]}\n  G2: {location: [1, 2]}\n"
        + file(cameras="", names="[1, G2]")
    )
    assert "twice" in text


def test_camera_twice_in_a_section():
    text = mistake(file(names="[G1, G2, G1]", length_m="[1, 2]"))
    assert text.startswith("section G1-G2: cameras: 'G1' is named twice")


def test_unknown_camera_names_the_known_ones():
    text = mistake(file(names="[G1, G9]"))
    assert text.startswith("section G1-G2: cameras: found 'G9'")
    assert "G1, G2, G3" in text


def test_single_camera():
    assert "at least two cameras" in mistake(file(names="[G1]", length_m="[]"))


@pytest.mark.parametrize("place", ["[95, 0]", "[0, 181]", "[1]", "[1, 2, 3]", "'1,2'", "~", "[.nan, 0]", "{lat: 1}"])
def test_camera_without_a_place(place):
    text = mistake(file(cameras=f"cameras:\n  G1: {{location: {place}}}\n  G2: {{location: [1, 2]}}\n"))
    assert text.startswith("cameras.G1.location: found ")
    assert "latitude -90 to 90" in text


def test_camera_without_location():
    assert mistake(file(cameras="cameras:\n  G1: {}\n  G2: {location: [1, 2]}\n")).startswith("cameras.G1.location")


def test_cameras_as_a_list():
    assert mistake(file(cameras="cameras: [G1, G2]\n")).startswith("cameras: found ")


@pytest.mark.parametrize("name", ["NO", "on", "12:30", "010", "1_000", "1e3"])
def test_name_that_yaml_reads_as_something_else(name):
    """YAML takes NO for false and 010 for 8: a camera is named as it is written."""
    text = f"cameras:\n  {name}: {{location: [1, 2]}}\n  G2: {{location: [1, 2]}}\n" + file(
        cameras="", names=f"[{name}, G2]"
    )
    assert name in parse_network(text).cameras


def test_duplicate_section_ids():
    section = "  - {id: %s, line: [[1, 2], [1, 3]], limit: 40 km/h}\n"
    text = mistake("sections:\n" + section % "a" + section % "b" + section % "a")
    assert text.startswith("sections[3].id: found 'a'")


def test_duplicate_section_ids_as_number_and_text():
    section = "  - {id: %s, line: [[1, 2], [1, 3]], limit: 40 km/h}\n"
    assert "1" in mistake("sections:\n" + section % "1" + section % "'1'")


@pytest.mark.parametrize("name", ["''", "[a]", "' '", "{}"])
def test_section_without_an_id(name):
    assert mistake(file(id=name)).startswith("sections[1].id: found ")


STRANGE = ["a/b", "a\\\\b", "#1", "why?", "*", "[1]", "1]", ".", "..", "a\\nb", "a\\tb", "\\u200b", "\\x7f", " a", "a "]


@pytest.mark.parametrize("name", [*STRANGE, "x" * 129])
def test_id_that_is_no_name_for_objects_and_attributes(name):
    text = mistake(file(id=f'"{name}"'))
    assert text.startswith("sections[1].id: found ")
    assert "at most 128" in text


@pytest.mark.parametrize("name", ["", *STRANGE, "x" * 129])
def test_camera_with_such_a_name(name):
    cameras = f'cameras:\n  "{name}": {{location: [1, 2]}}\n  G2: {{location: [1, 2]}}\n'
    text = mistake(file(cameras, names=f'["{name}", G2]'))
    assert text.startswith("cameras: found ")
    assert "at most 128" in text


@pytest.mark.parametrize("name", ["x" * 128, "Straße 7 (süd)", "M-30: Kilometer 1,5", "...", "東京", "a+b=c%&@$!~"])
def test_name_that_is_one(name):
    assert list(parse_network(file(id=f"'{name}'")).sections) == [name]


@pytest.mark.parametrize("name", ["..", "a/b", "a\nb", " "])
def test_name_of_a_single_track_names_the_option(name):
    with pytest.raises(SectionError, match=r"^--radar_id: found "):
        single_track(name, "25 mph")


@pytest.mark.parametrize("line", ["[[1, 2]]", "[[1, 2], [1, 2]]"])
def test_line_of_one_point(line):
    text = mistake(f"sections:\n  - {{id: t, line: {line}, limit: 40 km/h}}\n")
    assert text.startswith("section t: line: found ")
    assert "two different points" in text


@pytest.mark.parametrize("line", ["[[1, 2], [95, 2]]", "[[1, 2], 5]", "[[1, 2], [1, x]]"])
def test_line_with_a_point_that_is_none(line):
    assert mistake(f"sections:\n  - {{id: t, line: {line}, limit: 40 km/h}}\n").startswith("section t: line: found ")


def test_cameras_and_line():
    assert "exactly one" in mistake(file(line="[[1, 2], [1, 3]]"))


def test_neither_cameras_nor_line():
    assert "exactly one" in mistake(file(names="[]", length_m="[]"))


# --- a radar's errors


RADAR = "sections:\n  - {id: t, line: [[40.74, -73.99], [40.75, -73.98]], limit: 40 km/h, %s}\n"


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("location_error_m: 5, speed_error: 2 km/h", TrackErrors(5.0, 2.0)),
        ("location_error_m: 5, clock_error_s: 0.1, resolution_s: 0.01", TrackErrors(5.0, None, 0.1, 0.01)),
        ("location_error_m: 0, clock_error_s: 0, speed_error: 0 km/h", TrackErrors(0.0, 0.0, 0.0)),
    ],
)
def test_errors_of_a_radar(text, errors):
    section = parse_network(RADAR % text).sections["t"]
    assert section.track == errors
    assert section.errors == errors.times
    assert undeclared(parse_network(RADAR % text)) == ()


def test_radar_that_declares_none_is_warned_of():
    network = parse_network(RADAR % "name: t")
    assert network.sections["t"].track is None
    (told,) = undeclared(network)
    assert told.startswith("sections t: no location_error_m is declared for their radars; nothing is proven by their")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("location_error_m: 5", "section t: found location_error_m; allowed: location_error_m with clock_error_s"),
        ("clock_error_s: 0.1", "section t: found clock_error_s; allowed: location_error_m with clock_error_s"),
        ("speed_error: 3 km/h", "section t: found speed_error; allowed: location_error_m with"),
        ("resolution_s: 1, location_error_m: 5", "section t: found location_error_m, resolution_s; allowed: "),
        ("location_error_m: -1, clock_error_s: 0", "section t: location_error_m: found '-1'; allowed: metres, from 0"),
        ("location_error_m: 5, speed_error: 3", "section t: speed_error: found '3'; allowed: a number with its unit"),
        ("location_error_m: 5, clock_error_s: 61", "section t: clock_error_s: found '61'; allowed: seconds, from 0"),
        (
            "location_error_m: 5, speed_error: 4 km/h",
            "section t: readings that may be wrong by 5 m and 4 km/h prove of ",
        ),
        ("location_error_m: 70, clock_error_s: 0", "section t: 1395.21 m with an error of 140 m and of 0 s in time"),
    ],
)
def test_errors_of_a_radar_that_cannot_be(text, told):
    assert mistake(RADAR % text).startswith(told)


@pytest.mark.parametrize("found", ["[5]", "5", "abc", "[]", "~"])
def test_error_of_lengths_is_none_of_a_radar(found):
    told = mistake(RADAR % f"location_error_m: 5, clock_error_s: 0, length_error_m: {found}")
    assert told.startswith("section t: length_error_m: found ")
    assert told.endswith("; allowed: of a section with cameras only; a line's is its location_error_m.")
    assert mistake(RADAR % f"length_error_m: {found}").startswith("section t: length_error_m: found ")


def test_resolution_of_a_radar_that_tells_no_times_is_refused():
    told = mistake(RADAR % "location_error_m: 5, speed_error: 2 km/h, resolution_s: 1")
    assert told == (
        "section t: resolution_s: found '1'; allowed: with clock_error_s, where its points tell the time, only."
    )


CLOCK_1, CLOCK_2 = ("{location: [40.7400, -73.9900]", "{location: [40.7431, -73.9877]")


@pytest.mark.parametrize("declared", [CLOCK_1, CLOCK_2])
def test_one_clock_that_nobody_vouches_for_is_warned_of(declared):
    cameras = CAMERAS.replace(declared, f"{declared}, clock_error_s: 0.06")
    (told,) = undeclared(parse_network(file(cameras, length_error_m="[0]")))
    other = "G2" if declared is CLOCK_1 else "G1"
    assert told == (
        f"sections G1-G2: no clock_error_s is declared for cameras {other}; their clocks are taken to be exact, and a "
        "speed just over the limit is a violation"
    )


def test_error_of_zero_is_declared():
    cameras = CAMERAS.replace("]}", "], clock_error_s: 0}")
    assert undeclared(parse_network(file(cameras, length_error_m="[0]"))) == ()


def test_length_that_nobody_vouches_for_is_warned_of():
    cameras = CAMERAS.replace("]}", "], clock_error_s: 0.06}")
    (told,) = undeclared(parse_network(file(cameras)))
    assert told == (
        "sections G1-G2: no length_error_m is declared; their lengths are taken to be exact, and a speed just over the "
        "limit is a violation"
    )


def test_all_that_is_not_declared_is_two_lines_however_many_there_are():
    network = parse_network(file() + file("", id="again").removeprefix("sections:\n"))
    clocks, lengths = undeclared(network)
    assert clocks.startswith("sections G1-G2, again: no clock_error_s is declared for cameras G1, G2;")
    assert lengths.startswith("sections G1-G2, again: no length_error_m is declared;")


def test_shipped_section_files_declare_all():
    root = Path(__file__).parents[1]
    files = [*(root / "templates").glob("*sections*.yaml"), root / "bench/section.yaml"]
    assert [undeclared(parse_network(path.read_text(encoding="utf-8"))) for path in files] == [()] * len(files)


def test_errors_of_a_radar_are_none_of_cameras():
    told = mistake(file(location_error_m="5", clock_error_s="1"))
    assert told.startswith("section G1-G2: location_error_m: found '5'; allowed: location_error_m, speed_error, ")
    assert told.endswith("of a section with a line only.")


def test_track_with_lengths():
    assert "length_m" in mistake("sections:\n  - {id: t, line: [[1, 2], [1, 3]], length_m: [5], limit: 40 km/h}\n")


def test_misspelt_key_of_a_section():
    text = mistake(file(limits="30 mph"))
    assert text.startswith("section G1-G2.limits: found 'limits'")


def test_misspelt_key_of_the_file():
    assert "camera" in mistake("camera: {}\n" + file())


def test_key_given_twice_in_a_section():
    assert "'limit' is named twice" in mistake(file() + "    limit: 90 mph\n")


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "~"])
def test_empty_file(text):
    assert mistake(text).startswith("file: found ")


@pytest.mark.parametrize("text", ["a: [", "\t- x", "{", "a: b: c", "!!python/object/apply:os.system ['true']", "\x00"])
def test_not_yaml(text):
    assert mistake(text).startswith("file: ")


@pytest.mark.parametrize("sections", ["", "sections: []", "sections: {}", "sections: 5"])
def test_no_sections(sections):
    assert mistake(CAMERAS + sections).startswith("sections: found ")


@pytest.mark.parametrize("entry", ["5", "[]", "text", "~"])
def test_section_that_is_no_mapping(entry):
    assert mistake(CAMERAS + f"sections: [{entry}]").startswith("sections[1]: found ")


def test_list_as_a_key():
    assert mistake("? [a, b]\n: 1\n").startswith("file: ")


def test_limit_of_a_single_track_names_the_option():
    with pytest.raises(SectionError, match=r"^--speed_limit: found '40'"):
        single_track("edem", "40")


def test_sample_files_are_valid():
    templates = Path(__file__).parents[1] / "templates"
    found = [parse_network(path.read_text(encoding="utf-8")) for path in templates.glob("*sections*.yaml")]
    assert found
    assert all(network.sections for network in found)
    assert [doubts(network) for network in found] == [()] * len(found)
