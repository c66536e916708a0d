"""What is signed: the manifest of a packet, and the links that put a section's packets in a row.

A packet stands by itself. Its manifest names each part with its hash, says nothing of its neighbours, and is the same
however often and in whatever order the work is done again: Ed25519 gives the same signature for the same bytes.

The order is in the chain: for each section a list of links, each in an object of its own, CHAIN/SECTION/NUMBER.json,
that is written once. A link holds its number, the hash of the link before it and the hash of a packet's manifest, and
is signed too. Numbers leave no gap, so that whoever appends must have read the link before: where two try the same
number, the store takes one of them, and the other reads it and goes on behind it. So there is no fork, whatever is done
again, by however many at once, and no state outside the chain that could be wrong. Work that is done again finds its
own link; after a long while it may add a second one to the same packet, which says the same again and harms nobody.

What this shows: a packet that was changed (its hashes), that is not ours (its signature), that was removed, swapped or
put between (the chain). That links are missing at the end shows only to whoever knows a later one: an auditor keeps the
last number and its hash (verify --write_heads), and a bucket under retention lets nobody remove any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from pipeline.enforcement.plain_json import PacketError, canonical, decoded, named, record
from pipeline.enforcement.records import Fine

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
WHAT, LINK, FORMAT = "manifest of a section speed packet", "link of a section speed chain", 1
PACKETS, CHAIN = "packets", "chain"
NUMBER_DIGITS = 10
LAST_NUMBER = 10**NUMBER_DIGITS - 1
Sign = Callable[[bytes], bytes]
IsSigned = Callable[[str, bytes, bytes], bool]  # key id, signature, data


class Part(msgspec.Struct, frozen=True):
    """A part of a packet."""

    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a packet holds, and of what it is."""

    what: str
    format: int
    section_id: str
    day: str
    fine_id: str
    revision: int
    status: str
    key_id: str
    parts: dict[str, Part]


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A packet's place in its section's chain. previous: the hash of the link before it, none before the first."""

    what: str
    format: int
    section_id: str
    number: int
    previous: str | None
    manifest_sha256: str
    packet: str
    key_id: str


class Head(NamedTuple):
    """The last link of a chain: its number and the hash of its bytes; 0 and None of an empty one."""

    number: int = 0
    sha256: str | None = None


class Chained(NamedTuple):
    """A link that was read: its hash and what it says."""

    sha256: str
    link: Link


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal digits."""
    return sha256(data).hexdigest()


def of_parts(fine: Fine, parts: Mapping[str, bytes], key_id: str, digests: Mapping[str, str] | None = None) -> bytes:
    """The manifest's bytes. digests: of parts that were hashed before, which costs more than all else of large ones."""
    known = digests or {}
    listed = {name: Part(len(data), known.get(name) or digest(data)) for name, data in parts.items()}
    day = fine.entry_time[:10]
    identity = (fine.radar_id, day, fine.fine_id, fine.revision, fine.status.value)
    return canonical(named(Manifest(WHAT, FORMAT, *identity, key_id, listed)))


def packet_name(manifest: bytes) -> str:
    """Where the packet lies: by section, day and fine, and by what it holds, so that no two of them want one name."""
    of = read_manifest(manifest)
    short = f"{of.fine_id}-{of.revision}-{of.status}-{digest(manifest)[:16]}"
    return f"{PACKETS}/{of.section_id}/{of.day}/{short}.zip"


def read_manifest(data: bytes) -> Manifest:
    """The manifest of its bytes. Raises PacketError."""
    manifest = record(Manifest, decoded(data, MANIFEST), MANIFEST)
    if (manifest.what, manifest.format) != (WHAT, FORMAT):
        raise PacketError(f"{MANIFEST}: no manifest of format {FORMAT}")
    return manifest


def problems(data: bytes, signature: bytes, parts: Mapping[str, bytes], is_signed: IsSigned) -> Iterator[str]:
    """What is wrong with a manifest's signature, and with the parts that it names. Raises PacketError if it is none."""
    manifest = read_manifest(data)
    if not is_signed(manifest.key_id, signature, data):
        yield f"{SIGNATURE}: no signature of {MANIFEST} by a public key that was given, it names key {manifest.key_id}"
    for name in sorted(manifest.parts.keys() | parts.keys()):
        told, found = manifest.parts.get(name), parts.get(name)
        if told is None or found is None:
            yield f"{name}: {'not in the manifest' if told is None else 'missing'}"
        elif told != Part(len(found), digest(found)):
            yield f"{name}: other bytes than were signed"


# --- the chain


def link_name(section_id: str, number: int) -> str:
    """The object of a link."""
    return f"{CHAIN}/{section_id}/{number:0{NUMBER_DIGITS}d}.json"


def link_number(name: str) -> int:
    """The number in a link's name. Raises PacketError."""
    digits = name.rpartition("/")[2].removesuffix(".json")
    if len(digits) != NUMBER_DIGITS or not (digits.isascii() and digits.isdecimal()) or not name.endswith(".json"):
        raise PacketError(f"{name}: no name of a link")
    return int(digits)


def new_link(section_id: str, head: Head, manifest: bytes, key_id: str, sign: Sign) -> bytes:
    """The bytes of the link that puts a packet behind the head."""
    link = Link(LINK, FORMAT, section_id, head.number + 1, head.sha256, digest(manifest), packet_name(manifest), key_id)
    return _signed(link, sign(canonical(named(link))))


def _signed(link: Link, signature: bytes) -> bytes:
    return canonical({"link": named(link), "signature": signature.hex()})


def read_link(data: bytes, section_id: str, number: int) -> tuple[Chained, bytes]:
    """The link that these bytes are, and its signature. Raises PacketError, also if it belongs elsewhere."""
    where = f"link {number}"
    found = decoded(data, where)
    if found.keys() != {"link", "signature"}:
        raise PacketError(f"{where}: allowed: an object of link, signature")
    link = record(Link, found["link"], where)
    if (link.what, link.format) != (LINK, FORMAT):
        raise PacketError(f"{where}: no link of format {FORMAT}")
    if (link.section_id, link.number) != (section_id, number):
        raise PacketError(f"{where}: it is link {link.number} of section {link.section_id}")
    try:
        signature = bytes.fromhex(found["signature"])
    except (TypeError, ValueError):
        raise PacketError(f"{where}: its signature is no text of hexadecimal digits") from None
    if _signed(link, signature) != data:
        raise PacketError(f"{where}: not spelt as it is written")
    return Chained(digest(data), link), signature


def follow(head: Head, data: bytes, section_id: str) -> tuple[Chained, bytes]:
    """The link behind a head, and its signature. Raises PacketError if these bytes are not one."""
    chained, signature = read_link(data, section_id, head.number + 1)
    if chained.link.previous != head.sha256:
        raise PacketError(f"link {head.number + 1}: it does not follow link {head.number} that is there")
    return chained, signature


def check_chain(
    section_id: str, links: Sequence[tuple[int, bytes]], is_signed: IsSigned, known: Head | None
) -> tuple[list[Chained], list[str]]:
    """The links that can be read, and what is wrong with the chain, which must begin with link 1.

    links: number and bytes of each link, in order. known: a head from an earlier look, which this chain must contain.
    """
    found: list[Chained] = []
    wrong: list[str] = []
    head = Head()
    for number, data in links:
        if number != head.number + 1:
            wrong.append(f"link{_span(head.number + 1, number - 1)} missing")
        try:
            chained, signature = read_link(data, section_id, number)
        except PacketError as error:
            wrong.append(str(error))
            head = Head(number, digest(data))
            continue
        if not is_signed(chained.link.key_id, signature, canonical(named(chained.link))):
            wrong.append(f"link {number}: not signed by a public key that was given")
        if number == head.number + 1 and chained.link.previous != head.sha256:
            wrong.append(f"link {number}: it does not follow link {head.number} that is there")
        head = Head(number, chained.sha256)
        found.append(chained)
    return found, wrong + _unknown(links, known, head)


def _span(first: int, last: int) -> str:
    return f" {first} is" if first == last else f"s {first} to {last} are"


def _unknown(links: Sequence[tuple[int, bytes]], known: Head | None, head: Head) -> list[str]:
    """What an earlier look saw and is not there any more."""
    if known is None:
        return []
    if head.number < known.number:
        return [f"link{_span(head.number + 1, known.number)} missing at the end: an earlier look saw them"]
    there = dict(links).get(known.number)
    if there is not None and digest(there) != known.sha256:
        return [f"link {known.number}: another one than an earlier look saw"]
    return []
