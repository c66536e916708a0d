"""Part what is settled from what is suspected, and end the suspected cases."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from pipeline.enforcement import evidence, policy
from pipeline.enforcement.model import Case, Passage
from pipeline.enforcement.records import Fine
from pipeline.enforcement.revisions import Change
from pipeline.enforcement.sections import Network


class Changes(NamedTuple):
    """Passages whose pictures are needed, passages that are decided, and the messages that take cases back."""

    suspected: beam.PCollection[Passage]
    settled: beam.PCollection[Passage]
    withdrawn: beam.PCollection[Fine]


class SplitChanges(beam.PTransform):
    """Suspected violations go on to their pictures, everything else is decided."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def expand(self, changes: beam.PCollection[Change]) -> Changes:
        """A change may settle a passage and withdraw its case at once."""
        ways = changes | "Part" >> beam.FlatMap(partial(part, network=self._network)).with_outputs(
            "settled", "withdrawn", main="suspected"
        )
        for way, element_type in (("suspected", Passage), ("settled", Passage), ("withdrawn", Fine)):
            ways[way].element_type = element_type
        return Changes(ways.suspected, ways.settled, ways.withdrawn)


def part(change: Change, network: Network) -> Iterator[Passage | TaggedOutput]:
    """The passage of a change, by the way it goes."""
    passage = change.passage
    if change.withdraws:
        Metrics.counter("fines", "withdrawn").inc()
        yield TaggedOutput("withdrawn", evidence.withdraw(passage, network.sections[passage.section_id]))
    if policy.is_suspected(passage):
        yield passage
    else:
        Metrics.counter("passages", str(passage.outcome)).inc()
        yield TaggedOutput("settled", passage)


class Judged(NamedTuple):
    """The two records of a case that has ended."""

    passages: beam.PCollection[Passage]
    fines: beam.PCollection[Fine]


class Judge(beam.PTransform):
    """A fine where everything agrees, else a case for a person."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self._network = network

    def expand(self, cases: beam.PCollection[Case]) -> Judged:
        """One passage and one fine for each case."""
        judged = cases | "Judge" >> beam.FlatMap(partial(judge, network=self._network)).with_outputs(
            "fines", main="passages"
        )
        judged.passages.element_type, judged.fines.element_type = Passage, Fine
        return Judged(judged.passages, judged.fines)


def judge(case: Case, network: Network) -> Iterator[Passage | TaggedOutput]:
    """The passage with its outcome; "fines": the message about it."""
    passage, fine = evidence.judge(case, network.sections[case.passage.section_id])
    Metrics.counter("passages", str(passage.outcome)).inc()
    Metrics.counter("fines", fine.status.value).inc()
    yield passage
    yield TaggedOutput("fines", fine)
