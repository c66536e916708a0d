"""The instructions of the Dockerfile, for tests of what they say and do."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]


class Instruction(NamedTuple):
    """RUN, COPY, ... and what follows it, on one line, with the arguments of the build filled in."""

    name: str
    text: str


def instructions(path: Path = ROOT / "Dockerfile") -> list[Instruction]:
    """In their order. hadolint knows whether the file is one; this only takes it apart."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found, arguments = [], {}
    for line in filter(None, whole.splitlines()):
        name, text = line.split(maxsplit=1)
        if name == "ARG":
            arguments.update([text.split("=", 1)])
        found.append(Instruction(name, re.sub(r"\$\{(\w+)\}", lambda match: arguments[match[1]], text)))
    return found


def all_of(name: str) -> list[str]:
    """What follows each instruction of this name."""
    return [text for found, text in instructions() if found == name]


def variables() -> dict[str, str]:
    """The environment that the image sets."""
    return dict(pair.split("=", 1) for text in all_of("ENV") for pair in text.split())


def copied() -> list[tuple[list[str], str]]:
    """What is copied from this project: sources and target."""
    return [(words[:-1], words[-1]) for words in map(str.split, all_of("COPY")) if not words[0].startswith("--from")]
