"""A fine, a case for a person or a case taken back, as a card with its pictures and its arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from html import escape

from demo import wording
from demo.packets import sheet_name
from demo.thumbnails import Thumbnails
from pipeline.enforcement.model import Basis, Status
from pipeline.enforcement.records import Evidence, Fine
from pipeline.enforcement.sections import Section
from pipeline.enforcement.wording import REASONS

STATUSES = {Status.ISSUED: "fine issued", Status.REVIEW: "for a person", Status.WITHDRAWN: "taken back"}


class Cards:
    """Draws cards; the pictures of all of them share one budget of bytes."""

    def __init__(
        self, sections: Mapping[str, Section], picture: Callable[[str], bytes | None], thumbnails: Thumbnails
    ) -> None:
        self._sections, self._picture, self._thumbnails = sections, picture, thumbnails

    def card(self, fine: Fine) -> str:
        """One article."""
        return (
            f'<article class="case" id="{escape(fine.fine_id)}"><div class="pictures">{self._pictures(fine)}</div>'
            f'<div class="facts">{"".join(_facts(fine))}</div></article>'
        )

    def _pictures(self, fine: Fine) -> str:
        # The exit is kept first; people read from entry to exit.
        return "".join(self._figure(item, fine) for item in reversed(fine.evidence))

    def _figure(self, item: Evidence, fine: Fine) -> str:
        place = f"{self._end(item, fine)}, camera {escape(item.camera_id or 'unknown')}"
        return f"<figure>{self._image(item, place)}<figcaption>{place}<br>{_reading(item)}</figcaption></figure>"

    def _image(self, item: Evidence, place: str) -> str:
        if item.image_url is None:
            return '<div class="blank">no picture was sent</div>'
        address = self._thumbnails.address(self._picture(item.image_url))
        if address is None:
            return f'<div class="blank">{escape(item.image_url)}</div>'
        return f'<img src="{address}" alt="{place}" loading="lazy">'

    def _end(self, item: Evidence, fine: Fine) -> str:
        section = self._sections.get(fine.radar_id)
        if section is None or not section.cameras:
            return "On the way"
        return {section.cameras[0]: "Entry", section.cameras[-1]: "Exit"}.get(item.camera_id or "", "Between")


def _reading(item: Evidence) -> str:
    if item.image_url is None:
        return ""
    if item.text is None:
        return "kept as evidence, not read"
    sure = "" if item.confidence is None else f", {item.confidence:.0%} sure"
    return f"read: <b>{escape(item.text)}</b>{sure}"


def _facts(fine: Fine) -> Iterator[str]:
    plate = fine.license_plate if fine.status is Status.ISSUED else fine.vehicle_id
    yield (
        f'<div class="who"><span class="plate">{escape(plate or fine.vehicle_id)}</span>'
        f'<span class="status {fine.status}">{STATUSES[fine.status]}</span></div>'
    )
    if fine.avg_speed is not None:
        yield from _speed(fine, fine.avg_speed)
    yield f'<div class="sum"><b>{escape(fine.section)}</b>{_times(fine)}</div>'
    if fine.reasons:
        yield ('<ul class="why">' + "".join(f"<li>{escape(REASONS[reason])}</li>" for reason in fine.reasons) + "</ul>")
    if fine.packet_url:
        yield f'<div class="sum"><a href="sheets/{escape(sheet_name(fine))}">the sheet for the driver</a></div>'
    yield f'<div class="mono">fine {escape(fine.fine_id)}{_hashes(fine)}</div>'


def _speed(fine: Fine, avg_speed_kmh: float) -> Iterator[str]:
    over_kmh = avg_speed_kmh - fine.limit_kmh
    over = f'<span class="over">{over_kmh:.1f} over</span>' if over_kmh > 0 else ""
    yield f'<div class="speed">{avg_speed_kmh:.1f} <small>km/h</small>{over}</div>'
    if over_kmh > 0:
        yield (f'<div class="gauge"><i style="flex:{fine.limit_kmh:.1f}"></i><i style="flex:{over_kmh:.1f}"></i></div>')
    yield f'<div class="sum">{arithmetic(fine)}<span class="quiet">limit {wording.limit(fine.limit_kmh)}</span></div>'
    if least := at_least(fine):
        yield f'<div class="sum quiet">{least}</div>'


def arithmetic(fine: Fine) -> str:
    """Distance ÷ time = speed, with the numbers that the decision rests on."""
    if fine.distance_m is None or fine.travel_time_s is None or fine.avg_speed is None:
        return "not measured"
    basis = " (time from the speed at each point)" if fine.basis is Basis.POINT_SPEEDS else ""
    return f"{fine.distance_m:,.1f} m ÷ {fine.travel_time_s:,.3f} s × 3.6 = {fine.avg_speed:.2f} km/h{basis}"


def at_least(fine: Fine) -> str:
    """The shortest length ÷ the longest time that the declared errors allow; empty where none are declared."""
    if fine.distance_m is None or fine.travel_time_s is None or fine.min_speed is None:
        return ""
    error_m, error_s = (
        fine.length_error_m or 0.0,
        sum(error or 0.0 for error in (fine.clock_error_s, fine.resolution_s, fine.speeds_error_s)),
    )
    if not error_m and not error_s:
        return ""
    shortest = f"({fine.distance_m:,.1f} − {error_m:,.1f}) m" if error_m else f"{fine.distance_m:,.1f} m"
    longest = f"({fine.travel_time_s:,.3f} + {error_s:,.3f}) s" if error_s else f"{fine.travel_time_s:,.3f} s"
    return f"at least {shortest} ÷ {longest} × 3.6 = {fine.min_speed:.2f} km/h: this decides"


def _times(fine: Fine) -> str:
    day = escape(fine.entry_time[:10])
    return (
        f'<span class="quiet">{day}, {wording.moment(fine.entry_time)} to {wording.moment(fine.exit_time)} UTC</span>'
    )


def _hashes(fine: Fine) -> str:
    return "".join(f"<br>sha256 {escape(item.sha256[:16])}…" for item in reversed(fine.evidence) if item.sha256)
