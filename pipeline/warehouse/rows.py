"""Rows of BigQuery: how they are inserted once, and how they are read back as the records that they were."""

from __future__ import annotations

import hashlib
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, TypeVar

import msgspec
from google.api_core.retry import Retry

from pipeline.enforcement.times import rfc3339_of

INSERT_TIMEOUT_S = 20.0
RETRY = Retry(timeout=60.0)
Record = TypeVar("Record", bound=msgspec.Struct)

ROW_IDS: Mapping[str, Callable[[Any], str]] = {
    "sightings": lambda row: _digest(f"{row.camera_id}|{row.event_id}".encode()),  # an insert id has 128 bytes at most
    "passages": lambda row: f"{row.passage_id}-{row.revision}",
    "fines": lambda row: f"{row.fine_id}-{row.revision}-{row.status}",
    "alarms": lambda row: row.alarm_id,
    "reviews": lambda row: row.review_id,
    # What, why and of which message: work that is done again ends at another time, and perhaps with other words.
    "rejected": lambda row: _digest(msgspec.json.encode(msgspec.structs.replace(row, error="", received_at=""))),
}


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


class RowError(ValueError):
    """What a row of a table is not, worded for the person who asked for it."""


def record(row: Mapping[str, Any], kind: type[Record]) -> Record:
    """The record that a row holds. A column that an older table lacks has its field's default. Raises RowError, also
    for a value of a later release."""
    found = {name: _value(row.get(name), nullable=nullable) for name, nullable in _columns(kind).items()}
    try:
        return msgspec.convert({name: value for name, value in found.items() if value is not _ABSENT}, kind)
    except msgspec.ValidationError as error:
        raise RowError(f"a row is no {kind.__name__}: {error}") from error


_ABSENT = object()


@cache
def _columns(kind: type[msgspec.Struct]) -> dict[str, bool]:
    """The fields of a record, and whether they may be null: asking for them takes longer than a hundred rows."""
    return {field.name: NoneType in typing.get_args(field.type) for field in msgspec.structs.fields(kind)}


def _value(value: Any, *, nullable: bool) -> Any:  # noqa: ANN401 (what a column may hold)
    """A repeated column has no null, and a column that may be null is absent where it is."""
    if value == [] and nullable:
        return None
    return _ABSENT if value is None and not nullable else _told(value)


def _told(value: Any) -> Any:  # noqa: ANN401 (what a column may hold)
    """Times as texts, also those of records in records, of which what is empty is absent."""
    if isinstance(value, datetime):
        return rfc3339_of(value)
    if isinstance(value, list):
        return [_told(one) for one in value]
    return {name: _told(one) for name, one in value.items() if one != []} if isinstance(value, dict) else value
