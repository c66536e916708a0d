"""Make results final: what could still come out otherwise is neither stored nor published."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any
from zlib import crc32

import apache_beam as beam
from apache_beam.transforms import trigger, window
from apache_beam.typehints import KV
from apache_beam.typehints import Iterable as Iterables
from apache_beam.utils.windowed_value import WindowedValue

SHARES = 32
TOGETHER = 500  # results, since a bundle may hold any number
Shared = tuple[int, tuple[Any, ...]]
AT_ONCE, DISCARDING = trigger.Repeatedly(trigger.AfterCount(1)), trigger.AccumulationMode.DISCARDING


class Commit(beam.PTransform):
    """Passes on each result once the engine has committed it, and the same one however often the rest is done again.

    What is done between two shuffles is committed together, or done again as a whole; Vision may then answer otherwise,
    and a session hold more. So a shuffle stands between that and whatever takes effect outside. Keys are shares of the
    passages: an engine keeps something for each key for ever, and passages have no end.
    """

    def __init__(self, identity: Callable[[Any], str]) -> None:
        super().__init__()
        self._identity = identity

    def expand(self, results: beam.PCollection[Any]) -> beam.PCollection[Any]:
        """The same elements, as soon as they come."""
        kind = results.element_type
        # What is bounded ends by itself: its groups need no trigger, which is slow in the local engine.
        at_once = {} if results.is_bounded else {"trigger": AT_ONCE, "accumulation_mode": DISCARDING}
        return (
            results
            | "Key" >> beam.ParDo(_Gather(self._identity)).with_output_types(KV[int, Iterables[kind]])
            | "Fire at once" >> beam.WindowInto(window.GlobalWindows(), **at_once)
            | "Group" >> beam.GroupByKey()
            | "Leave windows" >> beam.WindowInto(window.GlobalWindows())
            | "Take out" >> beam.FlatMap(gathered).with_output_types(kind)
        )


class _Gather(beam.DoFn):
    """The results of a bundle, those of one share as one element: the engine's work is for each element."""

    def __init__(self, identity: Callable[[Any], str]) -> None:
        self._identity = identity

    def start_bundle(self) -> None:
        self._shares: defaultdict[int, list[Any]] = defaultdict(list)

    def process(self, result: Any) -> list[Shared] | None:  # noqa: ANN401 (any result)
        share, _ = by_share(result, self._identity)
        found = self._shares[share]
        found.append(result)
        return [(share, tuple(self._shares.pop(share)))] if len(found) >= TOGETHER else None

    def finish_bundle(self) -> Iterator[WindowedValue]:
        everywhere = window.GlobalWindow()
        for share, found in self._shares.items():
            yield WindowedValue((share, tuple(found)), everywhere.max_timestamp(), [everywhere])


def by_share(result: Any, passage_id: Callable[[Any], str]) -> tuple[int, Any]:  # noqa: ANN401 (any result)
    """All revisions of a passage have the same key."""
    return crc32(passage_id(result).encode()) % SHARES, result


def gathered(grouped: tuple[int, Iterable[tuple[Any, ...]]]) -> Iterable[Any]:
    """The results of one share, of all bundles."""
    return chain.from_iterable(grouped[1])


def values(grouped: tuple[int, Iterable[Any]]) -> Iterable[Any]:
    """The results of one share."""
    return grouped[1]
