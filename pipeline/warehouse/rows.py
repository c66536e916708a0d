"""Rows of the tables, as BigQuery gives them back, as the records that they were."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from types import NoneType
from typing import Any, TypeVar

import msgspec

from pipeline.enforcement.times import parse_rfc3339_us, rfc3339

Record = TypeVar("Record", bound=msgspec.Struct)


class RowError(ValueError):
    """What a row of a table is not, worded for the person who asked for it."""


def record(row: Mapping[str, Any], kind: type[Record]) -> Record:
    """The record that a row holds. A column that an older table lacks has its field's default. Raises RowError."""
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
    """Times as texts; a repeated column has no null, and a column that may be null is absent where it is."""
    if isinstance(value, datetime):
        return rfc3339(parse_rfc3339_us(value.isoformat()))
    if value == [] and nullable:
        return None
    return _ABSENT if value is None and not nullable else value
