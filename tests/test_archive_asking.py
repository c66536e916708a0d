"""Asking for the picture of a sighting that names none: whatever the answer, a picture or its reason."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler

import pytest
from archive_samples import answer_quickly, jpeg, keep, passage, picture, problem, stored
from http_server import HttpServer, serving

from pipeline.archive import EvidenceArchive
from pipeline.enforcement.model import Reason


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    answer_quickly(monkeypatch)


class Cars(HttpServer):
    """Answers every question with `answer(path)` -> (status, body, headers)."""

    def __init__(self) -> None:
        super().__init__(CarsAnswers)
        self.answer: Callable[[str], tuple[int, bytes, dict[str, str]]] = lambda _: (404, b"", {})
        self.url += "/cars"

    def says(self, image_url: object) -> None:
        self.answers(json.dumps({"image_url": image_url, "more": [1]}).encode())

    def answers(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.answer = lambda path: (status, body, headers) if path.startswith("/cars") else (200, jpeg(fill=9), {})


class CarsAnswers(BaseHTTPRequestHandler):
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
    with serving(Cars()) as running:
        yield running


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
