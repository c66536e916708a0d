"""Republish: send again what was rejected or not delivered, with its original bytes, after the fix that helps it."""

from __future__ import annotations

import argparse
import base64
import glob
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import requests
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError
from google.auth.exceptions import GoogleAuthError
from google.pubsub_v1 import PublisherClient

from pipeline import endpoints
from pipeline.enforcement.records import Rejected
from pipeline.option_values import OptionError, dataset_name, resource_name
from pipeline.transforms.sinks import INSERT_TIMEOUT_S, RETRY, ROW_IDS
from pipeline.warehouse import tables

PULL_TIMEOUT_S = 5.0
PULL_MESSAGES = 500
SEND_TIMEOUT_S = 20.0
ANY = "any"
# Attributes whose names begin so are Pub/Sub's own: it refuses the first from others, adds the second to dead letters.
OF_PUBSUB = ("goog", "CloudPubSubDeadLetterSource")


class Found(NamedTuple):
    """The bytes of a rejected record, where they are, and how to tell that place that they are dealt with.

    attributes: those of a message that could not be delivered, which is no record but is sent as it was.
    """

    data: bytes
    where: str
    ack_id: str | None = None
    attributes: Mapping[str, str] | None = None


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
    args = _parser().parse_args(argv)
    _check(args)
    topic = resource_name(args.input_topic, "topics", "--input_topic", args.project_id)
    sender = Sender(topic, dataset_name(args.dataset, args.project_id))
    counts: Counter[str] = Counter()
    for batch in _batches(args):
        sent = [found for found in batch if _outcome(found, args.reason, sender, counts) == "sent"]
        _acknowledge(args, sent)
    print("sent again {sent}, left out {left}, truncated {truncated}, failed {failed}".format_map(_Zeros(counts)))
    return 1 if counts["failed"] or counts["truncated"] else 0


def _check(args: argparse.Namespace) -> None:
    if sum(map(bool, (args.input, args.rejected_subscription, args.undelivered_subscription))) != 1:
        raise OptionError("--input, --rejected_subscription, --undelivered_subscription: allowed: exactly one of them")
    if args.undelivered_subscription and args.reason != ANY:
        raise OptionError(
            "--reason: found with --undelivered_subscription; allowed: only for what was rejected. Leave it out"
        )


class _Zeros(dict[str, int]):
    def __missing__(self, key: str) -> int:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline republish", description=__doc__)
    parser.add_argument("--project_id", default=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    parser.add_argument(
        "--rejected_subscription", help="subscription of the rejected topic; sent ones are acknowledged"
    )
    parser.add_argument(
        "--undelivered_subscription", help="subscription of the dead-letter topic; sent ones are acknowledged"
    )
    parser.add_argument("--input", help="file or pattern with rejected records, instead of a subscription")
    parser.add_argument("--input_topic", default="sightings", help="topic to send to. Default: sightings")
    parser.add_argument("--dataset", help="dataset, for rows that BigQuery refused")
    parser.add_argument("--reason", default=ANY, help="only those rejected for this reason, e.g. unknown_camera")
    return parser


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
    return "left" if reason not in (ANY, record.reason) else sender.send(record)


def _failed(found: Found, why: str) -> str:
    print(f"python -m pipeline republish: {found.where}: {' '.join(why.split())}", file=sys.stderr)
    return "failed"


def _batches(args: argparse.Namespace) -> Iterator[list[Found]]:
    if args.input:
        return _of_files(args.input)
    return _of_subscription(_subscription(args), as_they_are=bool(args.undelivered_subscription))


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


def _subscription(args: argparse.Namespace) -> str:
    option = "rejected_subscription" if args.rejected_subscription else "undelivered_subscription"
    return resource_name(getattr(args, option), "subscriptions", f"--{option}", args.project_id)


def _of_subscription(subscription: str, *, as_they_are: bool = False) -> Iterator[list[Found]]:
    """Until a pull finds nothing more that was rejected before this began: what is refused again comes back here,
    and so does what was not sent, when its deadline has passed."""
    began, known = datetime.now(UTC), set[str]()
    with endpoints.subscriber() as subscriber:
        while True:
            try:
                pulled = subscriber.pull(
                    subscription=subscription, max_messages=PULL_MESSAGES, timeout=PULL_TIMEOUT_S, retry=None
                )
            except DeadlineExceeded:
                return
            except GoogleAPIError as error:
                option = "undelivered" if as_they_are else "rejected"
                raise OptionError(f"--{option}_subscription: {subscription}: {error.message}") from error
            messages = {one.message.message_id: one for one in pulled.received_messages}
            new = [name for name, one in messages.items() if one.message.publish_time < began and name not in known]
            if not new:
                return
            known.update(new)
            yield [_found(messages[name], as_they_are=as_they_are) for name in new]


def _found(received: Any, *, as_they_are: bool) -> Found:  # noqa: ANN401 (a received message)
    message = received.message
    attributes = dict(message.attributes) if as_they_are else None
    return Found(message.data, f"message {message.message_id}", received.ack_id, attributes)


def _acknowledge(args: argparse.Namespace, sent: Sequence[Found]) -> None:
    ack_ids = [found.ack_id for found in sent if found.ack_id]
    if ack_ids:
        with endpoints.subscriber() as subscriber:
            subscriber.acknowledge(subscription=_subscription(args), ack_ids=ack_ids)
