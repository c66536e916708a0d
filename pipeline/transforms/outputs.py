"""The five outputs, and where a run writes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypedDict, cast

import apache_beam as beam

from pipeline.enforcement import records
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.intake import Batch
from pipeline.enforcement.model import Outcome, Passages
from pipeline.enforcement.records import (
    Fine,
    PassageRecord,
    PassageRecords,
    PublicPassage,
    Rejected,
    SightingRecord,
    fine_attributes,
)
from pipeline.options import Settings
from pipeline.transforms.commit import Commit
from pipeline.transforms.sinks import (
    InsertPassages,
    InsertRows,
    Parts,
    Publish,
    Recorder,
    WriteLines,
    WriteSummary,
    rejected_attributes,
)

_log = logging.getLogger(__name__)

Joined = dict[str, beam.PCollection[Any]]


class Outputs(TypedDict):
    """Everything a run produces, each output in its parts: every sighting and every passage is in here once."""

    sightings: tuple[beam.PCollection[Batch], ...]
    passages: tuple[beam.PCollection[Passages | PassageRecords], ...]
    fines: tuple[beam.PCollection[Fine], ...]
    alarms: tuple[beam.PCollection[Alarm], ...]
    rejected: tuple[beam.PCollection[Rejected], ...]


class WriteOutputs(beam.PTransform):
    """Outputs as records, to Pub/Sub and BigQuery or to files."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings
        self._recorder = Recorder(settings.privacy_secret)

    def expand(self, outputs: Outputs) -> None:
        """Everything is written; what the warehouse refuses is published as rejected."""
        settings = self._settings
        if not settings.streaming:
            _ = outputs | "Write files" >> WriteFiles(settings.output_dir or ".", self._recorder)
            return
        joined = _joined(outputs)
        rejected = joined["rejected"]
        if settings.dataset:
            refused = joined | "Store in BigQuery" >> Store(settings.dataset, self._recorder)
            rejected = (rejected, refused) | "All rejected" >> beam.Flatten()
        _ = rejected | "Tell of rejected" >> TellOfRejected(settings.rejected_topic)
        topic = settings.output_topic or ""
        _ = joined["fines"] | "Publish fines" >> Publish(topic, fine_attributes)
        if settings.alarms_topic:
            _ = joined["alarms"] | "Publish alarms" >> Publish(settings.alarms_topic, alarm_attributes)
        if settings.publish_all:
            final = joined["passages"] | "Commit passages" >> Commit(first_passage_id)
            public = final | "Not fined" >> beam.FlatMap(not_fined).with_output_types(PublicPassage)
            _ = public | "Publish passages" >> Publish(topic, passage_attributes)


def _joined(outputs: Outputs) -> Joined:
    """Each output as one collection."""
    parts = cast("Mapping[str, Parts]", outputs)
    return {name: found | f"All {name}" >> beam.Flatten() if found[1:] else found[0] for name, found in parts.items()}


class Store(beam.PTransform):
    """Every record into its table; what the warehouse refuses comes back, and is itself stored as rejected."""

    def __init__(self, dataset: str, recorder: Recorder) -> None:
        super().__init__()
        self._dataset, self._recorder = dataset, recorder

    def expand(self, outputs: Joined) -> beam.PCollection[Rejected]:
        """One table for each output; a rejected record that is refused is not stored again."""
        passages = outputs["passages"] | "Store passages" >> InsertPassages(self._rows("passages"))
        fines = outputs["fines"] | "Store fines" >> self._rows("fines")
        alarms = outputs["alarms"] | "Store alarms" >> self._rows("alarms")
        refused = [outputs["sightings"] | "Store sightings" >> self._rows("sightings"), passages, fines, alarms]
        rejected = (outputs["rejected"], *refused) | "With refused rows" >> beam.Flatten()
        twice_refused = rejected | "Store rejected" >> self._rows("rejected")
        return (*refused, twice_refused) | "Refused rows" >> beam.Flatten()

    def _rows(self, table: str) -> InsertRows:
        return InsertRows(self._dataset, table, self._recorder)


class TellOfRejected(beam.PTransform):
    """Rejected records to their topic; without one they are at least said aloud."""

    def __init__(self, topic: str | None) -> None:
        super().__init__()
        self._topic = topic

    def expand(self, rejected: beam.PCollection[Rejected]) -> None:
        """Publish or log."""
        if self._topic:
            _ = rejected | "Publish" >> Publish(self._topic, rejected_attributes)
        else:
            _ = rejected | "Log" >> beam.Map(log_rejected)


class WriteFiles(beam.PTransform):
    """Every record into its file, and the counts of all outcomes."""

    def __init__(self, directory: str, recorder: Recorder) -> None:
        super().__init__()
        self._directory, self._recorder = directory, recorder

    def expand(self, outputs: Outputs) -> None:
        """DIR/NAME-*.ndjson and DIR/summary.json."""
        counted = [
            parts | f"Write {name}" >> WriteLines(self._directory, name, COUNTED[name], self._recorder)
            for name, parts in outputs.items()
        ]
        _ = counted | "All counts" >> beam.Flatten() | "Write summary" >> WriteSummary(self._directory)


def sightings_stored(_: SightingRecord) -> str:
    """The count of a stored sighting."""
    return "sightings_stored"


def passages_by_outcome(passage: PassageRecord) -> str:
    """The count of a passage."""
    return f"passages_{passage.outcome}"


def fines_by_status(fine: Fine) -> str:
    """The count of a fine."""
    return f"fines_{fine.status}"


def alarms_by_kind(alarm: Alarm) -> str:
    """The count of an alarm."""
    return f"alarms_{alarm.kind}"


def rejected_ones(_: Rejected) -> str:
    """The count of a rejected object."""
    return "rejected"


COUNTED: Mapping[str, Callable[[Any], str]] = {
    "sightings": sightings_stored,
    "passages": passages_by_outcome,
    "fines": fines_by_status,
    "alarms": alarms_by_kind,
    "rejected": rejected_ones,
}


def log_rejected(rejected: Rejected) -> None:
    """Without a topic for them, rejected messages are at least said aloud; what was found is not: it may be a plate."""
    _log.warning("rejected at %s: %s, field %s", rejected.stage, rejected.reason, rejected.field)


def not_fined(found: Passages) -> list[PublicPassage]:
    """EDEM's records of measured passages that are neither fined nor under review."""
    return [records.public_passage(passage) for passage in found.passages if passage.outcome is Outcome.CLEAR]


def first_passage_id(found: Passages) -> str:
    """By which passages of one element travel together."""
    return found.passages[0].passage_id


def alarm_attributes(alarm: Alarm) -> dict[str, str]:
    """What subscribers filter by, and tell a repeated alarm by."""
    return {"kind": alarm.kind, "alarm_id": alarm.alarm_id}


def passage_attributes(passage: PublicPassage) -> dict[str, str]:
    """What subscribers filter by."""
    return {"status": "clear", "radar_id": passage.radar_id, "passage_id": passage.passage_id}
