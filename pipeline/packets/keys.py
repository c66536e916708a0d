"""The key that signs packets, and the public keys that check them: Ed25519, in PEM files as OpenSSL writes them.

The private key is a file of mode 0600, made on first local use with the public one beside it, FILE.pub; or an object
in gs://; or the variable SECTION_SPEED_SIGNING_KEY, which goes before both.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from pipeline import places
from pipeline.declared_options import SIGNING_VARIABLE
from pipeline.enforcement.manifest import digest

VARIABLE = SIGNING_VARIABLE
KEY_ID_DIGITS = 16
PUBLIC_SUFFIX = ".pub"
READ_TIMEOUT_S = 20.0
_MAKE = "openssl genpkey -algorithm ed25519"


class SigningKeyError(ValueError):
    """A key that cannot be used, worded for the person who set it up."""


class Source(NamedTuple):
    """Where the key is, and which one was there when the run was started: every process must find the same."""

    place: str
    key_id: str


class SigningKey:
    """A private key. Signatures of the same bytes are the same."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key, self.public_key = key, key.public_key()
        self.key_id = key_id(self.public_key)

    def sign(self, data: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(data)

    def public_pem(self) -> bytes:
        """The public key for those who check."""
        return self.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class PublicKeys:
    """Keys that signatures are checked by."""

    def __init__(self, keys: Iterable[Ed25519PublicKey]) -> None:
        self._keys = {key_id(key): key for key in keys}

    @classmethod
    def of(cls, key: SigningKey) -> PublicKeys:
        """The public half of a private key alone."""
        return cls([key.public_key])

    def is_signed(self, named_key: str, signature: bytes, data: bytes) -> bool:
        """Whether the key of this id is among them and signed the data."""
        key = self._keys.get(named_key)
        try:
            if key is not None:
                key.verify(signature, data)
        except InvalidSignature:
            return False
        return key is not None


def key_id(key: Ed25519PublicKey) -> str:
    """Tells one key from another: the first digits of the SHA-256 of its 32 bytes."""
    return digest(key.public_bytes(Encoding.Raw, PublicFormat.Raw))[:KEY_ID_DIGITS]


def source(place: str) -> Source:
    """The place with the id of the key that is there now. Raises SigningKeyError."""
    return Source(place, load(place).key_id)


@cache
def agreed(found: Source) -> SigningKey:
    """The key of the start, read once for the process. Raises SigningKeyError, also where there is another one now."""
    key = load(found.place)
    if key.key_id != found.key_id:
        raise SigningKeyError(
            f"--signing_key: {found.place} holds key {key.key_id}; allowed: {found.key_id}, with which this run was "
            "started. Put that one back"
        )
    return key


def load(place: str) -> SigningKey:
    """The key of a place: a path, local or gs://. A local file that does not exist is made. Raises SigningKeyError."""
    if variable := os.environ.get(VARIABLE):
        return _private(variable.encode(), VARIABLE)
    if "://" in place:
        return _private(_read_remote(place, "--signing_key"), place)
    path = Path(place).expanduser()
    try:
        if not path.exists():
            _make(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            raise SigningKeyError(
                f"--signing_key: {path} has mode {mode:04o}; allowed: 0600, yours alone. Run chmod 600 {path}"
            )
        return _private(path.read_bytes(), place)
    except OSError as error:
        raise SigningKeyError(
            f"--signing_key: {path} cannot be read or made: {error.strerror}. Name another file, or set {VARIABLE}"
        ) from error


def public_keys(places: Iterable[str]) -> PublicKeys:
    """The public keys of PEM files. Raises SigningKeyError."""
    return PublicKeys(map(_public, places))


def _private(data: bytes, where: str) -> SigningKey:
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(f"--signing_key: {where} holds no private key in PEM. Make one with {_MAKE}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyError(f"--signing_key: {where} holds another kind of key; allowed: Ed25519, as of {_MAKE}")
    return SigningKey(key)


def _public(place: str) -> Ed25519PublicKey:
    try:
        data = _read_remote(place, "--public_key") if "://" in place else Path(place).expanduser().read_bytes()
        key = load_pem_public_key(data)
    except OSError as error:
        raise SigningKeyError(f"--public_key: {place} cannot be read: {error.strerror}. Name a PEM file") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise SigningKeyError(
            f"--public_key: {place} holds no public key in PEM; allowed: what lies beside the signing key as "
            f"FILE{PUBLIC_SUFFIX}, or comes of openssl pkey -pubout"
        ) from error
    if not isinstance(key, Ed25519PublicKey):
        raise SigningKeyError(f"--public_key: {place} holds another kind of key; allowed: Ed25519")
    return key


def _read_remote(place: str, option: str) -> bytes:
    try:
        found: bytes = places.blob(place).download_as_bytes(timeout=READ_TIMEOUT_S)
    except places.REFUSED as error:
        raise SigningKeyError(f"{option}: {place} cannot be read: {' '.join(str(error).split())}") from error
    return found


def _make(path: Path) -> None:
    """Both keys; the public one first, so that there is never a private one without it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = Ed25519PrivateKey.generate()
    path.with_name(path.name + PUBLIC_SUFFIX).write_bytes(SigningKey(private).public_pem())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
