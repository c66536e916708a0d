"""A case in plain words, for the person who decides it: a line in the list, or all that there is to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from pipeline.enforcement import decisions, wording
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.decisions import Reviewed
from pipeline.enforcement.model import AlarmKind, Basis
from pipeline.enforcement.records import Evidence, Fine
from pipeline.enforcement.review import Needs, Standing, Waiting, camera_plate, counted_kmh, needs_of
from pipeline.enforcement.times import parse_rfc3339_us, rfc3339

WORDS = {
    Needs.ONE_PICTURE: "a look at one picture may settle it",
    Needs.BOTH_PICTURES: "both pictures must be looked at",
    Needs.MORE_THAN_PICTURES: "no picture can settle it: it can only be rejected",
}
ALARMS = {
    AlarmKind.CLONE: "one plate at two places, {distance} apart in a straight line, {time} between: {speed} at least",
    AlarmKind.NEAR_TWIN: "a plate like that of a suspected passage, seen at one end alone, and that passage's ends: "
    "{distance} in {time}, {speed} at least",
    AlarmKind.POSSIBLE_PAIR: "an entry and an exit that may be one vehicle's, never fined: {distance} in {time}, "
    "{speed} at least",
}
_HOUR_US = 3_600_000_000


def row(waiting: Waiting, now_us: int) -> str:
    """The case in one line."""
    fine = waiting.fine
    mark = "" if waiting.standing is Standing.WAITS else f"[{waiting.standing}] "
    over = f"{wording.speed(counted_kmh(fine))}, limit {wording.limit(fine.limit_kmh)}"
    told = f"{mark}{over}, {fine.section}: {_reasons(fine)}"
    return f"{fine.fine_id}  {_due(waiting.deadline_us, now_us):<12}  {wording.line(told)}"


def summary(queue: Sequence[Waiting], capacity: int | None) -> str:
    """How many cases of each standing there are."""
    counts = {standing: sum(one.standing is standing for one in queue) for standing in Standing}
    others = ", ".join(f"{counts[one]} {one}" for one in Standing if one is not Standing.WAITS and counts[one])
    pace = "" if capacity is None else f" ({capacity} a day)"
    cases = "1 case" if len(queue) == 1 else f"{len(queue)} cases"
    return f"{cases}: {counts[Standing.WAITS]} to look at{pace}" + (f", {others}" if others else "")


def alarm(told: Alarm) -> Iterator[str]:
    """The alarm in a line, and one for each of its sightings and for its passages."""
    said = ALARMS[told.kind].format(
        distance=f"{wording.number(round(told.distance_m, 1))} m",
        time=wording.seconds(told.travel_time_s),
        speed=wording.speed(told.speed),
    )
    yield f"{told.alarm_id}  {told.kind}: {said}"
    for one in told.seen:
        shown = (one.camera_id or "no camera", _time(one.timestamp), one.event_id, one.image_url or "no picture")
        yield "    " + wording.line(", ".join(shown))
    if told.passage_ids:
        yield "    passages " + ", ".join(told.passage_ids)


def facts(case: Reviewed, deadline_us: int | None, now_us: int) -> Iterator[tuple[str, str]]:
    """Everything about a case, as pairs of a heading and a line; the heading is empty where the last one goes on."""
    fine = case.fine
    yield "case", f"{fine.fine_id}, revision {fine.revision}, {fine.status}"
    yield "where", fine.section if fine.section == fine.radar_id else f"{fine.section} ({fine.radar_id})"
    yield "vehicle", fine.vehicle_id
    yield "when", f"{_time(fine.entry_time)} to {_time(fine.exit_time)}"
    yield from _speeds(fine)
    yield "deadline", _due(deadline_us, now_us) + (f", {rfc3339(deadline_us)[:16]}Z" if deadline_us else "")
    yield from _listed("why", (wording.REASONS[reason] for reason in fine.reasons))
    yield "needs", WORDS[needs_of(fine)]
    yield from _listed("pictures", (_picture(fine, shown) for shown in fine.evidence))
    if fine.packet_url:
        yield "packet", fine.packet_url
    yield from _listed("decided", (f"revision {one.revision} {decisions.said(one)}" for one in case.reviews))


def _speeds(fine: Fine) -> Iterator[tuple[str, str]]:
    if fine.distance_m is not None and fine.travel_time_s is not None:
        errors = (fine.clock_error_s, fine.resolution_s, fine.speeds_error_s)
        length, time = (
            f", wrong by {most} at most"
            for most in (
                f"{wording.number(fine.length_error_m or 0.0)} m",
                wording.seconds(sum(one or 0.0 for one in errors)),
            )
        )
        if fine.min_speed is None:
            length = time = ", by how much it may be wrong is not declared"
        how = "" if fine.basis is not Basis.POINT_SPEEDS else ", from the speeds at points"
        yield "length", f"{wording.number(fine.distance_m)} m{length}"
        yield "time", f"{wording.seconds(fine.travel_time_s)}{time}{how}"
    known = (("average", fine.avg_speed), ("at least", fine.min_speed), ("counted", fine.counted_speed))
    yield "speed", ", ".join(f"{name} {wording.speed(kmh)}" for name, kmh in known if kmh is not None)
    yield "limit", wording.limit(fine.limit_kmh)
    amount = "" if fine.amount is None else f", {wording.number(fine.amount, 2)} {fine.currency or ''}".rstrip()
    yield "policy", (fine.policy or "none named") + amount


def _picture(fine: Fine, shown: Evidence) -> str:
    where = shown.image_url or "no picture"
    camera = f"camera {shown.camera_id}: " if shown.camera_id else ""
    claimed = camera_plate(fine, shown)
    region = f" ({shown.plate_region})" if shown.plate_region else ""
    own = f"camera read {claimed}{region}" if claimed else "camera read no plate"
    if shown.text is None:
        return f"{camera}{where}; {own}; not read again"
    sure = "" if shown.confidence is None else f", {int(shown.confidence * 100)} % sure"
    return f"{camera}{where}; {own}; reader of plates: {shown.text}{sure}"


def _listed(heading: str, found: Iterable[str]) -> Iterator[tuple[str, str]]:
    for one in found:
        yield heading, one
        heading = ""


def _reasons(fine: Fine) -> str:
    return "; ".join(wording.REASONS[reason] for reason in fine.reasons)


def _time(text: str) -> str:
    time_us = parse_rfc3339_us(text)
    return f"{wording.day(time_us)} {wording.clock(time_us)}"


def _due(deadline: int | None, now_us: int) -> str:
    """How long there is, down to whole days or hours."""
    if deadline is None:
        return "no deadline"
    hours, word = abs(deadline - now_us) // _HOUR_US, "left" if deadline >= now_us else "too late"
    return f"{hours // 24} d {word}" if hours >= 48 else f"{hours} h {word}"
