"""Samples of what a release writes and reads: each record with every field filled, messages, and a section file."""

from __future__ import annotations

import importlib
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec

from pipeline.enforcement import revisions, sections
from pipeline.enforcement.messages import read, split
from pipeline.enforcement.model import Message
from pipeline.transforms.coders import StructCoder
from releases import shapes

INPUTS = Path(__file__).parent / "inputs"
RECEIVED_US = 1_772_460_000_000_000
HISTORY = "revisions.History"  # the state of a vehicle in a section


def record_types() -> dict[str, Any]:
    """All types that are encoded by themselves, by their names in Shapes; the state among them."""
    return {name: _type(name) for name in shapes.now().records} | {HISTORY: revisions.History}


def _type(name: str) -> Any:  # noqa: ANN401 (a record type)
    module, _, kind = name.partition(".")
    return getattr(importlib.import_module(f"pipeline.enforcement.{module}"), kind)


def encoded(name: str) -> bytes:
    """A value of this type, every field filled, as it travels and as it is kept."""
    kind = record_types()[name]
    return StructCoder(kind).encode(filled(kind, name))


def decoded(name: str, data: bytes) -> object:
    """What this code reads of it, by names."""
    return by_name(StructCoder(record_types()[name]).decode(data))


def filled(hint: Any, name: str) -> Any:  # noqa: ANN401 (a type expression, a value of it)
    """A value of a type, in which nothing is absent; a text is the name of its field."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _allowed(filled(args[0], name), args[1])
    if origin in (types.UnionType, typing.Union):
        return filled(next(option for option in args if option is not types.NoneType), name)
    if origin in (tuple, list):
        return origin(filled(arg, name) for arg in args if arg is not Ellipsis)
    if origin is typing.Literal:
        return args[0]
    if origin is dict:
        return {name: filled(args[1], name)}
    return _filled_class(hint, name)


def _allowed(value: Any, meta: object) -> Any:  # noqa: ANN401 (a value)
    """The nearest value that the field takes."""
    if not isinstance(meta, msgspec.Meta):
        return value
    if meta.pattern is not None:
        return f"gs://{value}/{value}"
    return value if meta.le is None else min(value, meta.le)


def _filled_class(kind: type[Any], name: str) -> Any:  # noqa: ANN401 (a value of it)
    if issubclass(kind, msgspec.Struct):
        return kind(**{field.name: filled(field.type, field.name) for field in msgspec.structs.fields(kind)})
    if issubclass(kind, StrEnum):
        return next(iter(kind))
    plain: Mapping[type[Any], object] = {
        str: name,
        bytes: name.encode(),
        bool: True,
        int: len(name),
        float: len(name) + 0.5,
        types.NoneType: None,
    }
    return plain[kind]


def by_name(value: Any) -> Any:  # noqa: ANN401 (any record; mappings, lists and plain values)
    """The record as mappings by field names, also where it is encoded by place."""
    if isinstance(value, msgspec.Struct):
        return {name: by_name(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, Mapping):
        return {str(name): by_name(one) for name, one in value.items()}
    if isinstance(value, tuple | list):
        return [by_name(one) for one in value]
    return msgspec.to_builtins(value)


def messages_read() -> object:
    """What this code reads of the sample messages, each line a message."""
    lines = (INPUTS / "messages.ndjson").read_bytes().splitlines()
    received = [Message(line, f"message-{number}", RECEIVED_US) for number, line in enumerate(lines)]
    return [by_name(read(raw, message, number)) for message in received for number, raw in split(message)]


def sections_read() -> object:
    """What this code reads of the sample section file."""
    return by_name(sections.parse_network((INPUTS / "sections.yaml").read_text(encoding="utf-8")))


def still_as(released: object, now: object) -> bool:
    """Whether all that was released is there with the same value; new fields may stand beside it."""
    if isinstance(released, Mapping) and isinstance(now, Mapping):
        return all(name in now and still_as(value, now[name]) for name, value in released.items())
    if isinstance(released, list) and isinstance(now, list):
        return len(released) == len(now) and all(map(still_as, released, now))
    return released == now
