"""Routes: the ways vehicles take through the cameras of a section file, in driving order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from pipeline.enforcement.sections import Network, Section

Leg = tuple[str, str]


@dataclass(frozen=True)
class Stretch:
    """A section on a route, from gantry number `first` to gantry number `last` of the route."""

    section: Section
    first: int
    last: int


@dataclass(frozen=True)
class Route:
    """Cameras in driving order, the length (metres) and the limit (km/h) of each leg, and the sections along it."""

    cameras: tuple[str, ...]
    length_m: tuple[float, ...]
    limit_kmh: tuple[float, ...]
    stretches: tuple[Stretch, ...]


def routes_of(network: Network) -> tuple[Route, ...]:
    """Routes that together hold every camera section of the network; empty where there are radar tracks only.

    Sections that share cameras in the same order lie on one route, so a vehicle passes all of them on one trip.
    """
    sections = [section for section in network.sections.values() if section.cameras]
    legs = _legs(sections)
    direct = {leg for leg in legs if not _has_detour(leg, legs)}
    paths: list[tuple[str, ...]] = []
    for section in sorted(sections, key=lambda section: -section.distance_m):
        if not any(_holds(path, section) for path in paths):
            paths.append(_extend(_path(section.cameras, direct), direct))
    return tuple(_route(path, legs, sections) for path in paths)


def _legs(sections: Sequence[Section]) -> dict[Leg, tuple[float, float]]:
    """Length and limit of each leg; where sections differ, the longer way and the lower limit are driven."""
    found: dict[Leg, tuple[float, float]] = {}
    for section in sections:
        for leg, length_m in zip(pairwise(section.cameras), section.length_m, strict=True):
            known_m, known_kmh = found.get(leg, (length_m, section.limit_kmh))
            found[leg] = (max(known_m, length_m), min(known_kmh, section.limit_kmh))
    return found


def _has_detour(leg: Leg, legs: dict[Leg, tuple[float, float]]) -> bool:
    """Whether other cameras stand between the ends of a leg: a way over them that is hardly longer."""
    return any(len(path) > 2 for path in _ways(leg[0], leg[1], legs, legs[leg][0] * 1.02 + 1, (leg[0],)))


def _ways(
    start: str, end: str, legs: dict[Leg, tuple[float, float]], budget_m: float, path: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    if start == end:
        yield path
        return
    for (here, there), (length_m, _) in legs.items():
        if here == start and there not in path and length_m <= budget_m:
            yield from _ways(there, end, legs, budget_m - length_m, (*path, there))


def _path(cameras: Sequence[str], direct: set[Leg]) -> tuple[str, ...]:
    """The section's cameras with those that stand between them."""
    path = [cameras[0]]
    for camera in cameras[1:]:
        path.extend(_between(path[-1], camera, direct))
    return tuple(path)


def _between(start: str, end: str, direct: set[Leg]) -> list[str]:
    if (start, end) in direct:
        return [end]
    legs = dict.fromkeys(direct, (0.0, 0.0))
    return list(max(_ways(start, end, legs, 1.0, (start,)), key=len)[1:])


def _extend(path: tuple[str, ...], direct: set[Leg]) -> tuple[str, ...]:
    """The path prolonged at both ends while there is exactly one way on."""
    while len(after := [b for a, b in sorted(direct) if a == path[-1]]) == 1 and after[0] not in path:
        path = (*path, after[0])
    while len(before := [a for a, b in sorted(direct) if b == path[0]]) == 1 and before[0] not in path:
        path = (before[0], *path)
    return path


def _holds(path: tuple[str, ...], section: Section) -> bool:
    places = [path.index(camera) for camera in section.cameras if camera in path]
    return len(places) == len(section.cameras) and places == sorted(places)


def _route(path: tuple[str, ...], legs: dict[Leg, tuple[float, float]], sections: Sequence[Section]) -> Route:
    on_it = [section for section in sections if _holds(path, section)]
    return Route(
        cameras=path,
        length_m=tuple(legs[leg][0] for leg in pairwise(path)),
        limit_kmh=tuple(legs[leg][1] for leg in pairwise(path)),
        stretches=tuple(Stretch(s, path.index(s.cameras[0]), path.index(s.cameras[-1])) for s in on_it),
    )
