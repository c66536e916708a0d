"""python -m releases: check this code against the last release; --schemas and --release write what it is now."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.warehouse import tables
from releases import samples, shapes

ROOT = Path(__file__).parent.parent
LAST = ROOT / "releases" / "last"
TERRAFORM_SCHEMAS = ROOT / "terraform" / "schemas"


def main(argv: Sequence[str]) -> int:
    """Exit status 1 if this code could not follow the last release; nothing is written then."""
    parser = argparse.ArgumentParser(prog="python -m releases", description=__doc__)
    parser.add_argument("--schemas", action="store_true", help="write the tables' schemas for terraform/")
    parser.add_argument("--release", action="store_true", help="make this code the last release")
    args = parser.parse_args(argv)
    found = problems()
    for problem in found:
        print(f"python -m releases: {problem}", file=sys.stderr)
    if found:
        return 1
    if args.schemas or args.release:
        write_schemas(TERRAFORM_SCHEMAS)
    if args.release:
        write_release(LAST)
    print("tables, records, state, messages and section files of the last release are read")
    return 0


def problems(last: Path | None = None) -> list[str]:
    """What this code could not follow; a line for a person for each. Nothing, if there was no release."""
    last = last or LAST
    if not (last / "shapes.json").exists():
        return []
    released = msgspec.json.decode((last / "shapes.json").read_bytes(), type=shapes.Shapes)
    found = shapes.problems(released, shapes.now()) + shapes.table_problems(shapes.read_schemas(last / "tables"))
    return found or unread(last)


def unread(last: Path) -> list[str]:
    """The samples of the release that this code does not read as they were meant."""
    found = []
    for path in sorted((last / "samples").glob("*.msgpack")):
        meant = msgspec.json.decode(path.with_suffix(".json").read_bytes())
        try:
            read = samples.decoded(path.stem, path.read_bytes())
        except (msgspec.DecodeError, KeyError) as error:
            found.append(f"{path.name}: cannot be read: {error}")
            continue
        if not samples.still_as(meant, _plain(read)):
            found.append(f"{path.name}: is read otherwise than it was written")
    for name, read in (("messages", samples.messages_read()), ("sections", samples.sections_read())):
        if not samples.still_as(msgspec.json.decode((last / f"{name}.json").read_bytes()), _plain(read)):
            found.append(f"{name}: is read otherwise than the last release read it")
    return found


def write_schemas(folder: Path) -> None:
    """One file for each table."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in tables.TABLES:
        (folder / f"{name}.json").write_text(shapes.schema_json(name), encoding="utf-8")


def write_release(last: Path) -> None:
    """The shapes and samples of this code."""
    write_schemas(last / "tables")
    (last / "samples").mkdir(parents=True, exist_ok=True)
    _write(last / "shapes.json", shapes.now())
    _write(last / "messages.json", samples.messages_read())
    _write(last / "sections.json", samples.sections_read())
    for name in samples.record_types():
        data = samples.encoded(name)
        (last / "samples" / f"{name}.msgpack").write_bytes(data)
        _write(last / "samples" / f"{name}.json", samples.decoded(name, data))


def _write(path: Path, value: Any) -> None:  # noqa: ANN401 (what JSON can hold)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value)) + b"\n")


def _plain(value: Any) -> Any:  # noqa: ANN401 (what JSON can hold)
    return msgspec.json.decode(msgspec.json.encode(value))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
