"""Where packets are read from: a folder, or a bucket. Both hold packets/ and chain/, under a folder or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import requests
from google.api_core.exceptions import GoogleAPIError, NotFound
from google.auth.exceptions import GoogleAuthError

from pipeline import endpoints
from pipeline.enforcement.manifest import CHAIN, PACKETS
from pipeline.enforcement.plain_json import PacketError
from pipeline.option_values import OptionError
from pipeline.packets.container import MAX_PACKET_BYTES, SUFFIX

TIMEOUT_S = 30.0
_ALLOWED = "allowed: a packet, or a folder or bucket with packets"


class Root(Protocol):
    """What packets and chains lie in. Names are relative to it, with slashes."""

    def names(self, folder: str) -> list[str]:
        """All files in a folder and below, in order."""

    def read(self, name: str) -> bytes:
        """A file. Raises PacketError if it cannot be read."""

    def shown(self, name: str) -> str:
        """The file's name for people."""


class Place(NamedTuple):
    """What an argument names: packets in a root, and whether they are all that there are."""

    root: Root
    packets: Sequence[str]
    whole: bool


class Folder:
    """A folder of this machine."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Folder) and other._path == self._path

    def __hash__(self) -> int:
        return hash(self._path)

    def names(self, folder: str) -> list[str]:
        """All files in a folder and below, in order."""
        found = (self._path / folder).rglob("*")
        return sorted(path.relative_to(self._path).as_posix() for path in found if path.is_file())

    def read(self, name: str) -> bytes:
        """A file. Raises PacketError if it cannot be read."""
        path = self._path / name
        try:
            if path.stat().st_size > MAX_PACKET_BYTES:
                raise PacketError(f"more than {MAX_PACKET_BYTES} bytes, which no packet has")
            return path.read_bytes()
        except OSError as error:
            raise PacketError(f"cannot be read: {error.strerror}") from error

    def shown(self, name: str) -> str:
        """The file's name for people."""
        return str(self._path / name)


class Bucket:
    """A bucket of Cloud Storage, or a folder in it."""

    def __init__(self, bucket: str, folder: str) -> None:
        self._bucket, self._folder = bucket, folder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bucket) and (other._bucket, other._folder) == (self._bucket, self._folder)

    def __hash__(self) -> int:
        return hash((self._bucket, self._folder))

    def names(self, folder: str) -> list[str]:
        """All objects in a folder and below, in order."""
        prefix = f"{self._folder}{folder}/" if folder else self._folder
        try:
            blobs = endpoints.storage_client().list_blobs(self._bucket, prefix=prefix, timeout=TIMEOUT_S)
            return [blob.name.removeprefix(self._folder) for blob in blobs]
        except (GoogleAPIError, GoogleAuthError, requests.RequestException, ValueError) as error:
            raise OptionError(f"gs://{self._bucket}/{prefix} cannot be read: {_line(error)}") from error

    def read(self, name: str) -> bytes:
        """An object. Raises PacketError if it cannot be read."""
        blob = endpoints.storage_client().bucket(self._bucket).blob(self._folder + name)
        try:
            data: bytes = blob.download_as_bytes(end=MAX_PACKET_BYTES, raw_download=True, timeout=TIMEOUT_S)
        except NotFound as error:
            raise PacketError("does not exist") from error
        except (GoogleAPIError, GoogleAuthError, requests.RequestException, ValueError) as error:
            raise PacketError(f"cannot be read: {_line(error)}") from error
        return data

    def shown(self, name: str) -> str:
        """The object's address."""
        return f"gs://{self._bucket}/{self._folder}{name}"


def place(argument: str) -> Place:
    """What an argument names. Raises OptionError where there is nothing."""
    found = _remote(argument) if argument.startswith("gs://") else _local(argument)
    if not found.packets and not (found.whole and found.root.names(CHAIN)):
        raise OptionError(f"PACKET: found none in {argument}; {_ALLOWED}")
    return found


def _local(argument: str) -> Place:
    if "://" in argument:
        raise OptionError(f"PACKET: found {argument!r}; {_ALLOWED}, local or gs://")
    path = Path(argument).expanduser().resolve()
    if not path.exists():
        raise OptionError(f"PACKET: found no {argument}; {_ALLOWED}")
    parts, root = path.parts, path if path.is_dir() else path.parent
    # Other folders have that name too, and no chain beside them.
    if PACKETS in parts and (Path(*parts[: _last(parts)]) / CHAIN).is_dir():
        root = Path(*parts[: _last(parts)])
    inside = path.relative_to(root).as_posix()
    return _place(Folder(root), "" if inside == "." else inside, is_one=path.is_file())


def _remote(argument: str) -> Place:
    bucket, _, name = argument.removeprefix("gs://").partition("/")
    if not bucket:
        raise OptionError(f"PACKET: found {argument!r}; {_ALLOWED}, local or gs://BUCKET/...")
    parts, is_one = tuple(filter(None, name.split("/"))), name.endswith(SUFFIX)
    above = parts[: _last(parts)] if PACKETS in parts else parts[:-1] if is_one else parts
    return _place(Bucket(bucket, "".join(f"{part}/" for part in above)), "/".join(parts[len(above) :]), is_one=is_one)


def _last(parts: Sequence[str]) -> int:
    """Where the folder of packets is named: the last time, since a folder above may have the same name."""
    return len(parts) - 1 - tuple(reversed(parts)).index(PACKETS)


def _place(root: Root, inside: str, *, is_one: bool) -> Place:
    if is_one:
        return Place(root, [inside], whole=False)
    whole = inside in ("", PACKETS)
    names = root.names(PACKETS if whole else inside)
    if not names and not inside:
        names, whole = root.names(""), False  # packets that somebody put together, without a chain
        names = [name for name in names if not name.startswith(f"{CHAIN}/")]
    return Place(root, [name for name in names if name.endswith(SUFFIX)], whole)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def links(root: Root, section_id: str) -> Iterator[str]:
    """The names of a section's links, in order."""
    yield from root.names(f"{CHAIN}/{section_id}")


def chained_sections(root: Root) -> list[str]:
    """The sections that have a chain."""
    return sorted({name.split("/")[1] for name in root.names(CHAIN) if name.count("/") == 2})
