"""Packets in the evidence bucket: each written once, whole, and put into the chain of its section.

Only a verdict that is committed comes here. What is written for it hangs on the verdict, the pictures, the code and the
configuration alone, no clock and no chance, and its name on what it holds: work that is done again meets its own bytes
and writes nothing. See enforcement/manifest.py for the chain.

A packet that cannot be written holds nothing up: each request is tried again for half a minute; then the fine comes
back without packet_url, and is logged, for whoever called to make a case for a person of it.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from typing import NamedTuple

from google.api_core.exceptions import PreconditionFailed
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY
from msgspec.structs import replace

from pipeline.enforcement import manifest, packet, sheet, sheet_html
from pipeline.enforcement.model import Picture
from pipeline.enforcement.packet import Rules, Versions
from pipeline.enforcement.plain_json import PacketError
from pipeline.enforcement.records import Fine, Verdict
from pipeline.enforcement.sheet import Sheet
from pipeline.packets import container, printing
from pipeline.packets.chains import Chains
from pipeline.packets.keys import SigningKey

REQUEST_TIMEOUT_S = 20.0
RETRY = DEFAULT_RETRY.with_timeout(30.0)
_log = logging.getLogger(__name__)


class Packed(NamedTuple):
    """A packet: its manifest and all of it as one file."""

    manifest: bytes
    data: bytes


class PacketArchive:
    """Seals verdicts."""

    def __init__(self, bucket: storage.Bucket, chains: Chains, key: SigningKey) -> None:
        self._bucket, self._chains, self._key = bucket, chains, key

    @classmethod
    def of(cls, bucket: storage.Bucket, key: SigningKey) -> PacketArchive:
        """Of a bucket, in which the chains are too."""
        return cls(bucket, Chains(bucket, key), key)

    def seal(self, verdict: Verdict, rules: Rules, versions: Versions) -> Fine:
        """The fine or the case with the address of its packet; without one where none could be written."""
        return self._sealed(verdict.fine, lambda: self._pack(verdict, rules, versions))

    def seal_withdrawal(self, fine: Fine, versions: Versions) -> Fine:
        """The same of a case that was taken back."""
        return self._sealed(fine, lambda: pack_withdrawal(fine, versions, self._key))

    def _pack(self, verdict: Verdict, rules: Rules, versions: Versions) -> Packed:
        return pack(verdict, rules, versions, tuple(map(self._bytes, verdict.pictures)), self._key)

    def _sealed(self, fine: Fine, make: Callable[[], Packed]) -> Fine:
        try:
            packed = make()
            name = manifest.packet_name(packed.manifest)
            self._write(name, packed.data)
            self._chains.append(fine.radar_id, packed.manifest)
        except Exception as error:  # noqa: BLE001 (the verdict would be done again for ever, and hold up all behind it)
            _log.error("fine %s, revision %s: no packet: %s", fine.fine_id, fine.revision, _told(error))
            return fine
        return replace(fine, packet_url=f"gs://{self._bucket.name}/{name}")

    def _bytes(self, picture: Picture) -> bytes | None:
        """The picture that was judged, from the evidence bucket."""
        if picture.sha256 is None or picture.image_url is None:
            return None
        name = picture.image_url.removeprefix(f"gs://{self._bucket.name}/")
        data: bytes = self._bucket.blob(name).download_as_bytes(timeout=REQUEST_TIMEOUT_S, retry=RETRY)
        if manifest.digest(data) != picture.sha256:
            raise PacketError(f"{picture.image_url}: another picture than the one that was judged")
        return data

    def _write(self, name: str, data: bytes) -> None:
        blob = self._bucket.blob(name)
        try:
            blob.upload_from_string(
                data, content_type="application/zip", if_generation_match=0, timeout=REQUEST_TIMEOUT_S, retry=RETRY
            )
        except PreconditionFailed:
            if blob.download_as_bytes(timeout=REQUEST_TIMEOUT_S, retry=RETRY) != data:
                raise PacketError(f"{name}: other bytes are there, which only somebody else can have written") from None


def _told(error: Exception) -> str:
    """Our own words; of others only where it came from, since their text may hold a plate."""
    if isinstance(error, PacketError):
        return str(error)
    return f"{type(error).__name__}\n{''.join(traceback.format_tb(error.__traceback__))}"


def pack(
    verdict: Verdict, rules: Rules, versions: Versions, pictures: tuple[bytes | None, ...], key: SigningKey
) -> Packed:
    """The packet of a verdict.

    pictures: the bytes of each of its pictures, which have the hash that the picture names; None for one not kept.
    """
    parts = packet.parts(verdict, rules, versions, pictures)
    names = packet.names(verdict.passage, pictures)
    written = sheet.of_verdict(verdict, rules, versions, names, key.key_id)
    digests = {name: one.sha256 for name, one in zip(names, verdict.pictures, strict=True) if name and one.sha256}
    return _signed(verdict.fine, parts, written, key, digests)


def pack_withdrawal(fine: Fine, versions: Versions, key: SigningKey) -> Packed:
    """The packet of a case that was taken back."""
    return _signed(fine, packet.withdrawal(fine, versions), sheet.of_withdrawal(fine, versions, key.key_id), key, {})


def _signed(
    fine: Fine, parts: Mapping[str, bytes], written: Sheet, key: SigningKey, digests: Mapping[str, str]
) -> Packed:
    parts = {**parts, packet.HTML: sheet_html.page(written), packet.PDF: printing.pdf(written, dict(parts))}
    told = manifest.of_parts(fine, parts, key.key_id, digests)
    return Packed(told, container.packed({manifest.MANIFEST: told, manifest.SIGNATURE: key.sign(told), **parts}))
