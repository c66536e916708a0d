"""Where results go: Pub/Sub and BigQuery, or files."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import apache_beam as beam
import msgspec
import requests
from apache_beam.coders import BytesCoder
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.typehints import KV
from apache_beam.utils.windowed_value import WindowedValue
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.cloud import bigquery

from pipeline import endpoints, secret
from pipeline.enforcement import lines, records
from pipeline.enforcement.intake import Batch
from pipeline.enforcement.model import AlarmKind, Message, Outcome, Passages, Status
from pipeline.enforcement.privacy import IN_CLEAR
from pipeline.enforcement.records import PassageRecords, Rejected
from pipeline.transforms.commit import by_share, values
from pipeline.warehouse import tables
from pipeline.warehouse.rows import INSERT_TIMEOUT_S, RETRY, ROW_IDS

MAX_ROWS = 500  # Google's advice for one insertAll request
MAX_REQUEST_BYTES = 5_000_000  # half of insertAll's limit
GATHER_S = 1.0
BLOCK_LINES = 500
LINES_WRITTEN = Metrics.counter("lines", "written")

Parts = tuple[beam.PCollection[Any], ...]


class Recorder:
    """Turns outputs into the records that are stored: under pseudonyms, unless privacy is off (secret_source None)."""

    def __init__(self, secret_source: secret.Source | None) -> None:
        self._secret_source = secret_source
        self._pseudonyms = IN_CLEAR

    def setup(self) -> None:
        """Read the secret, where it is used: it is no part of the graph."""
        self._pseudonyms = secret.pseudonyms(self._secret_source)

    def records(self, found: Any) -> Sequence[Any]:  # noqa: ANN401 (any output)
        """The records of one element of an output."""
        if isinstance(found, Batch):
            section_ids = [one.section_ids for one in found.located]
            others = records.sighting_records([one.sighting for one in found.located], section_ids, self._pseudonyms)
            return lines.sighting_records(found.plain, self._pseudonyms) + others
        if isinstance(found, Passages):
            return records.passage_records(found.passages, self._pseudonyms)
        if isinstance(found, PassageRecords):
            return found.records
        return [found]


class InsertRows(beam.PTransform):
    """Records into their BigQuery table by streaming inserts; rows it refuses come back as rejected.

    Our ids are the same however often a record is computed, so they serve as insert ids without the shuffle that
    WriteToBigQuery needs to make its random ones durable.
    """

    def __init__(self, dataset: str, table: str, recorder: Recorder) -> None:
        super().__init__()
        self._insert = _Insert(dataset, table, recorder)

    def expand(self, found: beam.PCollection[Any]) -> beam.PCollection[Rejected]:
        """Insert in batches, one bundle at a time at most."""
        return found | "Insert" >> beam.ParDo(self._insert).with_output_types(Rejected)


class InsertPassages(beam.PTransform):
    """The same for what comes out of sessions: in small bundles, so that it is gathered, or each would be a request."""

    def __init__(self, insert: InsertRows) -> None:
        super().__init__()
        self._insert = insert

    def expand(self, passages: beam.PCollection[Passages]) -> beam.PCollection[Rejected]:
        """Gather for GATHER_S at most."""
        return (
            passages
            | "Key" >> beam.Map(by_share, first_passage_id).with_output_types(tuple[int, Passages])
            | "Gather" >> beam.GroupIntoBatches(MAX_ROWS, GATHER_S)
            | "Take out" >> beam.FlatMap(values).with_output_types(Passages)
            | self._insert
        )


def first_passage_id(passages: Passages) -> str:
    """By it they are shared out: to few enough shares to gather something, and enough for several workers."""
    return passages.passages[0].passage_id


class _Insert(beam.DoFn):
    def __init__(self, dataset: str, table: str, recorder: Recorder) -> None:
        self._dataset, self._table, self._recorder = dataset, table, recorder
        self._inserted = Metrics.counter("rows_inserted", table)

    def setup(self) -> None:
        self._recorder.setup()
        self._client: bigquery.Client = endpoints.bigquery_client(self._dataset.split(".")[0])

    def start_bundle(self) -> None:
        self._rows: list[Any] = []
        self._bytes = 0

    def process(self, found: Any) -> Iterator[Rejected]:  # noqa: ANN401 (any output)
        for row in self._recorder.records(found):
            size = len(msgspec.json.encode(row))
            if self._bytes + size > MAX_REQUEST_BYTES:  # a row that is refused for its size takes no other along
                yield from self._flush()
            self._rows.append(row)
            self._bytes += size
            if len(self._rows) >= MAX_ROWS:
                yield from self._flush()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        for refused in self._flush():
            yield WindowedValue(refused, window.max_timestamp(), [window])

    def _flush(self) -> list[Rejected]:
        batch, self._rows, self._bytes = self._rows, [], 0
        if not batch:
            return []
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


def rejected_attributes(rejected: Rejected) -> dict[str, str]:
    """What subscribers of rejected messages filter by."""
    return {"stage": rejected.stage, "reason": rejected.reason}


class WriteLines(beam.PTransform):
    """The parts of one output to DIR/NAME-*.ndjson; their counts as (name, count), named by `name_of`."""

    def __init__(self, directory: str, name: str, name_of: Callable[[Any], str], recorder: Recorder) -> None:
        super().__init__()
        prefix = FileSystems.join(directory, name)
        self._write = beam.io.WriteToText(prefix, file_name_suffix=".ndjson", coder=BytesCoder())
        self._encode = _EncodeBlocks(name_of, recorder)

    def expand(self, parts: Parts) -> beam.PCollection[tuple[str, int]]:
        """One JSON object on each line. The parts are joined as bytes, since an engine writes down what it joins."""
        encoded = [self._encoded(found, f"Encode {number}") for number, found in enumerate(parts, 1)]
        parts_of_file = tuple(one.blocks for one in encoded)
        blocks = parts_of_file | "All blocks" >> beam.Flatten() if encoded[1:] else encoded[0].blocks
        _ = blocks | "Count lines" >> beam.Map(count_lines).with_output_types(bytes) | "Write" >> self._write
        return tuple(one.counts for one in encoded) | "All counts" >> beam.Flatten()

    def _encoded(self, found: beam.PCollection[Any], label: str) -> beam.pvalue.DoOutputsTuple:
        encoded = found | label >> beam.ParDo(self._encode).with_outputs("counts", main="blocks")
        encoded.blocks.element_type, encoded.counts.element_type = bytes, KV[str, int]
        return encoded


def count_lines(block: bytes) -> bytes:
    """Counted where they are written: what an engine lost on the way from encoding is missing here."""
    LINES_WRITTEN.inc(block.count(b"\n") + 1)
    return block


class _EncodeBlocks(beam.DoFn):
    """JSON lines, many in one element: the runner's work for each element costs more than encoding a line."""

    def __init__(self, name_of: Callable[[Any], str], recorder: Recorder) -> None:
        self._name_of, self._recorder = name_of, recorder

    def setup(self) -> None:
        self._recorder.setup()
        self._encode_lines = msgspec.json.Encoder().encode_lines

    def start_bundle(self) -> None:
        self._records: list[Any] = []
        self._counts: Counter[str] = Counter()

    def process(self, found: Any) -> list[bytes] | None:  # noqa: ANN401 (any output)
        self._records.extend(self._recorder.records(found))
        return [self._block()] if len(self._records) >= BLOCK_LINES else None

    def _block(self) -> bytes:
        """Its last line without its end, which the file's writer adds."""
        found, self._records = self._records, []
        self._counts.update(map(self._name_of, found))
        return self._encode_lines(found)[:-1]

    def finish_bundle(self) -> Iterator[WindowedValue]:
        window = GlobalWindow()
        if self._records:
            yield WindowedValue(self._block(), window.max_timestamp(), [window])
        for counted in sorted(self._counts.items()):
            yield TaggedOutput("counts", WindowedValue(counted, window.max_timestamp(), [window]))


class WriteSummary(beam.PTransform):
    """The counts of every outcome to DIR/summary.json, added up from (name, count)."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self._write = partial(write_summary, path=FileSystems.join(directory, "summary.json"))

    def expand(self, counted: beam.PCollection[tuple[str, int]]) -> beam.PCollection[None]:
        """Add up per name, write once."""
        return (
            counted
            | "Add up" >> beam.CombinePerKey(sum)
            | "Gather" >> beam.combiners.ToDict()
            | "Write" >> beam.Map(self._write)
        )


def write_summary(counts: dict[str, int], path: str) -> None:
    """A JSON object with every outcome, 0 where nothing was counted, and the sums that they make."""
    outcomes = {f"passages_{outcome}": counts.get(f"passages_{outcome}", 0) for outcome in Outcome}
    statuses = {f"fines_{status}": counts.get(f"fines_{status}", 0) for status in Status}
    raised = {f"alarms_{kind}": counts.get(f"alarms_{kind}", 0) for kind in AlarmKind}
    stored, rejected = counts.get("sightings_stored", 0), counts.get("rejected", 0)
    summary = {
        "sightings_in": stored + rejected,
        "sightings_stored": stored,
        "rejected": rejected,
        "passages": sum(outcomes.values()),
        "fines": statuses["fines_issued"],
        "reviews": statuses["fines_review"],
        **outcomes,
        **statuses,
        **raised,
    }
    with FileSystems.create(path, "application/json") as file:
        file.write(msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n")
