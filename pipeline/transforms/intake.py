"""Decode and locate sightings; key them by section and vehicle."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import apache_beam as beam
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from pipeline.enforcement.intake import Intake, Located
from pipeline.enforcement.model import Message, Sighting
from pipeline.enforcement.records import Rejected

Key = tuple[str, str]  # section_id, vehicle_id


class Decoded(NamedTuple):
    """The two ways a sighting can go."""

    located: beam.PCollection[Located]
    rejected: beam.PCollection[Rejected]


class DecodeSightings(beam.PTransform):
    """Messages to located sightings, and what is none to rejected."""

    def __init__(self, intake: Intake) -> None:
        super().__init__()
        self._intake = intake

    def expand(self, messages: beam.PCollection[Message]) -> Decoded:
        """One pass over each message."""
        found = messages | "Decode and locate" >> beam.ParDo(_Decode(self._intake)).with_outputs(
            "rejected", main="located"
        )
        found.located.element_type, found.rejected.element_type = Located, Rejected
        return Decoded(found.located, found.rejected)


class _Decode(beam.DoFn):
    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._located = Metrics.counter("sightings", "located")
        self._rejected = Metrics.counter("sightings", "rejected")

    def process(self, message: Message) -> Iterator[Located | TaggedOutput]:
        for found in self._intake.read(message):
            if isinstance(found, Rejected):
                self._rejected.inc()
                yield TaggedOutput("rejected", found)
            else:
                self._located.inc()
                yield found


class KeyByVehicle(beam.PTransform):
    """A sighting once for each section of its camera."""

    def expand(self, located: beam.PCollection[Located]) -> beam.PCollection[tuple[Key, Sighting]]:
        """Key by section and vehicle."""
        return located | "Pair" >> beam.FlatMap(keyed).with_output_types(tuple[Key, Sighting])


def keyed(located: Located) -> list[tuple[Key, Sighting]]:
    """((section_id, vehicle_id), sighting) for each section."""
    return [((section_id, located.sighting.vehicle_id), located.sighting) for section_id in located.section_ids]
