"""Nothing is lost: what was read, counted where it was read, against what was written, counted where it was written."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from pipeline.enforcement.model import Outcome, Status


def account(result: PipelineResult, output_dir: str) -> tuple[str, bool]:
    """A line on what became of all sightings and passages of a finished run, and whether the sums agree."""
    with FileSystems.open(FileSystems.join(output_dir, "summary.json")) as file:
        written: dict[str, int] = msgspec.json.decode(file.read())
    read, measured = sum(_counted(result, "sightings").values()), sum(_counted(result, "passages").values())
    outcomes = ", ".join(f"{written[f'passages_{outcome}']:,} {outcome}" for outcome in Outcome)
    line = (
        f"{read:,} sightings = {written['sightings_stored']:,} stored + {written['rejected']:,} rejected; "
        f"{measured:,} passages = {outcomes}. Results in {output_dir}"
    )
    agree = (read, measured) == (written["sightings_in"], written["passages"]) and all(
        written[f"passages_{outcome}"] == written[f"fines_{status}"]
        for outcome, status in ((Outcome.FINED, Status.ISSUED), (Outcome.REVIEW, Status.REVIEW))
    )
    return (line if agree else f"the sums do not agree, something was lost: {line}"), agree


def _counted(result: PipelineResult, namespace: str) -> Mapping[str, int]:
    """The runner's counters of a namespace, each added up over all steps."""
    counters = result.metrics().query(MetricsFilter().with_namespace(namespace))["counters"]
    found: dict[str, int] = {}
    for counter in counters:
        found[counter.key.metric.name] = found.get(counter.key.metric.name, 0) + counter.result
    return found
