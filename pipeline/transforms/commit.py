"""Make results final: what could still come out otherwise is neither stored nor published."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from zlib import crc32

import apache_beam as beam
from apache_beam.transforms import trigger, window
from apache_beam.typehints import KV

SHARES = 32
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
            | "Key" >> beam.Map(by_share, self._identity).with_output_types(KV[int, kind])
            | "Fire at once" >> beam.WindowInto(window.GlobalWindows(), **at_once)
            | "Group" >> beam.GroupByKey()
            | "Take out" >> beam.FlatMap(values).with_output_types(kind)
            | "Leave windows" >> beam.WindowInto(window.GlobalWindows())
        )


def by_share(result: Any, passage_id: Callable[[Any], str]) -> tuple[int, Any]:  # noqa: ANN401 (any result)
    """All revisions of a passage have the same key."""
    return crc32(passage_id(result).encode()) % SHARES, result


def values(grouped: tuple[int, Iterable[Any]]) -> Iterable[Any]:
    """The results of one share."""
    return grouped[1]
