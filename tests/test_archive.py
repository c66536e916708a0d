"""The evidence bucket: kept once, never changed; what goes wrong with a picture is its reason, never an exception."""

import hashlib

import pytest
from archive_samples import T0_US, answer_quickly, jpeg, keep, passage, picture, png, problem, stored
from google.api_core import exceptions
from msgspec.structs import replace

from pipeline import archive
from pipeline.archive import EvidenceArchive
from pipeline.enforcement.model import Reason, Sighting


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    answer_quickly(monkeypatch)


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
