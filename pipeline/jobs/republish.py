"""Republish: send again what was rejected or not delivered, with its original bytes, after the fix that helps it."""

from __future__ import annotations

import argparse
import base64
import glob
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import requests
from google.api_core.exceptions import GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherClient

from pipeline import command_lines, endpoints
from pipeline.command_lines import ANY_REASON
from pipeline.enforcement.records import Rejected
from pipeline.option_values import OptionError, dataset_name, resource_name
from pipeline.rejected_inbox import Found, Inbox
from pipeline.warehouse import tables
from pipeline.warehouse.rows import INSERT_TIMEOUT_S, RETRY, ROW_IDS

SEND_TIMEOUT_S = 20.0
# Attributes whose names begin so are Pub/Sub's own: it refuses the first from others, adds the second to dead letters.
OF_PUBSUB = ("goog", "CloudPubSubDeadLetterSource")


class NotSentError(ValueError):
    """Why a record cannot be sent, worded for the person who sends it."""


class Sender:
    """Sends a record back to where it was refused: the input topic, or its table."""

    def __init__(self, topic: str, dataset: str | None) -> None:
        self._topic, self._dataset = topic, dataset
        self._publisher = endpoints.publisher()

    def send(self, record: Rejected) -> str:
        """What became of it: sent, or truncated (its bytes were not kept whole).

        Raises NotSentError for what is no record, and whatever the services raise.
        """
        payload, attributes = _payload(record), _attributes(record)
        if len(payload) < record.payload_bytes:
            return "truncated"
        if record.stage == "warehouse":
            self._insert(payload, attributes.get("table"))
        else:
            self.publish(payload, attributes)
        return "sent"

    def publish(self, payload: bytes, attributes: Mapping[str, str]) -> None:
        """By the plain client: the other one takes attributes as arguments, where one named topic or data collides."""
        own = {name: value for name, value in attributes.items() if not name.startswith(OF_PUBSUB)}
        message = {"data": payload, "attributes": own}
        PublisherClient.publish(
            self._publisher, topic=self._topic, messages=[message], retry=None, timeout=SEND_TIMEOUT_S
        )

    def _insert(self, payload: bytes, table: str | None) -> None:
        if table is None or table not in tables.TABLES:
            found = "no table" if table is None else f"table {table!r}"
            raise NotSentError(f"attributes: found {found}; allowed: a table of {', '.join(tables.TABLES)}")
        if self._dataset is None:
            raise NotSentError("--dataset: absent; needed for rows that BigQuery refused. Give NAME or PROJECT.NAME")
        row, row_id = _row(payload, table)
        client = endpoints.bigquery_client(self._dataset.split(".")[0])
        errors = client.insert_rows_json(
            f"{self._dataset}.{table}", [row], row_ids=[row_id], retry=RETRY, timeout=INSERT_TIMEOUT_S
        )
        if errors:
            raise NotSentError(f"BigQuery refused the row again: {errors}")


def _payload(record: Rejected) -> bytes:
    try:
        return base64.b64decode(record.payload, validate=True)
    except ValueError as error:
        raise NotSentError(f"payload: no base64: {error}") from error


def _attributes(record: Rejected) -> dict[str, str]:
    try:
        return msgspec.json.decode(record.attributes, type=dict[str, str])
    except (ValueError, RecursionError) as error:
        raise NotSentError(f"attributes: found {record.attributes[:100]!r}; allowed: texts by name: {error}") from error


def _row(payload: bytes, table: str) -> tuple[dict[str, Any], str]:
    """The row as it was, and the id of its first insert, so that it is stored once."""
    try:
        record = msgspec.json.decode(payload, type=tables.TABLES[table].record_type)
        row = msgspec.json.decode(payload)
    except (ValueError, RecursionError) as error:
        raise NotSentError(f"payload: no row of {table}: {error}") from error
    return {name: value for name, value in row.items() if value is not None}, ROW_IDS[table](record)


def run(argv: Sequence[str]) -> int:
    """Send again what files or a subscription hold; what cannot be sent stays there. Exit status 1 if any stayed."""
    args = command_lines.republish().parse(argv)
    _check(args)
    topic = resource_name(args.input_topic, "topics", "--input_topic", args.project_id)
    sender = Sender(topic, dataset_name(args.dataset, args.project_id))
    counts: Counter[str] = Counter()
    inbox = None if args.input else _inbox(args)
    for batch in _of_files(args.input) if inbox is None else inbox.batches():
        sent = [found for found in batch if _outcome(found, args.reason, sender, counts) == "sent"]
        if inbox is not None:
            inbox.acknowledge(batch, sent)
    print("sent again {sent}, left out {left}, truncated {truncated}, failed {failed}".format_map(_Zeros(counts)))
    return 1 if counts["failed"] or counts["truncated"] else 0


def _check(args: argparse.Namespace) -> None:
    if sum(map(bool, (args.input, args.rejected_subscription, args.undelivered_subscription))) != 1:
        raise OptionError("--input, --rejected_subscription, --undelivered_subscription: allowed: exactly one of them")
    if args.undelivered_subscription and args.reason != ANY_REASON:
        raise OptionError(
            "--reason: found with --undelivered_subscription; allowed: only for what was rejected. Leave it out"
        )


class _Zeros(dict[str, int]):
    def __missing__(self, key: str) -> int:
        return 0


def _outcome(found: Found, reason: str, sender: Sender, counts: Counter[str]) -> str:
    """sent, left, truncated or failed; one that failed is told in one line, and the others go on."""
    try:
        outcome = _sent(found, reason, sender)
    except NotSentError as error:
        outcome = _failed(found, str(error))
    except (GoogleAPIError, GoogleAuthError, requests.RequestException) as error:
        outcome = _failed(found, f"{type(error).__name__}: {error}")
    counts[outcome] += 1
    return outcome


def _sent(found: Found, reason: str, sender: Sender) -> str:
    if found.attributes is not None:
        sender.publish(found.data, found.attributes)
        return "sent"
    record = _record(found.data)
    return "left" if reason not in (ANY_REASON, record.reason) else sender.send(record)


def _failed(found: Found, why: str) -> str:
    print(f"python -m pipeline republish: {found.where}: {' '.join(why.split())}", file=sys.stderr)
    return "failed"


def _inbox(args: argparse.Namespace) -> Inbox:
    option = "rejected_subscription" if args.rejected_subscription else "undelivered_subscription"
    name = resource_name(getattr(args, option), "subscriptions", f"--{option}", args.project_id)
    return Inbox(name, f"--{option}", as_they_are=bool(args.undelivered_subscription))


def _of_files(pattern: str) -> Iterator[list[Found]]:
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise OptionError(f"--input: found no file at {pattern}; allowed: files of rejected records")
    for path in paths:
        try:
            with open(path, "rb") as lines:
                yield [Found(line, f"{path}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
        except OSError as error:
            raise OptionError(f"--input: {path} cannot be read: {error.strerror}. Name files of records") from error


def _record(data: bytes) -> Rejected:
    try:
        return msgspec.json.decode(data, type=Rejected)
    except (ValueError, RecursionError) as error:
        raise NotSentError(f"no rejected record: {error}") from error
