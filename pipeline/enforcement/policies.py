"""Policies read from YAML. Errors name the policy and its field, what was found and what is allowed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, TypeVar

from pipeline.enforcement import plain_yaml
from pipeline.enforcement.policy import Amount, Deduction, Least, Policy
from pipeline.enforcement.sections import HIGHEST_LIMIT_KMH, Section, parse_speed_kmh
from pipeline.enforcement.speed import line_length_m
from pipeline.enforcement.survey import SectionError

DEFAULT = "edem"
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%")
_WORDS: Mapping[str, Mapping[str, bool]] = {
    "counts": {"mean_of_points": True, "guaranteed_minimum": False},
    "round_first": {"down": True},
    "round": {"down": True},
    "review": {"always": True, "doubts": False},
    "point_speeds": {"fined": True, "reviewed": False},
    "one_fine_per_trip": {"yes": True, "no": False},
}
_FIELDS = {*_WORDS, "title", "sources", "deduct", "over", "more_than", "at_least", "least_length_m"}
_FIELDS |= {"amounts", "currency", "days_to_notice"}
Entry = TypeVar("Entry")


def parse_policies(text: str) -> dict[str, Policy]:
    """The policies of a file by their names. Raises SectionError."""
    document = plain_yaml.load(text, "a mapping from a policy's name to its fields")
    return {str(name): _policy(str(name), entry) for name, entry in document.items()}


def of_sections(policies: Mapping[str, Policy], sections: Iterable[Section], default: str) -> dict[str, Policy]:
    """The policy of each section: its own, or else the default. Raises SectionError where one is unknown or unfit."""
    found: dict[str, Policy] = {}
    for section in sections:
        where = f"section {section.section_id}: policy" if section.policy else "--policy"
        name = section.policy or default
        if name not in policies:
            raise SectionError(f"{where}: found {name!r}; allowed: {', '.join(policies)}.")
        policy = policies[name]
        _refuse_short(section, policy)
        found[section.section_id] = policy
    return found


def _refuse_short(section: Section, policy: Policy) -> None:
    """Of a track without a line no length is known."""
    if section.cameras:
        field, length_m, way_out = "length_m", section.distance_m, "join it with the next section"
    elif section.line:
        field, length_m, way_out = "line", line_length_m(section.line), "give it a longer line"
    else:
        return
    if length_m < policy.least_length_m:
        raise SectionError(
            f"section {section.section_id}: {field}: found {length_m:g} m; allowed by policy {policy.name}: at least "
            f"{policy.least_length_m:g} m. Choose another policy, or {way_out}."
        )


def _policy(name: str, entry: object) -> Policy:
    if not isinstance(entry, dict):
        raise _error(name, entry, "a mapping of fields")
    for field in entry.keys() - _FIELDS:
        raise _error(f"{name}.{field}", field, f"only the fields {', '.join(sorted(_FIELDS))}")
    kmh = {field: _kmh(entry[field], f"{name}.{field}") for field in ("over", "more_than") if field in entry}
    days = _number(entry["days_to_notice"], f"{name}.days_to_notice") if "days_to_notice" in entry else None
    return Policy(
        name=name,
        title=str(entry.get("title", "")),
        sources=tuple(str(source) for source in _list(entry, "sources", name)),
        counts_mean_of_points=_word(entry, "counts", name),
        rounds_first=_word(entry, "round_first", name),
        deductions=_bands(entry, "deduct", name, _deduction, bound="up_to"),
        rounds=_word(entry, "round", name),
        fixed_limit_kmh=kmh.get("over"),
        more_than_kmh=kmh.get("more_than", 0.0),
        least=_bands(entry, "at_least", name, _least, bound="limit_up_to"),
        least_length_m=_number(entry.get("least_length_m", "0"), f"{name}.least_length_m"),
        one_fine_per_trip=_word(entry, "one_fine_per_trip", name),
        fines_point_speeds=_word(entry, "point_speeds", name),
        always_reviewed=_word(entry, "review", name),
        amounts=_bands(entry, "amounts", name, _amount),
        currency=_currency(entry, name),
        days_to_notice=None if days is None else round(days),
    )


def _word(entry: Mapping[str, Any], field: str, name: str) -> bool:
    if field not in entry:
        return False
    word = entry[field]
    if not isinstance(word, str) or word not in _WORDS[field]:
        raise _error(f"{name}.{field}", word, " or ".join(_WORDS[field]))
    return _WORDS[field][word]


def _currency(entry: Mapping[str, Any], name: str) -> str:
    """An amount without its currency says nothing to whoever must pay it."""
    currency = entry.get("currency", "" if "amounts" not in entry else None)
    if not isinstance(currency, str) or ("amounts" in entry and not currency.strip()):
        raise _error(f"{name}.currency", currency, "the currency of the amounts, as in EUR")
    return currency


def _list(entry: Mapping[str, Any], field: str, name: str) -> list[Any]:
    found = entry.get(field, [])
    if not isinstance(found, list):
        raise _error(f"{name}.{field}", found, "a list")
    return found


def _bands(
    entry: Mapping[str, Any],
    field: str,
    name: str,
    read: Callable[[Mapping[str, Any], str], Entry],
    bound: str = "",
) -> tuple[Entry, ...]:
    """`bound`: up to what a band holds; the first one that does counts. Empty: no order is asked for."""
    bands = _list(entry, field, name)
    for band in bands:
        if not isinstance(band, dict):
            raise _error(f"{name}.{field}", band, "a list of mappings")
    found = tuple(read(band, f"{name}.{field}") for band in bands)
    if bound:
        _refuse_unreached(bands, f"{name}.{field}", bound)
    return found


def _refuse_unreached(bands: list[Mapping[str, Any]], field: str, bound: str) -> None:
    up_to_kmh = [_kmh(band[bound], f"{field}.{bound}") if bound in band else math.inf for band in bands]
    for number, (before_kmh, kmh) in enumerate(pairwise(up_to_kmh), 2):
        if kmh <= before_kmh:
            raise SectionError(
                f"policy {field}[{number}]: found {bands[number - 1]}, which never applies: the one before it counts "
                f"wherever it would; allowed: {bound} in ascending order, left out in the last band alone."
            )


def _deduction(band: Mapping[str, Any], field: str) -> Deduction:
    _only(band, {"up_to", "subtract"}, field)
    up_to_kmh = _kmh(band["up_to"], f"{field}.up_to") if "up_to" in band else math.inf
    subtract = band.get("subtract")
    if percent := _PERCENT.fullmatch(subtract) if isinstance(subtract, str) else None:
        return Deduction(up_to_kmh, share=float(percent[1]) / 100)
    return Deduction(up_to_kmh, kmh=_kmh(subtract, f"{field}.subtract"))


def _least(band: Mapping[str, Any], field: str) -> Least:
    _only(band, {"limit_up_to", "over"}, field)
    limit_kmh = _kmh(band["limit_up_to"], f"{field}.limit_up_to") if "limit_up_to" in band else math.inf
    return Least(_kmh(band.get("over"), f"{field}.over"), limit_kmh)


def _amount(band: Mapping[str, Any], field: str) -> Amount:
    _only(band, {"more_than", "amount"}, field)
    return Amount(_kmh(band.get("more_than"), f"{field}.more_than"), _number(band.get("amount"), f"{field}.amount"))


def _only(band: Mapping[str, Any], allowed: set[str], field: str) -> None:
    for key in band.keys() - allowed:
        raise _error(f"{field}.{key}", key, f"only {', '.join(sorted(allowed))}")


def _kmh(found: object, field: str) -> float:
    return parse_speed_kmh(found, field, 0, HIGHEST_LIMIT_KMH)


def _number(found: object, field: str) -> float:
    try:
        number = float(str(found))
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise _error(field, found, "a number of at least 0")
    return number


def _error(field: str, found: object, allowed: str) -> SectionError:
    return SectionError(f"policy {field}: found {found!r}; allowed: {allowed}.")
