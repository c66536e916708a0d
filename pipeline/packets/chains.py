"""The chain of each section in the evidence bucket: links that are written once, behind the last that is there."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.cloud import storage
from google.cloud.storage.retry import DEFAULT_RETRY

from pipeline.enforcement import manifest
from pipeline.enforcement.manifest import Chained, Head
from pipeline.enforcement.plain_json import PacketError, canonical, named
from pipeline.packets.keys import PublicKeys, SigningKey

REQUEST_TIMEOUT_S = 10.0
RETRY = DEFAULT_RETRY.with_timeout(20.0)
REMEMBERED = 64  # links of a section, by which work that is done again finds its own
MAX_TRIES = 100  # others may be before us many times, but not for ever


class _Section:
    """The last link that is known of a chain, and which packets are in the last ones."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.head: Head | None = None
        self.numbers: OrderedDict[str, int] = OrderedDict()  # by the manifest's hash

    def take(self, chained: Chained) -> None:
        """The link is behind the head: it is the head now."""
        self.head = Head(chained.link.number, chained.sha256)
        self.numbers[chained.link.manifest_sha256] = chained.link.number
        while len(self.numbers) > REMEMBERED:
            self.numbers.popitem(last=False)


class Chains:
    """Appends packets to the chains of a bucket. Several processes may do so at once."""

    def __init__(self, bucket: storage.Bucket, key: SigningKey) -> None:
        self._bucket, self._key = bucket, key
        self._own = PublicKeys.of(key)
        self._sections: defaultdict[str, _Section] = defaultdict(_Section)

    def append(self, section_id: str, packet: bytes) -> int:
        """The number of the link of a packet, given by its manifest; the one that it has already, if that is recent.

        Raises PacketError if the link behind the head is none of this chain: it is left as it is, and nothing is put
        beside it. Raises what Cloud Storage raises.
        """
        section = self._sections[section_id]
        with section.lock:  # threads of one process would only take numbers from each other
            if section.head is None:
                self._find_head(section_id, section)
            for _ in range(MAX_TRIES):
                if (number := section.numbers.get(manifest.digest(packet))) is not None:
                    return number
                self._try(section_id, section, packet)
        raise PacketError(f"chain {section_id}: {MAX_TRIES} others were before this one")

    def _try(self, section_id: str, section: _Section, packet: bytes) -> None:
        """Write the link behind the head, or learn which ones are there."""
        head = section.head or Head()
        data = manifest.new_link(section_id, head, packet, self._key.key_id, self._key.sign)
        blob = self._bucket.blob(manifest.link_name(section_id, head.number + 1))
        try:
            blob.upload_from_string(
                data, content_type="application/json", if_generation_match=0, timeout=REQUEST_TIMEOUT_S, retry=RETRY
            )
        except PreconditionFailed:
            self._catch_up(section_id, section, head)
        else:
            section.take(self._follow(head, data, section_id))

    def _catch_up(self, section_id: str, section: _Section, head: Head) -> None:
        """Go on behind what others wrote: link by link, or at once where it is much."""
        for _ in range(REMEMBERED):
            try:
                data = self._read(section_id, head.number + 1)
            except NotFound:
                return
            section.take(self._follow(head, data, section_id))
            head = section.head or head
        self._find_head(section_id, section)

    def _follow(self, head: Head, data: bytes, section_id: str) -> Chained:
        """What stands in the next place must be its link, and signed by our key if it says so. It may name another key:
        keys are changed."""
        chained, signature = manifest.follow(head, data, section_id)
        link = chained.link
        if link.key_id == self._key.key_id and not self._own.is_signed(link.key_id, signature, canonical(named(link))):
            raise PacketError(f"link {link.number}: it names our key, which did not sign it")
        return chained

    def _read(self, section_id: str, number: int) -> bytes:
        blob = self._bucket.blob(manifest.link_name(section_id, number))
        found: bytes = blob.download_as_bytes(timeout=REQUEST_TIMEOUT_S, retry=RETRY)
        return found

    def _find_head(self, section_id: str, section: _Section) -> None:
        """Read the last links: whoever does work again in another process finds what it has written."""
        last = self._last_number(section_id)
        section.head = Head()
        for number in range(max(1, last - REMEMBERED + 1), last + 1):
            section.take(manifest.read_link(self._read(section_id, number), section_id, number)[0])

    def _last_number(self, section_id: str) -> int:
        """By halving: the names of links are in the order of their numbers, and the store lists from any of them on."""
        low, high = 0, 1
        while self._is_one_from(section_id, high):
            low, high = high, 2 * high
            if high > manifest.LAST_NUMBER:
                raise PacketError(f"chain {section_id}: something has the name of its last link, or one behind it")
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._is_one_from(section_id, middle) else (low, middle)
        return low

    def _is_one_from(self, section_id: str, number: int) -> bool:
        found = self._bucket.list_blobs(
            prefix=f"{manifest.CHAIN}/{section_id}/",
            start_offset=manifest.link_name(section_id, number),
            end_offset=f"{manifest.CHAIN}/{section_id}/:",  # behind all digits: what else lies there is no link
            max_results=1,
            timeout=REQUEST_TIMEOUT_S,
            retry=RETRY,
        )
        return any(True for _ in found)
