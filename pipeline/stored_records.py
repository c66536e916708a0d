"""Fines and passages that runs have stored: in files of a bounded run, or in the warehouse."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from typing import NamedTuple, TypeVar

import msgspec
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from google.api_core.exceptions import GoogleAPIError
from google.cloud import bigquery

from pipeline import endpoints
from pipeline.enforcement.records import Fine, PassageRecord
from pipeline.enforcement.times import parse_rfc3339_us, rfc3339
from pipeline.option_values import OptionError
from pipeline.patience import PATIENCE, PATIENCE_S, told
from pipeline.warehouse import rows

QUERY_TIMEOUT_S = 600.0
SECTION_COLUMN: Mapping[type[msgspec.Struct], str] = {Fine: "radar_id", PassageRecord: "section_id"}
TABLE: Mapping[type[msgspec.Struct], str] = {Fine: "fines", PassageRecord: "passages"}
Record = TypeVar("Record", Fine, PassageRecord)


class Span(NamedTuple):
    """Which records are asked for: by their time of entry, `end_us` not included, and by section. None: all of them."""

    start_us: int | None = None
    end_us: int | None = None
    section_id: str | None = None

    def __str__(self) -> str:
        """Such as: entered from 2026-03-02T00:00:00.000000Z, before 2026-03-03T00:00:00.000000Z."""
        start = "" if self.start_us is None else f" from {rfc3339(self.start_us)}"
        end = "" if self.end_us is None else f" before {rfc3339(self.end_us)}"
        return ",".join(filter(None, (start, end))).strip()

    def holds(self, record: Fine | PassageRecord) -> bool:
        """Whether a record is asked for."""
        if self.section_id not in (None, attrgetter(SECTION_COLUMN[type(record)])(record)):
            return False
        if self.start_us is None and self.end_us is None:
            return True
        entered_us = parse_rfc3339_us(record.entry_time)
        return (self.start_us is None or self.start_us <= entered_us) and (
            self.end_us is None or entered_us < self.end_us
        )


class Stored:
    """What runs have stored, in files or in a dataset (PROJECT.NAME). Raises OptionError where both are named."""

    def __init__(self, fines: str | None, passages: str | None, dataset: str | None) -> None:
        if bool(fines or passages) == bool(dataset):
            found = "both" if dataset else "neither"
            raise OptionError(f"files of a run, --dataset: found {found}; allowed: exactly one of them")
        self._files: Mapping[type[msgspec.Struct], str | None] = {Fine: fines, PassageRecord: passages}
        self.dataset = dataset

    def has(self, kind: type[msgspec.Struct]) -> bool:
        """Whether such records can be had."""
        return bool(self.dataset or self._files[kind])

    def records(self, kind: type[Record], span: Span) -> Iterator[Record]:
        """Those of a span, in all their revisions. Raises OptionError."""
        if self.dataset:
            return of_warehouse(self.dataset, kind, span)
        option, pattern = f"--{TABLE[kind]}", self._files[kind]
        if not pattern:
            raise OptionError(f"{option}: absent; needed without --dataset. Name files that a run has written")
        return of_files(pattern, option, kind, span)


def write_lines(path: str | None, found: Iterable[msgspec.Struct]) -> None:
    """JSON lines to a local file, if one is named. Raises OptionError."""
    if path is None:
        return
    try:
        with open(path, "wb") as file:
            file.writelines(msgspec.json.encode(one) + b"\n" for one in found)
    except OSError as error:
        raise OptionError(f"--output: {path} cannot be written: {error.strerror}. Name a file you may write") from error


def moment_us(text: str, option: str) -> int:
    """Microseconds since 1970 of a day (its beginning, UTC) or of a time with its zone. Raises OptionError."""
    try:
        return parse_rfc3339_us(f"{text}T00:00:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text)
    except (ValueError, OverflowError) as error:
        raise OptionError(
            f"{option}: found {text!r}; allowed: a day such as 2026-03-02, which begins at midnight UTC, or a time "
            "with its zone such as 2026-03-02T13:00:00Z"
        ) from error


def of_files(pattern: str, option: str, kind: type[Record], span: Span) -> Iterator[Record]:
    """The records of a span that files hold, local or gs://, .gz or not. Raises OptionError, also for one bad line:
    what cannot be read might be the one that counts."""
    decode = msgspec.json.Decoder(kind).decode
    for path in _paths(pattern, option):
        for number, line in _lines(path, option):
            try:
                record = decode(line)
                asked = span.holds(record)
            except (ValueError, RecursionError) as error:
                raise OptionError(
                    f"{option}: {path}, line {number}: no record of {TABLE[kind]}: {error}. Name files of a run's "
                    f"{TABLE[kind]}"
                ) from error
            if asked:
                yield record


def _paths(pattern: str, option: str) -> list[str]:
    pattern = pattern if "://" in pattern else os.path.abspath(pattern)  # Beam finds none that is relative
    try:
        found = sorted(one.path for one in FileSystems.match([pattern])[0].metadata_list)
    except (OSError, BeamIOError, ValueError) as error:
        raise OptionError(f"{option}: {pattern} cannot be read: {error}") from error
    if not found:
        raise OptionError(f"{option}: found no file at {pattern}; allowed: files that a run has written")
    return found


def _lines(path: str, option: str) -> Iterator[tuple[int, bytes]]:
    try:
        with FileSystems.open(path) as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except (OSError, EOFError, BeamIOError, GoogleAPIError) as error:
        raise OptionError(f"{option}: {path} cannot be read: {error}") from error


def of_warehouse(dataset: str, kind: type[Record], span: Span) -> Iterator[Record]:
    """The records of a span that the table of a dataset holds, in all their revisions.

    dataset: PROJECT.NAME, checked. What is asked for goes in query parameters alone.
    """
    conditions, parameters = ["TRUE"], []
    for name, condition, value in (
        ("start", "entry_time >= TIMESTAMP(@start)", None if span.start_us is None else rfc3339(span.start_us)),
        ("end", "entry_time < TIMESTAMP(@end)", None if span.end_us is None else rfc3339(span.end_us)),
        ("section_id", f"{SECTION_COLUMN[kind]} = @section_id", span.section_id),
    ):
        if value is not None:
            conditions.append(condition)
            parameters.append(bigquery.ScalarQueryParameter(name, "STRING", value))
    sql = f"SELECT * FROM `{dataset}.{TABLE[kind]}` WHERE {' AND '.join(conditions)}"  # noqa: S608 (names of ours)
    client = endpoints.bigquery_client(dataset.rpartition(".")[0])
    with told("bigquery", f"{dataset}.{TABLE[kind]}"):
        job_config = bigquery.QueryJobConfig(query_parameters=parameters)
        # query_and_wait would take an error that stands in the local service's answer for a table without rows.
        job = client.query(sql, job_config, timeout=PATIENCE_S, retry=PATIENCE["retry"], job_retry=None)
        found = job.result(timeout=QUERY_TIMEOUT_S, retry=PATIENCE["retry"], job_retry=None)
        for row in found:
            yield rows.record(row, kind)
