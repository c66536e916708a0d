"""Files as blocks of lines, which then are messages."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import BinaryIO, NamedTuple

from apache_beam.io.filebasedsource import FileBasedSource
from apache_beam.io.range_trackers import OffsetRangeTracker

from pipeline.enforcement.messages import LINES, MAX_MESSAGE_BYTES
from pipeline.enforcement.model import Message

BLOCK_BYTES = 2 * 1024 * 1024


class Block(NamedTuple):
    """Whole lines of a file, and where in it they begin."""

    file_name: str
    position: int
    lines: bytes


def id_of_file(file_name: str) -> str:
    """Short, and the same in every run."""
    return blake2b(file_name.encode(), digest_size=8).hexdigest()


def message_of_block(block: Block, received_us: int) -> Message:
    """A message of JSON lines that depends on the file alone: what an engine cuts it into must not show."""
    return Message(block.lines, id_of_file(block.file_name), received_us, {"content_type": LINES}, block.position)


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
