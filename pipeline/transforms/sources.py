"""Where messages come from: a Pub/Sub subscription or files."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from hashlib import blake2b
from typing import Any, BinaryIO, NamedTuple

import apache_beam as beam
from apache_beam.io.filebasedsource import FileBasedSource
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.io.range_trackers import OffsetRangeTracker

from pipeline.enforcement.messages import LINES, MAX_MESSAGE_BYTES
from pipeline.enforcement.model import Message
from pipeline.options import Settings

BLOCK_BYTES = 2 * 1024 * 1024


class ReadMessages(beam.PTransform):
    """Messages of the subscription, or blocks of lines of the files, which then are messages too (.gz is unpacked).

    On Dataflow the event time may be set at the source, and messages published twice dropped there; the local runner
    knows neither (its watermark is the time of publishing), and the graph does not depend on them.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        """Read from the one source that is configured."""
        return self._subscription(begin) if self._settings.streaming else self._files(begin)

    def _subscription(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        pull = beam.io.ReadFromPubSub(
            subscription=self._settings.input,
            with_attributes=True,
            timestamp_attribute=self._settings.timestamp_attribute,
            id_label=self._settings.id_attribute,
        )
        return begin | "Pull" >> pull | "Take message" >> beam.Map(message_of_pubsub).with_output_types(Message)

    def _files(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        take = partial(message_of_block, received_us=self._settings.received_us)
        return (
            begin
            | "Read blocks" >> beam.io.Read(BlocksOfLines(self._settings.input))
            | "Take block" >> beam.Map(take).with_output_types(Message)
        )


def message_of_pubsub(message: PubsubMessage, timestamp: Any = beam.DoFn.TimestampParam) -> Message:  # noqa: ANN401
    """The message with its time of publishing (where the runner does not say it, the element's own time)."""
    published = message.publish_time
    received_us = timestamp.micros if published is None else round(published.timestamp() * 1e6)
    return Message(message.data, message.message_id or "", received_us, dict(message.attributes or {}))


class Block(NamedTuple):
    """Whole lines of a file, and where in it they begin."""

    file_name: str
    position: int
    lines: bytes


def message_of_block(block: Block, received_us: int) -> Message:
    """A message of JSON lines that depends on the file alone: what an engine cuts it into must not show."""
    name = blake2b(block.file_name.encode(), digest_size=8).hexdigest()
    return Message(block.lines, name, received_us, {"content_type": LINES}, block.position)


class BlocksOfLines(FileBasedSource):
    """Whole lines of files, many at once: what Beam's runners do for each element costs more than decoding a line."""

    def read_records(self, file_name: str, range_tracker: OffsetRangeTracker) -> Iterator[Block]:
        """Lines that begin in the tracker's range, in blocks of about BLOCK_BYTES."""
        with self.open_file(file_name) as file:
            position = _first_line(file, range_tracker.start_position())
            while range_tracker.try_claim(position):
                wanted = min(BLOCK_BYTES, range_tracker.stop_position() - position)
                block = file.read(wanted)
                if block[-1:] != b"\n":
                    block += file.readline()
                block = _claimed(block, position, range_tracker)
                if not block:
                    return
                # A line above the limit of a message must not take the lines before it along.
                cut = block.rfind(b"\n", 0, BLOCK_BYTES) + 1 if len(block) > MAX_MESSAGE_BYTES else 0
                for start, end in ((0, cut), (cut, len(block))):
                    if start < end:
                        yield Block(file_name, position + start, block[start:end])
                position += len(block)


def _first_line(file: BinaryIO, start: int) -> int:
    """Go to the first line that begins at `start` or later; its position."""
    if start == 0:
        return 0
    file.seek(start - 1)
    return start - 1 + len(file.readline())


def _claimed(block: bytes, position: int, range_tracker: OffsetRangeTracker) -> bytes:
    """The block, or as much of it as begins before a split that was made while it was read."""
    while block:
        last_line = block.rfind(b"\n", 0, len(block) - 1) + 1
        if last_line == 0 or range_tracker.try_claim(position + last_line):
            break
        block = block[:last_line]
    return block
