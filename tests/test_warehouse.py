"""BigQuery: tables follow the records, rows come back as they were sent, views show each thing once."""

import datetime
import itertools
import types
import typing

import msgspec
import pytest
from msgspec.structs import replace
from single_records import passage_record, sighting_record

from pipeline import endpoints
from pipeline.deployment.plan import Resources
from pipeline.enforcement import alarms, decisions, records
from pipeline.enforcement.clones import Pair
from pipeline.enforcement.model import Basis, Decision, Message, Outcome, Passage, Reason, Sighting, Status
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.sections import Section
from pipeline.provision import provision
from pipeline.warehouse import tables
from pipeline.warehouse.rows import ROW_IDS, RowError, record

T0_US = 1_776_000_000_123_456
SECTION = Section("s", 40.0, name="First Avenue")
SQL_TYPES = {
    "STRING": "STRING",
    "FLOAT64": "FLOAT",
    "FLOAT": "FLOAT",
    "INT64": "INTEGER",
    "INTEGER": "INTEGER",
    "BOOL": "BOOLEAN",
    "BOOLEAN": "BOOLEAN",
    "TIMESTAMP": "TIMESTAMP",
    "RECORD": "RECORD",
}  # fmt: skip
EDEM_COLUMNS = ["radar_id", "vehicle_id", "avg_speed", "coordinates", "is_Ticketed", "image_url", "license_plate"]
NAMES = Pseudonyms(None)

SIGHTING = Sighting(
    "e1",
    "ABC1234",
    T0_US,
    camera_id="G1",
    location=(40.75, -73.98),
    speed_kmh=50.5,
    plate="ABC1234",
    plate_region="US-NY",
    plate_confidence=0.9,
    vehicle_class="car",
    lane=2,
    image_url="gs://c/1.jpg",
    extra='{"note":"x"}',
)
PASSAGE = Passage(
    "p1",
    "s",
    "ABC1234",
    40.0,
    T0_US,
    T0_US + 20_000_000,
    2,
    distance_m=400.1,
    travel_time_s=20.0,
    avg_speed_kmh=72.018,
    basis=Basis.DISTANCE_TIME,
    outcome=Outcome.REVIEW,
    reasons=(Reason.NO_TEXT, Reason.AMBIGUOUS_PAIRING),
    exit=SIGHTING,
)
EVIDENCE = (
    records.Evidence("G1", "gs://e/1.jpg", "ab", "ABC1234", 0.9, "ABC1Z34", "US-NY"),
    records.Evidence("G0", None, None, None, None),
)


def fine(passage: Passage = PASSAGE, status: Status = Status.ISSUED) -> records.Fine:
    return records.fine(passage, SECTION, status, plate="ABC1234", evidence=EVIDENCE)


READINGS = (
    decisions.PersonsReading("G1", "ABC1234", "ABC1234", True, "ABC1Z34", False),
    decisions.PersonsReading("G0", "ABC1234", None, None, None, None),
)


def review(decision: Decision = Decision.CONFIRMED, passage: Passage = PASSAGE, **fields: object) -> decisions.Review:
    told = fine(passage)
    found = decisions.Review(
        f"{told.fine_id}-{told.revision}-{decision}",
        told.fine_id,
        told.passage_id,
        told.radar_id,
        told.revision,
        decision,
        "a@b",
        "both show it",
        "ABC1234",
        both_pictures_seen=True,
        readings=READINGS,
        decided_at="2026-04-14T09:00:00.000001Z",
    )
    return replace(found, **fields)


RECORDS = {
    "sightings": [
        sighting_record(SIGHTING, ("s", "t"), NAMES),
        sighting_record(Sighting("e2", "B", T0_US, timed=False), (), NAMES),
    ],
    "passages": [
        passage_record(PASSAGE, NAMES),
        passage_record(Passage("p2", "s", "B", 40.0, T0_US, T0_US, 1, outcome=Outcome.UNMEASURABLE), NAMES),
    ],
    "fines": [fine(), records.fine(replace(PASSAGE, passage_id="p3", exit=None), SECTION, Status.WITHDRAWN)],
    "alarms": [
        alarms.of_clone(
            Pair(SIGHTING, replace(SIGHTING, time_us=T0_US + 1_000_000, image_url=None), 5_000.0, 2_000.0),
            [replace(PASSAGE, outcome=None, reasons=(Reason.SEEN_ELSEWHERE,))],
            NAMES,
        ),
        alarms.of_clone(Pair(Sighting("e2", "B", T0_US), Sighting("e3", "B", T0_US + 1), 900.0, 500.0), [], NAMES),
    ],
    "rejected": [
        records.rejected(
            Message(b"\x00\xff{", "m", T0_US, {"a": 'b"'}), "decode", "malformed_json", "not JSON", "speed"
        ),
        records.rejected(Message(b"", "", T0_US), "decode", "empty", "empty"),
    ],
    "reviews": [review(), review(Decision.REJECTED, reason=None, license_plate=None, readings=())],
}


@pytest.fixture(scope="module")
def client(cloud):
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BIGQUERY_EMULATOR_HOST", "STORAGE_EMULATOR_HOST", "PUBSUB_EMULATOR_HOST"):
            patch.setenv(name, cloud.env[name])
        yield endpoints.bigquery_client("local-project")


numbers = itertools.count()


@pytest.fixture
def dataset(client):
    """A new dataset with all tables and views."""
    name = f"local-project.warehouse_{next(numbers)}"
    client.create_dataset(name)
    for table in tables.TABLES:
        client.create_table(tables.table(name, table))
    for view in tables.VIEWS:
        client.create_table(tables.view(name, view))
    return name


def insert(client, dataset: str, table: str, *rows: msgspec.Struct) -> None:
    assert client.insert_rows_json(f"{dataset}.{table}", [tables.row(row) for row in rows]) == []


def query(client, dataset: str, table: str, order: str = "1") -> list[dict]:
    return [dict(row.items()) for row in client.query(f"SELECT * FROM `{dataset}.{table}` ORDER BY {order}").result()]


def as_read(value: object) -> object:
    """A record's value as BigQuery gives it back: times as such, enums as texts, tuples as lists."""
    if isinstance(value, list | tuple):
        return [as_read(item) for item in value]
    if isinstance(value, dict):
        return {name: as_read(item) for name, item in value.items()}
    return value


def expected(record: msgspec.Struct) -> dict:
    found = as_read(msgspec.to_builtins(record))
    for field in msgspec.structs.fields(record):
        parts = getattr(record, field.name)
        if isinstance(parts, tuple) and any(isinstance(part, msgspec.Struct) for part in parts):
            found[field.name] = [expected(part) for part in parts]
            continue
        value = found.setdefault(field.name)
        if field.type is records.Time or field.type == records.Time:
            found[field.name] = datetime.datetime.fromisoformat(value)
        elif value is None and is_list(field.type):
            found[field.name] = []  # a repeated column has no null
    return found


def is_list(hint: object) -> bool:
    options = typing.get_args(hint) if typing.get_origin(hint) in (types.UnionType, typing.Union) else (hint,)
    return any(typing.get_origin(option) is tuple for option in options)


@pytest.mark.parametrize("name", tables.TABLES)
def test_columns_are_the_fields_of_the_record(name):
    record_type = tables.TABLES[name].record_type
    table = tables.table("p.d", name)
    assert [column.name for column in table.schema] == list(record_type.__struct_fields__)
    for field, column in zip(msgspec.structs.fields(record_type), table.schema, strict=True):
        assert (column.mode == "REPEATED") == is_list(field.type)
        assert column.mode in ("NULLABLE", "REPEATED")
        assert (column.field_type == "TIMESTAMP") == (field.type == records.Time)


@pytest.mark.parametrize("name", tables.TABLES)
def test_tables_are_partitioned_by_day_and_clustered(name):
    table = tables.table("p.d", name)
    columns = {column.name: column for column in table.schema}
    assert columns[table.time_partitioning.field].field_type == "TIMESTAMP"
    assert set(table.clustering_fields) <= columns.keys()
    assert not any(columns[field].mode == "REPEATED" for field in table.clustering_fields)


def test_every_record_that_is_written_has_its_table():
    assert {table.record_type for table in tables.TABLES.values()} == {
        records.SightingRecord,
        records.PassageRecord,
        records.Fine,
        alarms.Alarm,
        records.Rejected,
        decisions.Review,
    }
    assert ROW_IDS.keys() == tables.TABLES.keys()


@pytest.mark.parametrize("name", tables.TABLES)
def test_schema_in_the_warehouse_is_the_schema_of_the_record(client, dataset, name):
    found = client.get_table(f"{dataset}.{name}").schema
    wanted = tables.table(dataset, name).schema
    assert [(column.name, SQL_TYPES[column.field_type], column.mode) for column in found] == [
        (column.name, SQL_TYPES[column.field_type], column.mode) for column in wanted
    ]


@pytest.mark.parametrize("name", tables.TABLES)
def test_record_comes_back_as_it_was_sent(client, dataset, name):
    insert(client, dataset, name, *RECORDS[name])
    found = query(client, dataset, name)
    assert len(found) == 2
    for sent in RECORDS[name]:
        assert expected(sent) in found


@pytest.mark.parametrize("name", tables.TABLES)
def test_row_that_comes_back_is_the_record_that_was_sent(client, dataset, name):
    insert(client, dataset, name, *RECORDS[name])
    found = [record(row, tables.TABLES[name].record_type) for row in query(client, dataset, name)]
    assert sorted(found, key=repr) == sorted(RECORDS[name], key=repr)


def test_row_of_an_early_release_has_the_defaults_of_its_columns():
    row = tables.row(fine()) | {"schema_version": None, "evidence": [{"camera_id": "G1"}], "policy": None}
    row["evidence"][0] |= dict.fromkeys(("image_url", "sha256", "text", "confidence", "plate"))
    found = record(row | {"reasons": [], "coordinates": [], "a column of a later release": 1}, records.Fine)
    assert (found.schema_version, found.coordinates, found.reasons) == (1, None, ())
    assert found.evidence == (records.Evidence("G1", None, None, None, None),)


def test_row_with_a_value_of_a_later_release_is_not_read():
    with pytest.raises(RowError, match="what_comes_later"):
        record(tables.row(fine()) | {"reasons": ["what_comes_later"]}, records.Fine)


def test_row_ids_tell_records_apart():
    withdrawn = records.fine(replace(PASSAGE, revision=2), SECTION, Status.WITHDRAWN)
    assert len({ROW_IDS["fines"](row) for row in (fine(), fine(), withdrawn)}) == 2
    first, second = RECORDS["passages"][0], replace(RECORDS["passages"][0], revision=2)
    assert len({ROW_IDS["passages"](row) for row in (first, second, first)}) == 2
    assert len({ROW_IDS["rejected"](row) for row in RECORDS["rejected"]}) == 2


def test_row_id_of_a_rejected_record_is_of_what_and_why_and_not_of_when():
    """Work that is done again may end later, and with other words."""
    row_id, first = ROW_IDS["rejected"], RECORDS["rejected"][0]
    again = replace(first, received_at="2026-01-01T00:00:00.000000Z", error="HTTP 503, try later")
    assert row_id(again) == row_id(first)
    others = {"stage": "warehouse", "reason": "empty", "field": None, "payload": "e30=", "payload_bytes": 9}
    others |= {"attributes": "{}", "origin": "another message"}
    assert len({row_id(first), *(row_id(replace(first, **{name: value})) for name, value in others.items())}) == 8


def test_latest_sightings_show_each_once(client, dataset):
    first, other = RECORDS["sightings"]
    insert(client, dataset, "sightings", first, other)
    insert(client, dataset, "sightings", first)
    assert [row["event_id"] for row in query(client, dataset, "latest_sightings", "event_id")] == ["e1", "e2"]


def test_latest_passages_show_the_latest_revision(client, dataset):
    first = RECORDS["passages"][0]
    second = replace(first, revision=2, outcome=Outcome.CLEAR, avg_speed=30.0)
    insert(client, dataset, "passages", second, first, second, RECORDS["passages"][1])
    found = query(client, dataset, "latest_passages", "passage_id")
    assert [(row["passage_id"], row["revision"], row["outcome"]) for row in found] == [
        ("p1", 2, "clear"),
        ("p2", 1, "unmeasurable"),
    ]


def test_latest_fines_show_a_withdrawal(client, dataset):
    issued = fine()
    withdrawn = records.fine(replace(PASSAGE, revision=2, outcome=Outcome.CLEAR), SECTION, Status.WITHDRAWN)
    insert(client, dataset, "fines", withdrawn, issued)
    insert(client, dataset, "fines", issued)
    (found,) = query(client, dataset, "latest_fines")
    assert (found["fine_id"], found["status"], found["is_Ticketed"]) == (issued.fine_id, "withdrawn", False)


@pytest.mark.parametrize("statuses", list(itertools.permutations(Status)) + list(itertools.permutations(Status, 2)))
def test_of_two_rows_of_one_revision_the_better_one_for_the_driver_counts(client, dataset, statuses):
    insert(client, dataset, "fines", *(fine(status=status) for status in statuses))
    (found,) = query(client, dataset, "latest_fines")
    better = [Status.WITHDRAWN, Status.REVIEW, Status.ISSUED]
    assert found["status"] == min(statuses, key=better.index)
    assert (found["status"] == "issued") == found["is_Ticketed"]


def test_later_revision_counts_whatever_its_status(client, dataset):
    insert(client, dataset, "fines", fine(status=Status.WITHDRAWN), fine(replace(PASSAGE, revision=2), Status.REVIEW))
    assert [(row["revision"], row["status"]) for row in query(client, dataset, "latest_fines")] == [(2, "review")]


# --- what people decided


CASE = replace(PASSAGE, outcome=Outcome.REVIEW)
LATER = replace(CASE, revision=2)


def waiting(client, dataset) -> list[tuple[str, int]]:
    return [(row["fine_id"], row["revision"]) for row in query(client, dataset, "review_queue", "exit_time")]


def latest_fine(client, dataset) -> tuple[int, str, bool, list[str]]:
    (row,) = query(client, dataset, "latest_fines")
    return row["revision"], row["status"], row["is_Ticketed"], row["reasons"]


def test_rejected_case_stays_withdrawn_whatever_comes_later(client, dataset):
    insert(client, dataset, "fines", fine(CASE, Status.REVIEW))
    assert latest_fine(client, dataset) == (1, "review", False, [])
    insert(client, dataset, "reviews", review(Decision.REJECTED, CASE))
    rejected = ["rejected_by_a_person"]
    assert latest_fine(client, dataset) == (1, "withdrawn", False, rejected)
    insert(client, dataset, "fines", fine(LATER, Status.REVIEW))
    assert latest_fine(client, dataset) == (2, "withdrawn", False, rejected)
    insert(client, dataset, "fines", fine(replace(CASE, revision=3), Status.ISSUED))
    assert latest_fine(client, dataset) == (3, "withdrawn", False, rejected)
    assert waiting(client, dataset) == []


@pytest.mark.parametrize("decisions", list(itertools.permutations(Decision)))
def test_of_two_decisions_the_rejection_counts(client, dataset, decisions):
    insert(client, dataset, "fines", fine(CASE, Status.REVIEW), fine(LATER, Status.ISSUED))
    insert(client, dataset, "reviews", *(review(one, CASE) for one in decisions))
    assert latest_fine(client, dataset)[1:3] == ("withdrawn", False)


def test_confirmed_case_is_a_fine_until_a_later_revision_of_the_pipeline(client, dataset):
    """Its next revision has the same number: the better one for the driver counts, and waits for a person again."""
    insert(client, dataset, "fines", fine(CASE, Status.REVIEW), fine(LATER, Status.ISSUED))
    insert(client, dataset, "reviews", review(Decision.CONFIRMED, CASE))
    assert latest_fine(client, dataset)[1:3] == ("issued", True)
    insert(client, dataset, "fines", fine(LATER, Status.REVIEW))
    assert latest_fine(client, dataset)[1:3] == ("review", False)
    assert waiting(client, dataset) == [(fine().fine_id, 2)]


def test_queue_holds_cases_whose_latest_revision_nobody_decided(client, dataset):
    other = replace(CASE, passage_id="p2", last_us=CASE.last_us - 1)
    insert(client, dataset, "fines", fine(CASE, Status.REVIEW), fine(other, Status.REVIEW), fine(PASSAGE))
    insert(client, dataset, "fines", fine(replace(CASE, passage_id="p3"), Status.ISSUED))
    insert(client, dataset, "fines", fine(replace(CASE, passage_id="p4"), Status.WITHDRAWN))
    assert waiting(client, dataset) == [(fine(other).fine_id, 1), (fine(CASE).fine_id, 1)]
    insert(client, dataset, "reviews", review(Decision.CONFIRMED, CASE))
    assert waiting(client, dataset) == [(fine(other).fine_id, 1)]


def test_misreads_are_counted_for_each_camera_and_each_case_once(client, dataset):
    def read(
        number: int, camera: str, right: bool | None, text: bool | None = None, **more: object
    ) -> decisions.Review:
        reading = decisions.PersonsReading(camera, "A1", "A1", right, "A1", text)
        return review(passage=replace(CASE, passage_id=f"p{number}"), readings=(reading,), **more)

    insert(client, dataset, "reviews", *(read(number, "G1", True, True) for number in range(3)), read(3, "G1", False))
    insert(client, dataset, "reviews", read(4, "G1", None, False), read(5, "G2", None), read(6, "G3", False))
    again = {"review_id": "later", "decided_at": "2026-04-15T09:00:00Z"}
    insert(client, dataset, "reviews", read(6, "G3", True, **again), review(passage=replace(CASE, passage_id="p9")))
    found = {row["camera_id"]: list(row.values())[1:] for row in query(client, dataset, "camera_misreads", "camera_id")}
    # Readings, misreads, their rate; the same of the reader of plates, without a rate.
    assert found == {
        "G0": [0, 0, None, 0, 0],
        "G1": [5, 1, 0.2, 5, 2],
        "G2": [0, 0, None, 0, 0],
        "G3": [1, 0, 0.0, 0, 0],
    }


def test_edem_view_has_its_seven_columns_in_order(client, dataset):
    rows = client.query(f"SELECT * FROM `{dataset}.edem`").result()
    assert [column.name for column in rows.schema] == EDEM_COLUMNS


def test_edem_view_shows_each_measured_vehicle_once(client, dataset):
    fined = passage_record(replace(PASSAGE, outcome=Outcome.FINED, reasons=()), NAMES)
    clear = passage_record(
        replace(PASSAGE, passage_id="p4", vehicle_id="C", avg_speed_kmh=30.0, outcome=Outcome.CLEAR, reasons=()), NAMES
    )
    insert(client, dataset, "passages", fined, clear, fined, RECORDS["passages"][1])
    insert(client, dataset, "fines", fine())
    assert query(client, dataset, "edem", "vehicle_id") == [
        {
            "radar_id": "s",
            "vehicle_id": "ABC1234",
            "avg_speed": 72.018,
            "coordinates": [40.75, -73.98],
            "is_Ticketed": True,
            "image_url": "gs://e/1.jpg",
            "license_plate": "ABC1234",
        },
        {
            "radar_id": "s",
            "vehicle_id": "C",
            "avg_speed": 30.0,
            "coordinates": [40.75, -73.98],
            "is_Ticketed": False,
            "image_url": None,
            "license_plate": None,
        },
    ]


def test_edem_view_does_not_show_a_superseded_passage(client, dataset):
    """It keeps its speed as a record, but the vehicle did not pass: another passage stands in its place."""
    record = passage_record(PASSAGE, NAMES)
    gone = replace(record, revision=2, outcome=Outcome.UNMEASURABLE, reasons=(Reason.SUPERSEDED,))
    insert(client, dataset, "passages", record, gone)
    assert query(client, dataset, "edem") == []


def test_edem_view_does_not_ticket_a_withdrawn_fine(client, dataset):
    cleared = replace(PASSAGE, revision=2, outcome=Outcome.CLEAR, avg_speed_kmh=30.0)
    insert(client, dataset, "passages", *(passage_record(found, NAMES) for found in (PASSAGE, cleared)))
    insert(client, dataset, "fines", fine(), records.fine(cleared, SECTION, Status.WITHDRAWN))
    (found,) = query(client, dataset, "edem")
    assert (found["avg_speed"], found["is_Ticketed"]) == (30.0, False)


def test_edem_view_hides_the_plate_of_a_driver_who_was_cleared(client, dataset):
    keyed = Pseudonyms(b"0123456789abcdef")
    cleared = replace(PASSAGE, revision=2, outcome=Outcome.CLEAR, avg_speed_kmh=30.0)
    insert(client, dataset, "passages", passage_record(cleared, keyed))
    insert(client, dataset, "fines", fine(), records.fine(cleared, SECTION, Status.WITHDRAWN))
    (found,) = query(client, dataset, "edem")
    assert found["vehicle_id"] == keyed.of("ABC1234", T0_US)
    assert (found["license_plate"], found["image_url"]) == (None, None)


def test_provisioning_again_changes_nothing(client):
    mark = f"again{next(numbers)}"
    names = Resources.named_after("local-project")._asdict()
    wanted = Resources(
        **{name: f"{mark}-{value}" for name, value in names.items()} | {"project": "local-project", "dataset": mark}
    )
    first, second = list(provision(wanted)), list(provision(wanted))
    assert [step.name for step in first] == [step.name for step in second]
    assert {step.outcome for step in second} == {"exists"}
    assert {table.table_id for table in client.list_tables(wanted.dataset)} == {*tables.TABLES, *tables.VIEWS}
