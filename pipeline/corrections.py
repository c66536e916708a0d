"""The options that say what was true of a section, where a run had it otherwise."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence

from msgspec.structs import replace

from pipeline import option_values as values
from pipeline.enforcement.recall import Correction
from pipeline.enforcement.sections import Section, parse_limit_kmh
from pipeline.option_values import OptionError
from pipeline.options import read_network

_OFFSET = re.compile(r"(.+)=([+-]\d+(?:\.\d+)?)\s*(s|ms)")
_US = {"s": 1e6, "ms": 1e3}
MAX_OFFSET_S = 86_400
# The greatest that is allowed: as in a section file, for two clocks.
_BOUNDS = {"length_error_m": 10_000.0, "clock_error_s": 120.0, "resolution_s": 120.0}
_OF_CAMERAS = ("clock_offset", "length_m")


def correction(args: argparse.Namespace) -> Correction:
    """What the options of a recall correct. Raises OptionError or SectionError."""
    if not any(getattr(args, name) for name in ("limit", *_OF_CAMERAS, *_BOUNDS)):
        raise OptionError(
            "--limit, --clock_offset, --clock_error_s, --resolution_s, --length_m, --length_error_m: found none; "
            "needed: at least one. Say what was true"
        )
    section = _section(args)
    found = Correction(
        limit_kmh=parse_limit_kmh(args.limit, "--limit") if args.limit else None,
        distance_m=values.number(args.length_m, "--length_m", 0.001, 1e6) if args.length_m else None,
        length_error_m=_error(args, "length_error_m"),
        clock_error_s=_error(args, "clock_error_s"),
        resolution_s=_error(args, "resolution_s"),
    )
    return _with_clocks(found, section, args.clock_offset) if section and args.clock_offset else found


def _error(args: argparse.Namespace, name: str) -> float | None:
    text = getattr(args, name)
    return values.number(text, f"--{name}", 0, _BOUNDS[name]) if text else None


def _section(args: argparse.Namespace) -> Section | None:
    """The section, if its file is given. Cameras and a surveyed length are what two of the options speak of."""
    needing = next((f"--{name}" for name in _OF_CAMERAS if getattr(args, name)), None)
    if args.sections is None:
        if needing:
            raise OptionError(f"--sections: absent; needed with {needing}. Name the section file of that time")
        return None
    sections = read_network(args.sections).sections
    if args.section not in sections:
        raise OptionError(f"--section: found {args.section!r}; allowed by {args.sections}: {', '.join(sections)}")
    section = sections[args.section]
    if needing and not section.cameras:
        raise OptionError(
            f"{needing}: found for section {args.section}, which is a line without cameras: each track has a length of "
            "its own. Leave it out"
        )
    return section


def _with_clocks(found: Correction, section: Section, offsets: Sequence[str]) -> Correction:
    """Only the clocks at both ends count: of a camera in between, nothing is measured."""
    fast_us = {}
    for text in offsets:
        camera, us = _offset(text)
        if camera not in section.cameras:
            raise OptionError(
                f"--clock_offset: found {camera!r}; allowed: a camera of section {section.section_id}: "
                f"{', '.join(section.cameras)}"
            )
        if camera in fast_us:
            raise OptionError(f"--clock_offset: found {camera} twice; allowed: once")
        fast_us[camera] = us
    entry, leaving = section.cameras[0], section.cameras[-1]
    entry_us, exit_us = fast_us.get(entry, 0), fast_us.get(leaving, 0)
    return replace(found, entry_fast_us=entry_us, exit_fast_us=exit_us, ends=(entry, leaving))


def _offset(text: str) -> tuple[str, int]:
    match = _OFFSET.fullmatch(text)
    us = round(float(match[2]) * _US[match[3]]) if match else 0
    if match is None or abs(us) > MAX_OFFSET_S * 1e6:
        raise OptionError(
            f"--clock_offset: found {text!r}; allowed: CAMERA=+1.8s for a clock that was fast, CAMERA=-1.8s for one "
            f"that was slow, in s or ms, up to {MAX_OFFSET_S} s"
        )
    return match[1], us


def said(found: Correction, offsets: Sequence[str]) -> str:
    """The correction in a few words."""
    named = {
        "limit": found.limit_kmh and f"{found.limit_kmh:g} km/h",
        "length": found.distance_m and f"{found.distance_m:g} m",
        "error of the length": _unit(found.length_error_m, "m"),
        "error of the clocks": _unit(found.clock_error_s, "s"),
        "steps of the clocks": _unit(found.resolution_s, "s"),
    }
    words = [f"{name} {value}" for name, value in named.items() if value]
    return ", ".join([*words, *(f"clock of {text.replace('=', ' ')}" for text in offsets)])


def _unit(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:g} {unit}"
