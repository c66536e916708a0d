"""What a self-test reads: passages and sightings of days, from the files of a run or from BigQuery."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import TypeVar

import msgspec
import numpy as np
from google.cloud import bigquery

from pipeline import endpoints
from pipeline.enforcement.model import Basis, Outcome, Reason
from pipeline.enforcement.policy import IMPLAUSIBLE_KMH
from pipeline.enforcement.sections import Section
from pipeline.enforcement.selftest_records import NO_LANE, Passages, Sightings, Traffic
from pipeline.enforcement.times import parse_all_us
from pipeline.option_values import OptionError

QUERY_TIMEOUT_S = 120.0
# The base tables, not their views: these scan one day's partition alone.
PASSAGES_OF_A_DAY = """
SELECT passage_id, revision, section_id, FORMAT_TIMESTAMP('%FT%H:%M:%E6SZ', entry_time) AS entry_time,
  FORMAT_TIMESTAMP('%FT%H:%M:%E6SZ', exit_time) AS exit_time,
  travel_time_s, avg_speed, basis, ambiguous, outcome, reasons
FROM `{dataset}.passages`
WHERE entry_time >= @begin AND entry_time < @end AND section_id IN UNNEST(@names)
QUALIFY ROW_NUMBER() OVER (PARTITION BY passage_id ORDER BY revision DESC) = 1
"""
SIGHTINGS_OF_A_DAY = """
SELECT event_id, FORMAT_TIMESTAMP('%FT%H:%M:%E6SZ', timestamp) AS timestamp, camera_id, lane, plate_confidence, timed
FROM `{dataset}.sightings`
WHERE timestamp >= @begin AND timestamp < @end AND camera_id IN UNNEST(@names)
QUALIFY ROW_NUMBER() OVER (PARTITION BY camera_id, event_id ORDER BY timestamp) = 1
"""


class SeenPassage(msgspec.Struct, frozen=True, gc=False):
    """The fields of a stored passage that a self-test needs; it has others."""

    passage_id: str
    revision: int
    section_id: str
    entry_time: str
    exit_time: str
    travel_time_s: float | None = None
    avg_speed: float | None = None
    basis: str | None = None
    ambiguous: bool = False
    outcome: str = ""
    reasons: tuple[str, ...] = ()


class SeenSighting(msgspec.Struct, frozen=True, gc=False):
    """The fields of a stored sighting that a self-test needs; it has others."""

    event_id: str
    timestamp: str
    camera_id: str | None = None
    lane: int | None = None
    plate_confidence: float | None = None
    timed: bool = True


Line = TypeVar("Line", SeenPassage, SeenSighting)
Days = dict[str, tuple[list[SeenPassage], list[SeenSighting]]]


def of_files(passages: str, sightings: str, only_day: str | None) -> Days:
    """What files hold, by day: of passages the day of their entry. Raises OptionError."""
    latest: dict[str, SeenPassage] = {}
    for passage in _lines(passages, SeenPassage, "--passages"):
        if passage.passage_id not in latest or passage.revision >= latest[passage.passage_id].revision:
            latest[passage.passage_id] = passage
    seen = {(one.camera_id, one.event_id): one for one in _lines(sightings, SeenSighting, "--sightings")}
    days: Days = {}
    for found in latest.values():
        days.setdefault(found.entry_time[:10], ([], []))[0].append(found)
    for one in seen.values():
        days.setdefault(one.timestamp[:10], ([], []))[1].append(one)
    if only_day is None:
        return dict(sorted(days.items()))
    return {only_day: days.get(only_day, ([], []))}


def _lines(pattern: str, kind: type[Line], option: str) -> Iterator[Line]:
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise OptionError(f"{option}: found no file at {pattern}; allowed: what a run from files has written")
    decoder = msgspec.json.Decoder(kind)
    for path in paths:
        try:
            with open(path, "rb") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield _record(decoder, line, f"{option}: {path}, line {number}")
        except OSError as error:
            raise OptionError(f"{option}: {path} cannot be read: {error.strerror}. Name files of records") from error


def _record(decoder: msgspec.json.Decoder[Line], line: bytes, where: str) -> Line:
    try:
        return decoder.decode(line)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{where}: {error}; allowed: a record as a run from files writes it") from error


def of_dataset(dataset: str, of_day: str, sections: Iterable[Section]) -> Days:
    """What BigQuery holds of a day so far. Raises whatever the service raises."""
    sections = list(sections)
    cameras = sorted({camera for section in sections for camera in section.cameras})
    ids = [section.section_id for section in sections]
    passages = _asked(dataset, PASSAGES_OF_A_DAY, of_day, ids, SeenPassage)
    return {of_day: (passages, _asked(dataset, SIGHTINGS_OF_A_DAY, of_day, cameras, SeenSighting))}


def _asked(dataset: str, query: str, of_day: str, names: Sequence[str], kind: type[Line]) -> list[Line]:
    begin = date.fromisoformat(of_day)
    config = bigquery.QueryJobConfig(
        query_parameters=[
            bigquery.ScalarQueryParameter("begin", "TIMESTAMP", f"{begin.isoformat()}T00:00:00Z"),
            bigquery.ScalarQueryParameter("end", "TIMESTAMP", f"{(begin + timedelta(days=1)).isoformat()}T00:00:00Z"),
            bigquery.ArrayQueryParameter("names", "STRING", list(names)),
        ]
    )
    client = endpoints.bigquery_client(dataset.split(".", maxsplit=1)[0])
    rows = client.query(query.replace("{dataset}", dataset), job_config=config).result(timeout=QUERY_TIMEOUT_S)
    return [msgspec.convert(_without_nulls(row.items()), kind) for row in rows]


def _without_nulls(row: Iterable[tuple[str, object]]) -> Mapping[str, object]:
    return {name: value for name, value in row if value is not None}


def traffic_of(section: Section, passages: Iterable[SeenPassage], sightings: Iterable[SeenSighting]) -> Traffic:
    """What was seen of a section, in order of time."""
    own = [passage for passage in passages if passage.section_id == section.section_id]
    number = {camera: at for at, camera in enumerate(section.cameras)}
    seen = [one for one in sightings if one.timed and one.camera_id in number]
    return Traffic(_passages(own), _sightings(seen, number))


def _passages(found: Sequence[SeenPassage]) -> Passages:
    def flags(reason: Reason) -> list[bool]:
        return [reason in one.reasons for one in found]

    last_us = parse_all_us([one.exit_time for one in found])
    speed_kmh = np.array([_or_nan(one.avg_speed) for one in found], np.float64)
    columns = Passages(
        parse_all_us([one.entry_time for one in found]),
        last_us,
        np.array([_or_nan(one.travel_time_s) if _is_measured(one) else np.nan for one in found], np.float64),
        speed_kmh,
        np.array(flags(Reason.ENTRY_MISSING), bool),
        np.array(flags(Reason.EXIT_MISSING), bool),
        (speed_kmh > IMPLAUSIBLE_KMH) | np.array(flags(Reason.NO_TRAVEL_TIME), bool),
        np.array([one.outcome == Outcome.FINED for one in found], bool),
        np.array([one.passage_id for one in found], np.str_),
    )
    return columns.select(np.argsort(last_us, kind="stable"))


def _is_measured(passage: SeenPassage) -> bool:
    return passage.outcome != Outcome.UNMEASURABLE and passage.basis == Basis.DISTANCE_TIME and not passage.ambiguous


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _sightings(found: Sequence[SeenSighting], number: Mapping[str, int]) -> Sightings:
    time_us = parse_all_us([one.timestamp for one in found])
    columns = Sightings(
        time_us,
        np.array([number[one.camera_id or ""] for one in found], np.int64),
        np.array([NO_LANE if one.lane is None else one.lane for one in found], np.int64),
        np.array([_or_nan(one.plate_confidence) for one in found], np.float64),
    )
    return columns.select(np.argsort(time_us, kind="stable"))


def until(traffic: Traffic) -> int | None:
    """The last time that anything was seen."""
    times = [column[-1] for column in (traffic.passages.last_us, traffic.sightings.time_us) if len(column)]
    return int(max(times)) if times else None


def is_day(text: str) -> bool:
    """Whether it is a day such as 2026-01-31."""
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
