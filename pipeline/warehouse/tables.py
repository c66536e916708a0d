"""BigQuery tables and views. Schemas are derived from the record types, so a record and its table cannot differ."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib import resources
from typing import Any, NamedTuple

import msgspec
from google.cloud import bigquery

from pipeline.enforcement import alarms, decisions, records


class Table(NamedTuple):
    """A table: its record type, the column of its day, the columns it is clustered by; by_people: the section-speed job
    neither reads nor writes it."""

    record_type: type[msgspec.Struct]
    partitioned_by: str
    clustered_by: tuple[str, ...]
    by_people: bool = False


TABLES: Mapping[str, Table] = {
    "sightings": Table(records.SightingRecord, "timestamp", ("camera_id", "vehicle_id")),
    "passages": Table(records.PassageRecord, "entry_time", ("section_id", "outcome")),
    "fines": Table(records.Fine, "entry_time", ("radar_id", "status")),
    "alarms": Table(alarms.Alarm, "time", ("kind",)),
    "rejected": Table(records.Rejected, "received_at", ("stage", "reason")),
    "reviews": Table(decisions.Review, "decided_at", ("fine_id", "decision"), by_people=True),
}
# In order: the last ones read those before.
VIEWS = ("latest_sightings", "latest_passages", "latest_fines", "edem", "review_queue", "camera_misreads")
_SQL_TYPES: Mapping[type, str] = {str: "STRING", float: "FLOAT64", int: "INT64", bool: "BOOL"}


def schema(record_type: type[msgspec.Struct]) -> list[bigquery.SchemaField]:
    """The columns of a record type: all nullable or repeated, so that tables can only ever gain columns."""
    return list(_fields(record_type))


def _fields(record_type: type[msgspec.Struct]) -> Iterator[bigquery.SchemaField]:
    for field in msgspec.structs.fields(record_type):
        yield _field(field.name, field.type)


def _field(name: str, hint: Any) -> bigquery.SchemaField:  # noqa: ANN401 (a type expression)
    hint = _required(hint)
    if hint == records.Time:
        return bigquery.SchemaField(name, "TIMESTAMP")
    if typing.get_origin(hint) is tuple:
        inner = _field(name, typing.get_args(hint)[0])
        return bigquery.SchemaField(name, inner.field_type, mode="REPEATED", fields=inner.fields)
    if issubclass(hint, msgspec.Struct):
        return bigquery.SchemaField(name, "RECORD", fields=tuple(_fields(hint)))
    if issubclass(hint, StrEnum) or hint is types.NoneType:
        return bigquery.SchemaField(name, "STRING")
    return bigquery.SchemaField(name, _SQL_TYPES[hint])


def _required(hint: Any) -> Any:  # noqa: ANN401 (a type expression)
    """`X | None` without the None."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return next(option for option in typing.get_args(hint) if option is not types.NoneType)
    return hint


def row(record: msgspec.Struct) -> dict[str, Any]:
    """The record as insertAll takes it; what is unknown is left out."""
    return {name: value for name, value in msgspec.to_builtins(record).items() if value is not None}


def table(dataset: str, name: str) -> bigquery.Table:
    """The table `project.dataset.name`, partitioned by day of event time and clustered."""
    definition = TABLES[name]
    made = bigquery.Table(f"{dataset}.{name}", schema=schema(definition.record_type))
    made.time_partitioning = bigquery.TimePartitioning(field=definition.partitioned_by)
    made.clustering_fields = list(definition.clustered_by)
    return made


def view(dataset: str, name: str) -> bigquery.Table:
    """The view `project.dataset.name`; its text is views/NAME.sql, where `dataset.` stands for the dataset."""
    made = bigquery.Table(f"{dataset}.{name}")
    text = resources.files("pipeline.warehouse").joinpath("views", f"{name}.sql").read_text(encoding="utf-8")
    made.view_query = text.replace("`dataset.", f"`{dataset}.")
    return made
