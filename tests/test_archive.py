"""The evidence bucket: kept once, never changed; what goes wrong with a picture is its reason, never an exception."""

import hashlib
import http.server
import itertools
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from google.api_core import exceptions
from msgspec.structs import replace

from pipeline import archive, endpoints, fetch
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


@pytest.fixture(scope="module")
def storage(cloud):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", cloud.env["STORAGE_EMULATOR_HOST"])
        client = endpoints.storage_client()
        for name in ("archive-camera", "archive-evidence"):
            client.create_bucket(name)
        yield client


@pytest.fixture
def _quick(monkeypatch):
    for name in ("CONNECT_TIMEOUT_S", "READ_TIMEOUT_S", "TOTAL_TIMEOUT_S"):
        monkeypatch.setattr(fetch, name, 0.5)
    monkeypatch.setattr(archive, "REQUEST_TIMEOUT_S", 2.0)
    monkeypatch.setattr(archive, "RETRY", archive.DEFAULT_RETRY.with_timeout(1.0))


@pytest.fixture(autouse=True)
def _settings(_quick):
    """Short times for all tests of this file."""


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


# --- kept once


def test_picture_of_another_kind_meets_the_one_that_was_kept_first(storage):
    first = passage(picture(storage, jpeg()))
    again = replace(first, exit=replace(first.exit, image_url=picture(storage, png())))
    (kept,), (changed,) = keep(storage, first).pictures, keep(storage, again).pictures
    assert (kept.problem, changed.problem) == (None, Reason.EVIDENCE_DIFFERS)


@pytest.mark.parametrize("data", [jpeg(), png()], ids=["jpeg", "png"])
def test_picture_is_copied_with_its_checksum(storage, data):
    found = passage(picture(storage, data))
    (kept,) = keep(storage, found).pictures
    assert kept.image_url == f"gs://archive-evidence/s/2026-04-12/{found.passage_id}/{T0_US + 5}-exit"
    assert stored(storage, kept.image_url) == data
    assert kept.sha256 == hashlib.sha256(data).hexdigest()
    assert kept.problem is None


def test_exit_and_entry_are_two_pictures(storage):
    entry, leaving = (
        Sighting(name, "A", T0_US, camera_id=name, image_url=picture(storage, jpeg(fill=fill)))
        for name, fill in (("G0", 1), ("G1", 2))
    )
    kept = keep(storage, passage(entry=entry, exit=leaving)).pictures
    assert [one.camera_id for one in kept] == ["G1", "G0"]
    assert len({one.image_url for one in kept}) == len({one.sha256 for one in kept}) == 2


def test_keeping_again_changes_nothing(storage):
    found = passage(picture(storage, jpeg()))
    first = keep(storage, found)
    generation = storage.bucket("archive-evidence").get_blob(first.pictures[0].image_url.split("/", 3)[3]).generation
    assert keep(storage, found) == first
    again = storage.bucket("archive-evidence").get_blob(first.pictures[0].image_url.split("/", 3)[3]).generation
    assert again == generation


def test_changed_picture_is_no_evidence_and_does_not_replace_it(storage):
    url = picture(storage, jpeg(fill=1))
    found = passage(url)
    (first,) = keep(storage, found).pictures
    storage.bucket("archive-camera").blob(url.rpartition("/")[2]).upload_from_string(jpeg(fill=2))
    (second,) = keep(storage, found).pictures
    assert (second.problem, second.image_url) == (Reason.EVIDENCE_DIFFERS, None)
    assert stored(storage, first.image_url) == jpeg(fill=1)


# --- what is wrong with a picture of the cameras


def test_no_picture_and_nobody_to_ask(storage):
    assert problem(storage, None) is Reason.PICTURE_MISSING


@pytest.mark.parametrize("url", ["gs://archive-camera/none.jpg", "gs://no-such-bucket/x.jpg"])
def test_picture_that_does_not_exist(storage, url):
    assert problem(storage, url) is Reason.PICTURE_MISSING


@pytest.mark.parametrize(
    "data",
    [b"", b"no picture", b"<html>404</html>", b"\xff\xd8", b"GIF89a" + bytes(100), b"BM" + bytes(100), b"%PDF-1.4"],
    ids=["empty", "text", "html", "two bytes", "gif", "bmp", "pdf"],
)
def test_what_is_no_picture(storage, data):
    assert problem(storage, picture(storage, data)) in (Reason.PICTURE_INVALID, Reason.PICTURE_UNAVAILABLE)


@pytest.mark.parametrize("data", [jpeg(), png()], ids=["jpeg", "png"])
def test_truncated_picture_is_invalid(storage, data):
    """An upload that broke off still begins like a picture."""
    assert problem(storage, picture(storage, data[: len(data) // 2])) is Reason.PICTURE_INVALID


def test_picture_that_is_too_large_is_invalid(storage, monkeypatch):
    monkeypatch.setattr(archive, "MAX_PICTURE_BYTES", 1_000)
    assert problem(storage, picture(storage, jpeg(1_000))) is Reason.PICTURE_INVALID


def test_picture_of_the_largest_size_is_kept(storage, monkeypatch):
    monkeypatch.setattr(archive, "MAX_PICTURE_BYTES", len(jpeg(1_000)))
    assert problem(storage, picture(storage, jpeg(1_000))) is None


@pytest.mark.parametrize(
    "url",
    [
        "gs://[/x.jpg",
        "gs://a]b/x.jpg",
        "gs://-bucket/x.jpg",
        "gs://bucket-/x.jpg",
        "gs://_/x.jpg",
        "gs://../x.jpg",
        "gs:// /x.jpg",
        "gs://a\u2100b/x.jpg",
        "gs://UPPER CASE/x.jpg",
        "gs://b?x=1/y.jpg",
        "gs://b#f/y.jpg",
        "gs://b%2f/y.jpg",
        "gs://archive-camera/../x.jpg",
        "gs://archive-camera/a\nb\0.jpg",
        "gs://archive-camera/" + "x" * 1000,
        "gs://user@archive-camera/x.jpg",
        "gs://archive-camera:80/x.jpg",
    ],
)
def test_strange_address_of_a_picture(storage, url):
    assert problem(storage, url) in (Reason.PICTURE_MISSING, Reason.PICTURE_UNAVAILABLE, Reason.PICTURE_INVALID)


class Failing:
    """A storage client whose every call fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def bucket(self, name: str) -> "Failing":
        return self

    def blob(self, name: str) -> "Failing":
        return self

    name = "b"

    def download_as_bytes(self, **_: object) -> bytes:
        raise self.error

    upload_from_string = download_as_bytes


@pytest.mark.parametrize(
    "error",
    [
        exceptions.Forbidden("no"),
        exceptions.TooManyRequests("slow down"),
        exceptions.RetryError("gave up", None),
        exceptions.InternalServerError("oops"),
        archive.requests.ConnectionError("down"),
        archive.requests.Timeout("slow"),
        archive.GoogleAuthError("who are you"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_storage_that_fails(error):
    assert problem(Failing(error), "gs://b/x.jpg") is Reason.PICTURE_UNAVAILABLE


def test_storage_that_delivers_other_bytes_than_it_holds():
    from google.cloud.storage.exceptions import DataCorruption

    assert problem(Failing(DataCorruption(None, "checksum")), "gs://b/x.jpg") is Reason.PICTURE_UNAVAILABLE


def test_evidence_bucket_that_does_not_exist(storage):
    found = EvidenceArchive(storage, "no-evidence-bucket", None).keep(passage(picture(storage, jpeg())))
    assert found.pictures[0].problem is Reason.PICTURE_UNAVAILABLE


# --- asking for a picture


class Cars(http.server.ThreadingHTTPServer):
    """Answers every question with `answer(path)` -> (status, body, headers)."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), CarsAnswers)
        self.asked: list[str] = []
        self.closing = threading.Event()
        self.answer: Callable[[str], tuple[int, bytes, dict[str, str]]] = lambda _: (404, b"", {})
        self.url = f"http://127.0.0.1:{self.server_port}/cars"

    def says(self, image_url: object) -> None:
        self.answers(json.dumps({"image_url": image_url, "more": [1]}).encode())

    def answers(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.answer = lambda path: (status, body, headers) if path.startswith("/cars") else (200, jpeg(fill=9), {})


class CarsAnswers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, body, headers = self.server.answer(self.path)
        if status == 0:
            self.server.closing.wait(20)
            return
        with suppress(ConnectionError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cars() -> Iterator[Cars]:
    with Cars() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.closing.set()
        running.shutdown()
        thread.join()


def test_named_picture_is_not_asked_for(storage, cars):
    assert problem(storage, picture(storage, jpeg()), cars.url) is None
    assert cars.asked == []


def test_picture_in_the_bucket_is_found_by_asking(storage, cars):
    cars.says(picture(storage, jpeg(fill=5)))
    (kept,) = keep(storage, passage(), cars.url).pictures
    assert stored(storage, kept.image_url) == jpeg(fill=5)
    assert cars.asked == ["/cars?vehicle_id=A+1%26x%3D2"]


def test_picture_at_the_same_server_is_fetched(storage, cars):
    cars.says(cars.url.replace("/cars", "/picture.jpg"))
    (kept,) = keep(storage, passage(), cars.url).pictures
    assert stored(storage, kept.image_url) == jpeg(fill=9)


def test_question_is_added_to_a_query(storage, cars):
    cars.says(picture(storage, jpeg()))
    keep(storage, passage(), cars.url + "?key=1")
    assert cars.asked == ["/cars?key=1&vehicle_id=A+1%26x%3D2"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"image_url": null}',
        b'{"image_url": 5}',
        b'{"image_url": "\xff"}',
        b'{"x": ' + b"[" * 20_000 + b"]" * 20_000 + b', "image_url": "gs://b/x"}',
        b'{"image_url": "gs://b/' + b"x" * 70_000 + b'"}',
        jpeg(),
    ],
    ids=["empty", "text", "array", "no url", "null", "number", "no utf-8", "deep", "too long", "picture"],
)
def test_answer_that_is_none(storage, cars, body):
    cars.answers(body)
    assert problem(storage, None, cars.url) in (Reason.PICTURE_INVALID, Reason.PICTURE_UNAVAILABLE)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "gs://",
        "gs:///x.jpg",
        "gs://archive-camera",
        "gs://archive-camera/",
        "gs://-/x",
        "gs://[/x",
        "file:///etc/passwd",
        "http://169.254.169.254/x.jpg",
        "http://127.0.0.1:1/x.jpg",
        "http://[",
        "ftp://127.0.0.1/x.jpg",
        "http://\ud800/",
        "gs://b/\ud800",
    ],
)
def test_answer_with_a_strange_address(storage, cars, url):
    cars.says(url)
    assert problem(storage, None, cars.url) is not None


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "http://127.0.0.1:1/", "http://169.254.169.254/", "http://[", "/cars"]
)
def test_answer_that_leads_elsewhere(storage, cars, location):
    cars.answers(b"", 302, location=location)
    assert problem(storage, None, cars.url) is Reason.PICTURE_UNAVAILABLE


@pytest.mark.parametrize("status", [0, 400, 404, 500], ids=["hangs", "400", "404", "500"])
def test_answer_that_fails(storage, cars, status):
    cars.answers(b"", status)
    assert problem(storage, None, cars.url) is Reason.PICTURE_UNAVAILABLE


def test_text_at_the_address_of_a_picture(storage, cars):
    cars.answer = lambda path: (
        (200, b"sorry", {})
        if "picture" in path
        else (200, json.dumps({"image_url": cars.url.replace("/cars", "/picture")}).encode(), {})
    )
    assert problem(storage, None, cars.url) is Reason.PICTURE_INVALID


def test_one_vehicle_without_a_picture_does_not_stop_the_asking(storage, cars):
    """That one vehicle is unknown says nothing about the next one."""
    kept = EvidenceArchive(storage, "archive-evidence", cars.url)
    cars.answers(b"", 404)
    kept.keep(passage())
    cars.says(picture(storage, jpeg()))
    assert kept.keep(passage()).pictures[0].problem is None


def test_server_that_hangs_is_left_alone_for_a_while(storage, cars):
    kept = EvidenceArchive(storage, "archive-evidence", cars.url)
    cars.answers(b"", 0)
    kept.keep(passage())
    asked = len(cars.asked)
    assert kept.keep(passage()).pictures[0].problem is Reason.PICTURE_UNAVAILABLE
    assert len(cars.asked) == asked
