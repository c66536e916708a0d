"""The four outputs, and where a run writes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypedDict

import apache_beam as beam
import msgspec

from pipeline import secret
from pipeline.enforcement import records
from pipeline.enforcement.intake import Located
from pipeline.enforcement.model import Outcome, Passage, Status
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.records import Fine, PassageRecord, PublicPassage, Rejected, SightingRecord
from pipeline.options import Settings
from pipeline.transforms.sinks import (
    CountBundle,
    InsertRows,
    Publish,
    WriteLines,
    WriteSummary,
    fine_attributes,
    rejected_attributes,
)

_log = logging.getLogger(__name__)


class Outputs(TypedDict):
    """Everything a run produces: every sighting and every passage is in here once."""

    sightings: beam.PCollection[Located]
    passages: beam.PCollection[Passage]
    fines: beam.PCollection[Fine]
    rejected: beam.PCollection[Rejected]


Records = dict[str, beam.PCollection[Any]]


class WriteOutputs(beam.PTransform):
    """Outputs as records, to Pub/Sub and BigQuery or to files."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, outputs: Outputs) -> Records:
        """The records that were written, by name."""
        record = _Record(self._settings.privacy_secret)
        found: Records = {
            "sightings": outputs["sightings"]
            | "Record sightings" >> beam.ParDo(record).with_output_types(SightingRecord),
            "passages": outputs["passages"] | "Record passages" >> beam.ParDo(record).with_output_types(PassageRecord),
            "fines": outputs["fines"],
            "rejected": outputs["rejected"],
        }
        if self._settings.streaming:
            self._publish(found, outputs["passages"])
        else:
            _ = found | "Write files" >> WriteFiles(self._settings.output_dir or ".")
        return found

    def _publish(self, found: Records, passages: beam.PCollection[Passage]) -> None:
        settings = self._settings
        rejected = [found["rejected"]]
        if settings.dataset:
            rejected.append(
                {name: rows for name, rows in found.items() if name != "rejected"} | Store(settings.dataset)
            )
            all_rejected = rejected | "All rejected" >> beam.Flatten()
            refused = all_rejected | "Store rejected" >> InsertRows(settings.dataset, "rejected")
            rejected = [all_rejected, refused]
        rejected_for_people = rejected | "Rejected to publish" >> beam.Flatten()
        if settings.rejected_topic:
            _ = rejected_for_people | "Publish rejected" >> Publish(settings.rejected_topic, rejected_attributes)
        else:
            _ = rejected_for_people | "Log rejected" >> beam.Map(log_rejected)
        topic = settings.output_topic or ""
        _ = found["fines"] | "Publish fines" >> Publish(topic, fine_attributes)
        if settings.publish_all:
            public = passages | "Not fined" >> beam.FlatMap(not_fined).with_output_types(PublicPassage)
            _ = public | "Publish passages" >> Publish(topic, passage_attributes)


class Store(beam.PTransform):
    """Every record into its table; what the warehouse refuses comes back as rejected."""

    def __init__(self, dataset: str) -> None:
        super().__init__(label="Store in BigQuery")
        self._dataset = dataset

    def expand(self, found: Records) -> beam.PCollection[Rejected]:
        """One table for each kind of record."""
        refused = [rows | f"Store {name}" >> InsertRows(self._dataset, name) for name, rows in found.items()]
        return refused | "Refused rows" >> beam.Flatten()


class WriteFiles(beam.PTransform):
    """Every record into its file, and the counts of all outcomes."""

    def __init__(self, directory: str) -> None:
        super().__init__()
        self._directory = directory

    def expand(self, found: Records) -> None:
        """DIR/NAME-*.ndjson and DIR/summary.json."""
        for name, rows in found.items():
            _ = rows | f"Write {name}" >> WriteLines(self._directory, name)
        counted = [rows | f"Count {name}" >> beam.ParDo(CountBundle(COUNTED[name])) for name, rows in found.items()]
        _ = counted | "All counts" >> beam.Flatten() | "Write summary" >> WriteSummary(self._directory, COUNTS)


COUNTED: Mapping[str, Callable[[Any], str]] = {
    "sightings": lambda _: "sightings_stored",
    "passages": lambda passage: f"passages_{passage.outcome}",
    "fines": lambda fine: f"fines_{fine.status}",
    "rejected": lambda _: "rejected",
}
COUNTS = (
    "sightings_stored",
    "rejected",
    *(f"passages_{outcome}" for outcome in Outcome),
    *(f"fines_{status}" for status in Status),
)


class _Record(beam.DoFn):
    """Sightings and passages as they are stored: under pseudonyms, unless privacy is off."""

    def __init__(self, secret_source: str | None) -> None:
        self._secret_source = secret_source

    def setup(self) -> None:
        # The secret is read where it is used, so that it is not part of the graph.
        self._pseudonyms = Pseudonyms(None if self._secret_source is None else secret.load(self._secret_source))

    def process(self, found: Located | Passage) -> list[msgspec.Struct]:
        if isinstance(found, Located):
            return [records.sighting_record(found.sighting, found.section_ids, self._pseudonyms)]
        return [records.passage_record(found, self._pseudonyms)]


def log_rejected(rejected: Rejected) -> None:
    """Without a topic for them, rejected messages are at least said aloud."""
    _log.warning("rejected at %s: %s: %s", rejected.stage, rejected.reason, rejected.error)


def not_fined(passage: Passage) -> list[PublicPassage]:
    """EDEM's record of a measured passage that is neither fined nor under review."""
    return [records.public_passage(passage)] if passage.outcome is Outcome.CLEAR else []


def passage_attributes(passage: PublicPassage) -> dict[str, str]:
    """What subscribers filter by."""
    return {"status": "clear", "radar_id": passage.radar_id, "passage_id": passage.passage_id}
