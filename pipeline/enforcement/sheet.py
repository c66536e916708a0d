"""The sheet for the driver: what was measured, step by step in plain words, with the pictures and how to check it.

It is a list of blocks; sheet_html.py and pipeline/packets/printing.py set them as a page. It says what the record says
and no more: it names no authority, no address, no deadline and no law, which the letter that it comes with must name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.enforcement import evidence, limit_wording, wording
from pipeline.enforcement.model import Basis, ErrorBudget, Passage, Picture, Sighting, Status
from pipeline.enforcement.packet import Rules, Versions
from pipeline.enforcement.policy import whole_kmh
from pipeline.enforcement.records import Fine, Verdict
from pipeline.enforcement.times import parse_rfc3339_us

TITLES = {
    Status.ISSUED: "How fast this vehicle was",
    Status.REVIEW: "A case for a person: no fine",
    Status.WITHDRAWN: "This case was taken back: no fine",
}


class Title(NamedTuple):
    """The sheet's own."""

    text: str


class Heading(NamedTuple):
    """Of what follows."""

    text: str


class Text(NamedTuple):
    """A paragraph."""

    text: str


class Code(NamedTuple):
    """A command, as it is typed."""

    text: str


class Facts(NamedTuple):
    """What is what, line by line."""

    rows: tuple[tuple[str, str], ...]


class Steps(NamedTuple):
    """A calculation: in words, in figures, and what comes out of each step."""

    rows: tuple[tuple[str, str, str], ...]


class Shown(NamedTuple):
    """A picture: the name of its part, or None where none was kept, and what is to be seen."""

    part: str | None
    caption: str


class Pictures(NamedTuple):
    """Side by side, the entry first."""

    pictures: tuple[Shown, ...]


Block = Title | Heading | Text | Code | Facts | Steps | Pictures
Sheet = tuple[Block, ...]


def of_verdict(verdict: Verdict, rules: Rules, versions: Versions, parts: tuple[str | None, ...], key_id: str) -> Sheet:
    """The sheet of a fine or of a case for a person. parts: the names of its pictures' parts, None for one not kept."""
    fine, passage = verdict.fine, verdict.passage
    return (
        Title(TITLES[fine.status]),
        Text(_introduction(passage)),
        Facts(tuple(_facts(verdict, rules))),
        Pictures(tuple(_shown(verdict, parts))),
        Heading("The calculation, step by step"),
        Steps(tuple(_steps(verdict, rules))),
        *_same_trip(passage),
        *_why_for_a_person(fine),
        *_how_to_check(fine, versions, key_id),
    )


def of_withdrawal(fine: Fine, versions: Versions, key_id: str) -> Sheet:
    """The sheet of a case that was taken back."""
    facts = (
        ("Where", fine.section),
        ("When", _when(parse_rfc3339_us(fine.entry_time), parse_rfc3339_us(fine.exit_time))),
        ("Why", "; ".join(wording.REASONS[reason] for reason in fine.reasons)),
        ("Number of the case", f"{fine.fine_id}, revision {fine.revision}"),
    )
    return (
        Title(TITLES[fine.status]),
        Text("What was suspected of this vehicle at first is taken back. It counts for nothing any more."),
        Facts(facts),
        *_how_to_check(fine, versions, key_id),
    )


def _introduction(passage: Passage) -> str:
    if passage.basis is Basis.POINT_SPEEDS:
        return (
            "A radar followed this vehicle along the road and took its speed at several points. For each piece of the "
            "way the speed at its first point gives the time that it took. The whole length divided by the whole time "
            "is the average speed."
        )
    if passage.points:
        return (
            "A radar followed this vehicle along the road and noted the time at each point. The length between the "
            "first and the last point divided by the time between them is the average speed."
        )
    return (
        "Two cameras stand at the ends of a piece of road whose length is known. Each took a picture of this vehicle "
        "and noted the time. The length divided by the time between the two pictures is the average speed."
    )


def _facts(verdict: Verdict, rules: Rules) -> Iterator[tuple[str, str]]:
    fine, passage = verdict.fine, verdict.passage
    yield "Plate", _plate(verdict)
    yield "Where", f"{fine.section}, {rules.section.region}" if rules.section.region else fine.section
    yield "When", _when(passage.first_us, passage.last_us) if _is_timed(passage) else _when_received(passage)
    yield "Speed that counts", wording.speed(passage.counted_speed_kmh or 0.0)
    yield "Speed that is allowed", _allowed(rules, passage)
    if passage.limits is not None and rules.policy.fixed_limit_kmh is None:
        yield "Why this speed", limit_wording.why(passage.limits, rules.section, timed=_is_timed(passage))
    if fine.status is Status.ISSUED:
        yield "What it costs", _amount(fine)
    yield "Number of the case", f"{fine.fine_id}, revision {fine.revision}"


def _plate(verdict: Verdict) -> str:
    region = next((picture.region for picture in verdict.pictures if picture.region), None)
    plate = verdict.fine.license_plate if verdict.fine.status is Status.ISSUED else verdict.fine.vehicle_id
    return f"{plate or verdict.fine.vehicle_id} ({region})" if region else plate or verdict.fine.vehicle_id


def _is_timed(passage: Passage) -> bool:
    return all(read.timed for read in (passage.entry, passage.exit) if read is not None)


def _when(first_us: int, last_us: int) -> str:
    last = wording.clock(last_us)
    if wording.day(first_us) != wording.day(last_us):
        last = f"{wording.day(last_us)}, {last}"
    return f"{wording.day(first_us)}, {wording.clock(first_us)} to {last}"


def _when_received(passage: Passage) -> str:
    return f"{wording.day(passage.first_us)}; received at {wording.clock(passage.first_us)}"


def _allowed(rules: Rules, passage: Passage) -> str:
    if rules.policy.fixed_limit_kmh is not None:
        return wording.limit(rules.policy.fixed_limit_kmh)
    return wording.limit(passage.limit_kmh)


def _amount(fine: Fine) -> str:
    if fine.amount is None:
        return "The rule that was applied names no amount."
    return f"{wording.number(fine.amount, 2)} {fine.currency}"


def _shown(verdict: Verdict, parts: tuple[str | None, ...]) -> Iterator[Shown]:
    seen = evidence.sightings_to_show(verdict.passage)
    for sighting, picture, part in reversed(list(zip(seen, verdict.pictures, parts, strict=True))):
        yield Shown(part, _caption(verdict.passage, sighting, picture))


def _caption(passage: Passage, sighting: Sighting, picture: Picture) -> str:
    end = "Exit" if sighting is passage.exit else "Entry"
    place = f"{end}, camera {sighting.camera_id}" if sighting.camera_id else "On the way"
    time = f", {wording.clock(sighting.time_us)}" if sighting.timed else ""
    return f"{place}{time}. {_reading(picture)}"


def _reading(picture: Picture) -> str:
    if picture.problem is not None:
        return f"No picture: {wording.REASONS[picture.problem]}."
    claimed = f"The camera read {picture.claimed}. " if picture.claimed else ""
    if picture.text is None:
        return f"{claimed}This picture is kept and was not read again."
    sure = "" if picture.confidence is None else f", {int(picture.confidence * 100)} % sure"
    return f"{claimed}Read on this picture: {picture.text}{sure}."


# --- the calculation


def _steps(verdict: Verdict, rules: Rules) -> Iterator[tuple[str, str, str]]:
    yield from _measured(verdict.passage)
    counted_kmh = verdict.passage.min_speed_kmh
    if counted_kmh is None:
        counted_kmh = verdict.passage.avg_speed_kmh or 0.0
        yield "By how much the radar may be wrong is not declared: its readings are taken as they are", "", ""
    if rules.policy.counts_mean_of_points and verdict.passage.mean_of_points_kmh is not None:
        counted_kmh = verdict.passage.mean_of_points_kmh
        yield "The rule counts the mean of the speeds at the points", "", wording.speed(counted_kmh)
    yield from _taken_off(rules, counted_kmh)
    yield from _compared(verdict, rules)


def _measured(passage: Passage) -> Iterator[tuple[str, str, str]]:
    length_m, time_s = passage.distance_m or 0.0, passage.travel_time_s or 0.0
    surveyed = "between its first and its last point" if passage.points else "surveyed, the shortest way"
    yield f"Length of the way, {surveyed}", "", _metres(length_m)
    if passage.basis is Basis.DISTANCE_TIME:
        between = f"{wording.clock(passage.first_us)} to {wording.clock(passage.last_us)}"
        yield "Time from entry to exit", between, wording.seconds(time_s)
    else:
        yield "Time from the speeds at the points, piece by piece", "", wording.seconds(time_s)
    average_kmh = wording.speed(passage.avg_speed_kmh or 0.0)
    yield "Average speed: length ÷ time", f"{_metres(length_m)} ÷ {wording.seconds(time_s)} × 3.6", average_kmh
    errors = passage.errors
    if errors is not None and (errors.length_m or errors.time_s):
        yield from _least(passage, errors)


def _least(passage: Passage, errors: ErrorBudget) -> Iterator[tuple[str, str, str]]:
    """What the declared errors make of it, term by term."""
    least_m = (passage.distance_m or 0.0) - errors.length_m
    most_s = (passage.travel_time_s or 0.0) + errors.time_s
    if errors.length_m:
        yield (
            "In your favour: the length may be shorter by",
            f"− {_metres(errors.length_m)}",
            _metres(max(least_m, 0.0)),
        )
    if errors.clock_s or errors.resolution_s:
        clocks = " ".join(f"+ {wording.seconds(error)}" for error in (errors.clock_s, errors.resolution_s) if error)
        known = "the clock" if passage.points else "both clocks"
        yield f"In your favour: {known} may be wrong, and tell time in steps", clocks, wording.seconds(most_s)
    if errors.speeds_s:
        yield (
            "In your favour: each place and each speed may be wrong",
            f"+ {wording.seconds(errors.speeds_s)}",
            wording.seconds(most_s),
        )
    shortest = f"{_metres(max(least_m, 0.0))} ÷ {wording.seconds(most_s)} × 3.6"
    yield "So the vehicle was at least this fast", shortest, wording.speed(passage.min_speed_kmh or 0.0)


def _metres(value: float) -> str:
    return f"{wording.number(value, 1)} m"


def _taken_off(rules: Rules, speed_kmh: float) -> Iterator[tuple[str, str, str]]:
    """What Policy.counted_kmh does, in words."""
    policy = rules.policy
    if policy.rounds_first:
        speed_kmh = whole_kmh(speed_kmh)
        yield "In your favour: rounded down to whole km/h", "", wording.speed(speed_kmh)
    deduction = policy.deduction(speed_kmh)
    if deduction is not None:
        share = f"{wording.number(deduction.share * 100)} %" if deduction.share else ""
        off = " and ".join(filter(None, (f"{wording.number(deduction.kmh)} km/h" if deduction.kmh else "", share)))
        speed_kmh = deduction.taken_off(speed_kmh)
        yield "In your favour: the rule takes off", f"− {off}", wording.speed(speed_kmh)
    if policy.rounds:
        yield "In your favour: rounded down to whole km/h", "", wording.speed(whole_kmh(speed_kmh))


def _compared(verdict: Verdict, rules: Rules) -> Iterator[tuple[str, str, str]]:
    passage, policy = verdict.passage, rules.policy
    counted_kmh = passage.counted_speed_kmh or 0.0
    yield "The speed that counts", "", wording.speed(counted_kmh)
    limit_kmh = passage.limit_kmh if policy.fixed_limit_kmh is None else policy.fixed_limit_kmh
    yield "The speed that is allowed here", "", wording.limit(limit_kmh)
    if rules.tolerance_kmh and policy.fixed_limit_kmh is None:
        limit_kmh += rules.tolerance_kmh
        yield "And so much more is tolerated", f"+ {wording.number(rules.tolerance_kmh)} km/h", wording.limit(limit_kmh)
    difference = f"{wording.speed(counted_kmh)} − {wording.number(limit_kmh)} km/h"
    yield "Over it by", difference, wording.speed(wording.cut(counted_kmh) - limit_kmh)  # as anyone can compute it
    yield (
        f"The rule that was applied: {policy.name}{f', {policy.title}' if policy.title else ''}",
        _from_when(rules, passage.limit_kmh),
        "",
    )


def _from_when(rules: Rules, limit_kmh: float) -> str:
    """From where on a speed is a violation."""
    policy = rules.policy
    least_kmh = policy.least_over_kmh(limit_kmh + rules.tolerance_kmh)
    if least_kmh is not None:
        return f"a violation from {wording.limit(least_kmh)} over"
    if policy.more_than_kmh:
        return f"a violation when more than {wording.limit(policy.more_than_kmh)} over"
    return "a violation when over the limit at all"


# --- what else there is to say


def _same_trip(passage: Passage) -> Iterator[Block]:
    if passage.trip:
        others = "; ".join(f"{leg.section_id}, {_when(leg.first_us, leg.last_us)}" for leg in passage.trip)
        yield Heading("The same trip")
        yield Text(f"There is one fine for a trip. On this one the limit was exceeded here too, at no cost: {others}.")


def _why_for_a_person(fine: Fine) -> Iterator[Block]:
    if fine.status is Status.REVIEW:
        yield Heading("Why this is no fine")
        yield Text("Somebody must look at it first: " + "; ".join(wording.REASONS[one] for one in fine.reasons) + ".")


def _how_to_check(fine: Fine, versions: Versions, key_id: str) -> Iterator[Block]:
    yield Heading("How to check it")
    yield Text(
        "This sheet is part of a packet, one .zip file with the pictures, the record case.json with every number above "
        "and what it came from, and a signature over all of them. With the packet and the public key, this command "
        "computes everything again without any network, and finds a change of a single byte:"
    )
    yield Code(f"python -m pipeline verify --public_key KEY.pub {fine.fine_id}-{fine.revision}-{fine.status}-….zip")
    yield Text(
        f"Signed with key {key_id}. Ask for the public key by another way than this sheet: a packet that brings its "
        f"own key proves nothing. Made by release {versions.release}, rules {versions.rules_sha256[:16]}. A computer "
        "wrote this sheet from the record; whom to write to, and until when, stands in the letter that it came with."
    )
