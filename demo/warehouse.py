"""What the pipeline has stored, asked of BigQuery with its own client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from generator.score import AlarmMessage
from pipeline import endpoints

QUERY_TIMEOUT_S = 20.0

_COUNTS = """
SELECT *
FROM (SELECT COUNT(*) AS sightings FROM `{dataset}.latest_sightings`)
CROSS JOIN (SELECT COUNT(*) AS rejected FROM `{dataset}.rejected`)
CROSS JOIN (
  SELECT
    COUNT(*) AS passages,
    COUNTIF(outcome = 'clear') AS clear,
    COUNTIF(outcome = 'fined') AS fined,
    COUNTIF(outcome = 'review') AS review,
    COUNTIF(outcome = 'unmeasurable') AS unmeasurable
  FROM `{dataset}.latest_passages`
)
CROSS JOIN (
  SELECT COUNTIF(status = 'issued') AS issued, COUNTIF(status = 'review') AS for_a_person
  FROM `{dataset}.latest_fines`
)
"""
# A pseudonym changes at midnight (UTC), so there the vehicle cannot be compared.
_UNDECIDED = """
SELECT COUNT(*) AS undecided
FROM (
  SELECT sightings.vehicle_id AS vehicle_id, sightings.timestamp AS seen, section_id
  FROM `{dataset}.latest_sightings` AS sightings, UNNEST(sightings.section_ids) AS section_id
) AS seen
WHERE NOT EXISTS (
  SELECT 1
  FROM `{dataset}.latest_passages` AS passages
  WHERE passages.section_id = seen.section_id
    AND (passages.vehicle_id = seen.vehicle_id OR DATE(passages.entry_time) <> DATE(seen.seen))
    AND seen.seen >= TIMESTAMP_SUB(passages.entry_time, INTERVAL {gap_s} SECOND)
    AND seen.seen <= TIMESTAMP_ADD(passages.exit_time, INTERVAL {gap_s} SECOND)
)
"""
_ALARMS = "SELECT kind, seen FROM `{dataset}.alarms`"
_PASSAGES = "SELECT section_id, avg_speed, outcome FROM `{dataset}.latest_passages` WHERE avg_speed IS NOT NULL"
_REJECTED = "SELECT stage, reason, field, error, payload FROM `{dataset}.rejected` ORDER BY received_at"


@dataclass(frozen=True)
class Stored:
    """Counts of the latest revisions. issued, for_a_person: fines by status."""

    sightings: int = 0
    rejected: int = 0
    passages: int = 0
    clear: int = 0
    fined: int = 0
    review: int = 0
    unmeasurable: int = 0
    issued: int = 0
    for_a_person: int = 0


@dataclass(frozen=True)
class MeasuredPassage:
    """One passage as the distribution of speeds needs it."""

    section_id: str
    avg_speed_kmh: float
    outcome: str


@dataclass(frozen=True)
class RejectedObject:
    """What was rejected and why; payload is base64."""

    stage: str
    reason: str
    field: str | None
    error: str
    payload: str


class Warehouse:
    """One dataset. gap_s: the session gap, at most which a sighting lies away from its passage."""

    def __init__(self, project: str, dataset: str, gap_s: float) -> None:
        self._client = endpoints.bigquery_client(project)
        self._names = {"dataset": f"{project}.{dataset}", "gap_s": str(round(gap_s) + 1)}

    def counts(self) -> Stored:
        """How much is stored by now."""
        return Stored(**self._rows(_COUNTS)[0])

    def undecided(self) -> int:
        """Stored sightings that belong to no decided passage yet, counted once for each section of their camera."""
        return int(self._rows(_UNDECIDED)[0]["undecided"])

    def passages(self) -> list[MeasuredPassage]:
        """Every measured passage."""
        return [MeasuredPassage(*row.values()) for row in self._rows(_PASSAGES)]

    def rejected(self) -> list[RejectedObject]:
        """Everything that was rejected, in order of arrival."""
        return [RejectedObject(*row.values()) for row in self._rows(_REJECTED)]

    def alarms(self) -> list[AlarmMessage]:
        """Every alarm."""
        return [msgspec.convert(row, AlarmMessage) for row in self._rows(_ALARMS)]

    def _rows(self, sql: str) -> list[Mapping[str, Any]]:
        limits = {"api_timeout": QUERY_TIMEOUT_S, "wait_timeout": QUERY_TIMEOUT_S, "retry": None, "job_retry": None}
        rows = self._client.query_and_wait(sql.format_map(self._names), **limits)
        return [dict(row.items()) for row in rows]
