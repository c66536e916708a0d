"""The truth file: newline-delimited JSON, one object for each true passage and a summary as its last line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import msgspec

from generator.config import GeneratorError


class TruePassage(msgspec.Struct, frozen=True, tag="passage", tag_field="kind"):
    """One vehicle's true way through one section.

    vehicle_id: as published where nothing is misread. Times are RFC 3339 at microseconds. avg_speed_kmh is
    distance_m over travel_time_s; over: whether it exceeds limit_kmh. basis: distance_time, or point_speeds where the
    sightings carry no time (then entry and exit are those of the model, not of anything published).
    provable: over by more than the errors that the section file declares can hide, whichever way they fall.
    plate is None where nothing shows it. faults: those that touched a sighting of it. event_ids: its sightings.
    turned_off_s: how long before its entry the vehicle was last seen in the section on a drive that did not pass it;
    None: on none.
    """

    section_id: str
    vehicle_id: str
    plate: str | None
    plate_region: str | None
    vehicle_class: str
    entry_time: str
    exit_time: str
    distance_m: float
    travel_time_s: float
    avg_speed_kmh: float
    limit_kmh: float
    over: bool
    basis: str
    faults: tuple[str, ...] = ()
    event_ids: tuple[str, ...] = ()
    provable: bool = True
    turned_off_s: float | None = None


class TruthSummary(msgspec.Struct, frozen=True, tag="summary", tag_field="kind"):
    """What was published: sightings (duplicates among them), malformed objects beside them, and what they amount to.

    complete is false for a run that was stopped. faults: how many sightings (malformed: objects) each one touched.
    """

    format: str
    seed: int
    complete: bool
    vehicles: int
    sightings: int
    duplicates: int
    malformed: int
    passages: int
    violations: int
    faults: dict[str, int]


TruthRecord = TruePassage | TruthSummary
Record = TypeVar("Record")


def write_truth(path: Path, records: Iterable[TruthRecord]) -> TruthSummary | None:
    """Write a truth file; the summary that was in it."""
    encoder, summary = msgspec.json.Encoder(), None
    with path.open("wb") as out:
        for record in records:
            out.write(encoder.encode(record) + b"\n")
            if isinstance(record, TruthSummary):
                summary = record
    return summary


def read_truth(path: Path) -> list[TruthRecord]:
    """The records of a truth file. Raises GeneratorError with the line that cannot be read."""
    decoder = msgspec.json.Decoder(TruePassage | TruthSummary)
    return read_lines(path, decoder, "--truth", "Give the file that the generator's --truth wrote.")


def read_lines(path: Path, decoder: msgspec.json.Decoder[Record], option: str, advice: str) -> list[Record]:
    """The records of newline-delimited JSON. Raises GeneratorError with the line that cannot be read."""
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            records.append(decoder.decode(line))
        except (ValueError, RecursionError) as error:
            raise GeneratorError(f"{option} {path}, line {number}: {error}. {advice}") from error
    return records
