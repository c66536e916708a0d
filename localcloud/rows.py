"""Rows as tabledata.insertAll takes them: JSON -> a table's column types, with BigQuery's words for what is wrong.

https://cloud.google.com/bigquery/docs/reference/rest/v2/tabledata/insertAll
"""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import pyarrow as pa
from bqemulator.catalog.models import TableFieldSchema as SchemaField

Json = Any
Error = dict[str, str]
T = TypeVar("T")


class BadValueError(ValueError):
    """A value that a column does not take. ``location`` is the field below the one that was asked."""

    def __init__(self, message: str, location: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.location = location


@dataclass(frozen=True)
class Column:
    """A field of a table; ``convert`` makes its value from JSON or raises BadValueError, ``absent`` stands for none."""

    name: str
    arrow_type: pa.DataType
    required: bool
    absent: Json
    convert: Callable[[Json], Json]


def columns_of(fields: Iterable[SchemaField]) -> dict[str, Column] | None:
    """The columns of a schema by lower-case name, as field names ignore case; None if a type is not known here."""
    columns: dict[str, Column] = {}
    for field in fields:
        column = _column(field)
        if column is None:
            return None
        columns[field.name.lower()] = column
    return columns


def convert_row(
    columns: Mapping[str, Column], row: Json, *, ignore_unknown: bool
) -> tuple[dict[str, Json], list[Error]]:
    """The values of one row by column name, and what is wrong with it, in BigQuery's form of an error."""
    if not isinstance(row, dict):
        return {}, [_error("", "This field: json is not a record.")]
    values: dict[str, Json] = {}
    errors: list[Error] = []
    for key, value in row.items():
        column = columns.get(key.lower())
        if column is not None:
            try:
                values[column.name] = column.absent if value is None else column.convert(value)
            except BadValueError as bad:
                errors.append(_error(".".join(filter(None, [key, bad.location])), bad.message))
            if value is None and column.absent is not None:
                errors.append(_error(key, "Field value cannot be empty."))
        elif not ignore_unknown:
            errors.append(_error(key, f"no such field: {key}."))
    faulty = {error["location"].partition(".")[0].lower() for error in errors}
    for lower, column in columns.items():
        if column.required and values.get(column.name) is None and lower not in faulty:
            errors.append(_error(column.name, f"Missing required field: {column.name}."))
    return values, errors


def to_arrow(columns: Mapping[str, Column], rows: list[dict[str, Json]]) -> pa.Table:
    """The converted rows as one table."""
    return pa.table(
        {
            column.name: pa.array([row.get(column.name, column.absent) for row in rows], type=column.arrow_type)
            for column in columns.values()
        }
    )


def _error(location: str, message: str, reason: str = "invalid") -> Error:
    return {"reason": reason, "location": location, "debugInfo": "", "message": message}


def stopped() -> Error:
    """The error of a good row that was not inserted because another row of its request is bad."""
    return _error("", "", "stopped")


def _column(field: SchemaField) -> Column | None:
    kind = field.type.upper()
    if kind in ("RECORD", "STRUCT"):
        inner = columns_of(field.fields)
        if inner is None:
            return None
        arrow_type: pa.DataType = pa.struct([(column.name, column.arrow_type) for column in inner.values()])
        convert = _record_converter(field.name, inner)
    elif kind in SCALARS:
        arrow_type, convert = SCALARS[kind]
    else:
        return None
    convert = _single(field.name, convert)
    if field.mode == "REPEATED":
        return Column(field.name, pa.list_(arrow_type), False, [], _repeated(convert))
    return Column(field.name, arrow_type, field.mode == "REQUIRED", None, convert)


def _single(name: str, convert: Callable[[Json], Json]) -> Callable[[Json], Json]:
    def checked(value: Json) -> Json:
        if isinstance(value, list):
            raise BadValueError(f"Array specified for non-repeated field: {name}.")
        return convert(value)

    return checked


def _repeated(convert: Callable[[Json], Json]) -> Callable[[Json], Json]:
    def each(value: Json) -> Json:
        items = value if isinstance(value, list) else [value]
        if any(item is None for item in items):
            raise BadValueError("Only optional fields can be set to NULL.")
        return [convert(item) for item in items]

    return each


def _record_converter(name: str, inner: Mapping[str, Column]) -> Callable[[Json], Json]:
    def convert(value: Json) -> Json:
        if not isinstance(value, dict):
            raise BadValueError(f"This field: {name} is not a record.")
        values, errors = convert_row(inner, value, ignore_unknown=False)
        if errors:
            raise BadValueError(errors[0]["message"], errors[0]["location"])
        return values

    return convert


def _string(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    raise BadValueError("Cannot convert a record to string.")


def _integer(value: Json) -> int:
    try:
        number = int(value) if not isinstance(value, float) else _whole(value)
    except (TypeError, ValueError, OverflowError):
        raise BadValueError(f"Cannot convert value to integer (bad value): {value}") from None
    if isinstance(value, bool) or not -(1 << 63) <= number < 1 << 63:
        raise BadValueError(f"Cannot convert value to integer (bad value): {value}")
    return number


def _whole(value: float) -> int:
    if not value.is_integer():
        raise ValueError(value)
    return int(value)


def _float(value: Json) -> float:
    try:
        if not isinstance(value, bool):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise BadValueError(f"Cannot convert value to float (bad value): {value}")


def _boolean(value: Json) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise BadValueError(f"Cannot convert value to boolean (bad value): {value}")
    return text == "true"


def _timestamp(value: Json) -> datetime:
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        parsed = datetime.fromisoformat(value.removesuffix(" UTC"))
    except (AttributeError, TypeError, ValueError, OverflowError, OSError):
        raise BadValueError(
            f"Could not parse '{value}' as a timestamp. Required format is YYYY-MM-DD HH:MM[:SS[.SSSSSS]]"
        ) from None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _datetime(value: Json) -> datetime:
    parsed = _parsed(datetime.fromisoformat, value, "DATETIME")
    if parsed.tzinfo is not None:
        raise BadValueError(f'Invalid datetime string "{value}"')
    return parsed


def _parsed(parse: Callable[[str], T], value: Json, kind: str) -> T:
    try:
        return parse(value)
    except (TypeError, ValueError):
        raise BadValueError(f'Invalid {kind} string "{value}"') from None


def _bytes(value: Json) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError):
        raise BadValueError("Could not decode base64 string to bytes.") from None


def _json(value: Json) -> str:
    # As the real service: a JSON column takes JSON text; an object itself is taken for a record.
    if not isinstance(value, str):
        raise BadValueError("This field is not a record: give JSON as a string.")
    try:
        json.loads(value)
    except ValueError:
        raise BadValueError(f"Failed to parse JSON: {value[:60]}") from None
    return value


def _numeric(digits: int, scale: int) -> Callable[[Json], Decimal]:
    def convert(value: Json) -> Decimal:
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            raise BadValueError(f"Invalid NUMERIC value: {value}") from None
        if not number.is_finite() or number.adjusted() >= digits - scale:
            raise BadValueError(f"Invalid NUMERIC value: {value}")
        return round(number, scale)

    return convert


SCALARS: Mapping[str, tuple[pa.DataType, Callable[[Json], Json]]] = {
    "STRING": (pa.string(), _string),
    "INTEGER": (pa.int64(), _integer),
    "INT64": (pa.int64(), _integer),
    "FLOAT": (pa.float64(), _float),
    "FLOAT64": (pa.float64(), _float),
    "BOOLEAN": (pa.bool_(), _boolean),
    "BOOL": (pa.bool_(), _boolean),
    "TIMESTAMP": (pa.timestamp("us", tz="UTC"), _timestamp),
    "DATETIME": (pa.timestamp("us"), _datetime),
    "DATE": (pa.date32(), lambda value: _parsed(date.fromisoformat, value, "DATE")),
    "TIME": (pa.time64("us"), lambda value: _parsed(time.fromisoformat, value, "TIME")),
    "BYTES": (pa.binary(), _bytes),
    "JSON": (pa.string(), _json),
    "NUMERIC": (pa.decimal128(38, 9), _numeric(38, 9)),
}
