"""The privacy secret: from the environment or a file of mode 0600, which is made on first local use."""

from __future__ import annotations

import os
import secrets
import stat
from functools import cache
from pathlib import Path
from typing import NamedTuple

from apache_beam.io.filesystems import FileSystems
from google.api_core.exceptions import GoogleAPIError

from pipeline.declared_options import PRIVACY_VARIABLE
from pipeline.enforcement.privacy import IN_CLEAR, MIN_SECRET_BYTES, Pseudonyms, fingerprint

VARIABLE = PRIVACY_VARIABLE
_NEW_SECRET_BYTES = 32


class SecretError(ValueError):
    """A secret that cannot be used, worded for the person who set it up."""


class Source(NamedTuple):
    """Where the secret is, and which one was there when the run was started: every process must find the same."""

    place: str
    fingerprint: str


def source(place: str) -> Source:
    """The place with the fingerprint of what is there now. Raises SecretError."""
    return Source(place, fingerprint(load(place)))


def load(place: str) -> bytes:
    """The secret of `place`: a path, local or gs://. The variable SECTION_SPEED_PRIVACY_SECRET goes before it.

    Blanks and line ends around it do not count, wherever it is. A local file that does not exist is made with a new
    secret. Raises SecretError.
    """
    variable = os.environ.get(VARIABLE)
    if variable:
        found = os.fsencode(variable)
    else:
        found = _read_remote(place) if "://" in place else _read_local(Path(place).expanduser())
    found = found.strip()
    if len(found) < MIN_SECRET_BYTES:
        raise SecretError(
            f"privacy secret: {_where(place)} holds {len(found)} bytes; allowed: at least {MIN_SECRET_BYTES}"
        )
    return found


@cache
def pseudonyms(agreed: Source | None) -> Pseudonyms:
    """Pseudonyms under the secret of the start, read once for the process; None: privacy is off.

    Raises SecretError, also where another secret is found: under it the same passage would have another id and another
    fine, so that standing still is better.
    """
    if agreed is None:
        return IN_CLEAR
    found = load(agreed.place)
    if fingerprint(found) != agreed.fingerprint:
        raise SecretError(
            f"privacy secret: {_where(agreed.place)} has the fingerprint {fingerprint(found)}; allowed: "
            f"{agreed.fingerprint}, of the secret with which this run was started. Put that one back"
        )
    return Pseudonyms(found)


def _where(place: str) -> str:
    return VARIABLE if os.environ.get(VARIABLE) else place


def _read_remote(place: str) -> bytes:
    try:
        with FileSystems.open(place) as file:
            found: bytes = file.read()
    except (OSError, GoogleAPIError) as error:
        raise SecretError(f"--privacy_secret: {place} cannot be read: {error}") from error
    return found


def _read_local(path: Path) -> bytes:
    try:
        if not path.exists():
            _make(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise SecretError(
                f"--privacy_secret: {path} has mode {mode:04o}; allowed: 0600, yours alone. Run chmod 600 {path}"
            )
        return path.read_bytes()
    except OSError as error:
        raise SecretError(
            f"--privacy_secret: {path} cannot be read or made: {error.strerror}. Name another file, set {VARIABLE}, "
            "or turn pseudonyms off with --privacy off"
        ) from error


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(_NEW_SECRET_BYTES) + "\n")
