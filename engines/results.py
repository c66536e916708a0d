"""What a run wrote, so that two runs can be compared whatever the order and the number of their files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

KINDS = ("sightings", "passages", "fines", "alarms", "rejected")
# When this run read the file, in a field and in the words of an error: no two runs share it.
_RUN_TIME = re.compile(rb'"received_at":"[^"]*",?|(?<=, received )[-0-9T:.]+Z')
_MODULUS = 1 << 128


class Lines(NamedTuple):
    """The lines of one kind: how many, and a sum of their hashes, which is the same in any order."""

    n: int
    digest: int


Results = dict[str, Lines]


def read(folder: Path) -> Results:
    """The results in a folder, of which there are none before the run has ended well."""
    return {kind: _lines(folder.glob(f"{kind}-*.ndjson")) for kind in KINDS}


def _lines(paths: Iterator[Path]) -> Lines:
    n, digest = 0, 0
    for path in paths:
        with path.open("rb") as file:
            for line in file:
                n += 1
                text = _RUN_TIME.sub(b"", line.rstrip(b"\n"))
                digest = (digest + int.from_bytes(blake2b(text, digest_size=16).digest(), "big")) % _MODULUS
    return Lines(n, digest)


def differences(found: Results, expected: Results) -> list[str]:
    """The kinds whose lines are not the same, each with both numbers of lines."""
    return [
        f"{kind}: {found[kind].n:,} lines, expected {expected[kind].n:,}"
        + ("" if found[kind].n != expected[kind].n else ", other ones")
        for kind in KINDS
        if found[kind] != expected[kind]
    ]
