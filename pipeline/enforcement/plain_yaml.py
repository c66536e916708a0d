"""YAML as it is written: texts, lists and mappings, nothing guessed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import yaml

from pipeline.enforcement.survey import SectionError


class _PlainTexts(yaml.BaseLoader):
    """Every scalar as it is written, so that a camera named NO or 010 keeps its name; and no key twice.

    YAML lets a later key silently replace an earlier one; for a camera named twice that is a wrong distance.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                line = key_node.start_mark.line + 1
                raise SectionError(f"line {line}: {key!r} is named twice. Give each one a name of its own.")
            seen.add(key)
        return super().construct_mapping(node, deep)


def load(text: str, allowed: str) -> Mapping[str, Any]:
    """The mapping that a file holds, every scalar as text. Raises SectionError."""
    try:
        document = yaml.load(text, _PlainTexts)  # noqa: S506 (a BaseLoader makes texts, lists and mappings only)
    except yaml.YAMLError as error:
        raise SectionError(f"file: not YAML: {' '.join(str(error).split())}.") from error
    except TypeError as error:
        raise SectionError(f"file: a key is no plain text or number: {error}.") from error
    if not isinstance(document, dict):
        raise SectionError(f"file: found {type(document).__name__!r}; allowed: {allowed}.")
    return document
