"""Rows into BigQuery: what it refuses comes back as rejected with its bytes, and takes nothing else along."""

import base64
import itertools

import apache_beam as beam
import msgspec
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.api_core.retry import Retry

from pipeline import endpoints
from pipeline.enforcement import records
from pipeline.enforcement.model import Status
from pipeline.enforcement.records import Fine, Rejected
from pipeline.transforms import sinks
from pipeline.transforms.sinks import InsertRows, Recorder
from pipeline.warehouse import tables
from pipeline.warehouse.rows import ROW_IDS
from tests.test_warehouse import PASSAGE, SECTION

noted: list[Rejected] = []
numbers = itertools.count()


def note(rejected: Rejected) -> None:
    """The runner works in this process, so what it saw can be looked at afterwards."""
    noted.append(rejected)


@pytest.fixture
def dataset(cloud, monkeypatch):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", cloud.env["BIGQUERY_EMULATOR_HOST"])
    client = endpoints.bigquery_client("local-project")
    name = f"local-project.inserts_{next(numbers)}"
    client.create_dataset(name)
    client.create_table(tables.table(name, "fines"))
    return name


def fine(fine_id: str, **fields: object) -> Fine:
    return msgspec.structs.replace(records.fine(PASSAGE, SECTION, Status.ISSUED), fine_id=fine_id, **fields)


def inserted(dataset: str, *fines: Fine) -> tuple[list[str], list[Rejected]]:
    """Ids of the stored rows, and what came back."""
    noted.clear()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        found = pipeline | beam.Create(fines, reshuffle=False).with_output_types(Fine)
        _ = found | InsertRows(dataset, "fines", Recorder(None)) | beam.Map(note)
    rows = endpoints.bigquery_client("local-project").query(f"SELECT fine_id FROM `{dataset}.fines` ORDER BY 1")
    return [row.fine_id for row in rows.result()], list(noted)


def original(rejected: Rejected) -> Fine:
    return msgspec.json.decode(base64.b64decode(rejected.payload), type=Fine)


def test_row_that_the_table_refuses_comes_back_alone(dataset):
    bad = fine("bad", entry_time="yesterday")
    stored, (refused,) = inserted(dataset, fine("a"), bad, fine("b"))
    assert stored == ["a", "b"]
    assert (refused.stage, refused.reason, refused.field) == ("warehouse", "insert_refused", "entry_time")
    assert original(refused) == bad
    assert msgspec.json.decode(refused.attributes) == {"table": "fines"}


def test_row_that_is_refused_again_is_the_same_rejected_row(dataset):
    (first,) = inserted(dataset, fine("bad", entry_time="yesterday"))[1]
    again, other = inserted(dataset, fine("bad", entry_time="yesterday"), fine("worse", entry_time="yesterday"))[1]
    assert first.received_at != again.received_at
    row_id = ROW_IDS["rejected"]
    assert row_id(first) == row_id(again) != row_id(other)


def test_row_above_the_limit_of_a_request_takes_no_other_along(dataset):
    huge = fine("huge", section="x" * 11_000_000)
    stored, (refused,) = inserted(dataset, fine("a"), fine("b"), huge, fine("c"))
    assert stored == ["a", "b", "c"]
    assert (refused.reason, refused.payload_bytes) == ("insert_failed", len(msgspec.json.encode(huge)))
    assert "413" in refused.error


def test_full_requests_lose_no_row(dataset, monkeypatch):
    monkeypatch.setattr(sinks, "MAX_ROWS", 2)
    stored, refused = inserted(dataset, *(fine(name) for name in "abcde"))
    assert (stored, refused) == (list("abcde"), [])


def test_table_that_is_gone_gives_every_row_back(dataset, monkeypatch):
    monkeypatch.setattr(sinks, "RETRY", Retry(timeout=0.1))
    gone = f"{dataset}_without_tables"
    noted.clear()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        found = pipeline | beam.Create([fine("a"), fine("b")], reshuffle=False).with_output_types(Fine)
        _ = found | InsertRows(gone, "fines", Recorder(None)) | beam.Map(note)
    assert {refused.reason for refused in noted} == {"insert_failed"}
    assert [original(refused).fine_id for refused in noted] == ["a", "b"]
