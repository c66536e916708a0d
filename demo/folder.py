"""The demo's folder: fresh for each run, and nobody else's."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.stages import DemoError

MARKER = ".section-speed-demo"
NEEDED_FREE_BYTES = 300_000_000


@dataclass(frozen=True)
class Folder:
    """Where everything of a run lies."""

    path: Path

    @property
    def cloud(self) -> Path:
        """Data and logs of the local services."""
        return self.path / "cloud"

    @property
    def logs(self) -> Path:
        """Logs of pipeline and cameras."""
        return self.path / "logs"

    @property
    def truth(self) -> Path:
        """What truly happened."""
        return self.path / "truth.ndjson"

    @property
    def fines(self) -> Path:
        """Every message about a fine, as it was received."""
        return self.path / "fines.ndjson"

    @property
    def secret(self) -> Path:
        """The secret of the pseudonyms."""
        return self.path / "privacy.secret"

    @property
    def signing_key(self) -> Path:
        """The key that signs packets; the public one is beside it."""
        return self.path / "signing.key"

    @property
    def public_key(self) -> Path:
        """The key that checks them."""
        return self.path / "signing.key.pub"

    @property
    def evidence(self) -> Path:
        """The packets and chains, as they are in the evidence bucket."""
        return self.path / "evidence"

    @property
    def sheets(self) -> Path:
        """The sheets for drivers, to print."""
        return self.path / "sheets"

    @property
    def summary(self) -> Path:
        """The figures of the run."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.path / "report.html"


@contextmanager
def fresh(path: Path) -> Iterator[Folder]:
    """An empty folder that is this run's while the context is open. Raises DemoError where that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        _refuse_strangers(path)
        with (path / MARKER).open("w") as lock:
            _lock(lock.fileno(), path)
            _empty(path)
            _require_space(path)
            folder = Folder(path)
            folder.logs.mkdir()
            yield folder
    except OSError as error:
        where = error.filename or path
        raise DemoError(
            f"cannot write {where}: {error.strerror or error}. Choose a folder you may write to, on a disk with space: "
            "make demo uses out/demo, python -m demo --out DIR another one."
        ) from error


def _refuse_strangers(path: Path) -> None:
    if any(path.iterdir()) and not (path / MARKER).exists():
        raise DemoError(
            f"--out: {path} holds files of others; allowed: a new or empty folder, or one of an earlier demo."
        )


def _lock(descriptor: int, path: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DemoError(f"--out: another demo runs in {path}. Wait for its end, or give another folder.") from None


def _empty(path: Path) -> None:
    for entry in path.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != MARKER:
            entry.unlink()


def _require_space(path: Path) -> None:
    status = os.statvfs(path)
    free_bytes = status.f_bavail * status.f_frsize
    if free_bytes < NEEDED_FREE_BYTES:
        raise DemoError(
            f"--out: {path} has {free_bytes // 1_000_000} MB of free space; needed: "
            f"{NEEDED_FREE_BYTES // 1_000_000} MB. Free some, or give a folder on another disk."
        )
