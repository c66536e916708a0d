"""Where cases for a person lie: read from BigQuery; decisions are added there, and sent on to the topic of fines.

A decision is stored before anything follows from it. What follows is derived from it alone, so that whoever was cut off
in between does the same again: same ids, same message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from google.api_core.exceptions import NotFound
from google.cloud import bigquery
from google.pubsub_v1 import PublisherClient

from pipeline import endpoints
from pipeline.enforcement import alarms, decisions
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.decisions import Review, Reviewed
from pipeline.enforcement.records import Fine, fine_attributes
from pipeline.patience import PATIENCE, first_line, told
from pipeline.warehouse import tables
from pipeline.warehouse.rows import INSERT_TIMEOUT_S, RETRY, ROW_IDS, Record, RowError, record

QUERY_TIMEOUT_S = 60.0
_QUEUE = "SELECT * FROM `{dataset}.review_queue` ORDER BY exit_time, fine_id"
_UNSENT = """
SELECT DISTINCT cases.fine_id AS fine_id
FROM `{dataset}.latest_fines` AS cases
JOIN `{dataset}.reviews` AS reviews ON reviews.fine_id = cases.fine_id AND reviews.revision = cases.revision
WHERE cases.status = 'review' AND reviews.decision = 'confirmed'
ORDER BY fine_id
"""
_REVISIONS = "SELECT * FROM `{dataset}.fines` WHERE fine_id = @fine_id"
_REVIEWS = "SELECT * FROM `{dataset}.reviews` WHERE fine_id = @fine_id ORDER BY decided_at, review_id"
_ALARMS = "SELECT * FROM `{dataset}.alarms` WHERE time >= TIMESTAMP_MICROS(@since_us) ORDER BY time DESC, alarm_id"
_CAMERAS = "SELECT * FROM `{dataset}.camera_misreads` ORDER BY misread_rate DESC, camera_id"


class DeskError(ValueError):
    """What keeps a case from being read, stored or sent, worded for the person who decides it."""


class Queued(NamedTuple):
    """What waits: the cases, how many that this release cannot read, and confirmed ones whose fine was not sent."""

    cases: list[Fine]
    unreadable: int
    unsent: list[str]


class Raised(NamedTuple):
    """Alarms, the newest first, each once, and how many that this release cannot read."""

    alarms: list[Alarm]
    unreadable: int


class Desk:
    """The cases of a dataset, PROJECT.NAME."""

    def __init__(self, dataset: str, topic: str | None = None) -> None:
        self._dataset, self._topic = dataset, topic
        self._client: bigquery.Client = endpoints.bigquery_client(dataset.rpartition(".")[0])

    def queue(self) -> Queued:
        """What waits for a decision."""
        cases, unreadable = _readable(self._rows(_QUEUE), Fine)
        return Queued(cases, unreadable, [row["fine_id"] for row in self._rows(_UNSENT)])

    def alarms(self, since_us: int) -> Raised:
        """What else a person should look at."""
        found, unreadable = _readable(self._rows(_ALARMS, since_us=since_us), Alarm)
        return Raised(alarms.latest(found), unreadable)

    def case(self, fine_id: str) -> Reviewed:
        """A case with all decisions about it. Raises DeskError if there is none."""
        try:
            revisions = [record(row, Fine) for row in self._rows(_REVISIONS, fine_id)]
            reviews = tuple(record(row, Review) for row in self._rows(_REVIEWS, fine_id))
        except RowError as error:
            raise DeskError(f"{fine_id}: written by a later release: {error}. Use that one") from error
        if not revisions:
            raise DeskError(f"{fine_id}: no case in {self._dataset}; see python -m pipeline review list")
        return Reviewed(decisions.latest(revisions), reviews)

    def cameras(self) -> list[dict[str, Any]]:
        """The rows of camera_misreads."""
        return self._rows(_CAMERAS)

    def add(self, review: Review) -> None:
        """Store a decision. Raises DeskError if it is not stored."""
        self._insert("reviews", review)

    def send(self, fine: Fine) -> None:
        """Publish what a case has become, then store it. Raises DeskError, and what Google's clients raise."""
        with told("pubsub", str(self._topic)):
            message = {"data": msgspec.json.encode(fine), "attributes": fine_attributes(fine)}
            PublisherClient.publish(endpoints.publisher(), topic=self._topic, messages=[message], **PATIENCE)
        self._insert("fines", fine)

    def _insert(self, table: str, row: Fine | Review) -> None:
        name = f"{self._dataset}.{table}"
        with told("bigquery", name):
            try:
                errors: Sequence[Any] = self._client.insert_rows_json(
                    name, [tables.row(row)], row_ids=[ROW_IDS[table](row)], retry=RETRY, timeout=INSERT_TIMEOUT_S
                )
            except NotFound as error:
                raise self._absent(error) from error
        if errors:
            raise DeskError(f"{name}: BigQuery refused the row: {errors[0].get('errors')}")

    def _rows(self, sql: str, fine_id: str | None = None, since_us: int | None = None) -> list[dict[str, Any]]:
        config = bigquery.QueryJobConfig(query_parameters=_parameters(fine_id, since_us))
        text = sql.format(dataset=self._dataset)
        with told("bigquery", self._dataset):
            try:
                # Not query_and_wait: the local service answers that with no rows where a query has failed.
                job = self._client.query(text, job_config=config, job_retry=None, **PATIENCE)
                return [dict(row.items()) for row in job.result(timeout=QUERY_TIMEOUT_S, retry=PATIENCE["retry"])]
            except NotFound as error:
                raise self._absent(error) from error

    def _absent(self, error: Exception) -> DeskError:
        project, _, name = self._dataset.rpartition(".")
        make = f"python -m pipeline provision --project_id {project} --dataset {name}"
        return DeskError(f"--dataset: {self._dataset}: {first_line(error)}. Make it: {make}")


def _readable(rows: Sequence[dict[str, Any]], type_: type[Record]) -> tuple[list[Record], int]:
    """The rows as records, and how many this release cannot read."""
    found = []
    for row in rows:
        try:
            found.append(record(row, type_))
        except RowError:
            continue
    return found, len(rows) - len(found)


def _parameters(fine_id: str | None, since_us: int | None) -> list[bigquery.ScalarQueryParameter]:
    given = (("fine_id", "STRING", fine_id), ("since_us", "INT64", since_us))
    return [bigquery.ScalarQueryParameter(*one) for one in given if one[2] is not None]
