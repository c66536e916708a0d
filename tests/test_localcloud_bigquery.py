"""BigQuery through Google's own client: tables, views, and rows that are refused as the real service refuses them."""

import datetime
import itertools
import time

import pytest
from bqemulator.catalog.models import TableFieldSchema
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from localcloud.inserting import RecentIds
from localcloud.rows import columns_of, convert_row

numbers = itertools.count()

SCHEMA = [
    bigquery.SchemaField("event_id", "STRING", "REQUIRED"),
    bigquery.SchemaField("ts", "TIMESTAMP", "REQUIRED"),
    bigquery.SchemaField("revision", "INTEGER"),
    bigquery.SchemaField("speed_kmh", "FLOAT"),
    bigquery.SchemaField("ok", "BOOLEAN"),
    bigquery.SchemaField("extra", "JSON"),
    bigquery.SchemaField("payload", "BYTES"),
    bigquery.SchemaField("day", "DATE"),
    bigquery.SchemaField("reasons", "STRING", "REPEATED"),
    bigquery.SchemaField(
        "evidence",
        "RECORD",
        "REPEATED",
        fields=[bigquery.SchemaField("camera_id", "STRING", "REQUIRED"), bigquery.SchemaField("confidence", "FLOAT")],
    ),
]
ROW = {"event_id": "e1", "ts": "2026-03-01T10:00:00Z"}


@pytest.fixture(scope="module")
def client(cloud):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", cloud.env["BIGQUERY_EMULATOR_HOST"])
        yield bigquery.Client(project="local-project", credentials=AnonymousCredentials())


@pytest.fixture(scope="module")
def dataset(client):
    client.create_dataset("enforcement")
    return f"{client.project}.enforcement"


@pytest.fixture
def table(client, dataset):
    new = bigquery.Table(f"{dataset}.t{next(numbers)}", schema=SCHEMA)
    new.time_partitioning = bigquery.TimePartitioning(field="ts")
    new.clustering_fields = ["event_id"]
    return client.create_table(new)


def rows_of(client, table, columns="*", order="event_id"):
    sql = f"SELECT {columns} FROM `{table.project}.{table.dataset_id}.{table.table_id}` ORDER BY {order}"
    return [dict(row) for row in client.query(sql).result()]


def errors_of(client, table, row, **options):
    """What the service says of one row: (location, message) of each error."""
    (errors,) = client.insert_rows_json(table, [row], **options)
    return [(one["location"], one["message"]) for one in errors["errors"]]


class TestTables:
    def test_partitioning_and_clustering_are_kept(self, client, table):
        got = client.get_table(table)
        assert got.time_partitioning.field == "ts"
        assert got.clustering_fields == ["event_id"]
        assert [field.name for field in got.schema] == [field.name for field in SCHEMA]

    def test_a_second_creation_is_a_conflict_unless_exists_is_ok(self, client, table):
        with pytest.raises(exceptions.Conflict):
            client.create_table(table)
        assert client.create_table(table, exists_ok=True).table_id == table.table_id

    def test_an_unknown_table_is_not_found(self, client, dataset):
        with pytest.raises(exceptions.NotFound):
            client.get_table(f"{dataset}.nowhere")
        with pytest.raises(exceptions.NotFound):
            client.insert_rows_json(f"{dataset}.nowhere", [ROW])

    def test_a_view_of_the_latest_revision_shows_one_row_of_each_id(self, client, dataset, table):
        rows = [ROW | {"revision": n, "speed_kmh": 50.0 + n} for n in range(3)]
        assert client.insert_rows_json(table, rows) == []
        view = bigquery.Table(f"{dataset}.latest{next(numbers)}")
        view.view_query = (
            f"SELECT * FROM `{dataset}.{table.table_id}` WHERE TRUE"
            " QUALIFY ROW_NUMBER() OVER (PARTITION BY event_id ORDER BY revision DESC) = 1"
        )
        view = client.create_table(view)
        assert [(row["revision"], row["speed_kmh"]) for row in rows_of(client, view)] == [(2, 52.0)]

    def test_a_view_made_by_sql_with_row_number_follows_its_table(self, client, dataset, table):
        name = f"{dataset}.latest{next(numbers)}"
        client.query(
            f"CREATE OR REPLACE VIEW `{name}` AS SELECT * EXCEPT (nth) FROM (SELECT *, ROW_NUMBER() OVER"
            f" (PARTITION BY event_id ORDER BY revision DESC) AS nth FROM `{dataset}.{table.table_id}`) WHERE nth = 1"
        ).result()
        for revision in (0, 1):
            assert client.insert_rows_json(table, [ROW | {"revision": revision}]) == []
            (row,) = client.query(f"SELECT revision FROM `{name}`").result()
            assert row.revision == revision

    def test_rows_go_in_no_view(self, client, dataset):
        view = bigquery.Table(f"{dataset}.view{next(numbers)}")
        view.view_query = "SELECT 1 AS a"
        view = client.create_table(view)
        with pytest.raises(exceptions.BadRequest):
            client.insert_rows_json(view, [{"a": 1}])


class TestInsert:
    def test_every_type_comes_back_as_it_was(self, client, table):
        row = ROW | {
            "revision": "7",
            "speed_kmh": 40.2336,
            "ok": True,
            "extra": '{"lane": 2}',
            "payload": "aGVsbG8=",
            "day": "2026-03-01",
            "reasons": ["late", "ambiguous"],
            "evidence": [{"camera_id": "G1", "confidence": 0.5}, {"camera_id": "G2"}],
        }
        assert client.insert_rows_json(table, [row]) == []
        (got,) = rows_of(client, table)
        assert got["ts"] == datetime.datetime(2026, 3, 1, 10, tzinfo=datetime.UTC)
        assert (got["revision"], got["speed_kmh"], got["ok"], got["payload"]) == (7, 40.2336, True, b"hello")
        assert got["extra"] == {"lane": 2}
        assert got["day"] == datetime.date(2026, 3, 1)
        assert got["reasons"] == ["late", "ambiguous"]
        assert got["evidence"] == [{"camera_id": "G1", "confidence": 0.5}, {"camera_id": "G2", "confidence": None}]

    def test_absent_fields_are_null_and_absent_arrays_empty(self, client, table):
        assert client.insert_rows_json(table, [ROW]) == []
        (got,) = rows_of(client, table)
        assert got["speed_kmh"] is None
        assert got["reasons"] == []

    def test_rows_are_seen_by_the_next_query(self, client, table):
        for n in range(3):
            assert client.insert_rows_json(table, [ROW | {"event_id": str(n)}]) == []
            assert len(rows_of(client, table)) == n + 1

    def test_the_same_insert_id_within_a_minute_is_stored_once(self, client, table):
        for _ in range(2):
            assert client.insert_rows_json(table, [ROW], row_ids=["same"]) == []
        assert len(rows_of(client, table)) == 1

    def test_an_insert_id_that_was_refused_may_come_again(self, client, table):
        assert client.insert_rows_json(table, [ROW | {"nowhere": 1}], row_ids=["same"])
        assert client.insert_rows_json(table, [ROW], row_ids=["same"]) == []
        assert len(rows_of(client, table)) == 1

    def test_no_rows_are_a_bad_request(self, client, table):
        path = f"{table.path}/insertAll"
        with pytest.raises(exceptions.BadRequest):
            client._connection.api_request(method="POST", path=path, data={"rows": []})

    def test_more_than_10_mb_is_too_large(self, client, table):
        with pytest.raises(exceptions.GoogleAPICallError) as raised:
            client.insert_rows_json(table, [ROW | {"event_id": "x" * 10_000_001}], retry=None)
        assert raised.value.code == 413

    def test_a_thousand_rows_a_second_are_stored_as_the_table_grows(self, client, table):
        batch = [ROW | {"event_id": str(n), "speed_kmh": 50.5, "reasons": ["a"]} for n in range(500)]
        before = time.monotonic()
        for _ in range(10):
            assert client.insert_rows_json(table, batch) == []
        assert 5000 / (time.monotonic() - before) > 1000
        assert rows_of(client, table, "COUNT(*) AS n", "n") == [{"n": 5000}]


class TestInsertErrors:
    @pytest.mark.parametrize(
        ("change", "location", "message"),
        [
            ({"nowhere": 1}, "nowhere", "no such field: nowhere."),
            ({"event_id": None}, "event_id", "Missing required field: event_id."),
            ({"revision": "seven"}, "revision", "Cannot convert value to integer (bad value): seven"),
            ({"revision": 7.5}, "revision", "Cannot convert value to integer (bad value): 7.5"),
            ({"revision": 1 << 63}, "revision", f"Cannot convert value to integer (bad value): {1 << 63}"),
            ({"speed_kmh": "fast"}, "speed_kmh", "Cannot convert value to float (bad value): fast"),
            ({"ok": "perhaps"}, "ok", "Cannot convert value to boolean (bad value): perhaps"),
            ({"extra": "{"}, "extra", "Failed to parse JSON: {"),
            ({"payload": "*"}, "payload", "Could not decode base64 string to bytes."),
            ({"day": "yesterday"}, "day", 'Invalid DATE string "yesterday"'),
            ({"reasons": None}, "reasons", "Field value cannot be empty."),
            ({"revision": [1]}, "revision", "Array specified for non-repeated field: revision."),
            ({"evidence": ["x"]}, "evidence", "This field: evidence is not a record."),
            ({"evidence": [{"camera_id": "G1", "x": 1}]}, "evidence.x", "no such field: x."),
            ({"evidence": [{}]}, "evidence.camera_id", "Missing required field: camera_id."),
        ],
    )
    def test_a_bad_value_is_told_with_its_field(self, client, table, change, location, message):
        assert errors_of(client, table, ROW | change) == [(location, message)]
        assert rows_of(client, table) == []

    def test_a_bad_time_is_told_with_the_format(self, client, table):
        ((location, message),) = errors_of(client, table, ROW | {"ts": "noon"})
        assert location == "ts"
        assert message.startswith("Could not parse 'noon' as a timestamp.")

    def test_a_missing_required_field_is_told(self, client, table):
        assert errors_of(client, table, {"event_id": "e1"}) == [("ts", "Missing required field: ts.")]

    def test_a_bad_row_stops_the_good_ones_of_its_request(self, client, table):
        errors = client.insert_rows_json(table, [ROW, ROW | {"nowhere": 1}])
        assert [one["errors"][0]["reason"] for one in errors] == ["stopped", "invalid"]
        assert [one["index"] for one in errors] == [0, 1]
        assert rows_of(client, table) == []

    def test_with_skip_invalid_rows_the_good_ones_are_stored(self, client, table):
        rows = [ROW, ROW | {"nowhere": 1}, ROW | {"event_id": "e2"}]
        errors = client.insert_rows_json(table, rows, skip_invalid_rows=True)
        assert [one["index"] for one in errors] == [1]
        assert [row["event_id"] for row in rows_of(client, table)] == ["e1", "e2"]

    def test_with_ignore_unknown_values_an_unknown_field_is_dropped(self, client, table):
        assert client.insert_rows_json(table, [ROW | {"nowhere": 1}], ignore_unknown_values=True) == []
        assert len(rows_of(client, table)) == 1


class TestRows:
    def test_field_names_ignore_case(self):
        columns = columns_of([TableFieldSchema(name="Event_ID", type="STRING", mode="REQUIRED")])
        assert convert_row(columns, {"EVENT_id": "x"}, ignore_unknown=False) == ({"Event_ID": "x"}, [])

    @pytest.mark.parametrize("text", ["2026-03-01T10:00:00Z", "2026-03-01 10:00:00 UTC", "2026-03-01 12:00:00+02:00"])
    def test_every_documented_form_of_a_time_is_the_same_instant(self, text):
        columns = columns_of([TableFieldSchema(name="ts", type="TIMESTAMP")])
        values, errors = convert_row(columns, {"ts": text}, ignore_unknown=False)
        assert errors == []
        assert values["ts"] == datetime.datetime(2026, 3, 1, 10, tzinfo=datetime.UTC)

    def test_a_type_left_to_the_emulator_is_not_converted_here(self):
        assert columns_of([TableFieldSchema(name="where", type="GEOGRAPHY")]) is None

    def test_an_insert_id_is_new_again_after_its_minute(self):
        now = [0.0]
        recent = RecentIds(lambda: now[0])
        table = ("p", "d", "t")
        assert recent.is_new(table, "a")
        now[0] = 59.0
        assert not recent.is_new(table, "a")
        now[0] = 61.0
        assert recent.is_new(table, "a")
