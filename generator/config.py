"""What a run of the generator is told, and the reading of what people write for it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import StrEnum

import msgspec

from pipeline.enforcement.model import Coordinates
from pipeline.enforcement.sections import Network

# Monday morning in New York; files made without a start time are the same on any day.
DEFAULT_START_US = 1_772_456_400_000_000  # 2026-03-02T13:00:00Z

FAULTS: Mapping[str, float] = {
    "duplicates": 0.01,
    "disorder": 0.05,
    "lateness": 0.01,
    "misreads": 0.01,
    "near_twins": 0.01,
    "cloned_plates": 0.005,
    "missing_pictures": 0.01,
    "malformed": 0.005,
    "clock_jitter": 0.02,
}
# EDEM's points carry neither time, camera, plate nor id, so the other faults have nothing to act on.
EDEM_FAULTS = ("missing_pictures", "malformed")
NUMBER = r"[+-]?\d+(?:\.\d*)?"
COORDINATES = re.compile(rf"\(?\s*({NUMBER})\s*,\s*({NUMBER})\s*\)?")


class GeneratorError(ValueError):
    """A mistake in options or surroundings, worded for the person who made it."""


class Form(StrEnum):
    """What is published: camera sightings, or EDEM's three-key messages."""

    SIGHTING = "sighting"
    EDEM = "edem"


class Pictures(StrEnum):
    """Whose pictures are drawn and stored."""

    ALL = "all"
    SPEEDERS = "speeders"
    NONE = "none"


class ClockShift(msgspec.Struct, frozen=True):
    """A camera's clock that is off by shift_s (seconds, above 0 is late) from after_s seconds behind the start on."""

    camera: str
    shift_s: float
    after_s: float = 0.0


class Config(msgspec.Struct, frozen=True):
    """Everything that decides what is generated: equal configs give equal bytes.

    network: needed for camera sightings. initial, final and limit_kmh: EDEM's line.
    rate: vehicles a second; None is natural traffic. speeders: share of drivers who want to exceed the limit.
    start_us: time of the first departure, microseconds since 1970. batch: most sightings in one message,
    batch_us: longest time one message gathers. bucket: where pictures are said to lie; None: no image_url at all.
    clock_shift: a clock that goes wrong, of camera sightings only.
    """

    network: Network | None = None
    form: Form = Form.SIGHTING
    vehicles: int = 300
    rate: float | None = None
    seed: int = 1
    start_us: int = DEFAULT_START_US
    speeders: float = 0.12
    faults: Mapping[str, float] = {}
    bucket: str | None = None
    pictures: Pictures = Pictures.NONE
    batch: int = 100
    batch_us: float = 1e6
    initial: Coordinates | None = None
    final: Coordinates | None = None
    limit_kmh: float = 40.2336
    clock_shift: ClockShift | None = None


def parse_clock_shift(text: str, cameras: Collection[str]) -> ClockShift:
    """ "CAMERA,SECONDS,AFTER" as a shift of a camera's clock. Raises GeneratorError."""
    camera, *numbers = (part.strip() for part in text.rsplit(",", maxsplit=2))
    if len(numbers) != 2 or not all(re.fullmatch(NUMBER, number) for number in numbers) or float(numbers[1]) < 0:
        raise GeneratorError(
            f"--clock_shift: found {text!r}; allowed: CAMERA,SECONDS,AFTER, by how much its clock is off and how many "
            "seconds after the start it begins. Write for example FIRST-26,-2,1800."
        )
    if camera not in cameras:
        raise GeneratorError(f"--clock_shift: found camera {camera!r}; allowed: {', '.join(cameras)}.")
    return ClockShift(camera, float(numbers[0]), float(numbers[1]))


def parse_coordinates(text: str, option: str) -> Coordinates:
    """ "(40.76,-73.97)" as (latitude, longitude) in degrees. Raises GeneratorError for anything else, code included."""
    match = COORDINATES.fullmatch(text.strip())
    if match is None or text.count("(") != text.count(")"):
        raise GeneratorError(
            f'{option}: found {text!r}; allowed: "(latitude,longitude)" in degrees. Write for example "(40.76,-73.97)".'
        )
    lat, lon = float(match[1]), float(match[2])
    if not (abs(lat) <= 90 and abs(lon) <= 180):
        raise GeneratorError(
            f"{option}: found {text!r}; allowed: latitude -90 to 90, longitude -180 to 180. "
            "Check that the latitude comes first."
        )
    return lat, lon


def parse_faults(text: str, form: Form = Form.SIGHTING) -> dict[str, float]:
    """ "all", "none", or "name=rate,name,..." as rates from 0 to 1; a name alone has its default rate.

    Raises GeneratorError for an unknown name, a bad rate, or a fault that this form cannot carry.
    """
    allowed = EDEM_FAULTS if form is Form.EDEM else tuple(FAULTS)
    if text.strip() in ("all", "none"):
        return {name: FAULTS[name] for name in allowed} if text.strip() == "all" else {}
    rates = {}
    for part in text.split(","):
        name, equals, value = part.strip().partition("=")
        if name not in allowed:
            raise GeneratorError(
                f"--faults: found {name!r}; allowed with --format {form}: all, none, {', '.join(allowed)}. "
                "Write them as name or name=rate, with commas between."
            )
        rates[name] = _rate(value, name) if equals else FAULTS[name]
    return rates


def _rate(value: str, name: str) -> float:
    try:
        rate = float(value)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise GeneratorError(
            f"--faults {name}: found {value!r}; allowed: a share from 0 to 1. Write for example {name}={FAULTS[name]}."
        )
    return rate
