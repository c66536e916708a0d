"""The notices file: which sections are in quarantine, and since when. One line of JSON for each begin and end.

    {"section_id": "first-20-26", "from": "2026-03-02T14:00:00.000000Z", "quarantine": "clock: ..."}
    {"section_id": "first-20-26", "from": "2026-03-03T09:30:00.000000Z", "quarantine": null}

The first sends suspected cases of the section to a person from that time on, the second ends it. Of a section's lines
the last one counts. Lines that are no quarantine are another's, and are left alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from pipeline import places
from pipeline.enforcement.times import parse_rfc3339_us, rfc3339
from pipeline.option_values import OptionError


class State(NamedTuple):
    """Of a section: in quarantine or out of it, since this time."""

    from_us: int
    in_quarantine: bool


def read(path: str) -> dict[str, State]:
    """The state of each section that the file names. Raises OptionError."""
    try:
        lines = (places.read(path, "--notices") or b"").decode().splitlines()
    except UnicodeDecodeError as error:
        raise OptionError(f"--notices: {path} cannot be read: {error}. Name a file of notices") from error
    found: dict[str, State] = {}
    for number, line in enumerate(lines, 1):
        notice = _notice(line, f"--notices: {path}, line {number}")
        if "quarantine" in notice:
            found[str(notice["section_id"])] = State(_from_us(notice, path, number), notice["quarantine"] is not None)
    return found


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


def _from_us(notice: dict[str, Any], path: str, number: int) -> int:
    try:
        return parse_rfc3339_us(str(notice.get("from")))
    except ValueError:
        raise OptionError(
            f"--notices: {path}, line {number}: from: found {notice.get('from')!r}; allowed: an RFC 3339 time with its "
            "zone, such as 2026-03-02T14:00:00Z"
        ) from None


def begin(path: str, section_id: str, from_us: int, why: str) -> None:
    """Append the line that puts a section into quarantine. Raises OptionError."""
    notice = {"section_id": section_id, "from": rfc3339(from_us), "quarantine": why}
    places.add_line(path, "--notices", msgspec.json.encode(notice))
