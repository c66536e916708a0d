"""The streaming job's graph with its edges replaced: messages come from memory, what would be published is dropped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.pipeline import PTransformOverride

from pipeline.jobs.section_speed import build
from pipeline.options import Settings


class TakeFrom(beam.PTransform):
    """Stands where the subscription is read: what Pub/Sub hands to a worker, and Beam's own unpacking of it."""

    def __init__(self, source: beam.PTransform) -> None:
        super().__init__()
        self._source = source

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[PubsubMessage]:
        """Messages with their attributes."""
        return begin | self._source | "Unpack" >> beam.Map(unpack).with_output_types(PubsubMessage)


def unpack(encoded: bytes) -> PubsubMessage:
    """As ReadFromPubSub does it."""
    return PubsubMessage._from_proto_str(encoded)


class Drop(beam.PTransform):
    """Stands where a topic is written to: Beam's packing of the message, which goes nowhere."""

    def expand(self, messages: beam.PCollection[PubsubMessage]) -> beam.PCollection[bytes]:
        """The bytes that would be published."""
        return messages | "Pack" >> beam.Map(beam.io.WriteToPubSub.message_to_proto_str).with_output_types(bytes)


class _Replace(PTransformOverride):
    def __init__(self, kind: type[Any], by: beam.PTransform) -> None:
        self._kind, self._by = kind, by

    def matches(self, applied: Any) -> bool:  # noqa: ANN401 (a node of Beam's graph)
        return isinstance(applied.transform, self._kind)

    def get_replacement_transform_for_applied_ptransform(self, _applied: Any) -> beam.PTransform:  # noqa: ANN401
        return self._by


def from_memory(encoded: Sequence[bytes]) -> beam.PTransform:
    """A source of messages for a runner that ends."""
    return beam.Create(encoded).with_output_types(bytes)


def pipeline(settings: Settings, source: beam.PTransform, runner: Any) -> beam.Pipeline:  # noqa: ANN401
    """The job's own graph, between that source and nothing."""
    made = new_pipeline(runner)
    build(made, settings)
    made.replace_all([_Replace(beam.io.ReadFromPubSub, TakeFrom(source)), _Replace(beam.io.WriteToPubSub, Drop())])
    return made


def new_pipeline(runner: Any) -> beam.Pipeline:  # noqa: ANN401
    """An empty streaming pipeline."""
    options = PipelineOptions([])
    options.view_as(StandardOptions).streaming = True
    return beam.Pipeline(runner=runner, options=options)
