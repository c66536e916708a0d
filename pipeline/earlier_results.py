"""Results of an earlier run in the same folder: a run of more files would leave some of them among its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.filesystems import FileSystems

from pipeline.option_values import OptionError

NAMES = ("sightings", "passages", "fines", "rejected")
Results = dict[str, float]  # name of the file: when it was written, in seconds since 1970
_RESULT = re.compile(rf"({'|'.join(NAMES)})-\d{{5}}-of-\d{{5}}\.ndjson")


def look(output_dir: str, input_pattern: str) -> Results:
    """What the folder holds before a run. Raises OptionError if one of them is what is to be read."""
    try:
        found = _results(output_dir)
        read = found.keys() & _times(FileSystems.match([input_pattern])[0].metadata_list)
    except (OSError, BeamIOError, ValueError) as error:
        raise OptionError(f"--output_dir: {output_dir} cannot be looked into: {error}. Name another") from error
    if read:
        raise OptionError(
            f"--output_dir: {output_dir} holds {min(read)}, which is read as --input and would be overwritten; "
            "allowed: a folder without results that are read. Name another one"
        )
    return found


def remove(output_dir: str, earlier: Results) -> None:
    """After a run that went well: those of the earlier results that it has not written anew. Raises OptionError."""
    now = _results(output_dir)
    stale = [name for name, written in earlier.items() if now.get(name) == written]
    try:
        FileSystems.delete(stale)
    except BeamIOError as error:
        raise OptionError(
            f"--output_dir: {output_dir} holds {len(stale)} results of an earlier run beside those of this one, "
            f"which cannot be removed: {error}. Remove them, or run again with another folder"
        ) from error


def _results(output_dir: str) -> Results:
    pattern = FileSystems.join(output_dir if "://" in output_dir else os.path.realpath(output_dir), "*.ndjson")
    found = _times(FileSystems.match([pattern])[0].metadata_list)
    return {name: time for name, time in found.items() if _RESULT.fullmatch(re.split(r"[/\\]", name)[-1])}


def _times(found: Iterable[FileMetadata]) -> Results:
    return {one.path if "://" in one.path else os.path.realpath(one.path): one.last_updated_in_seconds for one in found}
