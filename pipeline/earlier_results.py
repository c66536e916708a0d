"""Results of an earlier run in the same folder: a run of more files would leave some of them among its own."""

from __future__ import annotations

import os
import re

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from pipeline.option_values import OptionError

NAMES = ("sightings", "passages", "fines", "alarms", "rejected")
Results = dict[str, float]  # name of the file: when it was written, in seconds since 1970
_RESULT = re.compile(rf"({'|'.join(NAMES)})-\d{{5,}}-of-\d{{5,}}\.ndjson")


def look(output_dir: str, input_pattern: str) -> Results:
    """What the folder holds before a run. Raises OptionError if one of them is what is to be read."""
    if _is_remote(output_dir) and set(output_dir) & set("*?["):
        raise OptionError(f"--output_dir: found {output_dir}; allowed: a place without * ? [. Name another")
    try:
        found = _results(output_dir)
        read = {_resolved(one.path) for one in FileSystems.match([input_pattern])[0].metadata_list}
    except (OSError, BeamIOError, ValueError) as error:
        raise OptionError(f"--output_dir: {output_dir} cannot be looked into: {error}. Name another") from error
    for name in found:
        if _resolved(name) in read:
            raise OptionError(
                f"--output_dir: {output_dir} holds {name}, which is read as --input and would be overwritten; "
                "allowed: a folder without results that are read. Name another one"
            )
    return found


def remove(output_dir: str, earlier: Results) -> None:
    """After a run that went well: those of the earlier results that it has not written anew. Raises OptionError."""
    now = _results(output_dir)
    stale = [name for name, written in earlier.items() if now.get(name) == written]
    try:
        if _is_remote(output_dir):
            FileSystems.delete(stale)
        else:
            for name in stale:
                os.remove(name)
    except (OSError, BeamIOError) as error:
        raise OptionError(
            f"--output_dir: {output_dir} holds {len(stale)} results of an earlier run beside those of this one, "
            f"which cannot be removed: {error}. Remove them, or run again with another folder"
        ) from error


def _is_remote(path: str) -> bool:
    return "://" in path


def _resolved(path: str) -> str:
    return path if _is_remote(path) else os.path.realpath(path)


def _results(output_dir: str) -> Results:
    """Of a local folder its own entries: a link is removed, not what it points to, and no name is a pattern."""
    if _is_remote(output_dir):
        pattern = FileSystems.join(output_dir, "*.ndjson")
        found = {one.path: one.last_updated_in_seconds for one in FileSystems.match([pattern])[0].metadata_list}
    else:
        with os.scandir(output_dir) as entries:
            found = {one.path: one.stat(follow_symlinks=False).st_mtime for one in entries if not one.is_dir()}
    return {name: time for name, time in found.items() if _RESULT.fullmatch(re.split(r"[/\\]", name)[-1])}
