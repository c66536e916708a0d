"""The pictures of a case and its sheet on the disk of whoever decides it, for their eyes only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.enforcement import packet
from pipeline.enforcement.manifest import digest
from pipeline.enforcement.plain_json import PacketError
from pipeline.enforcement.records import Evidence, Fine
from pipeline.option_values import OptionError
from pipeline.packets import container
from pipeline.packets.places import Bucket

_PNG = b"\x89PNG"
_ENDS = ("exit", "entry")  # what names of kept pictures end with


class Saved(NamedTuple):
    """A file, or what it would have been and why it is none."""

    name: str
    problem: str | None = None

    def __str__(self) -> str:
        return self.name if self.problem is None else f"{self.name}: {self.problem}"


def save(fine: Fine, folder: str) -> list[Saved]:
    """The pictures, and the packet's sheet if there is one, into a folder. Raises OptionError if it takes none."""
    place = Path(folder).expanduser()
    try:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return [
            *(_picture(shown, number, place) for number, shown in enumerate(fine.evidence, 1)),
            *_sheets(fine, place),
        ]
    except OSError as error:
        raise OptionError(f"--save: {folder} cannot be written: {error.strerror}. Name another folder") from error


def _picture(shown: Evidence, number: int, place: Path) -> Saved:
    if shown.image_url is None:
        return Saved(f"picture of camera {shown.camera_id}", "there is none")
    end = shown.image_url.rpartition("-")[2]
    name = end if end in _ENDS else f"picture-{number}"
    try:
        data = _read(shown.image_url)
    except PacketError as error:
        return Saved(shown.image_url, str(error))
    path = _write(place / f"{name}.{'png' if data.startswith(_PNG) else 'jpg'}", data)
    if shown.sha256 is None or digest(data) != shown.sha256:
        return Saved(str(path), "not the picture that was judged; do not confirm by it")
    return Saved(f"{path}, camera {shown.camera_id}")


def _sheets(fine: Fine, place: Path) -> Iterator[Saved]:
    if fine.packet_url is None:
        return
    try:
        parts = container.unpacked(_read(fine.packet_url))
    except PacketError as error:
        yield Saved(fine.packet_url, str(error))
        return
    for name in (packet.HTML, packet.PDF):
        if name in parts:
            yield Saved(str(_write(place / name, parts[name])))


def _read(url: str) -> bytes:
    bucket, _, name = url.removeprefix("gs://").partition("/")
    if not (url.startswith("gs://") and bucket and name):
        raise PacketError("no address of a bucket")
    return Bucket(bucket, "").read(name)


def _write(path: Path, data: bytes) -> Path:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    return path
