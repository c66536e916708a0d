"""Small files, local or gs://BUCKET/FILE: read whole, written whole or not at all, and added to at their end."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import NamedTuple

import requests
from google.api_core.exceptions import GoogleAPIError, NotFound, PreconditionFailed
from google.auth.exceptions import GoogleAuthError
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from pipeline import endpoints
from pipeline.option_values import OptionError

TIMEOUT_S = 20.0
TRIES = 10  # to add to a file to which others add too
WAIT_S = 0.2  # at most, before the second try; longer before each later one
RETRY = DEFAULT_RETRY.with_timeout(TIMEOUT_S)
REFUSED = (OSError, ValueError, GoogleAPIError, GoogleAuthError, requests.RequestException)


class _Held(NamedTuple):
    """What an object holds, and its generation; of none: nothing, and 0."""

    data: bytes | None
    generation: int


def is_remote(place: str) -> bool:
    """Whether it is the address of an object."""
    return "://" in place


def blob(place: str) -> storage.Blob:
    """The object at an address. Raises ValueError for another address."""
    bucket, _, name = place.removeprefix("gs://").partition("/")
    if not (place.startswith("gs://") and bucket and name):
        raise ValueError("allowed: a path, or gs://BUCKET/FILE")
    return endpoints.storage_client().bucket(bucket).blob(name)


def read(place: str, option: str) -> bytes | None:
    """What is there; None: nothing. option: of the command line, that names it. Raises OptionError."""
    try:
        if is_remote(place):
            return _held(place).data
        file = Path(place).expanduser()
        return file.read_bytes() if file.exists() else None
    except REFUSED as error:
        raise OptionError(f"{option}: {place} cannot be read: {_told(error)}. Name another file") from error


def write(place: str, option: str, data: bytes) -> None:
    """Whole or not at all; the folder is made. Raises OptionError."""
    try:
        if is_remote(place):
            blob(place).upload_from_string(data, timeout=TIMEOUT_S, retry=RETRY)
            return
        file = Path(place).expanduser()
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.part")
        part.write_bytes(data)
        os.replace(part, file)
    except REFUSED as error:
        raise OptionError(f"{option}: {place} cannot be written: {_told(error)}. Name another place") from error


def add_line(place: str, option: str, line: bytes) -> None:
    """The line behind what is there, whoever else adds to it. Raises OptionError."""
    try:
        if is_remote(place):
            _add_remotely(place, line)
            return
        file = Path(place).expanduser()
        before = file.read_bytes() if file.exists() else b""
        with file.open("ab") as end:
            end.write(_ended(before)[len(before) :] + line + b"\n")
    except REFUSED as error:
        raise OptionError(f"{option}: {place} cannot be written: {_told(error)}. Name another file") from error


def _add_remotely(place: str, line: bytes) -> None:
    for tried in range(TRIES):
        time.sleep(random.uniform(0, WAIT_S * tried))  # noqa: S311 (so that two do not meet again and again)
        held = _held(place)
        data = _ended(held.data or b"") + line + b"\n"
        try:
            blob(place).upload_from_string(data, if_generation_match=held.generation, timeout=TIMEOUT_S, retry=RETRY)
        except PreconditionFailed:
            continue  # another line has come meanwhile
        return
    raise OSError(f"others wrote to it {TRIES} times in a row")


def _held(place: str) -> _Held:
    there = blob(place)  # a new one: a client's object stays at the generation that it has once seen
    try:
        data: bytes = there.download_as_bytes(timeout=TIMEOUT_S, retry=RETRY)
    except NotFound:
        return _Held(None, 0)
    return _Held(data, int(there.generation))


def _ended(data: bytes) -> bytes:
    """With the end of its last line."""
    return data if not data or data.endswith(b"\n") else data + b"\n"


def _told(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return strerror or " ".join(str(error).split())
