"""Republish: send what was rejected again, with its original bytes, after the fix that lets it pass."""

from __future__ import annotations

import argparse
import base64
import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from google.api_core.exceptions import DeadlineExceeded, GoogleAPIError

from pipeline import endpoints
from pipeline.enforcement.records import Rejected
from pipeline.options import OptionError, dataset_name, resource_name

PULL_TIMEOUT_S = 5.0
PULL_MESSAGES = 500
SEND_TIMEOUT_S = 20.0
ANY = "any"


class Found(NamedTuple):
    """A rejected record, and where it came from if that place wants to know that it is dealt with."""

    record: Rejected
    ack_id: str | None = None


class Sender:
    """Sends a record back to where it was refused: the input topic, or its table."""

    def __init__(self, topic: str, dataset: str | None) -> None:
        self._topic, self._dataset = topic, dataset
        self._publisher = endpoints.publisher()

    def send(self, record: Rejected) -> str:
        """What became of it: sent, truncated (its bytes were not kept whole) or failed."""
        payload = base64.b64decode(record.payload)
        if len(payload) < record.payload_bytes:
            return "truncated"
        attributes = msgspec.json.decode(record.attributes, type=dict[str, str])
        try:
            if record.stage == "warehouse":
                return self._insert(payload, attributes["table"])
            self._publisher.publish(self._topic, payload, retry=None, timeout=SEND_TIMEOUT_S, **attributes).result(
                SEND_TIMEOUT_S
            )
        except (GoogleAPIError, TimeoutError) as error:
            print(f"failed: {type(error).__name__}: {error}")
            return "failed"
        return "sent"

    def _insert(self, payload: bytes, table: str) -> str:
        if self._dataset is None:
            raise OptionError("--dataset: absent; needed for rows that BigQuery refused. Give NAME or PROJECT.NAME")
        row = {name: value for name, value in msgspec.json.decode(payload).items() if value is not None}
        client = endpoints.bigquery_client(self._dataset.split(".")[0])
        errors = client.insert_rows_json(f"{self._dataset}.{table}", [row])
        for error in errors:
            print(f"failed: {error}")
        return "failed" if errors else "sent"


def run(argv: Sequence[str]) -> int:
    """Send again what files or a subscription hold; what cannot be sent stays there. Exit status 1 if any stayed."""
    args = _parser().parse_args(argv)
    if bool(args.input) == bool(args.rejected_subscription):
        raise OptionError("--input, --rejected_subscription: allowed: exactly one of them")
    topic = resource_name(args.input_topic, "topics", "--input_topic", args.project_id)
    sender = Sender(topic, dataset_name(args.dataset, args.project_id))
    counts: Counter[str] = Counter()
    for batch in _batches(args):
        sent = [found for found in batch if _outcome(found.record, args.reason, sender, counts) == "sent"]
        _acknowledge(args, sent)
    print("sent again {sent}, left out {left}, truncated {truncated}, failed {failed}".format_map(_Zeros(counts)))
    return 1 if counts["failed"] or counts["truncated"] else 0


class _Zeros(dict[str, int]):
    def __missing__(self, key: str) -> int:
        return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipeline republish", description=__doc__)
    parser.add_argument("--project_id", default=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    parser.add_argument(
        "--rejected_subscription", help="subscription of the rejected topic; sent ones are acknowledged"
    )
    parser.add_argument("--input", help="file or pattern with rejected records, instead of a subscription")
    parser.add_argument("--input_topic", default="sightings", help="topic to send to. Default: sightings")
    parser.add_argument("--dataset", help="dataset, for rows that BigQuery refused")
    parser.add_argument("--reason", default=ANY, help="only those rejected for this reason, e.g. unknown_camera")
    return parser


def _outcome(record: Rejected, reason: str, sender: Sender, counts: Counter[str]) -> str:
    outcome = "left" if reason not in (ANY, record.reason) else sender.send(record)
    counts[outcome] += 1
    return outcome


def _batches(args: argparse.Namespace) -> Iterator[list[Found]]:
    return _of_files(args.input) if args.input else _of_subscription(_subscription(args))


def _of_files(pattern: str) -> Iterator[list[Found]]:
    paths = sorted(glob.glob(pattern))
    if not paths:
        raise OptionError(f"--input: found no file at {pattern}; allowed: files of rejected records")
    for path in paths:
        with open(path, "rb") as lines:
            yield [Found(_record(line, path)) for line in lines if line.strip()]


def _record(line: bytes, where: str) -> Rejected:
    try:
        return msgspec.json.decode(line, type=Rejected)
    except msgspec.DecodeError as error:
        raise OptionError(f"{where}: found a line that is no rejected record: {error}") from error


def _subscription(args: argparse.Namespace) -> str:
    return resource_name(args.rejected_subscription, "subscriptions", "--rejected_subscription", args.project_id)


def _of_subscription(subscription: str) -> Iterator[list[Found]]:
    """Until a pull finds nothing more that was rejected before this began: what is refused again comes back here."""
    began = datetime.now(UTC)
    with endpoints.subscriber() as subscriber:
        while True:
            try:
                pulled = subscriber.pull(
                    subscription=subscription, max_messages=PULL_MESSAGES, timeout=PULL_TIMEOUT_S, retry=None
                )
            except DeadlineExceeded:
                return
            except GoogleAPIError as error:
                raise OptionError(f"--rejected_subscription: {subscription}: {error.message}") from error
            earlier = [one for one in pulled.received_messages if one.message.publish_time < began]
            if not earlier:
                return
            yield [Found(_record(one.message.data, subscription), one.ack_id) for one in earlier]


def _acknowledge(args: argparse.Namespace, sent: Sequence[Found]) -> None:
    ack_ids = [found.ack_id for found in sent if found.ack_id]
    if ack_ids:
        with endpoints.subscriber() as subscriber:
            subscriber.acknowledge(subscription=_subscription(args), ack_ids=ack_ids)
