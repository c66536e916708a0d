"""The type of protobuf messages in annotations: their classes are made at run time, unknown to a type checker."""

from typing import Any, TypeAlias

Proto: TypeAlias = Any
