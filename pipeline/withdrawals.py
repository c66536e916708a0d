"""Withdrawals of fines: to the topic of fines, and then into their table."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent import futures
from typing import NamedTuple

import msgspec
import requests
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError

from pipeline import endpoints
from pipeline.enforcement.records import Fine, fine_attributes
from pipeline.patience import PATIENCE, PATIENCE_S
from pipeline.transforms.sinks import MAX_ROWS
from pipeline.warehouse import tables
from pipeline.warehouse.rows import ROW_IDS

_ERRORS = (GoogleAPIError, GoogleAuthError, requests.RequestException, futures.TimeoutError)


class Sent(NamedTuple):
    """What became of withdrawals; `problems`: a line for a person for each that is not where it should be."""

    published: int
    stored: int
    problems: list[str]


def send(fines: Sequence[Fine], topic: str, dataset: str | None) -> Sent:
    """Publish them, and store those that were published: one that is stored alone would not be sent again."""
    published, problems = _publish(fines, topic)
    if dataset is None:
        return Sent(len(published), 0, problems)
    batches = [published[at : at + MAX_ROWS] for at in range(0, len(published), MAX_ROWS)]
    refused = [line for batch in batches for line in _store(batch, dataset)]
    return Sent(len(published), len(published) - len(refused), problems + refused)


def _publish(fines: Sequence[Fine], topic: str) -> tuple[list[Fine], list[str]]:
    publisher = endpoints.publisher()
    asked = [
        (fine, publisher.publish(topic, msgspec.json.encode(fine), **PATIENCE, **fine_attributes(fine)))
        for fine in fines
    ]
    published, problems = [], []
    for fine, answer in asked:
        try:
            answer.result(timeout=2 * PATIENCE_S)
        except _ERRORS as error:
            problems.append(f"fine {fine.fine_id} is not published to {topic}: {_said(error)}")
        else:
            published.append(fine)
    return published, problems


def _store(fines: Sequence[Fine], dataset: str) -> list[str]:
    """A line for each that is not stored. The same fine again has the same row."""
    table = f"{dataset}.fines"
    try:
        errors = endpoints.bigquery_client(dataset.rpartition(".")[0]).insert_rows_json(
            table,
            [tables.row(fine) for fine in fines],
            row_ids=[ROW_IDS["fines"](fine) for fine in fines],
            skip_invalid_rows=True,
            **PATIENCE,
        )
    except _ERRORS as error:
        return [f"fine {fine.fine_id} is published, and not stored in {table}: {_said(error)}" for fine in fines]
    return [
        f"fine {fines[entry['index']].fine_id} is published, and refused by {table}: {entry['errors']}"
        for entry in errors
    ]


def _said(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
