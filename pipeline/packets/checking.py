"""Check packets and chains that were read from somewhere: what they prove, or all that is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from pipeline.enforcement import manifest, packet, wording
from pipeline.enforcement.manifest import Chained, Head, IsSigned
from pipeline.enforcement.packet import Told
from pipeline.enforcement.plain_json import PacketError
from pipeline.packets import container
from pipeline.packets.places import Root, links


class Proven(NamedTuple):
    """A packet in which everything agrees."""

    section_id: str
    manifest_sha256: str
    name: str
    key_id: str
    told: Told


class Chain(NamedTuple):
    """A section's chain: its links, what is wrong with it, and its last link."""

    links: tuple[Chained, ...]
    problems: tuple[str, ...]
    head: Head


def prove(data: bytes, is_signed: IsSigned) -> Proven:
    """Check a packet's parts, signature and verdict. Raises PacketError with all that is wrong."""
    parts = container.unpacked(data)
    signed, signature = parts.pop(manifest.MANIFEST, None), parts.pop(manifest.SIGNATURE, None)
    if signed is None or signature is None:
        raise PacketError(f"no {manifest.MANIFEST} or no {manifest.SIGNATURE} in it")
    told_by = manifest.read_manifest(signed)
    wrong = list(manifest.problems(signed, signature, parts, is_signed))
    try:
        told = _told(parts)
        identity = (told.fine.radar_id, told.fine.fine_id, told.fine.revision, told.fine.status)
        if identity != (told_by.section_id, told_by.fine_id, told_by.revision, told_by.status):
            wrong.append(f"{manifest.MANIFEST}: of another case than {packet.NAME}")
    except PacketError as error:
        wrong.append(str(error))
    except Exception as error:  # noqa: BLE001 (whatever somebody wrote into it, it is told in one line)
        wrong.append(f"{packet.NAME}: cannot be computed again: {type(error).__name__}: {error}")
    if wrong:
        raise PacketError("; ".join(wrong))
    return Proven(told_by.section_id, manifest.digest(signed), manifest.packet_name(signed), told_by.key_id, told)


def _told(parts: Mapping[str, bytes]) -> Told:
    if packet.NAME not in parts:
        raise PacketError(f"no {packet.NAME} in it")
    pictures = {name: data for name, data in parts.items() if name not in (packet.NAME, packet.HTML, packet.PDF)}
    return packet.recheck(parts[packet.NAME], pictures)


def said(proven: Proven) -> str:
    """What was proven, in one line."""
    fine, grounds = proven.told.fine, proven.told.grounds
    if grounds is None:
        return f"{fine.status}; key {proven.key_id}"
    passage = grounds.passage
    speeds = (
        ("average", passage.avg_speed_kmh),
        ("at least", passage.min_speed_kmh),
        ("counted", passage.counted_speed_kmh),
    )
    found = ", ".join(f"{name} {wording.speed(speed)}" for name, speed in speeds if speed is not None)
    return f"{fine.status}; computed again: {found}, limit {wording.limit(passage.limit_kmh)}; key {proven.key_id}"


def read_chain(root: Root, section_id: str, is_signed: IsSigned, known: Head | None) -> Chain:
    """The chain of a section, whatever state it is in."""
    found: list[tuple[int, bytes]] = []
    wrong: list[str] = []
    for name in links(root, section_id):
        try:
            found.append((manifest.link_number(name), root.read(name)))
        except PacketError as error:
            wrong.append(f"{name}: {error}")
    chained, problems = manifest.check_chain(section_id, found, is_signed, known)
    head = Head(found[-1][0], manifest.digest(found[-1][1])) if found else Head()
    return Chain(tuple(chained), (*wrong, *problems), head)


def missing(chain: Chain, packets: Mapping[str, str | None], kept_since: str) -> list[str]:
    """Packets that have a link and are not there. packets: the hash of each one's manifest by its name, None: damaged.

    Those of days before kept_since may have been deleted in their time.
    """
    wrong = []
    for _, link in chain.links:
        if link.packet not in packets:
            day = link.packet.split("/")[-2] if link.packet.count("/") >= 2 else ""
            if day >= kept_since:
                wrong.append(f"link {link.number}: its packet {link.packet} is missing")
        elif packets[link.packet] not in (None, link.manifest_sha256):
            wrong.append(f"link {link.number}: its packet {link.packet} is another one")
    return wrong
