"""Which limit applied, and why, in words for the driver: where a section has not always the same one."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.enforcement import wording
from pipeline.enforcement.limits import AppliedLimits, Rule, Step
from pipeline.enforcement.sections import Section


def why(limits: AppliedLimits, section: Section, *, timed: bool) -> str:
    """A few sentences. timed: the times are those of the cameras."""
    return " ".join(_sentences(limits, section, timed=timed))


def _sentences(limits: AppliedLimits, section: Section, *, timed: bool) -> Iterator[str]:
    yield "The limit here is not always the same."
    if limits.vehicle_class is not None:
        yield f"The cameras took this vehicle for a {limits.vehicle_class}."
    elif any(rule.classes for rule in section.limits.rules) or any(one.classes for one in limits.notices.signs):
        yield "Of which class this vehicle is, is not known: that with the highest limit counts."
    if not timed:
        highest = max(limits.steps, key=lambda step: step.limit_kmh)
        yield f"When it passed is not known: the highest limit that it may have had counts, {_step(highest, section)}."
        return
    first, *later = limits.steps
    told = [
        f"at {wording.clock(limits.from_us)}, {wording.number(section.limits.grace_s)} s or a little more before the "
        f"entry, {_step(first, section)}",
        *(f"from {wording.clock(step.from_us)} on {_step(step, section)}" for step in later),
    ]
    yield f"In force was {'; '.join(told)}."
    if later:
        yield f"The highest one until the exit counts, {wording.limit(limits.limit_kmh)}."


def _step(step: Step, section: Section) -> str:
    return f"{wording.limit(step.limit_kmh)} ({_origin(step, section)})"


def _origin(step: Step, section: Section) -> str:
    if step.notice_us is not None:
        return f"the sign showed it from {wording.day(step.notice_us)}, {wording.clock(step.notice_us)} on"
    if not step.rule:
        return "the section's own limit"
    return _conditions(section.limits.rules[step.rule - 1], section.limits.time_zone)


def _conditions(rule: Rule, time_zone: str) -> str:
    """When a rule holds, in the words of the section file."""
    found = [", ".join(part) for part in (rule.classes, rule.days, rule.hours) if part]
    found += [f"{name} {text}" for name, text in (("since", rule.since), ("until", rule.until)) if text]
    if not found:
        return "unless another rule of the section holds"
    return "; ".join([*found, f"by the clock of {time_zone}"] if time_zone and rule.is_by_clock else found)
