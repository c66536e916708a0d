"""Days of traffic as Parquet files, with the counts that a run over them must end with.

Every hour has the same number of trips and every day the same vehicles, so that a larger size is more days and not
denser traffic. An hour is made as arrays and written as one row group; a day is one file. What the run must count is
added up from the same arrays, in whole millimetres and milliseconds and without any code of the pipeline: a section
entered and left is a passage whose lowest speed is its shortest length over its longest time, one of whose ends is
missing is unmeasurable, and no picture is read, so that each violation is for a person.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from itertools import groupby, pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

Numbers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

FIRST_MS = 1_704_067_200_000  # 2024-01-01T00:00:00Z
HOUR_MS = 3_600_000
HOURS_PER_DAY = 24
TRIPS = 16_000  # of an hour; every tenth vehicle makes one more
AGAIN_EVERY = 10
AGAIN_MS = 1_800_000  # after its first trip: longer than any session's gap
VIOLATIONS = 0.01
NOT_SEEN = 0.03  # of the sightings: so that there are passages of which an end is missing
TWICE = 0.005  # of those that are seen
REFUSED = 0.002  # as many rows more that are no sighting
NAMELESS = 0.001  # as many more whose vehicle nobody could read

LIMIT = 402_336  # 25 mph in tenths of a metre an hour
CLOCK_MS = 50  # of each camera
LENGTH_ERROR_MM = 500  # of each leg
GATES = ("GATE-01", "GATE-02", "GATE-03", "GATE-04", "GATE-05", "GATE-06", "GATE-07")
ROADS = ((0, 1), (2, 3), (4, 5, 6))  # gates in driving order
LEGS_MM = {(0, 1): 500_400, (2, 3): 776_300, (4, 5): 646_600, (5, 6): 643_100}
SECTIONS = {"road-1": (0, 1), "road-2": (2, 3), "road-3": (4, 5, 6), "road-3-begin": (4, 5)}
NO_GATE = len(GATES)  # a camera of no section file
NAMELESS_ID, NO_ID = "UNKNOWN", ""
NOTHING = pa.scalar(None, pa.string())


class Expected(NamedTuple):
    """Rows that were written, and what summary.json must hold of them."""

    rows: int
    summary: dict[str, int]


class _Rows(NamedTuple):
    """Rows (n) of an hour: the numbers of vehicles and gates, times in milliseconds since 1970; `fault`: 0 for none."""

    vehicle: Numbers
    gate: Numbers
    time_ms: Numbers
    fault: Numbers


NO_FAULT, NO_VEHICLE, UNREADABLE, UNKNOWN_GATE, NO_CAMERA, UNSURE = range(6)
REFUSED_FAULTS = (NO_VEHICLE, UNKNOWN_GATE, NO_CAMERA, UNSURE)


def section_file() -> str:
    """The section file of the traffic."""
    cameras = {
        name: {"location": [40.7 + 0.004 * number, -74.0], "clock_error_s": CLOCK_MS / 1000}
        for number, name in enumerate(GATES)
    }
    sections = [
        {
            "id": name,
            "cameras": [GATES[gate] for gate in gates],
            "length_m": [leg_mm / 1000 for leg_mm in _legs_mm(gates)],
            "length_error_m": [LENGTH_ERROR_MM / 1000] * (len(gates) - 1),
            "limit": "25 mph",
        }
        for name, gates in SECTIONS.items()
    ]
    return json.dumps({"cameras": cameras, "sections": sections}, indent=1) + "\n"  # JSON is YAML


def _legs_mm(gates: tuple[int, ...]) -> list[int]:
    return [LEGS_MM[leg] for leg in pairwise(gates)]


def shortest_mm(gates: tuple[int, ...]) -> int:
    """The length of a section that its survey proves."""
    return sum(_legs_mm(gates)) - LENGTH_ERROR_MM * (len(gates) - 1)


def write(folder: Path, hours: range, seed: int = 58) -> Expected:
    """A file day-NUMBER.parquet for each day of these hours, of which one hour is in memory."""
    counts: Counter[str] = Counter()
    for day, of_day in groupby(hours, lambda hour: hour // HOURS_PER_DAY):
        with pq.ParquetWriter(folder / f"day-{day:04}.parquet", SCHEMA, compression="zstd") as file:
            for hour in of_day:
                file.write_table(_table(_hour(np.random.default_rng((seed, hour)), hour, counts)))
    return Expected(counts["sightings_in"], _summary(counts))


def hours_of(sightings: float) -> range:
    """The whole hours that hold about so many sightings, one at least."""
    return range(max(round(sightings / rows_per_hour()), 1))


def rows_per_hour() -> float:
    """As many as are written on average."""
    gates = np.mean([len(gates) for gates in ROADS])
    return float(TRIPS * (1 + 1 / AGAIN_EVERY) * gates * (1 - NOT_SEEN) * (1 + TWICE + REFUSED + NAMELESS))


def _hour(random: np.random.Generator, hour: int, counts: Counter[str]) -> _Rows:
    """The rows of an hour, in order of time; what they come to is added to `counts`."""
    vehicle = _vehicles(hour)
    start_ms = FIRST_MS + hour * HOUR_MS + random.integers(0, AGAIN_MS, TRIPS)
    start_ms = np.concatenate([start_ms, start_ms[::AGAIN_EVERY] + AGAIN_MS])
    road = random.integers(0, len(ROADS), len(vehicle))
    too_fast = random.random(len(vehicle)) < VIOLATIONS
    kmh = (
        LIMIT
        / 10_000
        * np.where(too_fast, random.uniform(1.02, 1.5, too_fast.shape), random.uniform(0.6, 1, too_fast.shape))
    )
    parts = [
        _trips(random, gates, vehicle[road == number], start_ms[road == number], kmh[road == number], counts)
        for number, gates in enumerate(ROADS)
    ]
    seen = _joined(parts)
    rows = _joined([seen, *_others(random, seen)])
    counts["sightings_in"] += len(rows.vehicle)
    counts["rejected"] += int(np.isin(rows.fault, REFUSED_FAULTS).sum())
    order = np.argsort(rows.time_ms, kind="stable")
    return _Rows(*(column[order] for column in rows))


def _vehicles(hour: int) -> Numbers:
    """The same vehicles at the same hour of each day, and those that come again."""
    first = np.arange(TRIPS) + hour % HOURS_PER_DAY * TRIPS
    return np.concatenate([first, first[::AGAIN_EVERY]])


def _joined(parts: list[_Rows]) -> _Rows:
    return _Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _trips(
    random: np.random.Generator,
    gates: tuple[int, ...],
    vehicle: Numbers,
    start_ms: Numbers,
    kmh: npt.NDArray[np.float64],
    counts: Counter[str],
) -> _Rows:
    """Trips (n) along one road as rows, those counted for its sections."""
    legs_ms = [np.ceil(leg_mm * 3.6 / kmh).astype(np.int64) for leg_mm in _legs_mm(gates)]
    time_ms = start_ms + np.cumsum([np.zeros_like(start_ms), *legs_ms], axis=0)
    seen = random.random(time_ms.shape) >= NOT_SEEN
    of_road = [section for section in SECTIONS.values() if section[0] in gates]
    at = [[gates.index(gate) for gate in section] for section in of_road]
    ends = [_ends(section, time_ms[rows], seen[rows]) for section, rows in zip(of_road, at, strict=True)]
    counts.update(_outcomes(ends))
    vehicles, numbers = (np.broadcast_to(one, time_ms.shape)[seen] for one in (vehicle, np.array(gates)[:, None]))
    return _Rows(vehicles, numbers, time_ms[seen], np.full(int(seen.sum()), NO_FAULT))


class _Ends(NamedTuple):
    """Trips (n) through a section: seen at all, seen at both of its ends, and then over its limit."""

    seen: Truths
    whole: Truths
    over: Truths


def _ends(section: tuple[int, ...], time_ms: Numbers, seen: Truths) -> _Ends:
    """Gates in rows, trips in columns."""
    whole: Truths = seen[0] & seen[-1]
    longest_ms = time_ms[-1] - time_ms[0] + 2 * CLOCK_MS
    over: Truths = whole & (36_000 * shortest_mm(section) > LIMIT * longest_ms)
    return _Ends(np.logical_or.reduce(seen), whole, over)


def _outcomes(sections: list[_Ends]) -> dict[str, int]:
    """How the passages of a road's sections end: of a trip that is over several limits one is for a person."""
    one_a_trip = int(np.logical_or.reduce([section.over for section in sections]).sum())
    return {
        "passages_review": one_a_trip,
        "passages_clear": sum(int(section.whole.sum()) for section in sections) - one_a_trip,
        "passages_unmeasurable": sum(int((section.seen & ~section.whole).sum()) for section in sections),
    }


def _others(random: np.random.Generator, seen: _Rows) -> Iterator[_Rows]:
    """Rows beside the sightings: some of them a second time, some that are none, some of a vehicle without a name."""
    yield _some(random, seen, TWICE)
    refused = _some(random, seen, REFUSED)
    yield refused._replace(fault=random.choice(REFUSED_FAULTS, len(refused.vehicle)))
    nameless = _some(random, seen, NAMELESS)
    yield nameless._replace(fault=np.full(len(nameless.vehicle), UNREADABLE))


def _some(random: np.random.Generator, rows: _Rows, share: float) -> _Rows:
    chosen = np.flatnonzero(random.random(len(rows.vehicle)) < share)
    return _Rows(*(column[chosen] for column in rows))


def _summary(counts: Counter[str]) -> dict[str, int]:
    """As the run writes it: from files nothing is issued and nothing withdrawn."""
    outcomes = {f"passages_{name}": counts[f"passages_{name}"] for name in ("clear", "fined", "review", "unmeasurable")}
    return {
        "sightings_in": counts["sightings_in"],
        "sightings_stored": counts["sightings_in"] - counts["rejected"],
        "rejected": counts["rejected"],
        "passages": sum(outcomes.values()),
        "fines": 0,
        "reviews": counts["passages_review"],
        **outcomes,
        "fines_issued": 0,
        "fines_review": counts["passages_review"],
        "fines_withdrawn": 0,
        "alarms_clone": 0,
        "alarms_near_twin": 0,
        "alarms_possible_pair": 0,
    }


# --- columns

SCHEMA = pa.schema(
    [
        ("event_id", pa.string()),
        ("vehicle_id", pa.string()),
        ("plate", pa.string()),
        ("plate_region", pa.string()),
        ("plate_confidence", pa.float64()),
        ("camera_id", pa.string()),
        ("timestamp", pa.timestamp("ms", "UTC")),
        ("vehicle_class", pa.string()),
        ("lane", pa.int8()),
        ("image_url", pa.string()),
    ]
)
LETTERS = b"ACEFHJKLMN"  # none that a camera takes for a digit
PLATES = 10**6
SCATTER = 7_368_787  # a prime: vehicles that follow each other have plates that do not
CLASSES = ("car", "car", "car", "van", "truck", "motorcycle")


def _table(rows: _Rows) -> pa.Table:
    """The rows as a sender writes them; a repeated row has the id of the first."""
    n, fault = len(rows.vehicle), rows.fault
    plates = _texts(_plate_letters(rows.vehicle))
    named = pc.if_else(fault == UNREADABLE, NAMELESS_ID, plates)
    gates = pa.array((*GATES, "GATE-99")).take(pa.array(np.where(fault == UNKNOWN_GATE, NO_GATE, rows.gate)))
    gate = np.array([list(name.encode()) for name in GATES], np.uint8)[rows.gate]
    number = np.concatenate([_digits(rows.time_ms, 13), _digits(rows.vehicle, 6)], axis=1)
    picture = (_repeated(b"gs://cameras/", n), gate, _repeated(b"/", n), number, _repeated(b".jpg", n))
    columns = [
        _texts(np.concatenate([gate, _repeated(b"-", n), number], axis=1)),
        pc.if_else(fault == NO_VEHICLE, NO_ID, named),
        pc.if_else(fault == UNREADABLE, NOTHING, plates),
        pa.array(["US-NY"]).take(pa.array(np.zeros(n, np.int64))),
        pa.array(np.where(fault == UNSURE, 1.5, 0.9 + rows.time_ms % 100 / 1000)),
        pc.if_else(fault == NO_CAMERA, NOTHING, gates),
        pa.array(rows.time_ms, pa.timestamp("ms", "UTC")),
        pa.array(CLASSES).take(pa.array(rows.vehicle % len(CLASSES))),
        pa.array((rows.vehicle % 3).astype(np.int8)),
        _texts(np.concatenate(picture, axis=1)),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _plate_letters(vehicle: Numbers) -> Bytes:
    """Three letters and four digits, of each vehicle its own (n x 7).

    The last is a check digit, so that no two plates differ in one character: two vehicles that were seen at one end
    each would be offered as a pair, and rightly so, which no arrays here can count.
    """
    number = vehicle * SCATTER % PLATES
    values = number[:, None] // 10 ** np.arange(6) % 10
    digits = np.concatenate([values[:, 3:], values.sum(axis=1, keepdims=True) % 10], axis=1)
    return np.concatenate(
        [np.frombuffer(LETTERS, np.uint8)[values[:, :3]], (digits + ord("0")).astype(np.uint8)], axis=1
    )


def _digits(numbers: Numbers, width: int) -> Bytes:
    """Decimal digits (n x width)."""
    return (numbers[:, None] // 10 ** np.arange(width - 1, -1, -1) % 10 + ord("0")).astype(np.uint8)


def _repeated(text: bytes, n: int) -> Bytes:
    return np.broadcast_to(np.frombuffer(text, np.uint8), (n, len(text)))


def _texts(letters: Bytes) -> pa.Array:
    """Texts of one length (n x length) as a column."""
    n, length = letters.shape
    offsets = np.arange(n + 1, dtype=np.int32) * length
    return pa.StringArray.from_buffers(n, pa.py_buffer(offsets.tobytes()), pa.py_buffer(letters.tobytes()))
