"""What may become of the columns of a table: it only ever gains some, nullable or repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from google.cloud.bigquery import SchemaField

WITHOUT = "without"
_SAME_TYPE = {"FLOAT": "FLOAT64", "INTEGER": "INT64", "BOOLEAN": "BOOL", "STRUCT": "RECORD"}


def difference(found: Sequence[SchemaField], wanted: Sequence[SchemaField]) -> str:
    """What keeps rows of the wanted columns out of a table: columns of another kind, or missing ones; empty: nothing.

    Begins with WITHOUT if columns are missing and nothing else is wrong. Columns that are found beyond the wanted ones
    do no harm.
    """
    other = [f"{path} is {was}, planned {planned}" for path, was, planned in _other_kinds("", found, wanted)]
    if other:
        return "; ".join(other)
    missing = list(_missing("", found, wanted))
    return f"{WITHOUT} {', '.join(missing)}" if missing else ""


def not_only_gained(released: Sequence[SchemaField], now: Sequence[SchemaField]) -> list[str]:
    """What a table that was released with some columns cannot follow; a line for a person for each."""
    problems = [
        f"{path}: released as {was}, now {planned}; a column keeps its type and mode"
        for path, was, planned in _other_kinds("", released, now)
    ]
    problems += [
        f"{path}: released, now absent; a column that is no longer filled stays in the record"
        for path in _missing("", now, released)
    ]
    known = {path for path, _ in _flat("", released)}
    problems += [
        f"{path}: new and {field.mode}; a new column is NULLABLE or REPEATED, since older rows have no value"
        for path, field in _flat("", now)
        if path not in known and field.mode not in ("NULLABLE", "REPEATED")
    ]
    return problems


def united(found: Sequence[SchemaField], wanted: Sequence[SchemaField]) -> list[SchemaField]:
    """The columns that were found, in their order, then the wanted ones that were missing."""
    by_name = {field.name.lower(): field for field in wanted}
    both = [
        _with_inner(field, by_name[field.name.lower()]) if field.name.lower() in by_name else field for field in found
    ]
    names = {field.name.lower() for field in found}
    return both + [field for field in wanted if field.name.lower() not in names]


def _with_inner(found: SchemaField, wanted: SchemaField) -> SchemaField:
    if not found.fields:
        return found
    inner = united(found.fields, wanted.fields)
    return SchemaField(found.name, found.field_type, mode=found.mode, fields=inner)


def _flat(prefix: str, fields: Sequence[SchemaField]) -> Iterator[tuple[str, SchemaField]]:
    for field in fields:
        yield prefix + field.name, field
        yield from _flat(f"{prefix}{field.name}.", field.fields)


def _missing(prefix: str, found: Sequence[SchemaField], wanted: Sequence[SchemaField]) -> Iterator[str]:
    names = {path.lower() for path, _ in _flat(prefix, found)}
    return (path for path, _ in _flat(prefix, wanted) if path.lower() not in names)


def _other_kinds(
    prefix: str, found: Sequence[SchemaField], wanted: Sequence[SchemaField]
) -> Iterator[tuple[str, str, str]]:
    """The path, kind found and kind wanted of each column that both have and that differs."""
    planned = {path.lower(): _kind(field) for path, field in _flat(prefix, wanted)}
    for path, field in _flat(prefix, found):
        if planned.get(path.lower(), _kind(field)) != _kind(field):
            yield path, _kind(field), planned[path.lower()]


def _kind(field: SchemaField) -> str:
    return f"{_SAME_TYPE.get(field.field_type, field.field_type)} {field.mode or 'NULLABLE'}"
