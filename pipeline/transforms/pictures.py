"""Keep the pictures of suspected violations and read the plates on them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import apache_beam as beam
import msgspec
from apache_beam.metrics import Metrics
from apache_beam.ml.inference.base import KeyedModelHandler, RemoteModelHandler, RunInference
from apache_beam.pvalue import TaggedOutput
from google.api_core import exceptions as google_errors
from google.api_core.retry import Retry, if_exception_type
from google.cloud import storage

from pipeline import endpoints
from pipeline.archive import EvidenceArchive
from pipeline.enforcement import evidence
from pipeline.enforcement.model import Case, Passage
from pipeline.enforcement.plates import TextBox

if TYPE_CHECKING:
    from google.cloud import vision

MAX_BATCH = 16  # images of one Vision request
CALL_TIMEOUT_S = 20.0
RETRY = Retry(
    predicate=if_exception_type(
        google_errors.ServiceUnavailable,
        google_errors.DeadlineExceeded,
        google_errors.ResourceExhausted,
        google_errors.InternalServerError,
    ),
    initial=0.5,
    maximum=8.0,
    timeout=40.0,
)


class KeepPictures(beam.PTransform):
    """Copy the pictures of a suspected violation to the evidence bucket."""

    def __init__(self, evidence_bucket: str | None, cars_api: str | None) -> None:
        super().__init__()
        self._evidence_bucket, self._cars_api = evidence_bucket, cars_api

    def expand(self, passages: beam.PCollection[Passage]) -> beam.PCollection[Case]:
        """One case for each passage, whatever becomes of its pictures."""
        if self._evidence_bucket is None:
            return passages | "Name" >> beam.Map(evidence.case_of).with_output_types(Case)
        keep = _Keep(self._evidence_bucket, self._cars_api)
        return passages | "Copy" >> beam.ParDo(keep).with_output_types(Case)


class _Keep(beam.DoFn):
    def __init__(self, evidence_bucket: str, cars_api: str | None) -> None:
        self._evidence_bucket, self._cars_api = evidence_bucket, cars_api

    def setup(self) -> None:
        self._archive = _archive(endpoints.storage_client(), self._evidence_bucket, self._cars_api)

    def process(self, passage: Passage) -> Iterator[Case]:
        yield self._archive.keep(passage)


@cache
def _archive(client: storage.Client, evidence_bucket: str, cars_api: str | None) -> EvidenceArchive:
    """One for each process: it remembers that an address does not answer, and keeps connections open."""
    return EvidenceArchive(client, evidence_bucket, cars_api)


class ReadPlates(beam.PTransform):
    """Read one picture of each case; where that does not settle it, the other one too."""

    def expand(self, cases: beam.PCollection[Case]) -> beam.PCollection[Case]:
        """Two rounds, since a case has two pictures at most."""
        first = cases | "First picture" >> _ReadNextPicture()
        return first | "Other picture" >> _ReadNextPicture()


class _Question(NamedTuple):
    """Which picture of a case is read."""

    case: Case
    picture: int


class Answer(msgspec.Struct, frozen=True):
    """What Vision said of one image: its texts, or an error in its place."""

    boxes: tuple[TextBox, ...] = ()
    error: str | None = None


class _ReadNextPicture(beam.PTransform):
    def expand(self, cases: beam.PCollection[Case]) -> beam.PCollection[Case]:
        asked = cases | "Choose" >> beam.FlatMap(question).with_outputs("settled", main="ask")
        asked.settled.element_type = Case
        answers, failures = (
            asked.ask | "Vision" >> RunInference(KeyedModelHandler(VisionTextReader())).with_exception_handling()
        )
        read = answers | "Take texts" >> beam.Map(take_answer).with_output_types(Case)
        failed = failures.failed_inferences | "Take failures" >> beam.FlatMap(take_failure).with_output_types(Case)
        return (asked.settled, read, failed) | "Go on" >> beam.Flatten()


def question(case: Case) -> Iterator[tuple[_Question, str] | TaggedOutput]:
    """The case and the picture to read next, keyed for RunInference; "settled" if there is none."""
    index = evidence.next_to_read(case)
    if index is None:
        yield TaggedOutput("settled", case)
    else:
        yield _Question(case, index), case.pictures[index].image_url or ""


def take_answer(answered: tuple[_Question, Answer]) -> Case:
    """The case with what was read."""
    (case, index), answer = answered
    if answer.error is not None:
        return evidence.with_failed_reading(case, index)
    return evidence.with_reading(case, index, answer.boxes)


def take_failure(failed: tuple[Sequence[tuple[_Question, str]], Any]) -> Iterator[Case]:
    """Each case of a batch whose call failed for good: a person must look at it."""
    Metrics.counter("ocr", "calls_failed").inc()
    for (case, index), _ in failed[0]:
        yield evidence.with_failed_reading(case, index)


class _Client:
    """A Vision client that can be weakly referenced, as Beam's model cache wants it."""

    def __init__(self) -> None:
        self.vision = endpoints.vision_client()


class VisionTextReader(RemoteModelHandler[str, Answer, _Client]):
    """Google Vision's TEXT_DETECTION on pictures in Cloud Storage.

    A bad picture is an error in its own answer; only a failed call raises, after RETRY, which alone repeats calls.
    """

    def __init__(self) -> None:
        super().__init__(namespace="vision", num_retries=0, retry_filter=lambda _: False)
        self._images = Metrics.counter("ocr", "images")

    def create_client(self) -> _Client:
        """One client for each worker process."""
        return _Client()

    def batch_elements_kwargs(self) -> dict[str, int]:
        """Vision takes up to sixteen images at once."""
        return {"min_batch_size": 1, "max_batch_size": MAX_BATCH}

    def request(
        self, batch: Sequence[str], model: _Client, inference_args: dict[str, Any] | None = None
    ) -> Iterable[Answer]:
        """The texts of each picture (gs:// addresses), in their order."""
        features = [{"type_": "TEXT_DETECTION"}]
        requests = [{"image": {"source": {"gcs_image_uri": url}}, "features": features} for url in batch]
        self._images.inc(len(requests))
        found = model.vision.batch_annotate_images(requests=requests, retry=RETRY, timeout=CALL_TIMEOUT_S)
        if len(found.responses) != len(requests):
            raise ValueError(f"Vision answered {len(found.responses)} of {len(requests)} images")
        return [answer_of(response) for response in found.responses]


def answer_of(response: vision.AnnotateImageResponse) -> Answer:
    """The words of a response with their boxes and, where Vision states it, their confidence."""
    if response.error.code:
        return Answer(error=response.error.message or f"code {response.error.code}")
    words = _words(response)
    if not words:
        words = [
            TextBox.of_polygon(text.description, None, _corners(text.bounding_poly))
            for text in response.text_annotations[1:]
            if text.bounding_poly.vertices
        ]
    return Answer(tuple(words))


def _words(response: vision.AnnotateImageResponse) -> list[TextBox]:
    """A confidence of 0 is none only where no word has another: in protobuf, nought is not written."""
    blocks = [block for page in response.full_text_annotation.pages for block in page.blocks]
    words = [word for block in blocks for paragraph in block.paragraphs for word in paragraph.words]
    stated = any(word.confidence for word in words)
    return [
        TextBox.of_polygon(text, word.confidence if stated else None, corners)
        for word in words
        if (text := "".join(symbol.text for symbol in word.symbols)) and (corners := _corners(word.bounding_box))
    ]


def _corners(polygon: vision.BoundingPoly) -> list[tuple[float, float]]:
    return [(vertex.x, vertex.y) for vertex in polygon.vertices]
