"""Results of an earlier run in the same folder: a run of more files would leave some of them among its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from apache_beam.io.filesystems import FileSystems

from pipeline.option_values import OptionError

NAMES = ("sightings", "passages", "fines", "rejected")
_RESULT = re.compile(rf"({'|'.join(NAMES)})-\d{{5}}-of-\d{{5}}\.ndjson")


def remove(output_dir: str, input_pattern: str) -> None:
    """Make room for a run's results. Raises OptionError, and removes nothing, if one of them is what is to be read."""
    found = _results(output_dir)
    read = found & _names(FileSystems.match([input_pattern])[0].metadata_list)
    if read:
        raise OptionError(
            f"--output_dir: {output_dir} holds {min(read)}, which is read as --input and would be overwritten; "
            "allowed: a folder without results that are read. Name another one"
        )
    if found:
        FileSystems.delete(sorted(found))


def _results(output_dir: str) -> set[str]:
    pattern = FileSystems.join(output_dir if "://" in output_dir else os.path.realpath(output_dir), "*.ndjson")
    names = _names(FileSystems.match([pattern])[0].metadata_list)
    return {name for name in names if _RESULT.fullmatch(re.split(r"[/\\]", name)[-1])}


def _names(found: Iterable[object]) -> set[str]:
    names = (str(getattr(one, "path", "")) for one in found)
    return {name if "://" in name else os.path.realpath(name) for name in names}
