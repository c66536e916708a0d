"""Pictures, passages and an archive for the tests of the evidence bucket."""

import itertools
import zlib

from pipeline import archive, fetch
from pipeline.archive import EvidenceArchive
from pipeline.enforcement.model import Case, Passage, Reason, Sighting

T0_US = 1_776_000_000_000_000
numbers = itertools.count()


def jpeg(size: int = 3_000, fill: int = 7) -> bytes:
    """The frame of a JPEG picture: its first and last marker with anything between."""
    return b"\xff\xd8\xff\xe0" + bytes([fill]) * size + b"\xff\xd9"


def png(size: int = 3_000) -> bytes:
    data = b"IDAT" + bytes(size)
    end = b"IEND"
    return (
        b"\x89PNG\r\n\x1a\n"
        + len(data[4:]).to_bytes(4, "big")
        + data
        + zlib.crc32(data).to_bytes(4, "big")
        + bytes(4)
        + end
        + zlib.crc32(end).to_bytes(4, "big")
    )


def answer_quickly(monkeypatch) -> None:
    """Short times, for tests of what does not answer."""
    for name in ("CONNECT_TIMEOUT_S", "READ_TIMEOUT_S", "TOTAL_TIMEOUT_S"):
        monkeypatch.setattr(fetch, name, 0.5)
    monkeypatch.setattr(archive, "REQUEST_TIMEOUT_S", 2.0)
    monkeypatch.setattr(archive, "RETRY", archive.DEFAULT_RETRY.with_timeout(1.0))


def picture(storage, data: bytes) -> str:
    """The address of a picture that a camera uploaded."""
    name = f"{next(numbers)}.jpg"
    storage.bucket("archive-camera").blob(name).upload_from_string(data, content_type="image/jpeg")
    return f"gs://archive-camera/{name}"


def passage(image_url: str | None = None, **fields: object) -> Passage:
    """A passage whose one sighting has this picture; each its own passage."""
    seen = Sighting("e", "A 1&x=2", T0_US + 5, camera_id="G1", image_url=image_url)
    return Passage(f"p{next(numbers)}", "s", "A 1&x=2", 40.0, T0_US, T0_US + 5, 1, **({"exit": seen} | fields))


def keep(storage, found: Passage, cars_api: str | None = None) -> Case:
    return EvidenceArchive(storage, "archive-evidence", cars_api).keep(found)


def problem(storage, image_url: str | None, cars_api: str | None = None) -> Reason | None:
    (kept,) = keep(storage, passage(image_url), cars_api).pictures
    assert (kept.image_url is None) == (kept.sha256 is None) == (kept.problem is not None)
    return kept.problem


def stored(storage, url: str) -> bytes:
    bucket, _, name = url.removeprefix("gs://").partition("/")
    return storage.bucket(bucket).blob(name).download_as_bytes()
