"""Records as JSON that people read and that has one spelling: every field under its name, keys in order.

An infinite number means "no bound" and is left out, since JSON has none: it is its field's default.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

import msgspec

Record = TypeVar("Record", bound=msgspec.Struct)


class PacketError(ValueError):
    """What is wrong with a packet or with a chain of packets, worded for whoever checks it."""


def named(value: Any) -> Any:  # noqa: ANN401 (any record, and what JSON can hold)
    """The value as mappings by field names, also where it travels by place."""
    if isinstance(value, msgspec.Struct):
        fields = ((name, getattr(value, name)) for name in value.__struct_fields__)
        return {name: named(found) for name, found in fields if found != math.inf}
    if isinstance(value, Mapping):
        return {str(name): named(found) for name, found in value.items()}
    if isinstance(value, tuple | list):
        return [named(found) for found in value]
    return value


def canonical(value: Any) -> bytes:  # noqa: ANN401 (what JSON can hold)
    """The one spelling: keys sorted, two spaces, floats as the shortest text that gives their eight bytes again."""
    return msgspec.json.format(msgspec.json.encode(value, order="sorted"), indent=2) + b"\n"


def decoded(data: bytes, where: str) -> dict[str, Any]:
    """The object that these bytes spell. Raises PacketError, also for any other spelling of it."""
    try:
        found = msgspec.json.decode(data, type=dict[str, Any])
        spelt = canonical(found)
    except (ValueError, RecursionError) as error:
        raise PacketError(f"{where}: no JSON object: {error}") from error
    if spelt != data:
        raise PacketError(f"{where}: not spelt as it is written")
    return found


def record(kind: type[Record], found: object, where: str, without: Collection[str] = ()) -> Record:
    """The record of its names; absent ones have their defaults. `without`: fields that are not asked for.

    Raises PacketError for a name that there is not, for one that is missing, and for a value that does not fit.
    """
    if not isinstance(found, dict):
        raise PacketError(f"{where}: no object")
    if unknown := found.keys() - kind.__struct_fields__:
        raise PacketError(f"{where}: unknown fields {', '.join(sorted(unknown))}")
    try:
        if not kind.__struct_config__.array_like:
            return msgspec.convert(found, kind)
        places = [_value(field, found, without) for field in msgspec.structs.fields(kind)]
        return msgspec.convert(places, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise PacketError(f"{where}: {error}") from error


def _value(field: msgspec.structs.FieldInfo, found: Mapping[str, Any], without: Collection[str]) -> Any:  # noqa: ANN401
    if field.name in found and field.name not in without:
        return found[field.name]
    if field.default is msgspec.NODEFAULT:
        raise PacketError(f"{field.name} is missing")
    return field.default
