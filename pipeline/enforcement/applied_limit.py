"""The limit that applies to a passage, where it is not always the same, and why such a case may be for a person."""

from __future__ import annotations

import math
from collections.abc import Iterator

from msgspec.structs import replace

from pipeline.enforcement.limits import CLASSES, AppliedLimits, SectionNotices, SignNotice, Step, most_favourable
from pipeline.enforcement.model import Passage, Reason
from pipeline.enforcement.sections import Section


def is_constant(section: Section, notices: SectionNotices | None) -> bool:
    """Whether every passage of a section has the same limit, and nothing is to be said about it."""
    return notices is None and not section.limits.rules and not section.limits.variable


def with_limit(passage: Passage, section: Section, notices: SectionNotices | None = None) -> Passage:
    """The measured passage with the limit that applies to it, and with what keeps its case from being a fine.

    Call it before the passage is decided. The highest limit counts that was in force from a grace before the entry to
    the exit, both by the errors of their clocks earlier and later. Where the time is not the cameras' own but that of
    publishing, nobody knows which limits were in force: the highest one counts that any rule or notice could set. Of a
    passage that cannot be measured nobody asks for more than the limit.
    """
    if is_constant(section, notices):
        return passage
    notices = notices or SectionNotices(section.section_id)
    hangs_on_time = any(rule.is_by_clock for rule in section.limits.rules) or any(map(_sets_limit, notices.signs))
    of = _of_any_time if hangs_on_time and not _is_timed(passage) else _in_force
    found = of(passage, section, notices)
    if is_constant(section, None) and _is_silent(found.notices):
        return passage
    if passage.outcome is not None:
        return replace(passage, limit_kmh=found.limit_kmh)
    reasons = (*passage.reasons, *_doubts(section, found))
    return replace(passage, limit_kmh=found.limit_kmh, limits=found, reasons=reasons)


def _is_silent(notices: SectionNotices) -> bool:
    return not (notices.signs or notices.quarantines or notices.unread)


def _in_force(passage: Passage, section: Section, notices: SectionNotices) -> AppliedLimits:
    grace_us, error_us = round(section.limits.grace_s * 1e6), math.ceil(section.errors.time_s * 1e6)
    return most_favourable(
        section.limits,
        section.limit_kmh,
        notices,
        _vehicle_class(passage),
        passage.first_us - grace_us - error_us,
        passage.last_us + error_us,
    )


def _is_timed(passage: Passage) -> bool:
    """Whether all its times are those of its cameras."""
    return all(one.timed for one in (passage.entry, passage.exit, *passage.points) if one is not None)


def _sets_limit(sign: SignNotice) -> bool:
    return sign.limit_kmh is not None


def _of_any_time(passage: Passage, section: Section, notices: SectionNotices) -> AppliedLimits:
    """The highest limit that any rule or notice sets, to whatever class; of the notices no more than it needs.

    Of all notices of limits one remains, so that those which change nothing make no other passage. It remains even
    where the section's own limit is higher: without it the time would seem not to matter.
    """
    known = _in_force(passage, section, notices)
    signs = sorted(
        filter(_sets_limit, notices.signs), key=lambda sign: (-(sign.limit_kmh or 0), sign.from_us, sign.classes)
    )[:1]
    rules = [(rule.limit_kmh, -number) for number, rule in enumerate(section.limits.rules, 1)]
    limit_kmh, number = max(rules, default=(section.limit_kmh, 0))
    step = Step(known.from_us, limit_kmh, -number)
    for sign in signs:
        if sign.limit_kmh is not None and sign.limit_kmh > limit_kmh:
            step = Step(known.from_us, sign.limit_kmh, notice_us=sign.from_us)
    return replace(known, steps=(step,), notices=replace(known.notices, signs=tuple(signs)))


def _vehicle_class(passage: Passage) -> str | None:
    """What entry and exit say; None where they contradict each other, or say nothing that is one of CLASSES."""
    ends = (end for end in (passage.entry, passage.exit) if end is not None)
    (*told,) = {end.vehicle_class for end in ends if end.vehicle_class is not None}
    return told[0] if len(told) == 1 and told[0] in CLASSES else None


def _doubts(section: Section, found: AppliedLimits) -> Iterator[Reason]:
    notices = found.notices
    if notices.quarantines:
        yield Reason.QUARANTINED
    if section.limits.variable and (notices.confirmed_until_us is None or notices.confirmed_until_us < found.to_us):
        yield Reason.LIMIT_NOT_CONFIRMED
    if notices.unread:
        yield Reason.NOTICES_UNREADABLE
