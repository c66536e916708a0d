"""End the suspected cases: a fine, or a case for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from pipeline.enforcement import evidence
from pipeline.enforcement.model import Case, Passage, Passages, Status
from pipeline.enforcement.records import Fine, Verdict
from pipeline.enforcement.sections import Network
from pipeline.options import Settings
from pipeline.transforms.commit import Commit
from pipeline.transforms.packets import SealVerdicts

TOGETHER = 500  # passages, since a bundle may hold any number


class Judged(NamedTuple):
    """The two records of a case that has ended."""

    passages: beam.PCollection[Passages]
    fines: beam.PCollection[Fine]


class Judge(beam.PTransform):
    """A fine where everything agrees, else a case for a person: one verdict, however often a case is judged."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, cases: beam.PCollection[Case]) -> Judged:
        """One passage and one fine for each case, parted when they are final: both are of the same verdict."""
        verdicts = cases | "Judge" >> beam.ParDo(_Judge(self._settings.network)).with_output_types(Verdict)
        final = verdicts | "Commit" >> Commit(passage_id)
        sealed = final | "Seal packets" >> SealVerdicts(self._settings)
        parted = sealed | "Part" >> beam.ParDo(Part()).with_outputs("fines", main="passages")
        parted.passages.element_type, parted.fines.element_type = Passages, Fine
        return Judged(parted.passages, parted.fines)


class _Judge(beam.DoFn):
    def __init__(self, network: Network) -> None:
        self._network = network

    def process(self, case: Case) -> Iterator[Verdict]:
        passage, fine = evidence.judge(case, self._network.sections[case.passage.section_id])
        yield Verdict(passage, fine, case.pictures)


def passage_id(verdict: Verdict) -> str:
    """Of the passage that was judged."""
    return verdict.passage.passage_id


class Part(beam.DoFn):
    """The fine or the case for a person, and the passages of a bundle together: the work is for each element."""

    def __init__(self) -> None:
        self._counters = {status: Metrics.counter("fines", status.value) for status in Status}

    def start_bundle(self) -> None:
        self._passages: list[Passage] = []

    def process(self, verdict: Verdict) -> Iterator[Passages | TaggedOutput]:
        self._counters[verdict.fine.status].inc()
        self._passages.append(verdict.passage)
        yield TaggedOutput("fines", verdict.fine)
        if len(self._passages) >= TOGETHER:
            yield self._gathered()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        everywhere = GlobalWindow()
        if self._passages:
            yield WindowedValue(self._gathered(), everywhere.max_timestamp(), [everywhere])

    def _gathered(self) -> Passages:
        passages, self._passages = self._passages, []
        return Passages(tuple(passages))
