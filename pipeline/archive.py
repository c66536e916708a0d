"""The evidence bucket: each picture of a suspected violation is copied there once and never changed."""

from __future__ import annotations

import hashlib
import logging
import time
import traceback
import zlib
from urllib.parse import urlencode, urlsplit

import msgspec
import requests
from google.api_core.exceptions import GoogleAPIError, NotFound, PreconditionFailed
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.exceptions import DataCorruption
from google.cloud.storage.retry import DEFAULT_RETRY
from msgspec.structs import replace

from pipeline import fetch
from pipeline.enforcement.evidence import picture_of, sightings_to_show
from pipeline.enforcement.model import Case, Passage, Picture, Reason, Sighting
from pipeline.enforcement.times import day

MAX_PICTURE_BYTES = 20 * 1024 * 1024  # Vision's own limit for one image
MAX_ANSWER_BYTES = 64 * 1024
REQUEST_TIMEOUT_S = 10.0
RETRY = DEFAULT_RETRY.with_timeout(20.0)
PAUSE_AFTER_FAILURE_S = 30.0
# What a picture begins with, what stands near its end, the type of its file.
_KINDS = (
    (b"\xff\xd8\xff", b"\xff\xd9", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", b"IEND", "image/png"),
)
_GZIP = b"\x1f\x8b"
_END_BYTES = 1024  # some cameras write a few bytes after the end
_log = logging.getLogger(__name__)


class PictureError(Exception):
    """Why a picture could not be kept."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


class _CarsAnswer(msgspec.Struct):
    image_url: str


class EvidenceArchive:
    """Keeps the pictures of a case.

    evidence_bucket: name of the bucket. cars_api: where to ask for the picture of a sighting that names none, or None.
    """

    def __init__(self, client: storage.Client, evidence_bucket: str, cars_api: str | None) -> None:
        self._client, self._bucket, self._cars_api = client, client.bucket(evidence_bucket), cars_api
        self._http = fetch.session(cars_api)
        self._ask_again_at: dict[fetch.Origin, float] = {}  # servers that did not work, by the clock of this process

    def keep(self, passage: Passage) -> Case:
        """The case with its pictures; a picture that is missing or cannot be kept says so itself."""
        return Case(passage, tuple(self._keep(passage, sighting) for sighting in sightings_to_show(passage)))

    def _keep(self, passage: Passage, sighting: Sighting) -> Picture:
        picture = picture_of(sighting)
        try:
            data = self._data(sighting)
            end = "exit" if sighting is passage.exit else "entry"
            # The name does not hang on the bytes: a picture that changed between two attempts must meet the first one.
            name = f"{passage.section_id}/{day(passage.first_us)}/{passage.passage_id}/{sighting.time_us}-{end}"
            url, sha256 = self._store(name, data, _content_type(data))
        except PictureError as error:
            _log.warning("passage %s: %s: %s", passage.passage_id, error.reason, error)
            return replace(picture, problem=error.reason)
        except Exception as error:  # noqa: BLE001 (the case would be tried for ever, and hold up all behind it)
            where = "".join(traceback.format_tb(error.__traceback__))  # without its text, which may hold a plate
            _log.error("passage %s: unforeseen %s\n%s", passage.passage_id, type(error).__name__, where)
            return replace(picture, problem=Reason.PICTURE_UNAVAILABLE)
        return replace(picture, image_url=url, sha256=sha256)

    def _data(self, sighting: Sighting) -> bytes:
        if sighting.image_url is not None:
            return self._download(sighting.image_url)
        if self._cars_api is None:
            raise PictureError(Reason.PICTURE_MISSING, "the sighting names no picture and there is no --cars_api")
        return self._ask(self._cars_api, sighting.vehicle_id)

    def _ask(self, cars_api: str, vehicle_id: str) -> bytes:
        joint = "&" if urlsplit(cars_api).query else "?"
        question = cars_api + joint + urlencode({"vehicle_id": vehicle_id})
        body = self._get(question, MAX_ANSWER_BYTES)
        try:
            url = msgspec.json.decode(body, type=_CarsAnswer).image_url
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            raise PictureError(
                Reason.PICTURE_INVALID, f"--cars_api did not answer {{'image_url': ...}}: {error}"
            ) from error
        if url.startswith("gs://"):
            return self._download(url)
        return self._get(url, MAX_PICTURE_BYTES)

    def _get(self, url: str, max_bytes: int) -> bytes:
        """What a server answers; one that did not work just now is left alone for a while, and no other."""
        try:
            server = fetch.origin(url)
        except ValueError as error:
            raise PictureError(Reason.PICTURE_INVALID, "--cars_api answered what is no address") from error
        now_s = time.monotonic()
        if now_s < self._ask_again_at.get(server, now_s):
            raise PictureError(Reason.PICTURE_UNAVAILABLE, f"{server[1]} failed just now and is left alone for a while")
        try:
            return fetch.get(self._http, url, max_bytes=max_bytes)
        except fetch.FetchError as error:
            if error.down:
                self._leave_alone(server)
            raise PictureError(Reason.PICTURE_UNAVAILABLE, str(error)) from error

    def _leave_alone(self, server: fetch.Origin) -> None:
        now_s = time.monotonic()
        still = {known: again_s for known, again_s in self._ask_again_at.items() if again_s > now_s}
        self._ask_again_at = still | {server: now_s + PAUSE_AFTER_FAILURE_S}

    def _download(self, url: str) -> bytes:
        bucket, _, name = url.removeprefix("gs://").partition("/")
        if not (bucket[:1].isalnum() and bucket[-1:].isalnum() and name):
            raise PictureError(Reason.PICTURE_INVALID, f"{url!r} names no picture; allowed: gs://BUCKET/NAME")
        try:
            blob = self._client.bucket(bucket).blob(name)
            raw: bytes = blob.download_as_bytes(
                end=MAX_PICTURE_BYTES, raw_download=True, timeout=REQUEST_TIMEOUT_S, retry=RETRY
            )
            data = _unpacked(raw)
        except NotFound as error:
            raise PictureError(Reason.PICTURE_MISSING, f"{url!r} does not exist") from error
        except (GoogleAPIError, GoogleAuthError, DataCorruption, requests.RequestException, ValueError) as error:
            raise PictureError(Reason.PICTURE_UNAVAILABLE, f"{url!r}: {error}") from error
        if len(data) > MAX_PICTURE_BYTES:
            raise PictureError(Reason.PICTURE_INVALID, f"{url!r} has more than {MAX_PICTURE_BYTES} bytes")
        return data

    def _store(self, name: str, data: bytes, content_type: str) -> tuple[str, str]:
        blob = self._bucket.blob(name)
        sha256 = hashlib.sha256(data).hexdigest()
        try:
            self._upload(blob, data, content_type)
        except PreconditionFailed:
            # An earlier attempt kept it already; anything but the same bytes is no evidence.
            kept = self._download(f"gs://{self._bucket.name}/{name}")
            if hashlib.sha256(kept).hexdigest() != sha256:
                raise PictureError(
                    Reason.EVIDENCE_DIFFERS, f"gs://{self._bucket.name}/{name} holds other bytes"
                ) from None
        except (GoogleAPIError, GoogleAuthError, DataCorruption, requests.RequestException) as error:
            raise PictureError(Reason.PICTURE_UNAVAILABLE, f"gs://{self._bucket.name}/{name}: {error}") from error
        return f"gs://{self._bucket.name}/{name}", sha256

    def _upload(self, blob: storage.Blob, data: bytes, content_type: str) -> None:
        blob.upload_from_string(
            data, content_type=content_type, if_generation_match=0, timeout=REQUEST_TIMEOUT_S, retry=RETRY
        )


def _unpacked(data: bytes) -> bytes:
    """What a bucket keeps gzip-compressed, unpacked as far as a picture may go: the client would know no limit."""
    if not data.startswith(_GZIP):
        return data
    try:
        return zlib.decompressobj(wbits=31).decompress(data, MAX_PICTURE_BYTES + 1)
    except zlib.error as error:
        raise PictureError(Reason.PICTURE_INVALID, f"a broken gzip file: {error}") from error


def _content_type(data: bytes) -> str:
    for start, end, content_type in _KINDS:
        if data.startswith(start):
            if end not in data[-_END_BYTES:]:
                raise PictureError(Reason.PICTURE_INVALID, f"the picture breaks off after {len(data)} bytes")
            return content_type
    raise PictureError(Reason.PICTURE_INVALID, f"neither a JPEG nor a PNG picture ({len(data)} bytes)")
