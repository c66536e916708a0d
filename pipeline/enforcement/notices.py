"""Notices about sections, a JSON object on each line: what a variable sign shows from when on, up to when that is
known, and from when to when a section's cases are for a person.

Order and repetition do not matter: each notice tells its own time, and all of them together say what was in force.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import NamedTuple

import msgspec

from pipeline.enforcement.limits import CLASSES, Quarantine, SectionNotices, SignNotice
from pipeline.enforcement.sections import parse_limit_kmh
from pipeline.enforcement.survey import SectionError
from pipeline.enforcement.times import parse_rfc3339_us

KINDS = ("limit", "quarantine", "confirmed_until")


class Notice(msgspec.Struct, frozen=True, gc=False):
    """One line: what a sign shows, or a quarantine or its end (ends_us), or up to when the sign is known."""

    section_id: str
    sign: SignNotice | None = None
    quarantine: Quarantine | None = None
    ends_us: int | None = None
    confirmed_until_us: int | None = None


class Problem(NamedTuple):
    """A line that cannot be read, and its section if that much of it can be."""

    section_id: str | None
    text: str


class _Wire(msgspec.Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    section_id: str
    from_: str | None = None
    until: str | None = None
    classes: list[str] | None = None
    limit: str | msgspec.UnsetType | None = msgspec.UNSET
    quarantine: str | msgspec.UnsetType | None = msgspec.UNSET
    confirmed_until: str | msgspec.UnsetType = msgspec.UNSET


class _OfSection(msgspec.Struct):
    section_id: str


def read(data: bytes, section_ids: Collection[str], first_line: int = 1) -> tuple[list[Notice], list[Problem]]:
    """The notices of these lines, and what is wrong with the others. Empty lines are none."""
    notices: list[Notice] = []
    problems: list[Problem] = []
    for number, line in enumerate(data.split(b"\n"), first_line):
        if not line.strip():
            continue
        try:
            notices.append(_notice(msgspec.json.decode(line, type=_Wire), section_ids))
        except (ValueError, RecursionError) as error:
            problems.append(Problem(_section_id(line), f"line {number}: {error}"))
    return notices, problems


def _section_id(line: bytes) -> str | None:
    try:
        return msgspec.json.decode(line, type=_OfSection).section_id
    except (ValueError, RecursionError):
        return None


def _notice(wire: _Wire, section_ids: Collection[str]) -> Notice:
    if wire.section_id not in section_ids:
        raise SectionError(f"section_id: found {wire.section_id!r}; allowed: a section of the section file.")
    given = [name for name in KINDS if getattr(wire, name) is not msgspec.UNSET]
    if len(given) != 1:
        raise SectionError(
            f"found {' and '.join(given) or 'none'} of {', '.join(KINDS)}; allowed: exactly one of them."
        )
    _refuse_idle(wire, given[0])
    if isinstance(wire.confirmed_until, str):
        return Notice(wire.section_id, confirmed_until_us=_time_us(wire.confirmed_until, "confirmed_until"))
    from_us = _time_us(wire.from_, "from")
    if not isinstance(wire.limit, msgspec.UnsetType):
        limit_kmh = None if wire.limit is None else parse_limit_kmh(wire.limit)
        return Notice(wire.section_id, SignNotice(from_us, limit_kmh, _classes(wire.classes)))
    if wire.quarantine is None:
        return Notice(wire.section_id, ends_us=from_us)
    until_us = None if wire.until is None else _time_us(wire.until, "until")
    if until_us is not None and until_us <= from_us:
        raise SectionError(f"until: found {wire.until!r}; allowed: a time after its from, {wire.from_}.")
    if not isinstance(wire.quarantine, str) or not wire.quarantine.strip():
        raise SectionError("quarantine: found nothing; allowed: why, in a few words, or null for its end.")
    return Notice(wire.section_id, quarantine=Quarantine(from_us, until_us, wire.quarantine))


def _refuse_idle(wire: _Wire, kind: str) -> None:
    """Whoever writes a field expects it to do something."""
    takes = {"limit": ("from_", "classes"), "quarantine": ("from_", "until"), "confirmed_until": ()}[kind]
    if wire.quarantine is None:
        takes = ("from_",)
    for name in ("from_", "until", "classes"):
        if name not in takes and getattr(wire, name) is not None:
            raise SectionError(f"{name.strip('_')}: found in a notice of {kind}, where it means nothing. Leave it out.")


def _time_us(text: str | None, field: str) -> int:
    try:
        return parse_rfc3339_us(text or "")
    except (ValueError, OverflowError) as error:
        raise SectionError(
            f"{field}: found {text!r}; allowed: an RFC 3339 time with its zone. Write it as in 2026-03-02T07:00:00Z."
        ) from error


def _classes(found: list[str] | None) -> tuple[str, ...]:
    if found is not None and (not found or not {*found} <= {*CLASSES}):
        raise SectionError(f"classes: found {found!r}; allowed: a list of {', '.join(CLASSES)}.")
    return tuple(sorted({*(found or ())}))


def condensed(notices: Iterable[Notice]) -> frozenset[Notice]:
    """Each one once, and of each section the last time alone up to which its sign is known."""
    until_us: dict[str, int] = {}
    found: set[Notice] = set()
    for notice in notices:
        if notice.confirmed_until_us is None:
            found.add(notice)
        else:
            until_us[notice.section_id] = max(
                notice.confirmed_until_us, until_us.get(notice.section_id, notice.confirmed_until_us)
            )
    return frozenset(
        found | {Notice(section_id, confirmed_until_us=time_us) for section_id, time_us in until_us.items()}
    )


def by_section(notices: Iterable[Notice]) -> dict[str, SectionNotices]:
    """What they say of each section that they name."""
    of_section: defaultdict[str, list[Notice]] = defaultdict(list)
    for notice in condensed(notices):
        of_section[notice.section_id].append(notice)
    return {section_id: _of_section(section_id, found) for section_id, found in sorted(of_section.items())}


def _of_section(section_id: str, notices: Iterable[Notice]) -> SectionNotices:
    signs = [one.sign for one in notices if one.sign is not None]
    begun = [one.quarantine for one in notices if one.quarantine is not None]
    ends_us = [one.ends_us for one in notices if one.ends_us is not None]
    quarantines = (Quarantine(one.from_us, _until_us(one, ends_us), one.why) for one in begun)
    return SectionNotices(
        section_id,
        tuple(sorted(signs, key=lambda sign: (sign.from_us, sign.limit_kmh or 0.0, sign.classes))),
        tuple(sorted(quarantines, key=lambda one: (one.from_us, one.until_us or 0, one.why))),
        max((one.confirmed_until_us for one in notices if one.confirmed_until_us is not None), default=None),
    )


def _until_us(quarantine: Quarantine, ends_us: Iterable[int]) -> int | None:
    """Its own end, or the first one told of a later time, whichever is earlier."""
    later = [end_us for end_us in ends_us if end_us > quarantine.from_us]
    return min((end for end in (quarantine.until_us, *later) if end is not None), default=None)
