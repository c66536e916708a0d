"""End the suspected cases: a fine, or a case for a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from pipeline.enforcement import evidence
from pipeline.enforcement.model import Case, Passages, Status
from pipeline.enforcement.records import Fine
from pipeline.enforcement.sections import Network


class Judged(NamedTuple):
    """The two records of a case that has ended."""

    passages: beam.PCollection[Passages]
    fines: beam.PCollection[Fine]


class Judge(beam.PTransform):
    """A fine where everything agrees, else a case for a person."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def expand(self, cases: beam.PCollection[Case]) -> Judged:
        """One passage and one fine for each case."""
        judged = cases | "Judge" >> beam.ParDo(_Judge(self._network)).with_outputs("fines", main="passages")
        judged.passages.element_type, judged.fines.element_type = Passages, Fine
        return Judged(judged.passages, judged.fines)


class _Judge(beam.DoFn):
    def __init__(self, network: Network) -> None:
        self._network = network
        self._counters = {status: Metrics.counter("fines", status.value) for status in Status}

    def process(self, case: Case) -> Iterator[Passages | TaggedOutput]:
        passage, fine = evidence.judge(case, self._network.sections[case.passage.section_id])
        self._counters[fine.status].inc()
        yield Passages((passage,))
        yield TaggedOutput("fines", fine)
