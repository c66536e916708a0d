"""What a run has found, as the report shows it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.api_core.exceptions import GoogleAPICallError

from demo.ledger import Summary
from demo.warehouse import MeasuredPassage, RejectedObject
from generator.score import Finding
from pipeline import endpoints
from pipeline.enforcement.records import Fine
from pipeline.enforcement.sections import Section

PICTURE_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Findings:
    """Everything on the page. fines: the last word on each. picture: gs:// address to the bytes, None if it is gone."""

    summary: Summary
    sections: Sequence[Section]
    passages: Sequence[MeasuredPassage]
    fines: Sequence[Fine]
    rejected: Sequence[RejectedObject]
    verdicts: Sequence[Finding]
    picture: Callable[[str], bytes | None]
    folder: Path


class PictureShelf:
    """Pictures in Cloud Storage."""

    def __init__(self, project: str) -> None:
        self._client = endpoints.storage_client(project)

    def read(self, url: str) -> bytes | None:
        """The picture at a gs:// address, None if it cannot be had."""
        bucket, _, name = url.removeprefix("gs://").partition("/")
        try:
            found: bytes = (
                self._client.bucket(bucket).blob(name).download_as_bytes(timeout=PICTURE_TIMEOUT_S, retry=None)
            )
        except (GoogleAPICallError, OSError):
            return None
        return found
