"""The notices file: which sections are in quarantine, and from when to when. One line of JSON for each begin and end.

    {"section_id": "first-20-26", "from": "2026-03-02T14:00:00.000000Z", "quarantine": "clock: ..."}
    {"section_id": "first-20-26", "from": "2026-03-03T09:30:00.000000Z", "quarantine": null}
    {"section_id": "first-20-26", "from": "2026-03-04T11:00:00Z", "until": "2026-03-05T12:00:00Z", "quarantine": "..."}

The first sends suspected cases of the section to a person from that time on, the second ends what began before it, the
third ends by itself. The order of the lines does not matter. Lines that are no quarantine are another's, and are left
alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from pipeline import places
from pipeline.enforcement import notices
from pipeline.enforcement.times import day as day_of
from pipeline.enforcement.times import rfc3339
from pipeline.option_values import OptionError


class State(NamedTuple):
    """Of a section: in quarantine from this time on, up to until_us (None: open), or out of it, as a person said."""

    from_us: int
    until_us: int | None
    in_quarantine: bool

    def covers(self, day: str) -> bool:
        """Whether it is a quarantine, and a part of it lies on that UTC day."""
        ends_before = self.until_us is not None and day_of(self.until_us - 1) < day
        return self.in_quarantine and day_of(self.from_us) <= day and not ends_before


class Span(NamedTuple):
    """From one time up to another; None: up to now."""

    from_us: int
    until_us: int | None


def read(path: str) -> dict[str, list[State]]:
    """What stands of each section that the file names, by time: from the last line with null on. Raises OptionError."""
    try:
        lines = (places.read(path, "--notices") or b"").decode().splitlines()
    except UnicodeDecodeError as error:
        raise OptionError(f"--notices: {path} cannot be read: {error}. Name a file of notices") from error
    found: dict[str, list[State]] = {}
    for number, line in enumerate(lines, 1):
        notice = _notice(line, f"--notices: {path}, line {number}")
        if "quarantine" in notice:
            found.setdefault(notice["section_id"], []).append(_state(line, notice["section_id"], path, number))
    return {section_id: _standing(states) for section_id, states in found.items()}


def _notice(line: str, where: str) -> dict[str, Any]:
    if not line.strip():
        return {}
    try:
        notice = msgspec.json.decode(line, type=dict[str, Any])
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{where}: {error}; allowed: an object of JSON on each line. Correct it") from error
    if "quarantine" in notice and not isinstance(notice.get("section_id"), str):
        raise OptionError(f"{where}: section_id: found {notice.get('section_id')!r}; allowed: the id of a section")
    return notice


def _state(line: str, section_id: str, path: str, number: int) -> State:
    """As the job reads it: a line that it refuses is not in force."""
    found, problems = notices.read(line.encode(), {section_id}, number)
    if problems:
        raise OptionError(f"--notices: {path}, {problems[0].text}")
    (notice,) = found
    if notice.quarantine is not None:
        return State(notice.quarantine.from_us, notice.quarantine.until_us, in_quarantine=True)
    assert notice.ends_us is not None
    return State(notice.ends_us, None, in_quarantine=False)


def _standing(states: Iterable[State]) -> list[State]:
    by_time = sorted(states, key=lambda state: (state.from_us, state.in_quarantine))
    ends = [at for at, state in enumerate(by_time) if not state.in_quarantine]
    return by_time[ends[-1] :] if ends else by_time


def unexplained(states: Sequence[State], seen_us: int) -> Span:
    """What a self-test is to look at, of a section that has been seen up to seen_us: what came behind the last
    quarantine that ended, since what was wrong before is known; of one that is not over, or planned, what came before
    it. An open one explains nothing: it stands until a person ends it."""
    from_us = 0
    for state in states:
        if not state.in_quarantine:
            from_us = state.from_us
        elif state.until_us is None:
            break
        elif state.until_us > seen_us:
            return Span(from_us, max(state.from_us, from_us))
        else:
            from_us = max(from_us, state.until_us)
    return Span(from_us, None)


def begin(path: str, section_id: str, from_us: int, why: str) -> None:
    """Append the line that puts a section into quarantine. Raises OptionError."""
    notice = {"section_id": section_id, "from": rfc3339(from_us), "quarantine": why}
    places.add_line(path, "--notices", msgspec.json.encode(notice))
