"""The what-if job: stored passages from files and the warehouse, and sightings that the job is run on twice."""

import itertools
import json
import re
from pathlib import Path

import pytest
from msgspec.structs import replace
from stored_samples import T0_US, as_text, record, section

from pipeline import endpoints, secret
from pipeline.enforcement.model import Outcome
from pipeline.jobs import main
from pipeline.warehouse import tables

ROAD = section(1000.0, 50.0)
SPEEDS_KMH = (
    45,
    51,
    53,
    57,
    58,
    60,
    80,
)  # edem: over from 51; nl: from 57, which is 53 counted and 4 over after rounding
PASSAGES = tuple(
    record(ROAD, round(3.6e9 / (kmh + 0.5)), vehicle=f"PLATE{kmh}", start_us=T0_US + number)
    for number, kmh in enumerate(SPEEDS_KMH)
)
UNMEASURABLE = replace(
    PASSAGES[0], passage_id="u", outcome=Outcome.UNMEASURABLE, avg_speed=None, min_speed=None, policy=None
)
LATER = record(ROAD, 60_000_000, start_us=T0_US + 86_400_000_000)
ELSEWHERE = replace(PASSAGES[-1], passage_id="e", section_id="other")
SECTIONS = """
cameras:
  G1: {location: [40.7400, -73.9900]}
  G2: {location: [40.7413, -73.9891]}
  G3: {location: [40.7480, -73.9840]}
sections:
  - {id: s, cameras: [G1, G3], length_m: [1000], limit: 50 km/h, policy: edem}
  - {id: short, cameras: [G1, G2], length_m: [190], limit: 50 km/h}
"""
LINE = "sections: [{id: line, line: [[40.74, -73.99], [40.75, -73.98]], limit: 25 mph}]"
OUTCOME = re.compile(r"(falls|changes|arises) .* ([0-9a-f-]{36})  ")
numbers = itertools.count()


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(secret.VARIABLE, "0123456789abcdef")
    Path("sections.yaml").write_text(SECTIONS)
    Path("passages.ndjson").write_bytes(as_text(*PASSAGES, UNMEASURABLE))


@pytest.fixture
def run(capfd):
    """Asks what if; gives the exit status, the lines that were printed and those of mistakes."""

    def what_if(*argv: str) -> tuple[int, list[str], list[str]]:
        status = main(["what-if", *argv])
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return status, said.out.splitlines(), said.err.splitlines()

    return what_if


def counts(lines: list[str], name: str) -> list[int]:
    (text,) = [text for text in lines if text.startswith(name)]
    return [int(number) for number in re.findall(r"\d+", text)]


def differing(lines: list[str]) -> dict[str, str]:
    return {match[2]: match[1] for text in lines if (match := OUTCOME.match(text))}


def test_stricter_and_milder_policies_of_stored_passages(run):
    status, lines, _ = run("--policy=nl", "--passages=passages.ndjson", "--output=differs.ndjson")
    assert status == 0
    assert counts(lines, "looked at") == [8]
    assert counts(lines, "clear") == [1, 3]
    assert counts(lines, "suspected") == [6, 4]
    assert counts(lines, "unmeasurable") == [1, 1]
    assert counts(lines, "  before") == [6, 2, 4, 0]
    assert counts(lines, "  after") == [4, 0, 4, 0]
    assert "money        policy nl names no amounts" in lines
    text = Path("differs.ndjson").read_text()
    found = {one["passage_id"]: one["effect"] for one in map(json.loads, text.splitlines())}
    assert found == differing(lines)
    assert (
        list(found.values()) == ["falls"] * 2 + ["changes"] * 4
        or sorted(found.values()) == ["changes"] * 4 + ["falls"] * 2
    )
    assert "PLATE" not in text + "".join(lines)


def test_own_policy_differs_in_nothing(run):
    status, lines, _ = run("--policy=edem", "--passages=passages.ndjson")
    assert (status, differing(lines)) == (0, {})
    assert counts(lines, "  after") == [6, 0, 0, 6]


def test_money_of_a_policy_that_names_amounts(run):
    _, lines, _ = run("--policy=nyc", "--passages=passages.ndjson", "--tolerance=1 km/h")
    assert "money        USD 0.00 -> 50.00, if each were fined" in lines


def test_what_cannot_be_told_is_in_the_sum(run):
    Path("passages.ndjson").write_bytes(as_text(*PASSAGES, replace(PASSAGES[1], passage_id="x", policy="gone")))
    status, lines, _ = run("--policy=nl", "--passages=passages.ndjson")
    assert status == 0
    assert counts(lines, "looked at") == [8]
    assert "untold       1: policy gone is not known here: give its file as --policies" in lines


def test_day_and_section_of_the_warehouse_are_those_of_files(run, cloud, monkeypatch):
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    everything = (*PASSAGES, replace(PASSAGES[1], revision=2), UNMEASURABLE, LATER, ELSEWHERE)
    Path("all.ndjson").write_bytes(as_text(*everything))
    dataset, client = f"local-project.what_if_{next(numbers)}", endpoints.bigquery_client("local-project")
    client.create_dataset(dataset)
    client.create_table(tables.table(dataset, "passages"))
    assert client.insert_rows_json(f"{dataset}.passages", [tables.row(one) for one in everything]) == []
    for words, count in (((), 9), (("--section=s",), 8), (("--section=other",), 1)):
        of_files = run("--policy=nl", "--passages=all.ndjson", "--day=2026-04-12", *words)
        assert of_files == run("--policy=nl", f"--dataset={dataset}", "--day=2026-04-12", *words)
        assert counts(of_files[1], "looked at") == [count]


def sightings(*passages: tuple[str, str, float]) -> None:
    """A file of vehicles that pass G1 and then another camera so many seconds later."""
    lines = [
        json.dumps({"vehicle_id": vehicle, "camera_id": camera, "timestamp": T0_US / 1e6 + at_s})
        for vehicle, leaving, seconds in passages
        for camera, at_s in (("G1", 0.0), (leaving, seconds))
    ]
    Path("day.ndjson").write_text("\n".join(lines))


def test_sightings_are_run_twice_and_sections_own_policies_give_way(run, tmp_path):
    sightings(("A", "G3", 80), ("B", "G3", 68), ("C", "G3", 50), ("D", "G2", 10))
    status, lines, errors = run("--policy=nl", "--input=day.ndjson", "--sections=sections.yaml", "--instead_of=nyc")
    assert status == 0
    assert counts(lines, "clear") == [1, 3]
    assert counts(lines, "suspected") == [3, 1]
    # Of B 52.9 km/h is not enough; the section of D is too short for nl.
    assert counts(lines, "  before") == [3, 2, 1, 0]
    assert sum("sightings = " in text for text in errors) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"day.ndjson", "passages.ndjson", "sections.yaml"}


def test_runs_and_stored_passages_tell_the_same(run, capfd):
    sightings(*((f"V{number}", "G3", seconds) for number, seconds in enumerate(range(40, 90))))
    assert main(["--input=day.ndjson", "--sections=sections.yaml", "--output_dir=out"]) == 0
    capfd.readouterr()
    of_runs = run("--policy=ch", "--input=day.ndjson", "--sections=sections.yaml")
    of_stored = run("--policy=ch", "--passages=out/passages-*")
    assert of_runs[:2] == of_stored[:2]
    assert counts(of_runs[1], "looked at")[0] > 50


def test_only_a_run_knows_the_mean_of_point_speeds(run, capfd):
    Path("line.yaml").write_text(LINE)
    points = [
        json.dumps(
            {"vehicle_id": vehicle, "radar_id": "line", "location": [40.74 + at / 1e3, -73.99 + at / 1e3], "speed": kmh}
        )
        for vehicle, kmh in (("A", 30.0), ("B", 45.0))
        for at in range(11)
    ]
    Path("day.ndjson").write_text("\n".join(points))
    assert main(["--input=day.ndjson", "--sections=line.yaml", "--output_dir=out"]) == 0
    capfd.readouterr()
    _, lines, _ = run("--policy=edem-classic", "--input=day.ndjson", "--sections=line.yaml")
    assert counts(lines, "suspected") == [1, 1]
    _, lines, _ = run("--policy=edem-classic", "--passages=out/passages-*")
    assert counts(lines, "looked at") == [2]
    assert "untold       2: policy edem-classic counts the mean of the point speeds, which is not stored" in lines


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("--passages=passages.ndjson",), "the following arguments are required: --policy"),
        (("--policy=xx", "--passages=passages.ndjson"), "--policy: found 'xx'; allowed: edem, "),
        (("--policy=nl",), "files of a run, --dataset: found neither"),
        (("--policy=nl", "--passages=passages.ndjson", "--dataset=p-1.d", "--day=2026-04-12"), "found both"),
        (("--policy=nl", "--dataset=p-1.d"), "--day: absent; needed with --dataset"),
        (("--policy=nl", "--input=passages.ndjson", "--passages=p"), "--input: found with --passages or --dataset"),
        (("--policy=nl", "--passages=passages.ndjson", "--day=2026-04-12T01:00:00Z"), "allowed: a day such as"),
        (("--policy=nl", "--passages=passages.ndjson", "--sections=s.yaml"), "--sections: found without --input"),
        (("--policy=nl", "--passages=passages.ndjson", "--instead_of=nyc"), "--instead_of: found without --input"),
        (("--policy=nl", "--input=none.ndjson", "--sections=sections.yaml"), "--input: found no file at "),
        (("--policy=nl", "--input=passages.ndjson", "--instead_of=x"), "--instead_of: found 'x'; allowed: edem"),
        (("--policy=nl", "--passages=passages.ndjson", "--tolerance=3"), "--tolerance: found '3'"),
        (("--policy=nl", "--passages=passages.ndjson", "--ouput=x"), "no such option. Did you mean --output?"),
    ],
)  # fmt: skip
def test_mistake_is_one_line(run, argv, says):
    status, _, errors = run(*argv)
    assert (status, len(errors)) == (2, 1)
    assert errors[0].startswith("python -m pipeline: ")
    assert says in errors[0]
