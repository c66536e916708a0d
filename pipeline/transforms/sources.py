"""Where messages come from: a Pub/Sub subscription or files."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.coders import BytesCoder
from apache_beam.io.gcp.pubsub import PubsubMessage

from pipeline.enforcement.model import Message
from pipeline.options import Settings


class ReadMessages(beam.PTransform):
    """Messages of the subscription, or each line of the files as a message (.gz is unpacked).

    On Dataflow the event time is set at the source and redelivered messages are dropped; the local runner knows neither
    (its watermark is the clock), and the graph does not depend on them.
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
            id_label=self._settings.id_label,
        )
        return begin | "Pull" >> pull | "Take message" >> beam.Map(message_of_pubsub)

    def _files(self, begin: beam.pvalue.PBegin) -> beam.PCollection[Message]:
        read = beam.io.ReadFromText(self._settings.input, coder=BytesCoder())
        return begin | "Read lines" >> read | "Take line" >> beam.FlatMap(messages_of_line, self._settings.received_us)


def message_of_pubsub(message: PubsubMessage, timestamp: Any = beam.DoFn.TimestampParam) -> Message:  # noqa: ANN401
    """The message with its time of publishing (where the runner does not say it, the element's own time)."""
    published = message.publish_time
    received_us = timestamp.micros if published is None else round(published.timestamp() * 1e6)
    return Message(message.data, message.message_id or "", received_us, dict(message.attributes or {}))


def messages_of_line(line: bytes, received_us: int) -> list[Message]:
    """No message for an empty line."""
    return [Message(line, "", received_us)] if line.strip() else []
