"""Nothing is lost: what was read, counted where it was read, against what was written, counted where it was written."""

from __future__ import annotations

from itertools import chain
from typing import NamedTuple

import msgspec
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import MetricsFilter
from apache_beam.metrics.execution import MetricResult
from apache_beam.runners.runner import PipelineResult

from pipeline.enforcement.model import AlarmKind, Outcome, Status

LOST = "the sums do not agree, something was lost: "
UNIDENTIFIED = "unidentified"  # a part of the located sightings, and no sum of its own


class Count(NamedTuple):
    """What an engine counted. final: each element once; otherwise work that was done again is counted again."""

    n: int
    final: bool

    def allows(self, written: int) -> bool:
        """Whether as many may have been written."""
        return written == self.n if self.final else written <= self.n


def account(result: PipelineResult, output_dir: str) -> tuple[str, bool]:
    """A line on what became of all sightings and passages of a finished run, and whether the sums agree."""
    with FileSystems.open(FileSystems.join(output_dir, "summary.json")) as file:
        written: dict[str, int] = msgspec.json.decode(file.read())
    sightings, passages = written["sightings_in"], written["passages"]
    read, measured, lines = (_counted(result, namespace) for namespace in ("sightings", "passages", "lines"))
    unidentified = _counted(result, "sightings", UNIDENTIFIED)
    nobody = f" ({unidentified.n:,} of no known vehicle)" if unidentified and unidentified.n else ""
    fines, raised = ((f"fines_{status}" for status in Status), (f"alarms_{kind}" for kind in AlarmKind))
    to_write = sightings + passages + sum(written[name] for name in chain(fines, raised))
    outcomes = ", ".join(f"{written[f'passages_{outcome}']:,} {outcome}" for outcome in Outcome)
    line = (
        f"{read.n if read else sightings:,} sightings = "
        f"{written['sightings_stored']:,} stored{nobody} + {written['rejected']:,} rejected; "
        f"{measured.n if measured else passages:,} passages = {outcomes}. Results in {output_dir}"
    )
    doubt, agree = _compared((read, sightings), (measured, passages), (lines, to_write))
    fines_agree = all(
        written[f"passages_{outcome}"] == written[f"fines_{status}"]
        for outcome, status in ((Outcome.FINED, Status.ISSUED), (Outcome.REVIEW, Status.REVIEW))
    )
    return (doubt + line, agree) if fines_agree else (f"{LOST}{line}", False)


def _compared(*pairs: tuple[Count | None, int]) -> tuple[str, bool]:
    """What stands before the line, and whether the sums agree as far as the engine's counts can tell."""
    if not all(count is None or count.allows(written) for count, written in pairs):
        return LOST, False
    if any(count is None and written for count, written in pairs):
        return "not compared, this engine counts nothing where it reads: ", True
    if any(count and count.n > written for count, written in pairs):
        return "not compared, this engine also counts what it did again: ", True
    return "", True


def _counted(result: PipelineResult, namespace: str, part: str | None = None) -> Count | None:
    """The engine's counters of a namespace, or of a part of it alone, added up over all steps; None: it has none."""
    try:
        counters = result.metrics().query(MetricsFilter().with_namespace(namespace))["counters"]
    except NotImplementedError:
        return None
    found = [one for one in counters if (one.key.metric.name == UNIDENTIFIED) == (part == UNIDENTIFIED)]
    final = all(counter.committed is not None for counter in found)
    return Count(sum(map(_value, found)), final) if found else None


def _value(counter: MetricResult) -> int:
    """What was committed, where the engine says it; MetricResult.result has nothing for a counter committed at 0."""
    return int((counter.attempted if counter.committed is None else counter.committed) or 0)
