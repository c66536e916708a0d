"""Shapes: columns of tables, fields of records, values of enumerations; and what a release may make of them."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from google.cloud.bigquery import SchemaField

from pipeline.enforcement import (
    alarms,
    decisions,
    early,
    holding,
    intake,
    limits,
    lines,
    model,
    records,
    revisions,
    shares,
    twins,
)
from pipeline.warehouse import columns, tables

MODULES = (
    limits,
    model,
    lines,
    intake,
    shares,
    revisions,
    early,
    records,
    alarms,
    decisions,
    twins,
    holding,
)  # whatever is stored, sent or kept as state is a record of these


class Field(msgspec.Struct, frozen=True):
    """A field of a record, by its place; `required`: it has no default."""

    name: str
    type: str
    required: bool


class Record(msgspec.Struct, frozen=True):
    """A record type. `by_place`: it is encoded as an array, so that a field is known by its place alone."""

    by_place: bool
    fields: list[Field]


class Shapes(msgspec.Struct, frozen=True):
    """All record types and enumerations, by their names."""

    schema_version: int
    records: dict[str, Record]
    values: dict[str, list[str]]


def now() -> Shapes:
    """The shapes of the code as it is."""
    found = dict(_types(msgspec.Struct))
    return Shapes(
        schema_version=model.SCHEMA_VERSION,
        records={name: _record(kind) for name, kind in found.items()},
        values={name: [str(value) for value in kind] for name, kind in _types(StrEnum)},
    )


def _types(base: type[Any]) -> Iterator[tuple[str, type[Any]]]:
    for module in MODULES:
        for name, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == module.__name__ and issubclass(kind, base):
                yield f"{module.__name__.rpartition('.')[2]}.{name}", kind


def _record(kind: type[msgspec.Struct]) -> Record:
    fields = msgspec.structs.fields(kind)
    return Record(
        by_place=bool(kind.__struct_config__.array_like),
        fields=[Field(field.name, _text(field.type), field.required) for field in fields],
    )


def _text(hint: Any) -> str:  # noqa: ANN401 (a type expression)
    """The type as one reads it, without the modules' names."""
    plain = inspect.isclass(hint) and not hasattr(hint, "__args__")
    text = f"{hint.__module__}.{hint.__name__}".removeprefix("builtins.") if plain else str(hint)
    return text.replace("pipeline.enforcement.", "").replace("typing.", "")


def problems(released: Shapes, code: Shapes) -> list[str]:
    """What this code could not read that the release has written; a line for a person for each."""
    found = [line for name, record in released.records.items() for line in _lost(name, record, code.records.get(name))]
    for name, values in released.values.items():
        found += [
            f"{name}: the value {value!r} was released and is absent; what holds it could not be read. Keep it"
            for value in values
            if value not in code.values.get(name, ())
        ]
    return found


def _lost(name: str, released: Record, now: Record | None) -> Iterator[str]:
    if now is None:
        yield f"{name}: released, now absent; what is in flight could not be read. Keep it for a release"
        return
    if now.by_place != released.by_place:
        yield f"{name}: array_like was {released.by_place}, is {now.by_place}; the encoding must stay"
    if now.by_place:
        yield from _moved(name, released.fields, now.fields)
    known, present = {field.name: field for field in released.fields}, {field.name: field for field in now.fields}
    for field in released.fields:
        if field.name not in present:
            yield f"{name}.{field.name}: released, now absent; a field that is no longer filled stays"
        elif not _reads(present[field.name], field):
            yield f"{name}.{field.name}: was {field.type}, is {present[field.name].type}; a field keeps its type"
    for field in now.fields:
        if field.required and (field.name not in known or not known[field.name].required):
            yield f"{name}.{field.name}: new and without a default; what was written before has none. Give it a default"


def _moved(name: str, released: Sequence[Field], now: Sequence[Field]) -> Iterator[str]:
    places = [field.name for field in now[: len(released)]]
    for place, field in enumerate(released):
        if field.name in {other.name for other in now} and (place >= len(places) or places[place] != field.name):
            yield f"{name}.{field.name}: was in place {place}; a field of an array keeps its place, new ones come last"


def _reads(now: Field, released: Field) -> bool:
    return now.type == released.type or now.type.startswith(f"{released.type} | ")


def schema_json(name: str) -> str:
    """The columns of a table as BigQuery's own JSON."""
    schema = tables.schema(tables.TABLES[name].record_type)
    return json.dumps([field.to_api_repr() for field in schema], indent=2) + "\n"


def table_problems(released: Mapping[str, Sequence[SchemaField]]) -> list[str]:
    """What rows or queries of the released tables could not follow."""
    found = [f"{name}: released, now absent; a table stays" for name in released if name not in tables.TABLES]
    for name in released.keys() & tables.TABLES.keys():
        schema = tables.schema(tables.TABLES[name].record_type)
        found += [f"{name}.{line}" for line in columns.not_only_gained(released[name], schema)]
    return found


def read_schemas(folder: Path) -> dict[str, list[SchemaField]]:
    """The schema files of a folder, by the names of their tables."""
    return {
        path.stem: [SchemaField.from_api_repr(field) for field in json.loads(path.read_text(encoding="utf-8"))]
        for path in sorted(folder.glob("*.json"))
    }
