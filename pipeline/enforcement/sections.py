"""Cameras, sections and limits, read from one YAML file. Errors name the field, what was found and the fix."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from pipeline.enforcement import limit_rules, plain_yaml
from pipeline.enforcement.limits import DEFAULT_GRACE_S, Limits
from pipeline.enforcement.model import Coordinates, ErrorBudget
from pipeline.enforcement.speed import line_length_m
from pipeline.enforcement.survey import SectionError, legs, refuse_unprovable, refuse_unprovable_readings
from pipeline.enforcement.track_errors import BOTH_ENDS, TrackErrors

KMH_PER_MPH = 1.609344
SLOWEST_KMH = 10.0
TRACK_GAP_S = 30.0
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,3})?")
_SPEED = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(mph|km/h)\s*", re.IGNORECASE)
LOWEST_LIMIT_KMH, HIGHEST_LIMIT_KMH = 1.0, 300.0
KEYS = {"id", "name", "region", "cameras", "length_m", "length_error_m", "line", "limit", "policy"}
KEYS |= {"time_zone", "limit_grace_s", "variable_limit"}
TRACK_KEYS = ("location_error_m", "speed_error", "clock_error_s", "resolution_s")  # of a radar's readings
KEYS |= {*TRACK_KEYS}

# Section ids and camera names become names of objects and attributes of messages: / and \ would make folders, and
# the others are wildcards and parts of addresses to the tools of Cloud Storage.
_NAME = re.compile(r"[^/\\#?*\[\]]{1,128}")
_NAME_ALLOWED = "a name of at most 128 printable characters, not . or .., without / \\ # ? * [ ] and spaces at its ends"


class Camera(msgspec.Struct, frozen=True):
    """Where a camera stands, by how much its clock may be off (None: not declared, and taken to be exact), and in what
    steps it stamps the time."""

    location: Coordinates
    clock_error_s: float | None = None
    resolution_s: float = 0.0


class Section(msgspec.Struct, frozen=True):
    """A road section: cameras in driving order with the surveyed length of each leg, or a radar track's line.

    limit_kmh: its limit; where that depends on more than the place, which `limits` says, the highest one. track: the
    errors of a radar's readings, None where they are not declared.
    """

    section_id: str
    limit_kmh: float
    name: str = ""
    region: str = ""
    cameras: tuple[str, ...] = ()
    length_m: tuple[float, ...] = ()
    line: tuple[Coordinates, ...] = ()
    errors: ErrorBudget = ErrorBudget()
    policy: str = ""  # empty: that of the run
    limits: Limits = Limits()
    track: TrackErrors | None = None

    @property
    def distance_m(self) -> float:
        """Surveyed shortest drivable length from the first camera to the last."""
        return math.fsum(self.length_m)


class Network(msgspec.Struct, frozen=True):
    """All cameras and sections of one section file.

    exact_clocks: cameras without a declared error of their clock; exact_lengths: sections without one of their length.
    """

    cameras: dict[str, Coordinates]
    sections: dict[str, Section]
    by_camera: dict[str, tuple[str, ...]]
    exact_clocks: tuple[str, ...] = ()
    exact_lengths: tuple[str, ...] = ()

    def session_gap_s(self) -> float:
        """The longest leg at 10 km/h: once it has passed without a sighting, no violation is possible any more."""
        legs = [leg for section in self.sections.values() for leg in section.length_m]
        lines = [line_length_m(section.line) for section in self.sections.values() if len(section.line) > 1]
        gap_s = max([*legs, *lines], default=0.0) / (SLOWEST_KMH / 3.6)
        return gap_s or TRACK_GAP_S


def parse_speed_kmh(text: object, field: str, lowest_kmh: float, highest_kmh: float) -> float:
    """A speed such as "25 mph" or "40 km/h" in km/h (25 mph is 40.2336 km/h). Raises SectionError."""
    match = _SPEED.fullmatch(text) if isinstance(text, str) else None
    factor = KMH_PER_MPH if match and match[2].lower() == "mph" else 1.0
    if match is None or not lowest_kmh <= (found_kmh := round(float(match[1]) * factor, 6)) <= highest_kmh:
        raise SectionError(
            f"{field}: found {text!r}; allowed: a number with its unit, mph or km/h, from {lowest_kmh:g} to "
            f"{highest_kmh:g} km/h. Write it as in 25 mph or 40 km/h."
        )
    return found_kmh


def parse_limit_kmh(text: object, field: str = "limit") -> float:
    """A speed limit in km/h, of a road and not of a slip of the pen. Raises SectionError."""
    return parse_speed_kmh(text, field, LOWEST_LIMIT_KMH, HIGHEST_LIMIT_KMH)


def single_track(radar_id: str, limit: str) -> Network:
    """The network of a run without a section file: one radar track whose line is the track itself."""
    radar_id = _name(radar_id, "--radar_id")
    section = Section(section_id=radar_id, limit_kmh=parse_limit_kmh(limit, "--speed_limit"), name=radar_id)
    return Network(cameras={}, sections={radar_id: section}, by_camera={})


def parse_network(text: str) -> Network:
    """Read a section file (YAML). Raises SectionError with the field, what was found, what is allowed."""
    document = plain_yaml.load(text, "a mapping with the keys cameras and sections")
    _known(document, {"cameras", "sections", "time_zone"}, "file")
    time_zone = document.get("time_zone")
    cameras = _cameras(document.get("cameras") or {})
    places = {name: camera.location for name, camera in cameras.items()}
    found = document.get("sections")
    if not isinstance(found, list) or not found:
        raise _error("sections", found, "a list of at least one section")
    sections: dict[str, Section] = {}
    exact_lengths: list[str] = []
    for number, entry in enumerate(found, 1):
        section = _section(entry, f"sections[{number}]", cameras, time_zone)
        if section.section_id in sections:
            raise _error(f"sections[{number}].id", section.section_id, "an id that no other section has")
        sections[section.section_id] = section
        if section.cameras and not _list(entry.get("length_error_m"), "length_error_m"):
            exact_lengths.append(section.section_id)
    by_camera = _by_camera(sections)
    exact_clocks = tuple(name for name in by_camera if cameras[name].clock_error_s is None)
    return Network(places, sections, by_camera, exact_clocks, tuple(exact_lengths))


def doubts(network: Network) -> tuple[str, ...]:
    """What may be a mistake in a section file that can be used, a line for each."""
    return tuple(
        f"{leg}; if that is not the shortest drivable length, every speed is too high. Check it"
        for section in network.sections.values()
        for leg in legs(section.section_id, section.cameras, section.length_m, network.cameras)
        if leg.length_m > leg.doubtful_m
    )


def undeclared(network: Network) -> tuple[str, ...]:
    """A line each if there are clocks, lengths and radars whose errors nobody vouches for."""
    proof = "taken to be exact, and a speed just over the limit is a violation"
    told = []
    if network.exact_clocks:
        names = list(dict.fromkeys(name for camera in network.exact_clocks for name in network.by_camera[camera]))
        told.append(
            f"sections {_some(names)}: no clock_error_s is declared for cameras {_some(network.exact_clocks)}; their "
            f"clocks are {proof}"
        )
    if network.exact_lengths:
        told.append(
            f"sections {_some(network.exact_lengths)}: no length_error_m is declared; their lengths are {proof}"
        )
    tracks = [name for name, section in network.sections.items() if not section.cameras and section.track is None]
    if tracks:
        told.append(
            f"sections {_some(tracks)}: no location_error_m is declared for their radars; nothing is proven by their "
            "readings, and only a policy that takes point speeds as they are, such as edem, makes a case of them"
        )
    return tuple(told)


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:5])}{', ...' if names[5:] else ''}"


def _by_camera(sections: Mapping[str, Section]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for section in sections.values():
        for camera in section.cameras:
            found[camera] = (*found.get(camera, ()), section.section_id)
    return found


def _error(field: str, found: object, allowed: str) -> SectionError:
    return SectionError(f"{field}: found {found!r}; allowed: {allowed}.")


def _known(entry: Mapping[str, Any], allowed: set[str], field: str) -> None:
    for key in entry:
        if key not in allowed:
            raise _error(f"{field}.{key}", key, f"only the keys {', '.join(sorted(allowed))}")


def _cameras(found: object) -> dict[str, Camera]:
    if not isinstance(found, dict):
        raise _error("cameras", found, "a mapping from camera name to {location: [lat, lon]}")
    return {_name(name, "cameras"): _camera(entry, f"cameras.{name}") for name, entry in found.items()}


def _camera(entry: object, field: str) -> Camera:
    if not isinstance(entry, dict):
        raise _error(field, entry, "{location: [lat, lon]}")
    _known(entry, {"location", "clock_error_s", "resolution_s"}, field)
    return Camera(
        _coordinates(entry.get("location"), f"{field}.location"),
        _seconds(entry, "clock_error_s", field) if "clock_error_s" in entry else None,
        _seconds(entry, "resolution_s", field) if "resolution_s" in entry else 0.0,
    )


def _seconds(entry: Mapping[str, Any], name: str, field: str) -> float:
    return _number(entry[name], f"{field}.{name}", "seconds, from 0 to 60", lambda value: 0 <= value <= 60)


def _coordinates(found: object, field: str) -> Coordinates:
    allowed = "[latitude -90 to 90, longitude -180 to 180] in degrees"
    if not isinstance(found, list) or len(found) != 2:
        raise _error(field, found, allowed)
    lat, lon = (_number(value, field, allowed, lambda _: True) for value in found)
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise _error(field, found, allowed)
    return lat, lon


def _number(found: object, field: str, allowed: str, accept: Callable[[float], bool]) -> float:
    if not isinstance(found, str) or not _NUMBER.fullmatch(found) or not accept(float(found)):
        raise _error(field, found, allowed)
    return float(found)


def _section(entry: object, field: str, cameras: Mapping[str, Camera], time_zone: object) -> Section:
    if not isinstance(entry, dict):
        raise _error(field, entry, "a mapping with id, limit and cameras or line")
    section_id = _name(entry.get("id"), f"{field}.id")
    field = f"section {section_id}"
    _known(entry, KEYS, field)
    names = _camera_names(entry.get("cameras") or [], f"{field}: cameras", cameras)
    line = _line(entry.get("line"), f"{field}: line")
    if bool(names) == bool(line):
        raise SectionError(f"{field}: a section has either cameras with length_m, or a line. Give exactly one of them.")
    limit_kmh, limits = _limits(entry, field, entry.get("time_zone", time_zone))
    track = _track_errors(entry, field, is_track=bool(line))
    section = Section(
        section_id=section_id,
        limit_kmh=limit_kmh,
        name=str(entry.get("name") or section_id),
        region=str(entry.get("region") or ""),
        cameras=names,
        length_m=_legs(entry.get("length_m"), f"{field}: length_m", names),
        line=line,
        policy=str(entry.get("policy") or ""),
        errors=_errors(entry.get("length_error_m"), f"{field}: length_error_m", [cameras[name] for name in names])
        if track is None
        else track.times,
        limits=limits,
        track=track,
    )
    _refuse_unfit(section, cameras)
    return section


def _limits(entry: Mapping[str, Any], field: str, time_zone: object) -> tuple[float, Limits]:
    """The section's one limit, or the highest one and the rules."""
    limit, graces = entry.get("limit"), "seconds, from 0 to 600"
    has_rules = isinstance(limit, list) and bool(limit) and all(isinstance(one, dict) for one in limit)
    variable = entry.get("variable_limit", "no")
    if variable not in ("yes", "no"):
        raise _error(f"{field}: variable_limit", variable, "yes or no")
    grace = entry.get("limit_grace_s", f"{DEFAULT_GRACE_S:g}")
    limits = Limits(
        limit_rules.read(limit, f"{field}: limit", parse_limit_kmh) if has_rules and isinstance(limit, list) else (),
        limit_rules.read_time_zone(time_zone, f"{field}: time_zone"),
        _number(grace, f"{field}: limit_grace_s", graces, lambda value: 0 <= value <= 600),
        variable == "yes",
    )
    if not limits.rules:
        return parse_limit_kmh(limit, f"{field}: limit"), limits
    limit_rules.refuse_unfit(limits, f"{field}: limit")
    return max(rule.limit_kmh for rule in limits.rules), limits


def _line(found: object, field: str) -> tuple[Coordinates, ...]:
    line = tuple(_coordinates(point, field) for point in _list(found, field))
    if line and (len(line) < 2 or line_length_m(line) <= 0):
        raise _error(field, found, "at least two different points")
    return line


def _errors(found: object, field: str, cameras: Sequence[Camera]) -> ErrorBudget:
    """The errors of the length and of the times at the first and the last camera."""
    of_legs = _list(found, field)
    if of_legs and len(of_legs) != len(cameras) - 1:
        raise _error(field, found, f"one error for each of the {max(len(cameras) - 1, 0)} legs, or none at all")
    allowed = "metres, from 0 to 10,000"
    lengths_m = (_number(error, field, allowed, lambda value: 0 <= value <= 10_000) for error in of_legs)
    ends = (*cameras[:1], *cameras[-1:])
    return ErrorBudget(
        math.fsum(lengths_m),
        math.fsum(camera.clock_error_s or 0.0 for camera in ends),
        math.fsum(camera.resolution_s for camera in ends),
    )


def _track_errors(entry: Mapping[str, Any], field: str, *, is_track: bool) -> TrackErrors | None:
    """The errors of a radar's readings. Raises SectionError where some are declared and others they need are not, and
    where one would be ignored."""
    if is_track and "length_error_m" in entry:
        allowed = "of a section with cameras only; a line's is its location_error_m"
        raise _error(f"{field}: length_error_m", entry["length_error_m"], allowed)
    given = [name for name in TRACK_KEYS if name in entry]
    if not given:
        return None
    if not is_track:
        raise _error(f"{field}: {given[0]}", entry[given[0]], f"{', '.join(TRACK_KEYS)} of a section with a line only")
    if "location_error_m" not in given or not {"speed_error", "clock_error_s"} & {*given}:
        raise SectionError(
            f"{field}: found {', '.join(given)}; allowed: location_error_m with clock_error_s, where its points tell "
            "the time, or with speed_error, where they tell their speed alone, or with both."
        )
    if "resolution_s" in given and "clock_error_s" not in given:
        allowed = "with clock_error_s, where its points tell the time, only"
        raise _error(f"{field}: resolution_s", entry["resolution_s"], allowed)
    clock_s, resolution_s = (
        _number(entry.get(name, "0"), f"{field}: {name}", "seconds, from 0 to 60", lambda value: 0 <= value <= 60)
        for name in ("clock_error_s", "resolution_s")
    )
    metres = "metres, from 0 to 10,000"
    return TrackErrors(
        _number(entry["location_error_m"], f"{field}: location_error_m", metres, lambda value: 0 <= value <= 10_000),
        parse_speed_kmh(entry["speed_error"], f"{field}: speed_error", 0, 100) if "speed_error" in given else None,
        clock_s if "clock_error_s" in given else None,
        resolution_s,
    )


def _refuse_unfit(section: Section, cameras: Mapping[str, Camera]) -> None:
    places = {name: cameras[name].location for name in section.cameras}
    for leg in legs(section.section_id, section.cameras, section.length_m, places):
        leg.refuse_impossible()
    if section.cameras:  # errors of time weigh most at the highest limit: what is proven there is so at lower ones
        refuse_unprovable(section.section_id, section.distance_m, section.limit_kmh, section.errors)
    if section.track is not None:
        _refuse_unfit_track(section, section.track)


def _refuse_unfit_track(section: Section, track: TrackErrors) -> None:
    known = section.section_id, line_length_m(section.line), section.limit_kmh
    if track.clock_s is not None:
        refuse_unprovable(*known, replace(section.errors, length_m=BOTH_ENDS * track.location_m))
    if track.speed_kmh is not None:
        refuse_unprovable_readings(*known, track.location_m, track.speed_kmh)


def _name(found: object, field: str) -> str:
    """A section id or a camera's name."""
    named = isinstance(found, str) and _NAME.fullmatch(found) and found.isprintable() and found == found.strip()
    if not isinstance(found, str) or not named or found in (".", ".."):
        raise _error(field, found, _NAME_ALLOWED)
    return found


def _list(found: object, field: str) -> list[Any]:
    if found in (None, "", "~", "null"):
        return []
    if not isinstance(found, list):
        raise _error(field, found, "a list")
    return found


def _camera_names(found: object, field: str, cameras: Mapping[str, Camera]) -> tuple[str, ...]:
    names = tuple(str(name) for name in _list(found, field))
    for name in names:
        if name not in cameras:
            raise _error(field, name, "a camera named under cameras: " + (", ".join(cameras) or "none is named"))
        if names.count(name) > 1:
            raise SectionError(
                f"{field}: {name!r} is named twice. A section passes each camera once, in driving order."
            )
    if len(names) == 1:
        raise _error(field, list(names), "at least two cameras, entry first and exit last")
    return names


def _legs(found: object, field: str, names: tuple[str, ...]) -> tuple[float, ...]:
    legs = _list(found, field)
    if len(legs) != max(len(names) - 1, 0):
        raise _error(field, found, f"one surveyed length for each of the {max(len(names) - 1, 0)} legs")
    allowed = "a positive length in metres, up to 1,000,000"
    return tuple(_number(leg, field, allowed, lambda value: 0 < value <= 1e6) for leg in legs)
