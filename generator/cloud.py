"""Google's services as places for messages and pictures; the emulator variables of the clients are honoured."""

from __future__ import annotations

import gzip
import os
from collections import deque
from concurrent.futures import Future
from typing import Any

from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage

from generator.config import GeneratorError
from generator.outgoing import Outgoing

IN_FLIGHT = 2_000
PUBLISH_TIMEOUT_S = 60.0
REQUEST_TIMEOUT_S = 20.0


class PubsubSink:
    """A Pub/Sub topic; PUBSUB_EMULATOR_HOST is honoured by the client. Raises GeneratorError if there is no topic."""

    def __init__(self, topic_path: str, *, compress: bool = False) -> None:

        settings = pubsub_v1.types.BatchSettings(max_messages=200, max_bytes=2_000_000, max_latency=0.01)
        self._client: Any = pubsub_v1.PublisherClient(batch_settings=settings)
        self._topic, self._compress = topic_path, compress
        self._waiting: deque[Future[str]] = deque()
        try:
            self._client.get_topic(topic=topic_path, timeout=REQUEST_TIMEOUT_S, retry=None)
        except exceptions.PermissionDenied:
            pass  # a publisher need not be allowed to look; publishing itself will tell
        except exceptions.GoogleAPIError as error:
            raise GeneratorError(
                f"--topic_name: found {topic_path}, but Pub/Sub says: {_first_line(error)}. "
                "Create the topic first, or set PUBSUB_EMULATOR_HOST to the local services."
            ) from error

    def send(self, message: Outgoing) -> None:
        """Publish a message with its earliest time as the attribute `timestamp` (epoch milliseconds)."""
        attributes = {} if message.earliest_us is None else {"timestamp": str(message.earliest_us // 1000)}
        payload = message.payload
        if self._compress:
            payload, attributes["content_encoding"] = gzip.compress(payload, 6, mtime=0), "gzip"
        self._waiting.append(self._client.publish(self._topic, payload, **attributes))
        while len(self._waiting) > IN_FLIGHT:
            self._arrived(self._waiting.popleft())

    def flush(self) -> None:
        """Wait until Pub/Sub has confirmed every message."""
        while self._waiting:
            self._arrived(self._waiting.popleft())

    def _arrived(self, future: Future[str]) -> None:
        try:
            future.result(timeout=PUBLISH_TIMEOUT_S)
        except (exceptions.GoogleAPIError, TimeoutError) as error:
            raise GeneratorError(f"--topic_name {self._topic}: publishing failed: {_first_line(error)}.") from error


class BucketStore:
    """A Cloud Storage bucket; STORAGE_EMULATOR_HOST is honoured, then without credentials."""

    def __init__(self, bucket: str, project: str | None) -> None:

        local = bool(os.environ.get("STORAGE_EMULATOR_HOST"))
        client = storage.Client(project=project or "none", credentials=AnonymousCredentials() if local else None)
        self._bucket: Any = client.bucket(bucket)
        try:
            found = self._bucket.exists(timeout=REQUEST_TIMEOUT_S, retry=None)
        except exceptions.Forbidden:
            found = True  # who may only add pictures may not look; the first upload will tell
        except (exceptions.GoogleAPIError, OSError) as error:
            raise GeneratorError(f"--bucket: found {bucket}, but storage says: {_first_line(error)}.") from error
        if not found:
            raise GeneratorError(f"--bucket: found {bucket}; allowed: a bucket that exists. Create it first.")

    def put(self, name: str, jpeg: bytes) -> None:
        """Upload a picture."""
        try:
            self._bucket.blob(name).upload_from_string(jpeg, content_type="image/jpeg", timeout=REQUEST_TIMEOUT_S)
        except (exceptions.GoogleAPIError, OSError) as error:
            raise GeneratorError(f"--bucket {self._bucket.name}: {name} failed: {_first_line(error)}.") from error


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
