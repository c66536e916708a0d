"""Where messages come from: a Pub/Sub subscription or files."""

from __future__ import annotations

from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.io.gcp.pubsub import PubsubMessage

from pipeline.enforcement.model import Message
from pipeline.options import Settings
from pipeline.transforms.blocks import BlocksOfLines, message_of_block
from pipeline.transforms.parquet import SUFFIX, RowsOfParquet


class ReadMessages(beam.PTransform):
    """Messages of the subscription, or blocks of lines of the files, which then are messages too (.gz is unpacked, rows
    of Parquet are lines).

    On Dataflow the event time may be set at the source, and messages published twice dropped there; the local runner
    knows neither (its watermark is the time of publishing), and the graph does not depend on them.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        """Read from the one source that is configured."""
        return self._subscription(begin) if self._settings.streaming else self._files(begin)

    def _subscription(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        pull = beam.io.ReadFromPubSub(
            subscription=self._settings.input,
            with_attributes=True,
            timestamp_attribute=self._settings.timestamp_attribute,
            id_label=self._settings.id_attribute,
        )
        return begin | "Pull" >> pull | "Take message" >> beam.Map(message_of_pubsub).with_output_types(Message)

    def _files(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        kind = RowsOfParquet if self._settings.input.endswith(SUFFIX) else BlocksOfLines
        take = partial(message_of_block, received_us=self._settings.received_us)
        return (
            begin
            | "Read blocks" >> beam.io.Read(kind(self._settings.input))
            | "Take block" >> beam.Map(take).with_output_types(Message)
        )


def message_of_pubsub(message: PubsubMessage, timestamp: Any = beam.DoFn.TimestampParam) -> Message:  # noqa: ANN401
    """The message with its time of publishing (where the runner does not say it, the element's own time)."""
    published = message.publish_time
    received_us = timestamp.micros if published is None else round(published.timestamp() * 1e6)
    return Message(message.data, message.message_id or "", received_us, dict(message.attributes or {}))
