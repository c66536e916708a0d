"""Rows of BigQuery: how they are inserted once, and how they are read back as their records."""

from __future__ import annotations

import hashlib
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime
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
    "reviews": lambda row: row.review_id,
    # What, why and of which message: work that is done again ends at another time, and perhaps with other words.
    "rejected": lambda row: _digest(msgspec.json.encode(msgspec.structs.replace(row, error="", received_at=""))),
}


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def record(kind: type[Record], row: Mapping[str, Any]) -> Record:
    """The record that a row holds. Raises msgspec.ValidationError, also for a value of a later release."""
    known = msgspec.structs.fields(kind)
    found = {field.name: _value(field, row[field.name]) for field in known if field.name in row}
    return msgspec.convert({name: value for name, value in found.items() if value is not msgspec.UNSET}, kind)


def _value(field: msgspec.structs.FieldInfo, value: Any) -> Any:  # noqa: ANN401 (what a column can hold)
    """As the record's JSON has it: times as texts; an empty list is the null that a repeated column has not."""
    if isinstance(value, datetime):
        return rfc3339_of(value)
    if value == [] and types.NoneType in typing.get_args(field.type):
        return None
    return msgspec.UNSET if value is None and not field.required else value
