"""Hand bounded sightings out to the shares of the vehicles."""

from __future__ import annotations

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.enforcement.intake import Batch
from pipeline.enforcement.shares import Gathering, Share
from pipeline.transforms.parquet import SUFFIX

LINE_BYTES, PACKED_BYTES = 200, 20  # that a sighting takes in a file, of JSON lines or packed: few take less


def sightings_at_most(pattern: str) -> int:
    """About how many sightings the files may hold, judged by their sizes alone."""
    files = FileSystems.match([pattern])[0].metadata_list
    return sum(file.size_in_bytes // (PACKED_BYTES if _is_packed(file.path) else LINE_BYTES) for file in files)


def _is_packed(path: str) -> bool:
    return path.endswith(SUFFIX) or CompressionTypes.detect_compression_type(path) != CompressionTypes.UNCOMPRESSED


class ShareOut(beam.DoFn):
    """Gathers the batches of a bundle: the more shares there are, the fewer sightings a single batch has of each."""

    def __init__(self, shares: int) -> None:
        self._shares = shares

    def start_bundle(self) -> None:
        """Nothing is left of another bundle."""
        self._gathering = Gathering(self._shares)

    def process(self, batch: Batch) -> Iterator[tuple[int, Share]]:
        """(number of a share, some of its sightings)."""
        return self._gathering.add(batch)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """The rest of the bundle's."""
        window = GlobalWindow()
        for shared in self._gathering.rest():
            yield WindowedValue(shared, window.max_timestamp(), [window])
