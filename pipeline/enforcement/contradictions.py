"""Whether what the cameras saw at both ends of a passage can be one vehicle.

A plate may be misread, and be that of another vehicle then: a car that enters and a truck that leaves are two. Only
what no camera takes for the other speaks against a pairing: a van is a car to one camera and a truck to the next, and
grey paint is silver in the sun. What is not given says nothing. Colour and make are fields that cameras may send beside
those of a message, so they are among a sighting's unknown ones.
"""

from __future__ import annotations

import json
from typing import Any

from pipeline.enforcement import plates
from pipeline.enforcement.model import Sighting

COLOUR, MAKE = "vehicle_color", "vehicle_make"
UNKNOWN = frozenset({"", "UNKNOWN", "OTHER", "NONE", "NA"})
CONFUSED_CLASSES = (
    frozenset({"car", "van"}),
    frozenset({"van", "truck"}),
    frozenset({"van", "bus"}),
    frozenset({"truck", "bus"}),
)
SPELT = {"GREY": "GRAY"}
# By the light in which they are seen; any colour is black at night.
CONFUSED_COLOURS = (
    frozenset({"WHITE", "SILVER"}),
    frozenset({"SILVER", "GRAY"}),
    frozenset({"GRAY", "BLACK"}),
    frozenset({"WHITE", "BEIGE"}),
    frozenset({"BEIGE", "GOLD"}),
    frozenset({"GOLD", "YELLOW"}),
    frozenset({"YELLOW", "ORANGE"}),
    frozenset({"ORANGE", "RED"}),
    frozenset({"BROWN", "RED"}),
    frozenset({"BLUE", "GRAY"}),
    frozenset({"GREEN", "GRAY"}),
)
DARK = frozenset({"BLACK", "BLUE", "BROWN", "GRAY", "GREEN", "RED"})


def contradict(entry: Sighting | None, leaving: Sighting | None) -> bool:
    """Whether two sightings that are paired show two vehicles, by class, colour or make."""
    if entry is None or leaving is None:
        return False
    if _classes_contradict(entry.vehicle_class, leaving.vehicle_class):
        return True
    if entry.extra is None or leaving.extra is None:
        return False
    one, other = _unknown_fields(entry.extra), _unknown_fields(leaving.extra)
    return _colours_contradict(_text(one, COLOUR), _text(other, COLOUR)) or _makes_contradict(
        _text(one, MAKE), _text(other, MAKE)
    )


def _classes_contradict(one: str | None, other: str | None) -> bool:
    if one is None or other is None or "other" in (one, other) or one == other:
        return False
    return frozenset({one, other}) not in CONFUSED_CLASSES


def _colours_contradict(one: str, other: str) -> bool:
    one, other = SPELT.get(one, one), SPELT.get(other, other)
    if UNKNOWN & {one, other} or one == other:
        return False
    by_night = "BLACK" in (one, other) and {one, other} <= DARK
    return not by_night and frozenset({one, other}) not in CONFUSED_COLOURS


def _makes_contradict(one: str, other: str) -> bool:
    """Mercedes and Mercedes-Benz are one."""
    return not UNKNOWN & {one, other} and not one.startswith(other) and not other.startswith(one)


def _unknown_fields(extra: str) -> dict[str, Any]:
    try:
        found = json.loads(extra)  # which may hold NaN: it is what was sent
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return plates.normalise(value) if isinstance(value, str) else ""
