"""The rules of a section's limit, read from the section file; errors name the field, what was found and the fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from pipeline.enforcement.limits import (
    CLASSES,
    DAYS,
    MINUTES_OF_DAY,
    MINUTES_OF_WEEK,
    Limits,
    Rule,
    minutes_of_week,
    moment,
    span_of_day,
)
from pipeline.enforcement.survey import SectionError

KEYS = ("limit", "classes", "days", "hours", "since", "until")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d(T.+)?")
ReadLimit = Callable[[object, str], float]


def read(found: Sequence[object], field: str, read_limit: ReadLimit) -> tuple[Rule, ...]:
    """The rules of a list that holds nothing but mappings. Raises SectionError."""
    return tuple(_rule(entry, f"{field}[{number}]", read_limit) for number, entry in enumerate(found, 1))


def read_time_zone(found: object, field: str) -> str:
    """The IANA name of a time zone; empty: none is named. Raises SectionError."""
    if found is None:
        return ""
    if not isinstance(found, str) or not _is(ZoneInfo, found):
        raise SectionError(
            f"{field}: found {found!r}; allowed: the IANA name of a time zone. Write it as in Europe/Vienna."
        )
    return found


def _is(read: Callable[[str], object], text: str) -> bool:
    """Whether it can be read. Of time zones there are names that are none, paths and folders."""
    try:
        read(text)
    except (KeyError, ValueError, OverflowError, OSError):
        return False
    return True


def _rule(entry: object, field: str, read_limit: ReadLimit) -> Rule:
    if not isinstance(entry, dict):
        raise _error(field, entry, "a mapping with limit and, if it does not always hold, " + ", ".join(KEYS[1:]))
    for key in entry:
        if key not in KEYS:
            raise _error(f"{field}.{key}", key, "only the keys " + ", ".join(KEYS))
    rule = Rule(
        read_limit(entry.get("limit"), f"{field}.limit"),
        _texts(entry, "classes", field, ", ".join(CLASSES), lambda text: text in CLASSES),
        _texts(entry, "days", field, ", ".join(DAYS), lambda text: text in DAYS),
        _texts(
            entry, "hours", field, "spans of the day such as 07:00-09:00, or 22:00-06:00", partial(_is, span_of_day)
        ),
        _moment(entry, "since", field),
        _moment(entry, "until", field),
    )
    if rule.since and rule.until and moment(rule.since)[1] >= moment(rule.until)[1]:
        raise _error(f"{field}.until", rule.until, f"a time after its since, {rule.since}")
    return rule


def _error(field: str, found: object, allowed: str) -> SectionError:
    return SectionError(f"{field}: found {found!r}; allowed: {allowed}.")


def _texts(
    entry: Mapping[str, Any], key: str, field: str, allowed: str, accept: Callable[[str], bool]
) -> tuple[str, ...]:
    """One text or a list of them, each once. A condition that is named and empty would hold for nothing."""
    if key not in entry:
        return ()
    found = entry[key] if isinstance(entry[key], list) else [entry[key]]
    if not found or not all(isinstance(text, str) and accept(text) for text in found) or len({*found}) < len(found):
        raise _error(f"{field}.{key}", entry[key], f"each once, {allowed}")
    return tuple(found)


def _moment(entry: Mapping[str, Any], key: str, field: str) -> str:
    if key not in entry:
        return ""
    text = entry[key]
    if not isinstance(text, str) or not _MOMENT.fullmatch(text) or not _is(moment, text):
        allowed = "a day, or an RFC 3339 time with its zone, as in 2026-03-02 or 2026-03-02T07:00:00+01:00"
        raise _error(f"{field}.{key}", text, allowed)
    return text


def refuse_unfit(limits: Limits, field: str) -> None:
    """Raises SectionError for rules by the clock without a time zone, for an instant and a class without a rule, and
    for a rule that never counts."""
    rules = limits.rules
    if not limits.time_zone and any(rule.days or rule.hours or _is_dated(rule) for rule in rules):
        raise SectionError(
            f"{field}: found rules with days, hours or dates and no time_zone; allowed: with the IANA name of one, in "
            "the section or at the head of the file. Write it as in time_zone: Europe/Vienna."
        )
    counting = _counting(rules, limits.time_zone)
    _refuse_gap(counting, rules, limits.time_zone, field)
    for number in range(1, len(rules) + 1):
        if not (counting == number).any():
            raise SectionError(
                f"{field}[{number}]: never counts: whenever it holds, a later rule holds too, and of those the last "
                "one counts. List what holds in general first, and the exceptions after it."
            )


def _is_dated(rule: Rule) -> bool:
    return any(moment(text)[0] for text in (rule.since, rule.until) if text)


def _counting(rules: Sequence[Rule], time_zone: str) -> npt.NDArray[np.int64]:
    """The number of the rule that counts, 0 for none: in each span between dates (s), for each class (c), in each
    minute of a week (10080)."""
    bounds = _bounds_us(rules, time_zone)
    found = np.zeros((len(bounds) + 1, len(CLASSES), MINUTES_OF_WEEK), np.int64)
    for number, rule in enumerate(rules, 1):
        first = bounds.index(_instant_us(rule.since, time_zone)) + 1 if rule.since else 0
        last = bounds.index(_instant_us(rule.until, time_zone)) + 1 if rule.until else len(bounds) + 1
        classes = np.array([not rule.classes or name in rule.classes for name in CLASSES])
        holds = classes[:, None] & minutes_of_week(rule.days, rule.hours)
        found[first:last, holds] = number
    return found


def _bounds_us(rules: Sequence[Rule], time_zone: str) -> list[int]:
    texts = {text for rule in rules for text in (rule.since, rule.until) if text}
    return sorted({_instant_us(text, time_zone) for text in texts})


def _instant_us(text: str, time_zone: str) -> int:
    """A day begins at its midnight, by the earlier reading where there are two."""
    is_day, moment_us = moment(text)
    if not is_day:
        return moment_us
    midnight = datetime(1970, 1, 1) + timedelta(microseconds=moment_us)
    return round(midnight.replace(tzinfo=ZoneInfo(time_zone)).timestamp()) * 1_000_000


def _refuse_gap(counting: npt.NDArray[np.int64], rules: Sequence[Rule], time_zone: str, field: str) -> None:
    for spans, times in zip(counting, _named_spans(rules, time_zone), strict=True):
        for minutes, name in zip(spans, CLASSES, strict=True):
            bare = np.flatnonzero(minutes == 0)
            if len(bare):
                day, minute = divmod(int(bare[0]), MINUTES_OF_DAY)
                raise SectionError(
                    f"{field}: for a {name} no rule is in force{times} in {len(bare):,} of the {MINUTES_OF_WEEK:,} "
                    f"minutes of a week, first on {DAYS[day]} at {minute // 60:02}:{minute % 60:02}. List a rule "
                    "without conditions first."
                )


def _named_spans(rules: Sequence[Rule], time_zone: str) -> Iterator[str]:
    bounds = [datetime.fromtimestamp(bound // 1_000_000, UTC).isoformat() for bound in _bounds_us(rules, time_zone)]
    if not bounds:
        yield ""
        return
    yield f" before {bounds[0]}"
    for bound in bounds:
        yield f" from {bound} on"
