"""What the last release left behind is read by this code: tables, messages, records, state, section files."""

import json

import msgspec
import pytest
from google.cloud.bigquery import SchemaField
from msgspec.structs import replace

from pipeline.enforcement import revisions
from pipeline.transforms.coders import RECORD_TYPES, StructCoder
from pipeline.warehouse import columns, tables
from releases import __main__ as command
from releases import samples, shapes
from releases.shapes import Field, Record, Shapes

RELEASED = msgspec.json.decode((command.LAST / "shapes.json").read_bytes(), type=Shapes)
SAMPLES = sorted(path.stem for path in (command.LAST / "samples").glob("*.msgpack"))


def test_this_code_follows_the_last_release():
    assert command.problems() == []


def test_tables_of_the_last_release_are_all_checked():
    released = shapes.read_schemas(command.LAST / "tables")
    assert released.keys() <= tables.TABLES.keys()
    assert len(released) >= 4
    assert shapes.table_problems(released) == []


def test_every_record_that_is_stored_or_sent_has_a_sample():
    named = {f"{kind.__module__.rpartition('.')[2]}.{kind.__name__}" for kind in RECORD_TYPES}
    assert named | {"revisions.Published", samples.HISTORY} <= shapes.now().records.keys() | {samples.HISTORY}
    assert set(SAMPLES) == RELEASED.records.keys() | {samples.HISTORY}


@pytest.mark.parametrize("name", SAMPLES)
def test_sample_of_the_last_release_means_the_same(name):
    data = (command.LAST / "samples" / f"{name}.msgpack").read_bytes()
    meant = json.loads((command.LAST / "samples" / f"{name}.json").read_text(encoding="utf-8"))
    assert samples.still_as(meant, json.loads(msgspec.json.encode(samples.decoded(name, data))))


def test_state_of_the_last_release_is_a_history_that_can_be_revised():
    data = (command.LAST / "samples" / f"{samples.HISTORY}.msgpack").read_bytes()
    history = StructCoder(revisions.History).decode(data)
    (published,) = history
    assert published.passage.entry is not None
    assert published.ever_suspected is True


@pytest.mark.parametrize("name", [name for name in SAMPLES if name.startswith("records.")])
def test_json_of_the_last_release_is_read(name):
    """As republish reads it, and whoever takes fines."""
    text = (command.LAST / "samples" / f"{name}.json").read_bytes()
    found = msgspec.json.decode(text, type=samples.record_types()[name])
    assert samples.still_as(json.loads(text), json.loads(msgspec.json.encode(found)))


def test_messages_of_the_last_release_are_read_alike():
    read = json.loads(msgspec.json.encode(samples.messages_read()))
    assert len(read) == 4
    assert all("event_id" in one for one in read), "one was rejected"
    assert samples.still_as(json.loads((command.LAST / "messages.json").read_text(encoding="utf-8")), read)


def test_section_file_of_the_last_release_is_read_alike():
    read = json.loads(msgspec.json.encode(samples.sections_read()))
    assert read["sections"]
    assert samples.still_as(json.loads((command.LAST / "sections.json").read_text(encoding="utf-8")), read)


# --- the rules themselves


ID, SPEED = Field("passage_id", "str", required=True), Field("speed", "float | None", required=False)


def lost(*fields, released=(ID, SPEED), by_place=True, values=("a", "b")):
    before = Shapes(1, {"model.Passage": Record(True, list(released))}, {"model.Reason": ["a", "b"]})
    after = Shapes(1, {"model.Passage": Record(by_place, list(fields))}, {"model.Reason": list(values)})
    return shapes.problems(before, after)


def test_same_fields_are_no_problem():
    assert lost(ID, SPEED) == []


def test_field_with_a_default_may_be_appended():
    assert lost(ID, SPEED, Field("lane", "int | None", required=False)) == []


def test_field_may_come_to_allow_none():
    assert lost(replace(ID, type="str | None"), SPEED) == []


def test_value_may_be_added_to_an_enumeration():
    assert lost(ID, SPEED, values=("a", "b", "c")) == []


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ((ID, SPEED, Field("lane", "int", required=True)), "model.Passage.lane: new and without a default"),
        ((ID, Field("lane", "int | None", required=False), SPEED), "model.Passage.speed: was in place 1"),
        ((ID,), "model.Passage.speed: released, now absent"),
        ((SPEED, ID), "model.Passage.passage_id: was in place 0"),
        ((ID, replace(SPEED, type="str | None")), "model.Passage.speed: was float | None, is str | None"),
        ((ID, replace(SPEED, required=True)), "model.Passage.speed: new and without a default"),
    ],
)
def test_change_that_cannot_be_read_is_told(fields, said):
    assert any(line.startswith(said) for line in lost(*fields))


def test_change_of_the_encoding_is_told():
    assert any("array_like" in line for line in lost(ID, SPEED, by_place=False))


def test_value_that_is_gone_is_told():
    assert any("the value 'b' was released" in line for line in lost(ID, SPEED, values=("a",)))


def test_record_known_by_names_may_order_its_fields_anew():
    before = Shapes(1, {"records.Fine": Record(False, [ID, SPEED])}, {})
    assert shapes.problems(before, Shapes(1, {"records.Fine": Record(False, [SPEED, ID])}, {})) == []


def test_record_that_is_gone_is_told():
    before = Shapes(1, {"records.Fine": Record(False, [ID])}, {})
    assert "records.Fine: released, now absent" in shapes.problems(before, Shapes(1, {}, {}))[0]


COLUMN = SchemaField("speed", "FLOAT64")
RECORD = SchemaField("evidence", "RECORD", mode="REPEATED", fields=(SchemaField("text", "STRING"),))


@pytest.mark.parametrize(
    "now",
    [
        [COLUMN, RECORD, SchemaField("lane", "INT64")],
        [SchemaField("lane", "INT64", mode="REPEATED"), RECORD, SchemaField("speed", "FLOAT")],
        [COLUMN, SchemaField("evidence", "RECORD", mode="REPEATED", fields=(*RECORD.fields, COLUMN))],
    ],
)
def test_table_may_gain_columns(now):
    assert columns.not_only_gained([COLUMN, RECORD], now) == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ([RECORD], "speed: released, now absent"),
        ([COLUMN, SchemaField("evidence", "RECORD", mode="REPEATED")], "evidence.text: released, now absent"),
        ([SchemaField("speed", "STRING"), RECORD], "speed: released as FLOAT64 NULLABLE, now STRING NULLABLE"),
        ([SchemaField("speed", "FLOAT64", mode="REQUIRED"), RECORD], "speed: released as FLOAT64 NULLABLE"),
        ([COLUMN, RECORD, SchemaField("lane", "INT64", mode="REQUIRED")], "lane: new and REQUIRED"),
    ],
)
def test_table_loses_and_changes_no_column(now, said):
    (line,) = columns.not_only_gained([COLUMN, RECORD], now)
    assert line.startswith(said)


def test_united_columns_keep_those_found_and_gain_those_wanted():
    found = [SchemaField("own", "STRING"), SchemaField("evidence", "RECORD", mode="REPEATED", fields=(COLUMN,))]
    united = columns.united(found, [COLUMN, RECORD])
    assert [field.name for field in united] == ["own", "evidence", "speed"]
    assert [field.name for field in united[1].fields] == ["speed", "text"]


# --- the command


@pytest.fixture
def release(tmp_path, monkeypatch):
    """A release in a folder of the test."""
    monkeypatch.setattr(command, "LAST", tmp_path / "last")
    monkeypatch.setattr(command, "TERRAFORM_SCHEMAS", tmp_path / "schemas")
    (tmp_path / "last").mkdir()
    command.write_release(tmp_path / "last")
    return tmp_path / "last"


def test_release_writes_what_is_here_now(release):
    for path in sorted(path for path in release.rglob("*") if path.is_file()):
        assert path.read_bytes() or path.suffix == ".msgpack"
    assert command.problems(release) == []


def test_sample_that_is_read_otherwise_is_found(release):
    path = release / "samples" / "model.Sighting.json"
    path.write_text(path.read_text().replace('"lane": 4', '"lane": 5'))
    assert command.problems(release) == ["model.Sighting.msgpack: is read otherwise than it was written"]


def test_sample_that_cannot_be_read_is_found(release):
    (release / "samples" / "model.Sighting.msgpack").write_bytes(b"\x91\x01")
    assert "model.Sighting.msgpack: cannot be read" in command.problems(release)[0]


def test_section_file_that_is_read_otherwise_is_found(release):
    path = release / "sections.json"
    path.write_text(path.read_text().replace("500.5", "400.5"))
    assert command.problems(release) == ["sections: is read otherwise than the last release read it"]


def test_release_that_loses_a_column_is_refused(release, capsys):
    path = release / "tables" / "fines.json"
    path.write_text(json.dumps([*json.loads(path.read_text()), {"name": "paid", "type": "BOOL"}]))
    before = path.read_bytes()
    assert command.main(["--release"]) == 1
    assert "fines.paid: released, now absent" in capsys.readouterr().err
    assert path.read_bytes() == before
