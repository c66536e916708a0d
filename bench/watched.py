"""A command with all that it starts, watched while it runs: memory of all of it at once, and its temporary files.

The files that matter have no name: they are open, deleted, and on no listing (Linux's /proc tells them).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import NamedTuple, TypeVar

from bench import machine

Result = TypeVar("Result")
PERIOD_S = 0.5
BLOCK_BYTES = 512  # of st_blocks


class Peak(NamedTuple):
    """The most of each at one moment; folder_mb: of the files in the watched folder."""

    memory_mb: float = 0.0
    temporary_mb: float = 0.0
    folder_mb: float = 0.0
    disk_mb: float = 0.0  # both together


def while_running(work: Callable[[], Result], folder: Path) -> tuple[Result, Peak]:
    """What `work` returns, and what this process's descendants and the files in `folder` took up meanwhile."""
    over, peaks = Event(), [Peak()]

    def watch() -> None:
        pause_s = PERIOD_S
        while not over.wait(pause_s):
            begun = time.monotonic()
            peaks[0] = _most(peaks[0], _now(folder))
            pause_s = max(PERIOD_S, 20 * (time.monotonic() - begun))

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        return work(), _most(peaks[0], _now(folder))
    finally:
        over.set()
        thread.join()


def _most(these: Peak, those: Peak) -> Peak:
    return Peak(*map(max, these, those))


def _now(folder: Path) -> Peak:
    pids = list(descendants(os.getpid()))
    memory_mb = 0.0
    temporary: dict[tuple[int, int], int] = {}
    for pid in pids:
        with suppress(OSError):
            memory_mb += machine.rss_mb(pid)
            temporary |= _without_a_name(pid)
    temporary_mb, folder_mb = sum(temporary.values()) / 1e6, _folder_bytes(folder) / 1e6
    return Peak(memory_mb, temporary_mb, folder_mb, temporary_mb + folder_mb)


def descendants(pid: int) -> Iterator[int]:
    """The processes that a process has started, and theirs."""
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text(encoding="ascii").split():
                yield int(child)
                yield from descendants(int(child))


def _without_a_name(pid: int) -> dict[tuple[int, int], int]:
    """Bytes on disk of the deleted files that a process has open."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(OSError):
            file = os.stat(f"/proc/{pid}/fd/{name}")
            if file.st_nlink == 0:
                found[file.st_dev, file.st_ino] = file.st_blocks * BLOCK_BYTES
    return found


def _folder_bytes(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # moved or removed since
                total += os.stat(os.path.join(place, name)).st_blocks * BLOCK_BYTES
    return total
