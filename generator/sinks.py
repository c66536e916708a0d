"""Where messages and pictures go: the interfaces, a file and a folder."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from generator.config import GeneratorError
from generator.outgoing import Outgoing


class Sink(Protocol):
    """A place for messages."""

    def send(self, message: Outgoing) -> None:
        """Hand over a message. It has arrived once flush() has returned."""

    def flush(self) -> None:
        """Wait until all messages have arrived. Raises GeneratorError for those that cannot."""


class FileSink:
    """Newline-delimited JSON in a file, compressed when its name ends in .gz. A context manager."""

    def __init__(self, path: Path) -> None:
        self._file = writable(path, "--output")
        self._out: IO[bytes] = self._file
        if path.suffix == ".gz":
            # No name and no time in the header: equal runs give equal bytes.
            packed = gzip.GzipFile("", "wb", compresslevel=6, fileobj=self._file, mtime=0)
            self._out = io.BufferedWriter(packed, 1 << 18)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._out.close()
        self._file.close()

    def send(self, message: Outgoing) -> None:
        """Append a message; its objects end with a newline each."""
        self._out.write(message.payload if message.payload.endswith(b"\n") else message.payload + b"\n")

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._out.flush()


class PictureStore(Protocol):
    """A place for pictures; used by several threads at once."""

    def put(self, name: str, jpeg: bytes) -> None:
        """Store a picture. Raises GeneratorError when that fails."""


class FolderStore:
    """A folder, such as the one from which a stand-in for EDEM's cars_api answers."""

    def __init__(self, folder: Path, option: str) -> None:
        self._folder = folder
        probe = folder / ".probe"
        writable(probe, option).close()
        probe.unlink()

    def put(self, name: str, jpeg: bytes) -> None:
        """Write a picture whole or not at all: whoever lists the folder meanwhile sees no half of one."""
        half = self._folder / f".{name}.part"
        half.write_bytes(jpeg)
        half.rename(self._folder / name)


def writable(path: Path, option: str) -> IO[bytes]:
    """Open a file for writing, making its folder. Raises GeneratorError if that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("wb")
    except OSError as error:
        raise GeneratorError(
            f"{option}: cannot write {path}: {error.strerror}. Name a file in a folder you may write to."
        ) from error
