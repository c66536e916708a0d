"""One vehicle's session: what its sections saw of it, and one fine for a trip.

A session of a vehicle is all that is seen of it until it is unseen for the session gap, on whatever road. What a
section sees of it is parted once more where that section did not see it for a gap: so a passage is the same, whatever
else the vehicle does.

Who drives too fast through A-B and B-C, and so through A-C as well, drove too fast once. Passages that touch or overlap
are of one trip, and they touch where less than five seconds are between them: the camera that ends one may stand beside
the one that begins the next, and their clocks differ. Under a policy with one fine a trip so are those less than a gap
apart. The worst one that nothing speaks against stands for all of them: were it the worst of all, a doubt about that
one would bring the trip before a person although a lesser violation is proven.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from operator import attrgetter
from typing import NamedTuple

from msgspec.structs import replace

from pipeline.enforcement import clones
from pipeline.enforcement.model import Leg, Outcome, Passage, Reason, Sighting
from pipeline.enforcement.policy import Policy, is_suspected

TOUCHING_US = 5_000_000  # between two cameras beside each other, by clocks that differ
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
            yield from ((section_id, part) for part in in_a_row(seen, gap_us))


def in_a_row(seen: Sequence[Sighting], gap_us: int) -> Iterator[Sequence[Sighting]]:
    """Sightings in order of time, cut where there was none for a gap: of a vehicle its sessions."""
    cuts = [at for at, (one, after) in enumerate(pairwise(seen), 1) if after.time_us - one.time_us >= gap_us]
    return (seen[start:end] for start, end in pairwise([0, *cuts, len(seen)]))


class Rules(NamedTuple):
    """What holds for all sections: their policies, the session gap, and a speed that nobody drives."""

    policies: Mapping[str, Policy]
    gap_us: int
    ceiling_kmh: float = clones.CEILING_KMH


def settle(decided: Sequence[Passage], pairs: Sequence[clones.Pair], rules: Rules) -> Sequence[Passage]:
    """The decided passages of one session, looked at together. pairs: where the vehicle was at two places at once, with
    one of the session's sightings.

    What stands for a trip is chosen first, so that it is the same when a doubt comes later.
    """
    settled = one_fine_a_trip(decided, rules.policies, rules.gap_us)
    return clones.doubted(settled) if pairs else settled


def settle_all(
    seen: Sequence[Sighting], decided: Sequence[Passage], rules: Rules
) -> tuple[list[Passage], list[tuple[clones.Pair, list[Passage]]]]:
    """The decided passages of all sessions of a vehicle, and where it was at two places at once, with the passages of
    the sessions of both sightings. seen: all its sightings, in order of time."""
    begins_us = [session[0].time_us for session in in_a_row(seen, rules.gap_us)]
    own: list[list[Passage]] = [[] for _ in begins_us]
    for passage in decided:
        own[bisect_right(begins_us, passage.first_us) - 1].append(passage)
    found = [
        (pair, {bisect_right(begins_us, end.time_us) - 1 for end in (pair.first, pair.second)})
        for pair in clones.impossible(seen, rules.ceiling_kmh)
    ]
    pairs = defaultdict[int, list[clones.Pair]](list)
    for pair, numbers in found:
        for number in numbers:
            pairs[number].append(pair)
    settled = [settle(of_session, pairs[number], rules) for number, of_session in enumerate(own)]
    doubted = [(pair, [one for number in sorted(numbers) for one in settled[number]]) for pair, numbers in found]
    return list(chain.from_iterable(settled)), doubted


def one_fine_a_trip(decided: Sequence[Passage], policies: Mapping[str, Policy], gap_us: int) -> Sequence[Passage]:
    """The decided passages of one vehicle, in their order, of which one suspected violation is left for each trip; the
    others are clear, and told in it."""
    suspected = [passage for passage in decided if is_suspected(passage)]
    if len(suspected) < 2:
        return decided
    changed: dict[str, Passage] = {}
    for trip in _trips(suspected, policies, gap_us):
        worst = max(trip, key=_severity)
        others = [passage for passage in trip if passage is not worst]
        changed[worst.passage_id] = replace(worst, trip=tuple(map(_leg, others)))
        changed |= {other.passage_id: _covered(other) for other in others}
    return [changed.get(passage.passage_id, passage) for passage in decided]


def _trips(suspected: Iterable[Passage], policies: Mapping[str, Policy], gap_us: int) -> list[list[Passage]]:
    trips: list[list[Passage]] = []
    for passage in sorted(suspected, key=attrgetter("first_us", "last_us", "section_id")):
        wait_us = max(gap_us if policies[passage.section_id].one_fine_per_trip else 0, TOUCHING_US)
        for trip in trips:
            if passage.first_us - max(before.last_us for before in trip) < wait_us and _may_be_one(trip, passage):
                trip.append(passage)
                break
        else:
            trips.append([passage])
    return trips


def _may_be_one(trip: Iterable[Passage], passage: Passage) -> bool:
    """Two states may issue the same plate: passages of different regions are of different vehicles."""
    region = _region(passage)
    return not region or all(_region(before) in (None, "", region) for before in trip)


def _region(passage: Passage) -> str | None:
    return next((end.plate_region for end in (passage.entry, passage.exit) if end and end.plate_region), None)


def _severity(passage: Passage) -> tuple[bool, float, float, float]:
    over_kmh = (passage.counted_speed_kmh or 0.0) - passage.limit_kmh
    return not passage.reasons, passage.amount or 0.0, over_kmh, passage.distance_m or 0.0


def _leg(passage: Passage) -> Leg:
    return Leg(
        passage.passage_id,
        passage.section_id,
        passage.first_us,
        passage.last_us,
        passage.avg_speed_kmh,
        passage.counted_speed_kmh,
        passage.limit_kmh,
    )


def _covered(passage: Passage) -> Passage:
    return replace(
        passage,
        outcome=Outcome.CLEAR,
        reasons=(Reason.ONE_FINE_A_TRIP,),
        amount=None,
        currency="",
        points=(),
        limits=None,
    )
