"""Limits by class of vehicle, hour and date, and those that a variable sign shows: which one a vehicle has to keep.

The highest limit in force at any instant counts, from a grace before the entry to the exit: a sign that changes while a
vehicle is inside, or just before it, is none that its driver saw. So it is done in Switzerland, and what went wrong in
England from 2021 to 2025 was the opposite: cameras that kept a lower limit than the sign.

Where clocks are changed, an hour does not exist or exists twice. From an hour before the change to an hour after it
both readings of the clock count, and of the two limits the higher one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from pipeline.enforcement.times import parse_rfc3339_us

# Those that a limit may be set for. `other`, which a camera may say too, names no class: it is as good as unknown.
CLASSES: Final = ("car", "motorcycle", "van", "bus", "truck")
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# At 50 km/h 139 m: from farther away hardly anybody can read a sign; and signs and cameras have clocks of their own.
DEFAULT_GRACE_S = 10.0
MINUTES_OF_DAY, MINUTES_OF_WEEK = 1440, 7 * 1440
_SECOND_US, _MINUTE_US, _HOUR_US = 1_000_000, 60_000_000, 3_600_000_000
_HOURS = re.compile(r"(\d\d):([0-5]\d)-(\d\d):([0-5]\d)")
_THURSDAY = 3 * MINUTES_OF_DAY  # 1970-01-01, in minutes of its week


class Rule(msgspec.Struct, frozen=True, gc=False):
    """A limit and when it holds, as it is written in the section file; what is not said is no condition.

    classes: of CLASSES. days: of DAYS. hours: such as 22:00-06:00, which belongs to the day on which it begins.
    since, until: a day, from its beginning by the clock of the place, or an RFC 3339 time; until is the first moment at
    which the rule no longer holds.
    """

    limit_kmh: float
    classes: tuple[str, ...] = ()
    days: tuple[str, ...] = ()
    hours: tuple[str, ...] = ()
    since: str = ""
    until: str = ""

    @property
    def is_by_clock(self) -> bool:
        """Whether it holds at some times only."""
        return bool(self.days or self.hours or self.since or self.until)


class Limits(msgspec.Struct, frozen=True, gc=False):
    """What a section's limit depends on. rules: of those in force the last one counts; none: the limit is constant.

    time_zone: an IANA name, where days, hours or dates are told. variable: a sign shows the limit, and it counts only
    as far as the sign's notices are known.
    """

    rules: tuple[Rule, ...] = ()
    time_zone: str = ""
    grace_s: float = DEFAULT_GRACE_S
    variable: bool = False


class SignNotice(msgspec.Struct, frozen=True, gc=False):
    """From then on a sign shows this limit, to these classes (none: to all); None: the section's rules hold again."""

    from_us: int
    limit_kmh: float | None = None
    classes: tuple[str, ...] = ()


class Quarantine(msgspec.Struct, frozen=True, gc=False):
    """From when to when a section's cases are for a person, and why. None: until further notice."""

    from_us: int
    until_us: int | None
    why: str


class SectionNotices(msgspec.Struct, frozen=True, gc=False):
    """What is known of a section beside its file. Notices are in order of their times.

    confirmed_until_us: up to when its signs are known. unread: there are notices that could not be read.
    """

    section_id: str
    signs: tuple[SignNotice, ...] = ()
    quarantines: tuple[Quarantine, ...] = ()
    confirmed_until_us: int | None = None
    unread: bool = False

    def bearing(self, from_us: int, to_us: int) -> SectionNotices:
        """Those alone that say anything of this span of time, and no more than they say of it.

        A confirmation that goes on moving changes nothing of what is past.
        """
        first_us = min(_newest_us(self.signs, one, from_us) for one in CLASSES)
        confirmed_us = self.confirmed_until_us
        return SectionNotices(
            self.section_id,
            tuple(sign for sign in self.signs if first_us <= sign.from_us <= to_us),
            tuple(one for one in self.quarantines if one.from_us <= to_us and from_us <= (one.until_us or to_us)),
            None if confirmed_us is None else min(confirmed_us, to_us),
            self.unread,
        )


class Step(msgspec.Struct, frozen=True, gc=False):
    """From then on this limit was in force. rule: its number in the section file, from 1; 0: the section's one limit.
    notice_us: of which notice it is, if of any."""

    from_us: int
    limit_kmh: float
    rule: int = 0
    notice_us: int | None = None


class AppliedLimits(msgspec.Struct, frozen=True, gc=False):
    """All limits that were in force for a vehicle, and what they follow from. The highest one is the one that applies.

    vehicle_class: None where it is not known or in doubt. from_us, to_us: the instants that count, both included.
    """

    from_us: int
    to_us: int
    vehicle_class: str | None
    steps: tuple[Step, ...]
    notices: SectionNotices

    @property
    def limit_kmh(self) -> float:
        """The one that applies."""
        return max(step.limit_kmh for step in self.steps)


def most_favourable(
    limits: Limits, constant_kmh: float, notices: SectionNotices, vehicle_class: str | None, from_us: int, to_us: int
) -> AppliedLimits:
    """The limits in force from `from_us` to `to_us`, both included.

    constant_kmh: the limit where there are no rules. A vehicle of unknown class may be of any, and at each instant that
    with the highest limit counts.
    """
    notices = notices.bearing(from_us, to_us)
    if not limits.variable:  # nobody asks for it, and it must not make a passage another one
        notices = replace(notices, confirmed_until_us=None)
    signs = _Signs(limits, constant_kmh, notices.signs)
    classes = signs.classes() if vehicle_class is None else (vehicle_class,)
    steps: list[Step] = []
    for time_us in signs.instants_us(from_us, to_us):
        shown = signs.at(time_us, classes)
        if not steps or shown != (steps[-1].limit_kmh, steps[-1].rule, steps[-1].notice_us):
            steps.append(Step(time_us, *shown))
    return AppliedLimits(from_us, to_us, vehicle_class, tuple(steps), notices)


_Shown = tuple[float, int, int | None]  # a limit, the number of its rule or 0, the time of its notice


class _Signs:
    """What the signs of a section show."""

    def __init__(self, limits: Limits, constant_kmh: float, signs: Sequence[SignNotice]) -> None:
        self._rules = tuple((rule, number) for number, rule in enumerate(limits.rules, 1))[::-1]
        self._rules = self._rules or ((Rule(constant_kmh), 0),)
        self._zone, self._signs = limits.time_zone, signs
        self._by_clock = any(rule.is_by_clock for rule in limits.rules)

    def classes(self) -> tuple[str, ...]:
        """Those that differ: the ones that are named, and one for all others."""
        said = (*(rule.classes for rule, _ in self._rules), *(sign.classes for sign in self._signs))
        named = {one for classes in said for one in classes}
        others = [one for one in CLASSES if one not in named]
        return (*sorted(named), *others[:1])

    def instants_us(self, from_us: int, to_us: int) -> list[int]:
        """The first, and all others at which anything may change: by the clock a limit changes at whole minutes."""
        found = {from_us, *(sign.from_us for sign in self._signs)}
        if self._by_clock:
            found.update(range(-(-from_us // _MINUTE_US) * _MINUTE_US, to_us + 1, _MINUTE_US))
            found.update(
                moment_us
                for rule, _ in self._rules
                for is_day, moment_us in map(moment, filter(None, (rule.since, rule.until)))
                if not is_day
            )
        return sorted(time_us for time_us in found if from_us <= time_us <= to_us)

    def at(self, time_us: int, classes: Iterable[str]) -> _Shown:
        """What they show at most to any of these classes."""
        readings = readings_us(time_us, self._zone) if self._by_clock else (time_us,)
        return max((self._to(one, time_us, readings) for one in classes), key=_limit_kmh)

    def _to(self, vehicle_class: str, time_us: int, readings: Sequence[int]) -> _Shown:
        """Of notices from the same time the one with the highest limit counts."""
        newest = [sign for sign in self._signs if sign.from_us <= time_us and _is_for(sign.classes, vehicle_class)]
        if not newest:
            return self._by_rule(vehicle_class, time_us, readings)
        equal = (sign for sign in newest if sign.from_us == newest[-1].from_us)
        shown = (
            self._by_rule(vehicle_class, time_us, readings)
            if sign.limit_kmh is None
            else (sign.limit_kmh, 0, sign.from_us)
            for sign in equal
        )
        return max(shown, key=_limit_kmh)

    def _by_rule(self, vehicle_class: str, time_us: int, readings: Sequence[int]) -> _Shown:
        """The highest limit of all readings of the clock; should a rule hold in none of them, the highest there is."""
        found = [self._last_of(vehicle_class, time_us, reading_us) for reading_us in readings]
        known = [shown for shown in found if shown is not None]
        return max(known or [(rule.limit_kmh, number, None) for rule, number in self._rules], key=_limit_kmh)

    def _last_of(self, vehicle_class: str, time_us: int, local_us: int) -> _Shown | None:
        """Of the rules that hold the last one listed counts."""
        holding = (one for one in self._rules if _holds(one[0], time_us, local_us, vehicle_class))
        return next(((rule.limit_kmh, number, None) for rule, number in holding), None)


def _limit_kmh(shown: _Shown) -> float:
    return shown[0]


def readings_us(time_us: int, time_zone: str) -> tuple[int, ...]:
    """What the clocks of a place may show, in microseconds since 1970 there: one reading, and two near a change."""
    if not time_zone:
        return (time_us,)
    near = (time_us - _HOUR_US, time_us, time_us + _HOUR_US)
    return tuple(sorted({time_us + _offset_us(one, time_zone) for one in near}))


def _offset_us(time_us: int, time_zone: str) -> int:
    offset = datetime.fromtimestamp(time_us // _SECOND_US, ZoneInfo(time_zone)).utcoffset() or timedelta()
    return offset // timedelta(microseconds=1)


def _is_for(classes: Iterable[str], vehicle_class: str) -> bool:
    return not classes or vehicle_class in classes


def _holds(rule: Rule, time_us: int, local_us: int, vehicle_class: str) -> bool:
    if not _is_for(rule.classes, vehicle_class):
        return False
    if rule.since and not _has_begun(rule.since, time_us, local_us):
        return False
    if rule.until and _has_begun(rule.until, time_us, local_us):
        return False
    minute = (local_us // _MINUTE_US + _THURSDAY) % MINUTES_OF_WEEK
    return not (rule.days or rule.hours) or bool(minutes_of_week(rule.days, rule.hours)[minute])


def _has_begun(text: str, time_us: int, local_us: int) -> bool:
    is_day, moment_us = moment(text)
    return (local_us if is_day else time_us) >= moment_us


@lru_cache(maxsize=4096)
def moment(text: str) -> tuple[bool, int]:
    """Whether a text is a day, and its beginning by the clock of the place, or the instant that it is. In microseconds
    since 1970. Raises ValueError for any other text."""
    if len(text) == len("2026-03-02"):
        return True, (date.fromisoformat(text) - date(1970, 1, 1)) // timedelta(microseconds=1)
    return False, parse_rfc3339_us(text)


@lru_cache(maxsize=4096)
def minutes_of_week(days: tuple[str, ...], hours: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """In which minutes of a week (10080), from Monday on, a rule holds. Raises ValueError for hours that are none."""
    of_day = np.array([not days or day in days for day in DAYS])
    found = np.zeros(MINUTES_OF_WEEK, bool)
    for day in np.flatnonzero(of_day).tolist():
        for begin, end in map(span_of_day, hours or ("00:00-24:00",)):
            length = end - begin if begin < end else end - begin + MINUTES_OF_DAY
            found[(day * MINUTES_OF_DAY + begin + np.arange(length)) % MINUTES_OF_WEEK] = True
    return found


def span_of_day(text: str) -> tuple[int, int]:
    """The minutes of the day from and to, such as of 22:00-06:00, which passes midnight. Raises ValueError."""
    match = _HOURS.fullmatch(text)
    if match is None:
        raise ValueError(text)
    begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
    if begin >= MINUTES_OF_DAY or end > MINUTES_OF_DAY or begin == end:
        raise ValueError(text)
    return begin, end


def _newest_us(signs: Iterable[SignNotice], vehicle_class: str, time_us: int) -> int:
    """From when the notice is that holds for this class at a time; that time where there is none."""
    found = [sign.from_us for sign in signs if sign.from_us <= time_us and _is_for(sign.classes, vehicle_class)]
    return max(found, default=time_us)
