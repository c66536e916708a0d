"""Pictures read through Vision: whatever it answers, every case comes out once."""

from __future__ import annotations

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import ReactiveThrottler
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from google.api_core import exceptions
from google.cloud import vision

from pipeline import endpoints
from pipeline.enforcement.model import Case, Passage, Picture, Reason
from pipeline.transforms import pictures
from pipeline.transforms.pictures import MAX_BATCH, ReadPlates, answer_of

T0_US = 1_776_000_000_000_000
PLATE = "KLM4821"


def case(number: int, **fields: object) -> Case:
    passage = Passage(f"p{number}", "s", PLATE, 40.0, T0_US, T0_US + 1, 2, avg_speed_kmh=60.0)
    ends = [
        Picture(
            f"G{end}",
            f"gs://e/{number}-{end}.jpg",
            f"{number}-{end}",
            **{"claimed": PLATE, "claimed_confidence": 0.97} | fields,
        )
        for end in (1, 0)
    ]
    return Case(passage, tuple(ends))


def word(text: str, confidence: float = 0.0) -> vision.Word:
    corners = [vision.Vertex(x=x, y=y) for x, y in ((0, 0), (200, 0), (200, 50), (0, 50))]
    symbols = [vision.Symbol(text=character) for character in text]
    return vision.Word(symbols=symbols, confidence=confidence, bounding_box=vision.BoundingPoly(vertices=corners))


def answer(*words: vision.Word) -> vision.AnnotateImageResponse:
    paragraph = vision.Paragraph(words=list(words))
    page = vision.Page(blocks=[vision.Block(paragraphs=[paragraph])])
    return vision.AnnotateImageResponse(full_text_annotation=vision.TextAnnotation(pages=[page]))


def error(code: int, message: str = "") -> vision.AnnotateImageResponse:
    return vision.AnnotateImageResponse(error={"code": code, "message": message})


class Vision:
    """Answers each image by its address."""

    def __init__(self, answers) -> None:
        self._answers = answers
        self.calls: list[list[str]] = []

    def batch_annotate_images(self, requests, **_: object) -> vision.BatchAnnotateImagesResponse:
        taken = vision.BatchAnnotateImagesRequest(requests=requests).requests  # as the real client takes them
        assert {feature.type_.name for request in taken for feature in request.features} == {"TEXT_DETECTION"}
        urls = [request.image.source.gcs_image_uri for request in taken]
        self.calls.append(urls)
        return vision.BatchAnnotateImagesResponse(responses=self._answers(urls))


came_out: list[Case] = []  # of this module, since a graph is copied before it runs


def take(found: Case) -> None:
    came_out.append(found)


def read(monkeypatch, answers, *cases: Case) -> tuple[list[Case], Vision]:
    """What comes out of the step for these cases, and what Vision was asked."""
    client = Vision(answers)
    monkeypatch.setattr(endpoints, "vision_client", lambda: client)
    monkeypatch.setattr(ReactiveThrottler, "throttle", lambda _: None)  # it rests for seconds after a failure
    came_out.clear()
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        _ = pipeline | beam.Create(cases) | ReadPlates() | beam.Map(take)
    return list(came_out), client


def each(one: vision.AnnotateImageResponse):
    return lambda urls: [one] * len(urls)


def test_every_case_comes_out_once(monkeypatch):
    cases = [case(number) for number in range(3 * MAX_BATCH + 1)]
    found, client = read(monkeypatch, each(answer(word(PLATE))), *cases)
    assert sorted(one.passage.passage_id for one in found) == sorted(one.passage.passage_id for one in cases)
    assert all([picture.text for picture in one.pictures] == [PLATE, None] for one in found)
    assert max(map(len, client.calls)) <= MAX_BATCH


@pytest.mark.parametrize(("confidence", "pictures"), [(0.99, 1), (None, 2), (0.5, 2)])
def test_clean_case_asks_vision_for_one_picture_where_cameras_are_sure(monkeypatch, confidence, pictures):
    """Vision is paid by the picture; of a camera that does not say how sure it is, none is taken at its word."""
    cases = [case(number, claimed_confidence=confidence) for number in range(MAX_BATCH + 1)]
    _, client = read(monkeypatch, each(answer(word(PLATE))), *cases)
    asked = [url.partition("-")[0] for urls in client.calls for url in urls]
    assert sorted(asked) == sorted(pictures * [f"gs://e/{number}" for number in range(MAX_BATCH + 1)])


@pytest.mark.parametrize("failure", [exceptions.InvalidArgument("no"), exceptions.PermissionDenied("no"), ValueError()])
def test_call_that_fails_loses_no_case(monkeypatch, failure):
    def fail(_: object) -> None:
        raise failure

    found, _ = read(monkeypatch, fail, *(case(number) for number in range(5)))
    assert sorted(one.passage.passage_id for one in found) == [f"p{number}" for number in range(5)]
    assert {picture.doubt for one in found for picture in one.pictures} == {Reason.OCR_FAILED}


def test_answers_that_are_too_few_are_no_answers(monkeypatch):
    """Whose answer is missing, nobody knows."""
    found, _ = read(monkeypatch, lambda urls: [answer(word(PLATE))] * (len(urls) - 1), case(0), case(1))
    assert {picture.doubt for one in found for picture in one.pictures} == {Reason.OCR_FAILED}
    assert len(found) == 2


def test_picture_with_an_error_of_its_own_spoils_no_other(monkeypatch):
    def answers(urls: list[str]) -> list[vision.AnnotateImageResponse]:
        return [error(3, "bad image") if url.startswith("gs://e/0-") else answer(word(PLATE)) for url in urls]

    found, _ = read(monkeypatch, answers, case(0), case(1))
    doubts = {one.passage.passage_id: [picture.doubt for picture in one.pictures] for one in found}
    assert doubts == {"p0": [Reason.OCR_FAILED, Reason.OCR_FAILED], "p1": [None, None]}


def test_each_answer_goes_to_its_own_picture(monkeypatch):
    """The wrong picture's text would be the wrong fine."""
    plates = {f"gs://e/{number}-{end}.jpg": f"KLM{number:02}{end}9" for number in range(40) for end in (0, 1)}
    found, _ = read(
        monkeypatch,
        lambda urls: [answer(word(plates[url])) for url in urls],
        *(case(number, claimed=None) for number in range(40)),
    )
    assert len(found) == 40
    assert all(plates[picture.image_url] == picture.text for one in found for picture in one.pictures)


def test_case_without_a_picture_to_read_goes_through(monkeypatch):
    found, client = read(monkeypatch, each(answer(word(PLATE))), case(0, problem=Reason.PICTURE_MISSING))
    assert (found, client.calls) == ([case(0, problem=Reason.PICTURE_MISSING)], [])


# --- what Vision's confidence means


def test_vision_that_states_no_confidence():
    assert [box.confidence for box in answer_of(answer(word(PLATE), word("NEW"))).boxes] == [None, None]


def test_confidence_of_nought_is_stated_where_others_are():
    """In its format nought and nothing are the same; beside other figures it is nought."""
    assert [box.confidence for box in answer_of(answer(word(PLATE), word("NEW", 0.5))).boxes] == [0.0, 0.5]


def test_answer_without_text_is_no_error():
    assert answer_of(vision.AnnotateImageResponse()) == pictures.Answer()


def test_error_without_words_is_one():
    assert answer_of(error(13)).error == "code 13"
