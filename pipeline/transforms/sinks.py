"""Where results go: Pub/Sub and BigQuery, or files."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import msgspec
import requests
from apache_beam.coders import BytesCoder
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.metrics import Metrics
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue
from google.api_core.exceptions import GoogleAPIError
from google.api_core.retry import Retry
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from pipeline import endpoints
from pipeline.enforcement import records
from pipeline.enforcement.model import Message
from pipeline.enforcement.records import Fine, Rejected
from pipeline.warehouse import tables

MAX_ROWS = 500  # Google's advice for one insertAll request
MAX_REQUEST_BYTES = 5_000_000  # half of insertAll's limit
INSERT_TIMEOUT_S = 20.0
RETRY = Retry(timeout=60.0)

ROW_IDS: Mapping[str, Callable[[Any], str]] = {
    "sightings": lambda row: row.event_id,
    "passages": lambda row: f"{row.passage_id}-{row.revision}",
    "fines": lambda row: f"{row.fine_id}-{row.revision}-{row.status}",
    "rejected": lambda row: hashlib.blake2b(msgspec.json.encode(row), digest_size=16).hexdigest(),
}


class InsertRows(beam.PTransform):
    """Records into their BigQuery table by streaming inserts; rows it refuses come back as rejected.

    Our ids are the same however often a record is computed, so they serve as insert ids without the shuffle that
    WriteToBigQuery needs to make its random ones durable.
    """

    def __init__(self, dataset: str, table: str) -> None:
        super().__init__()
        self._dataset, self._table = dataset, table

    def expand(self, rows: beam.PCollection[Any]) -> beam.PCollection[Rejected]:
        """Insert in batches, one bundle at a time at most."""
        insert = _Insert(self._dataset, self._table)
        return rows | "Insert" >> beam.ParDo(insert).with_output_types(Rejected)


class _Insert(beam.DoFn):
    def __init__(self, dataset: str, table: str) -> None:
        self._dataset, self._table = dataset, table
        self._inserted = Metrics.counter("rows_inserted", table)

    def setup(self) -> None:
        self._client: bigquery.Client = endpoints.bigquery_client(self._dataset.split(".")[0])

    def start_bundle(self) -> None:
        self._rows: list[Any] = []
        self._bytes = 0

    def process(self, row: Any) -> Iterator[Rejected]:  # noqa: ANN401 (any record type)
        self._rows.append(row)
        self._bytes += len(msgspec.json.encode(row))
        if len(self._rows) >= MAX_ROWS or self._bytes >= MAX_REQUEST_BYTES:
            yield from self._flush()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._rows:
            window = GlobalWindow()
            for refused in self._flush():
                yield WindowedValue(refused, window.max_timestamp(), [window])

    def _flush(self) -> list[Rejected]:
        batch, self._rows, self._bytes = self._rows, [], 0
        row_id = ROW_IDS[self._table]
        try:
            errors = self._client.insert_rows_json(
                f"{self._dataset}.{self._table}",
                [tables.row(row) for row in batch],
                row_ids=[row_id(row) for row in batch],
                skip_invalid_rows=True,
                retry=RETRY,
                timeout=INSERT_TIMEOUT_S,
            )
        except (GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
            return [self._refused(row, "insert_failed", f"{type(error).__name__}: {error}", None) for row in batch]
        refused = [self._refusal(batch[entry["index"]], entry["errors"]) for entry in errors]
        self._inserted.inc(len(batch) - len(refused))
        return refused

    def _refusal(self, row: Any, errors: list[Mapping[str, str]]) -> Rejected:  # noqa: ANN401 (any record type)
        first = errors[0] if errors else {}
        return self._refused(row, "insert_refused", first.get("message", "no message"), first.get("location"))

    def _refused(self, row: Any, reason: str, error: str, field: str | None) -> Rejected:  # noqa: ANN401
        message = Message(msgspec.json.encode(row), "", time.time_ns() // 1000, {"table": self._table})
        return records.rejected(message, "warehouse", reason, error, field or None)


class Publish(beam.PTransform):
    """Records to a topic as JSON."""

    def __init__(self, topic: str, attributes: Callable[[Any], dict[str, str]]) -> None:
        super().__init__()
        self._topic, self._attributes = topic, attributes

    def expand(self, found: beam.PCollection[Any]) -> beam.pvalue.PDone:
        """Encode and publish."""
        return (
            found
            | "Encode" >> beam.Map(message, self._attributes).with_output_types(PubsubMessage)
            | "Publish" >> beam.io.WriteToPubSub(self._topic, with_attributes=True)
        )


def message(record: msgspec.Struct, attributes: Callable[[Any], dict[str, str]]) -> PubsubMessage:
    """The record as a Pub/Sub message."""
    return PubsubMessage(msgspec.json.encode(record), attributes(record))


def fine_attributes(fine: Fine) -> dict[str, str]:
    """What subscribers of fines filter by."""
    return {"fine_id": fine.fine_id, "status": fine.status.value, "radar_id": fine.radar_id}


def rejected_attributes(rejected: Rejected) -> dict[str, str]:
    """What subscribers of rejected messages filter by."""
    return {"stage": rejected.stage, "reason": rejected.reason}


class WriteLines(beam.PTransform):
    """Records to DIR/NAME-*.ndjson."""

    def __init__(self, directory: str, name: str) -> None:
        super().__init__()
        prefix = FileSystems.join(directory, name)
        self._write = beam.io.WriteToText(prefix, file_name_suffix=".ndjson", coder=BytesCoder())

    def expand(self, found: beam.PCollection[Any]) -> beam.PCollection[str]:
        """One JSON object on each line."""
        return found | "Encode" >> beam.Map(msgspec.json.encode).with_output_types(bytes) | "Write" >> self._write


class WriteSummary(beam.PTransform):
    """The counts of every outcome to DIR/summary.json. Input: collections with the name of each element's count."""

    def __init__(self, directory: str, names: Iterable[str]) -> None:
        super().__init__()
        self._path, self._names = FileSystems.join(directory, "summary.json"), tuple(names)

    def expand(self, counted: beam.PCollection[tuple[str, int]]) -> beam.PCollection[None]:
        """Add up per name, write once."""
        return (
            counted
            | "Add up" >> beam.CombinePerKey(sum)
            | "Gather" >> beam.combiners.ToDict()
            | "Write" >> beam.Map(write_summary, self._path, self._names)
        )


class CountBundle(beam.DoFn):
    """(name, count) once a bundle, for the names that `name_of` gives to elements."""

    def __init__(self, name_of: Callable[[Any], str]) -> None:
        self._name_of = name_of

    def start_bundle(self) -> None:
        self._counts: Counter[str] = Counter()

    def process(self, element: Any) -> None:  # noqa: ANN401 (any record type)
        self._counts[self._name_of(element)] += 1

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        for counted in sorted(self._counts.items()):
            yield WindowedValue(counted, window.max_timestamp(), [window])


def write_summary(counts: dict[str, int], path: str, names: tuple[str, ...]) -> None:
    """A JSON object with every name, 0 where nothing was counted."""
    summary = {name: counts.get(name, 0) for name in names}
    with FileSystems.create(path, "application/json") as file:
        file.write(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
