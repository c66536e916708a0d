"""Rows of BigQuery become the records that they were, also those of a table that an earlier release made."""

import itertools

import pytest
from msgspec.structs import replace
from stored_samples import fine, record, section

from pipeline import endpoints
from pipeline.enforcement.model import Outcome
from pipeline.enforcement.records import Fine, PassageRecord
from pipeline.warehouse import rows, tables

FINE, PASSAGE = fine(section(), 60_000_000), record(section(), 60_000_000)
RECORDS = {
    "fines": [FINE, replace(FINE, coordinates=(40.75, -73.98), evidence=(), packet_url="gs://e/p.zip", revision=2)],
    "passages": [
        PASSAGE,
        replace(PASSAGE, coordinates=(40.75, -73.98), revision=2),
        replace(PASSAGE, outcome=Outcome.UNMEASURABLE, distance_m=None, basis=None, min_speed=None, revision=3),
    ],
}
KINDS = {"fines": Fine, "passages": PassageRecord}
ADDED = ("min_speed", "length_error_m", "clock_error_s", "resolution_s", "policy", "counted_speed")
numbers = itertools.count()


@pytest.fixture(scope="module")
def client(cloud):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", cloud.env["BIGQUERY_EMULATOR_HOST"])
        yield endpoints.bigquery_client("local-project")


def stored(client, name, found, without=()):
    """What the table gives back of these records, of which it lacks columns."""
    dataset = f"local-project.rows_{next(numbers)}"
    client.create_dataset(dataset)
    table = tables.table(dataset, name)
    table.schema = [column for column in table.schema if column.name not in without]
    client.create_table(table)
    sent = [{key: value for key, value in tables.row(one).items() if key not in without} for one in found]
    assert client.insert_rows_json(f"{dataset}.{name}", sent) == []
    return list(client.query(f"SELECT * FROM `{dataset}.{name}` ORDER BY revision").result())


@pytest.mark.parametrize("name", RECORDS)
def test_record_comes_back_equal(client, name):
    assert [rows.record(row, KINDS[name]) for row in stored(client, name, RECORDS[name])] == RECORDS[name]


@pytest.mark.parametrize("name", RECORDS)
def test_column_that_an_older_table_lacks_has_its_default(client, name):
    (row,) = stored(client, name, RECORDS[name][:1], without=ADDED)
    assert rows.record(row, KINDS[name]) == replace(RECORDS[name][0], **dict.fromkeys(ADDED))


def test_row_that_is_no_such_record_is_told():
    with pytest.raises(rows.RowError, match="a row is no Fine: "):
        rows.record({"radar_id": 1}, Fine)
