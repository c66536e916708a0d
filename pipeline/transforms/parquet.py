"""Parquet files as lines: each row is an object, and its columns are the fields of a message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filebasedsource import FileBasedSource
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.range_trackers import OffsetRangeTracker

from pipeline.enforcement.messages import MAX_MESSAGE_BYTES
from pipeline.enforcement.times import rfc3339_of_all
from pipeline.transforms.blocks import Block, id_of_file

SUFFIX = ".parquet"
ROWS = 4096  # at once
ROW_BYTES = 1024  # rows have no place in bytes: so much for each keeps those that tell no time in order

_encoder = msgspec.json.Encoder(enc_hook=str)


def mistake(files: Iterable[str]) -> str | None:
    """What is wrong with the files, or None: each must be Parquet and say which vehicle was seen."""
    for path in files:
        try:
            with FileSystems.open(path) as file:
                names = pq.ParquetFile(file).schema_arrow.names
        except (pa.ArrowException, OSError) as error:
            return f"{path} is no Parquet file that can be read: {error}"
        if "vehicle_id" not in names:
            return f"{path} has the columns {', '.join(names)}; needed: vehicle_id, and others of a message"
    return None


class RowsOfParquet(FileBasedSource):
    """Rows of Parquet files, as blocks of lines. A value that is null is absent."""

    def read_records(self, file_name: str, range_tracker: OffsetRangeTracker) -> Iterator[Block]:
        """The row groups that begin in the tracker's range."""
        with self.open_file(file_name) as file:
            parquet, first_row = pq.ParquetFile(file), 0
            for number in range(parquet.num_row_groups):
                group = parquet.metadata.row_group(number)
                begins = _begin(group)
                if begins >= range_tracker.start_position():
                    if not range_tracker.try_claim(begins):
                        return
                    yield from _blocks(file_name, parquet.iter_batches(ROWS, row_groups=[number]), first_row)
                first_row += group.num_rows


def _begin(group: Any) -> int:  # noqa: ANN401 (pyarrow has no types)
    """Where in its file a row group begins, in bytes."""
    column = group.column(0)
    return int(column.dictionary_page_offset or column.data_page_offset)


def _blocks(file_name: str, batches: Iterator[Any], first_row: int) -> Iterator[Block]:
    for batch in batches:
        lines = [_encoder.encode(row) for row in _rows(batch, file_name, first_row)]
        together = sum(map(len, lines)) + len(lines) <= MAX_MESSAGE_BYTES
        for number, block in enumerate([lines] if together else [[line] for line in lines]):
            yield Block(file_name, (first_row + number) * ROW_BYTES, b"\n".join(block))
        first_row += len(lines)


def _rows(batch: Any, file_name: str, first_row: int) -> Iterator[dict[str, Any]]:  # noqa: ANN401 (pyarrow has no types)
    """A row that names no event is named by its place."""
    names, file_id = batch.schema.names, id_of_file(file_name)
    columns = [_readable(column).to_pylist() for column in batch.columns]
    for number, values in enumerate(zip(*columns, strict=True), first_row):
        row = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        row.setdefault("event_id", f"{file_id}-{number:06d}")
        yield row


def _readable(column: Any) -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Times with a zone as texts, many at once: as Python's they would cost more than all the rest of the row."""
    if not pa.types.is_timestamp(column.type):
        return column
    times = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    if column.type.tz is None:
        return times
    texts = rfc3339_of_all(times.cast(pa.int64()).fill_null(0).to_numpy())
    return pa.array(texts, pa.string(), mask=column.is_null().to_numpy(zero_copy_only=False))
