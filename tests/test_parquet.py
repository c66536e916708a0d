"""Parquet as input: each row once, as the same line of JSON would be."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io import source_test_utils
from apache_beam.io.iobase import SourceBundle

from pipeline.jobs import main
from pipeline.transforms import parquet
from pipeline.transforms.parquet import RowsOfParquet

T0 = datetime(2026, 4, 12, 13, tzinfo=UTC)
SECTIONS = """
cameras:
  G1: {location: [40.7400, -73.9900]}
  G2: {location: [40.7431, -73.9877]}
sections:
  - {id: G1-G2, cameras: [G1, G2], length_m: [400], limit: 40 km/h}
"""


def rows(vehicles: int = 30) -> list[dict[str, object]]:
    """Each passes both cameras; every third too fast."""
    return [
        {
            "event_id": f"e{number}-{camera}",
            "vehicle_id": f"V{number}",
            "camera_id": f"G{camera + 1}",
            "timestamp": T0 + timedelta(seconds=number, milliseconds=camera * (20_500 if number % 3 == 0 else 50_250)),
            "location": None if number % 2 else [40.74, -73.99],
            "speed": None if number % 5 == 0 else 30.0 + number,
            "lane": number % 4,
        }
        for number in range(vehicles)
        for camera in (0, 1)
    ]


def write(path: str, found: Sequence[Mapping[str, object]], group: int = 7, **types: pa.DataType) -> None:
    table = pa.Table.from_pylist(list(found))
    for name, kind in types.items():
        table = table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind))
    pq.write_table(table, path, row_group_size=group)


def run(source: str) -> dict[str, list[str]]:
    Path("sections.yaml").write_text(SECTIONS)
    out = Path(f"out-{source}".replace("*", "all"))
    argv = [f"--input={source}", f"--output_dir={out}", "--sections=sections.yaml", "--privacy=off"]
    assert main(argv) == 0
    return {name: lines_of(out.glob(f"{name}*")) for name in ("sightings", "passages", "fines", "rejected", "summary")}


def lines_of(files: Iterable[Path]) -> list[str]:
    return sorted(line for file in files for line in file.read_text().splitlines())


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def told() -> dict[str, list[str]]:
    """What the same rows give as lines of JSON."""
    lines = [json.dumps({name: told_as(value) for name, value in row.items() if value is not None}) for row in rows()]
    Path("rows.ndjson").write_text("\n".join(lines))
    return run("rows.ndjson")


def told_as(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else value


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_rows_give_what_lines_give(told, unit):
    write("rows.parquet", rows(), timestamp=pa.timestamp(unit, "UTC"))
    assert run("rows.parquet") == told
    assert len(told["sightings"]) == 60
    assert len(told["fines"]) == 10


def test_row_without_time_keeps_those_of_the_others():
    """It was seen when the file was read."""
    found = rows(2)
    write("rows.parquet", [found[0], found[1] | {"timestamp": None}], timestamp=pa.timestamp("ms", "America/New_York"))
    sightings = [json.loads(line) for line in run("rows.parquet")["sightings"]]
    assert sorted(sighting["timed"] for sighting in sightings) == [False, True]
    (timed,) = (sighting["timestamp"] for sighting in sightings if sighting["timed"])
    assert timed == "2026-04-12T13:00:00.000000Z"


def test_times_as_texts_give_the_same(told):
    write("rows.parquet", [row | {"timestamp": told_as(row["timestamp"])} for row in rows()])
    assert run("rows.parquet") == told


def test_several_files_by_pattern_give_the_same(told):
    write("one.parquet", rows()[::2])
    write("two.parquet", rows()[1::2])
    assert run("*.parquet") == told


def test_rows_that_cannot_be_used_are_rejected_by_themselves(told):
    odd = [{"vehicle_id": None}, {"vehicle_id": "A", "camera_id": "G9"}, {"vehicle_id": "A", "speed": -1.0}]
    write("rows.parquet", [*rows(), *odd])
    found = run("rows.parquet")
    assert found["sightings"] == told["sightings"]
    assert sorted(json.loads(line)["field"] for line in found["rejected"]) == ["camera_id", "speed", "vehicle_id"]


def test_time_without_zone_is_refused():
    write("rows.parquet", [row | {"timestamp": datetime(2026, 4, 12, 13)} for row in rows()[:1]])
    (refused,) = run("rows.parquet")["rejected"]
    assert json.loads(refused)["reason"] == "invalid_time"


def test_row_without_id_and_time_keeps_its_place(monkeypatch):
    monkeypatch.setattr(parquet, "ROWS", 5)
    write("rows.parquet", [{"vehicle_id": "A", "camera_id": "G1", "lane": number} for number in range(40)])
    sightings = [json.loads(line) for line in run("rows.parquet")["sightings"]]
    in_order = sorted(sightings, key=lambda sighting: sighting["timestamp"])
    assert [sighting["lane"] for sighting in in_order] == list(range(40))
    assert len({sighting["event_id"] for sighting in sightings}) == 40


def test_row_too_large_for_a_message_takes_no_other_along(monkeypatch):
    monkeypatch.setattr(parquet, "MAX_MESSAGE_BYTES", 300)
    write("rows.parquet", rows(2))
    source = RowsOfParquet("rows.parquet")
    blocks = list(source.read(source.get_range_tracker(None, None)))
    assert [block.lines.count(b"\n") for block in blocks] == [0] * 4
    assert len({block.position for block in blocks}) == 4


def test_each_row_group_is_read_in_one_split():
    write("rows.parquet", rows(40))
    whole = RowsOfParquet("rows.parquet", min_bundle_size=0)
    splits: list[SourceBundle] = list(whole.split(300))
    assert len(splits) > 3
    source_test_utils.assert_sources_equal_reference_source(
        (whole, None, None), [(split.source, split.start_position, split.stop_position) for split in splits]
    )


@pytest.mark.parametrize(
    ("content", "said"), [(b"PAR1 no", "is no Parquet file"), (b"", "is no Parquet file"), (None, "needed: vehicle_id")]
)
def test_file_that_cannot_be_used_is_told_in_one_line(capsys, content, said):
    Path("sections.yaml").write_text(SECTIONS)
    if content is None:
        write("rows.parquet", [{"plate": "A"}])
    else:
        Path("rows.parquet").write_bytes(content)
    assert main(["--input=rows.parquet", "--output_dir=out", "--sections=sections.yaml", "--privacy=off"]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
