"""Faults of cameras and networks, each at its rate. No fault loses a true sighting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import msgspec
import numpy as np
import numpy.typing as npt

from generator.config import FAULTS, ClockShift
from generator.crossings import Crossings
from generator.fleet import Fleet
from generator.plates import LOOKALIKES, near_twin

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DUPLICATE_S = (0.0, 5.0)
DISORDER_S = (0.5, 8.0)
LATENESS_S = (45.0, 90.0)  # longer than the session gap of short sections
JITTER_S = 0.02  # standard deviation of a camera clock kept by NTP; three of them at most
TWIN_ATTEMPTS = 8
CLOCK_SHIFT = "clock_shift"


@dataclass(frozen=True)
class Cast:
    """The fleet with its doubtful identities: `twin_of` (n) is the vehicle whose plate differs in one character, -1
    for none; `cloned` (n) is true for both vehicles that carry one plate, `twinned` for both twins."""

    fleet: Fleet
    twin_of: Ints
    twinned: Flags
    cloned: Flags


@dataclass(frozen=True)
class Feed:
    """Crossings (n) as the cameras report them, and the order in which items go out.

    picture: whether it is stored, url: whether the sighting names it. order (m): row of Crossings, or -1 - k for
    malformed object k; `copies` (m) is true where a row comes again. send_us (m) ascends. touched: rows by the fault
    that changed them.
    """

    plate: npt.NDArray[np.str_]
    confidence: npt.NDArray[np.float64]
    stamped_us: Ints
    picture: Flags
    url: Flags
    order: Ints
    copies: Flags
    send_us: Ints
    malformed: tuple[bytes, ...]
    touched: Mapping[str, Flags]


def cast(fleet: Fleet, rates: Mapping[str, float], routes: int, rng: np.random.Generator) -> Cast:
    """Give some vehicles the plate of another, or one that differs in one character from the vehicle in front."""
    count = len(fleet.plate)
    plate, region = fleet.plate.copy(), fleet.region.copy()
    twin_of, cloned = np.full(count, -1), np.zeros(count, dtype=bool)
    taken = set(plate.tolist())
    for follower in np.flatnonzero(rng.random(count) < rates.get("near_twins", 0.0)):
        leader = follower - routes  # vehicles are dealt to the routes in turn, so this one drives in front
        if leader >= 0 and (found := _twin_plate(str(plate[leader]), str(region[leader]), taken, rng)):
            plate[follower], region[follower] = found, region[leader]
            twin_of[follower], twin_of[leader] = leader, follower
    for clone in np.flatnonzero(rng.random(count) < rates.get("cloned_plates", 0.0)):
        original = int(rng.integers(count))
        if original != clone and twin_of[clone] < 0 and not cloned[clone]:
            plate[clone], region[clone] = plate[original], region[original]
            cloned[clone] = cloned[original] = True
    return Cast(replace(fleet, plate=plate, region=region), twin_of, twin_of >= 0, cloned)


def _twin_plate(plate: str, region: str, taken: set[str], rng: np.random.Generator) -> str | None:
    for _ in range(TWIN_ATTEMPTS):
        found = near_twin(plate, region, rng)
        if found not in taken:
            taken.add(found)
            return found
    return None


def report(
    crossings: Crossings,
    cast: Cast,
    rates: Mapping[str, float],
    rng: np.random.Generator,
    clock_shift: ClockShift | None = None,
) -> Feed:
    """What the cameras make of the crossings, and when it is sent."""
    # Each fault has its own stream, on or off, so that turning one off leaves the others where they were.
    streams = dict(zip(("confidence", *sorted(FAULTS)), rng.spawn(len(FAULTS) + 1), strict=True))
    count = len(crossings.vehicle)
    touched = {name: streams[name].random(count) < rates[name] for name in rates}
    plate, confidence = _read(crossings, cast, touched.get("misreads"), streams)
    stamped_us = crossings.time_us.copy()
    if (jittered := touched.get("clock_jitter")) is not None:
        off_s = np.clip(streams["clock_jitter"].normal(0, JITTER_S, count), -3 * JITTER_S, 3 * JITTER_S)
        stamped_us += np.where(jittered, np.rint(off_s * 1e6), 0).astype(np.int64)
    if clock_shift is not None:
        touched[CLOCK_SHIFT] = _shifted(crossings, clock_shift)
        stamped_us += np.where(touched[CLOCK_SHIFT], round(clock_shift.shift_s * 1e6), 0)
    no_picture = touched.get("missing_pictures", np.zeros(count, dtype=bool))
    names_it = streams["missing_pictures"].random(count) < 0.5
    malformed = touched.pop("malformed", np.zeros(count, dtype=bool))
    order, copies, send_us = _schedule(crossings, touched, malformed, streams)
    return Feed(
        plate=plate,
        confidence=confidence,
        stamped_us=stamped_us,
        picture=~no_picture,
        url=~no_picture | names_it,
        order=order,
        copies=copies,
        send_us=send_us,
        malformed=malformed_objects(int(malformed.sum()), streams["malformed"]),
        touched=touched
        | {"near_twins": cast.twinned[crossings.vehicle], "cloned_plates": cast.cloned[crossings.vehicle]},
    )


def _shifted(crossings: Crossings, clock_shift: ClockShift) -> Flags:
    """The crossings that are stamped by a clock that is off."""
    by_camera = np.array(crossings.cameras)[crossings.camera] == clock_shift.camera
    found: Flags = by_camera & (crossings.time_us >= clock_shift.after_s * 1e6)
    return found


def _read(
    crossings: Crossings, cast: Cast, misread: Flags | None, streams: Mapping[str, np.random.Generator]
) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.float64]]:
    """The plates as read, and how sure each camera is of them."""
    plate = cast.fleet.plate[crossings.vehicle]
    confidence = 1.0 - streams["confidence"].beta(2.0, 40.0, len(plate))
    if misread is None:
        return plate, confidence
    rng = streams["misreads"]
    for row in np.flatnonzero(misread):
        twin = cast.twin_of[crossings.vehicle[row]]
        plate[row] = cast.fleet.plate[twin] if twin >= 0 else misread_plate(str(plate[row]), rng)
    return plate, np.where(misread, rng.uniform(0.55, 0.9, len(plate)), confidence)


def misread_plate(plate: str, rng: np.random.Generator) -> str:
    """The plate with one character taken for one that looks alike; one without such characters loses its last."""
    choices = [(i, new) for i, old in enumerate(plate) for new in LOOKALIKES.get(old, "")]
    if not choices:
        return plate[:-1]
    i, new = choices[rng.integers(len(choices))]
    return plate[:i] + new + plate[i + 1 :]


def _schedule(
    crossings: Crossings, touched: Mapping[str, Flags], malformed: Flags, streams: Mapping[str, np.random.Generator]
) -> tuple[Ints, Flags, Ints]:
    """Rows in the order of sending, which of them are copies, and when each is sent."""
    rows, send_us = np.arange(len(crossings.time_us)), crossings.time_us.copy()
    for name, delay_s in (("disorder", DISORDER_S), ("lateness", LATENESS_S)):
        if name in touched:
            send_us += np.where(touched[name], _drawn_us(delay_s, len(rows), streams[name]), 0)
    again = np.flatnonzero(touched.get("duplicates", np.zeros(len(rows), dtype=bool)))
    again_us = send_us[again]
    if len(again):
        again_us = again_us + _drawn_us(DUPLICATE_S, len(again), streams["duplicates"])
    order = np.concatenate([rows, -1 - np.arange(malformed.sum()), again])
    sent_us = np.concatenate([send_us, crossings.time_us[malformed], again_us])
    by_time = np.argsort(sent_us, kind="stable")
    return order[by_time], by_time >= len(order) - len(again), sent_us[by_time]


def _drawn_us(range_s: tuple[float, float], count: int, rng: np.random.Generator) -> Ints:
    return (rng.uniform(*range_s, count) * 1e6).astype(np.int64)


def malformed_objects(count: int, rng: np.random.Generator) -> tuple[bytes, ...]:
    """Objects that no reader may accept: broken JSON, missing and wrong fields, impossible numbers."""
    return tuple(MALFORMED[rng.integers(len(MALFORMED))](number) for number in range(count))


def _wrong(**fields: object) -> Callable[[int], bytes]:
    """A sighting that is right but for these fields."""
    right = {"event_id": "", "timestamp": "2026-03-02T13:00:00Z", "location": [40.74, -73.98], "speed": 40.0}

    def write(number: int) -> bytes:
        return msgspec.json.encode(
            {"vehicle_id": f"MAL{number:05d}", **right, "event_id": f"malformed-{number}", **fields}
        )

    return write


MALFORMED: tuple[Callable[[int], bytes], ...] = (
    lambda number: b'{"vehicle_id": "MAL%05d", "speed": ' % number,
    lambda number: b'{"vehicle_id": "MAL%05d", "location": [40.74, -73.98], "speed": NaN}' % number,
    lambda number: b'{"event_id": "malformed-%d", "location": [40.74, -73.98], "speed": 40.0}' % number,
    _wrong(speed="fast"),
    _wrong(speed=-5.0),
    _wrong(location=[95.0, -73.98]),
    _wrong(location="40.74,-73.98"),
    _wrong(timestamp="1970-01-01T00:00:00Z"),
    _wrong(vehicle_id=["not", "a", "string"]),
    _wrong(camera_id="no-such-camera"),
)
