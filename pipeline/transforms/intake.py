"""Decode messages and locate their sightings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from pipeline import secret
from pipeline.enforcement.identity import is_identified
from pipeline.enforcement.intake import Batch, Intake
from pipeline.enforcement.model import Message
from pipeline.enforcement.records import Rejected
from pipeline.options import Settings


class Decoded(NamedTuple):
    """The two ways a sighting can go."""

    located: beam.PCollection[Batch]
    rejected: beam.PCollection[Rejected]


class DecodeSightings(beam.PTransform):
    """Messages to located sightings, and what is none to rejected.

    The sightings of a message stay together until they are keyed: the engine's work is for each element.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._decode = _Decode(settings.intake, settings.privacy_secret)

    def expand(self, messages: beam.PCollection[Message]) -> Decoded:
        """One pass over each message."""
        found = messages | "Decode and locate" >> beam.ParDo(self._decode).with_outputs("rejected", main="located")
        found.located.element_type, found.rejected.element_type = Batch, Rejected
        return Decoded(found.located, found.rejected)


class _Decode(beam.DoFn):
    def __init__(self, intake: Intake, secret_source: secret.Source | None) -> None:
        self._intake, self._secret_source = intake, secret_source
        self._located = Metrics.counter("sightings", "located")
        self._rejected = Metrics.counter("sightings", "rejected")
        self._unidentified = Metrics.counter("sightings", "unidentified")  # of those that are located

    def setup(self) -> None:
        """Read the secret, where it is used: it is no part of the graph."""
        self._pseudonyms = secret.pseudonyms(self._secret_source)

    def process(
        self,
        message: Message,
        timestamp: Any = beam.DoFn.TimestampParam,  # noqa: ANN401
    ) -> Iterator[Batch | TaggedOutput]:
        # An element is not behind the watermark when it is read, and the watermark waits for it.
        batch, rejected = self._intake.read(message, max(message.received_us, timestamp.micros), self._pseudonyms)
        self._located.inc(len(batch.located) + len(batch.plain.wires))
        self._rejected.inc(len(rejected))
        countless = (one.sighting for one in batch.located if not one.section_ids)
        self._unidentified.inc(sum(not is_identified(sighting.vehicle_id) for sighting in countless))
        if batch.located or batch.plain.wires:
            yield batch
        for record in rejected:
            yield TaggedOutput("rejected", record)
