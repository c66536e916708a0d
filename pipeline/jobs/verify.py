"""Verify: compute the verdicts of packets again, and check hashes, signatures and chains. One line for each."""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from pipeline import command_lines
from pipeline.enforcement.manifest import PACKETS, Head
from pipeline.enforcement.plain_json import PacketError
from pipeline.enforcement.wording import line
from pipeline.option_values import OptionError
from pipeline.packets import checking, keys
from pipeline.packets.checking import Chain, Proven
from pipeline.packets.keys import PublicKeys
from pipeline.packets.places import Place, Root, chained_sections, place

Heads = dict[str, Head]
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


def run(argv: Sequence[str]) -> int:
    """Look at each packet and at the chains of their sections. Exit status 1 if anything is wrong with any of them."""
    args = command_lines.verify().parse(argv)
    public, known = keys.public_keys(args.public_key), _known_heads(args.known_heads)
    if args.kept_since and not _DAY.fullmatch(args.kept_since):
        raise OptionError(f"--kept_since: found {args.kept_since!r}; allowed: a day such as 2026-01-31")
    looks = [_Look(found, public, known, args.kept_since or "") for found in _places(args)]
    failures = sum(look.failures() for look in looks)
    heads = {section_id: head for look in looks for section_id, head in look.heads.items()}
    if args.write_heads and not failures:
        _write_heads(args.write_heads, known | heads)
    return 1 if failures else 0


def _places(args: argparse.Namespace) -> list[Place]:
    """One for each folder or bucket, with all packets of it that were named."""
    found: dict[Root, Place] = {}
    for argument in args.packets:
        one = place(argument)
        before = found.get(one.root, Place(one.root, [], whole=False))
        packets = list(dict.fromkeys([*before.packets, *one.packets]))
        found[one.root] = Place(one.root, packets, before.whole or one.whole)
    return list(found.values())


class _Look:
    """A look at the packets of one folder or bucket."""

    def __init__(self, found: Place, public: PublicKeys, known: Heads, kept_since: str) -> None:
        self._place, self._public, self._known, self._kept_since = found, public, known, kept_since
        self._chains: dict[str, Chain] = {}
        self._packets: dict[str, str | None] = {}
        self.heads: Heads = {}

    def failures(self) -> int:
        """Print a line for each packet, then one for each chain; how many of them failed."""
        packets = sum(not self._packet(name) for name in self._place.packets)
        if self._place.whole:
            for section_id in [*chained_sections(self._place.root), *self._known]:
                self._chain(section_id)
        return packets + sum(not self._tell_chain(section_id) for section_id in sorted(self._chains))

    def _packet(self, name: str) -> bool:
        shown = line(self._place.root.shown(name))
        self._packets[name] = None
        try:
            proven = checking.prove(self._place.root.read(name), self._public.is_signed)
            self._packets[name] = proven.manifest_sha256
            place_in_chain = self._place_in_chain(name, proven)
        except PacketError as error:
            print(f"FAILED  {shown}: {line(error)}")
            return False
        print(f"ok      {shown}: {line(checking.said(proven))}; {line(place_in_chain)}")
        return True

    def _place_in_chain(self, name: str, proven: Proven) -> str:
        if name.startswith(f"{PACKETS}/") and name != proven.name:
            raise PacketError(f"it lies under another name than its own, {proven.name}")
        chain = self._chain(proven.section_id)
        if not chain.links and not self._place.whole:
            return "no chain beside it"
        numbers = [link.number for _, link in chain.links if link.manifest_sha256 == proven.manifest_sha256]
        if not numbers:
            raise PacketError(f"not in the chain of section {proven.section_id}")
        return f"link {', '.join(map(str, numbers))} of {proven.section_id}"

    def _chain(self, section_id: str) -> Chain:
        if section_id not in self._chains:
            known = self._known.get(section_id)
            self._chains[section_id] = checking.read_chain(self._place.root, section_id, self._public.is_signed, known)
        return self._chains[section_id]

    def _tell_chain(self, section_id: str) -> bool:
        chain = self._chains[section_id]
        if not (chain.links or chain.problems):
            return True
        wrong = list(chain.problems)
        if self._place.whole:
            wrong += checking.missing(chain, self._packets, self._kept_since)
        if wrong:
            print(f"FAILED  chain {line(section_id)}: {line('; '.join(wrong))}")
            return False
        self.heads[section_id] = chain.head
        print(f"ok      chain {line(section_id)}: links 1 to {chain.head.number}, the last one {chain.head.sha256}")
        return True


def _known_heads(path: str | None) -> Heads:
    if path is None:
        return {}
    try:
        return msgspec.json.decode(Path(path).expanduser().read_bytes(), type=Heads)
    except OSError as error:
        raise OptionError(f"--known_heads: {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise OptionError(f"--known_heads: {path} is no file of --write_heads: {error}") from error


def _write_heads(path: str, heads: Mapping[str, Head]) -> None:
    try:
        Path(path).expanduser().write_bytes(msgspec.json.format(msgspec.json.encode(heads, order="sorted")) + b"\n")
    except OSError as error:
        raise OptionError(f"--write_heads: {path} cannot be written: {error.strerror}") from error
