"""Pictures that trouble the archive: each case still comes out, and no picture's trouble becomes another one's."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable

import pytest
from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud.storage.exceptions import DataCorruption

from pipeline import archive, fetch
from pipeline.archive import EvidenceArchive
from pipeline.enforcement.model import Case, Passage, Reason, Sighting
from pipeline.fetch import FetchError

T0_US = 1_776_000_000_000_000
CARS_API = "http://cars.example/ask"


def jpeg(fill: int = 7) -> bytes:
    return b"\xff\xd8\xff\xe0" + bytes([fill]) * 3_000 + b"\xff\xd9"


class Storage:
    """Cloud Storage in memory: what lies at an address is its bytes, or what happens on asking for it."""

    def __init__(self, **objects: bytes | Exception) -> None:
        self.objects: dict[str, bytes | Exception] = {f"camera/{name}": found for name, found in objects.items()}

    def bucket(self, name: str) -> Bucket:
        return Bucket(self, name)


class Bucket:
    def __init__(self, storage: Storage, name: str) -> None:
        self.storage, self.name = storage, name

    def blob(self, name: str) -> Blob:
        return Blob(self.storage.objects, f"{self.name}/{name}")


class Blob:
    def __init__(self, objects: dict[str, bytes | Exception], path: str) -> None:
        self.objects, self.path = objects, path

    def download_as_bytes(self, *, raw_download: bool = False, **_: object) -> bytes:
        found = self.objects.get(self.path, NotFound(self.path))
        if isinstance(found, Exception):
            raise found
        return gzip.decompress(found) if found[:2] == b"\x1f\x8b" and not raw_download else found

    def upload_from_string(self, data: bytes, **_: object) -> None:
        if self.path in self.objects:
            raise PreconditionFailed(self.path)
        self.objects[self.path] = data


def passage(entry_url: str | None = "gs://camera/entry", exit_url: str | None = "gs://camera/exit") -> Passage:
    entry = Sighting("e0", "KLM4821", T0_US, camera_id="G0", image_url=entry_url)
    leaving = Sighting("e1", "KLM4821", T0_US + 5, camera_id="G1", image_url=exit_url)
    return Passage("p", "s", "KLM4821", 40.0, T0_US, T0_US + 5, 2, entry=entry, exit=leaving)


def problems(case: Case) -> list[Reason | None]:
    """Of exit and entry."""
    return [picture.problem for picture in case.pictures]


@pytest.mark.parametrize("error", [RuntimeError("broken"), MemoryError(), AttributeError("x"), Exception("no seek")])
def test_error_that_nobody_foresaw_is_a_picture_that_is_not_there(error, caplog):
    """A client library may raise anything; what is not caught is tried again for ever."""
    case = EvidenceArchive(Storage(entry=jpeg(), exit=error), "evidence", None).keep(passage())
    assert problems(case) == [Reason.PICTURE_UNAVAILABLE, None]
    assert type(error).__name__ in caplog.text


def test_upload_that_arrives_damaged_is_a_picture_that_is_not_there(monkeypatch):
    def corrupt(*_: object, **__: object) -> None:
        raise DataCorruption(None, "checksum")

    monkeypatch.setattr(Blob, "upload_from_string", corrupt)
    case = EvidenceArchive(Storage(entry=jpeg(), exit=jpeg()), "evidence", None).keep(passage())
    assert problems(case) == [Reason.PICTURE_UNAVAILABLE] * 2


def test_packed_picture_is_kept_unpacked():
    storage = Storage(entry=gzip.compress(jpeg(1)), exit=jpeg(2))
    case = EvidenceArchive(storage, "evidence", None).keep(passage())
    assert problems(case) == [None, None]
    assert storage.objects[case.pictures[1].image_url.removeprefix("gs://")] == jpeg(1)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[:10] + b"\xff" * 50])
def test_packed_picture_that_is_damaged_is_invalid(damage):
    storage = Storage(entry=damage(gzip.compress(jpeg())), exit=jpeg())
    assert problems(EvidenceArchive(storage, "evidence", None).keep(passage())) == [None, Reason.PICTURE_INVALID]


def test_packed_picture_is_not_unpacked_beyond_the_limit():
    """Twenty megabytes of zeros packed are twenty gigabytes in memory."""
    packed = gzip.compress(bytes(10 * archive.MAX_PICTURE_BYTES), 1)
    tracemalloc.start()
    case = EvidenceArchive(Storage(entry=packed, exit=jpeg()), "evidence", None).keep(passage())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert problems(case) == [None, Reason.PICTURE_INVALID]
    assert peak < 4 * archive.MAX_PICTURE_BYTES


# --- servers that do not work


class Servers:
    """What is fetched: answers by address, or why there is none; everything asked is noted."""

    def __init__(self, monkeypatch) -> None:
        self.answers: dict[str, bytes | FetchError] = {}
        self.asked: list[str] = []
        monkeypatch.setattr(fetch, "get", self.get)

    def get(self, _: object, url: str, *, max_bytes: int) -> bytes:
        bare = url.partition("?")[0]
        self.asked.append(bare)
        found = self.answers[bare]
        if isinstance(found, FetchError):
            raise found
        assert len(found) <= max_bytes
        return found

    def says(self, image_url: str) -> None:
        self.answers[CARS_API] = json.dumps({"image_url": image_url}).encode()


@pytest.fixture
def servers(monkeypatch) -> Servers:
    return Servers(monkeypatch)


@pytest.fixture
def ask(servers) -> Callable[[], Reason | None]:
    """Keeps the picture of one more vehicle, for which the API is asked; what is wrong with it."""
    kept = EvidenceArchive(Storage(), "evidence", CARS_API)
    numbers = iter(range(100))

    def keep() -> Reason | None:
        seen = Sighting("e", "v-1", T0_US, location=(1.0, 2.0))
        found = Passage(f"p{next(numbers)}", "s", "v-1", 40.0, T0_US, T0_US, 2, entry=seen, exit=seen)
        (problem,) = problems(kept.keep(found))
        return problem

    return keep


def test_pictures_server_that_is_down_does_not_stop_the_asking(servers, ask):
    servers.says("http://pictures.example/1.jpg")
    servers.answers["http://pictures.example/1.jpg"] = FetchError("down", down=True)
    assert ask() is Reason.PICTURE_UNAVAILABLE
    servers.says("http://other.example/1.jpg")
    servers.answers["http://other.example/1.jpg"] = jpeg()
    assert ask() is None


def test_pictures_server_that_is_down_is_left_alone_for_a_while(servers, ask, monkeypatch):
    servers.says("http://pictures.example/1.jpg")
    servers.answers["http://pictures.example/1.jpg"] = FetchError("down", down=True)
    assert [ask(), ask()] == [Reason.PICTURE_UNAVAILABLE] * 2
    assert servers.asked.count("http://pictures.example/1.jpg") == 1
    now_s = archive.time.monotonic()
    monkeypatch.setattr(archive.time, "monotonic", lambda: now_s + archive.PAUSE_AFTER_FAILURE_S)
    servers.answers["http://pictures.example/1.jpg"] = jpeg()
    assert ask() is None


@pytest.mark.parametrize("url", ["http://10.0.0.1/1.jpg", "http://[", "ftp://a/x", "nonsense", ""])
def test_answer_for_one_vehicle_that_leads_nowhere_concerns_no_other(servers, ask, url):
    servers.says(url)
    servers.answers[url] = FetchError("no public address")
    assert ask() is not None
    servers.says("http://other.example/1.jpg")
    servers.answers["http://other.example/1.jpg"] = jpeg()
    assert ask() is None


def test_servers_that_were_down_are_forgotten(servers, monkeypatch):
    """Whatever the API answers, what is remembered of it stays small."""
    kept = EvidenceArchive(Storage(), "evidence", CARS_API)
    now_s = [0.0]
    monkeypatch.setattr(archive.time, "monotonic", lambda: now_s[0])
    for number in range(50):
        now_s[0] += archive.PAUSE_AFTER_FAILURE_S
        url = f"http://{number}.example/x.jpg"
        servers.says(url)
        servers.answers[url] = FetchError("down", down=True)
        kept.keep(passage(None, None))
    assert len(kept._ask_again_at) == 1
