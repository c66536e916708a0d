"""One vehicle's session: its sightings parted by the sections that they count for.

A session of a vehicle is all that is seen of it until it is unseen for the session gap, on whatever road. What a
section sees of it is parted once more where that section did not see it for a gap: so a passage is the same, whatever
else the vehicle does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

from pipeline.enforcement.model import Sighting

SectionIds = Callable[[Sighting], tuple[str, ...]]


def by_section(
    sightings: Iterable[Sighting], section_ids: SectionIds, gap_us: int
) -> Iterator[tuple[str, Sequence[Sighting]]]:
    """Sections with what they saw of the vehicle in a row. `sightings` are in order of time; two of them exactly one
    gap apart are not in a row."""
    found: dict[str, list[Sighting]] = {}
    for sighting in sightings:
        for section_id in section_ids(sighting):
            found.setdefault(section_id, []).append(sighting)
    for section_id, seen in found.items():
        if seen[-1].time_us - seen[0].time_us < gap_us:
            yield section_id, seen
        else:
            yield from ((section_id, part) for part in _in_a_row(seen, gap_us))


def _in_a_row(seen: Sequence[Sighting], gap_us: int) -> Iterator[Sequence[Sighting]]:
    cuts = [at for at, (one, after) in enumerate(pairwise(seen), 1) if after.time_us - one.time_us >= gap_us]
    return (seen[start:end] for start, end in pairwise([0, *cuts, len(seen)]))
