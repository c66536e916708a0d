"""How the local streaming runner reads Pub/Sub: ahead of the graph, under a watermark that waits for the backlog.

As it comes (Beam 2.77) the runner pulls ten messages at a time while the graph stands still, and calls the clock its
watermark: what waited in the subscription while the graph was busy, or not running, is late, and then too late. Here
one pull is on its way while the graph works, and the watermark is the time at which the oldest message in hand was
published, as on Dataflow.
"""

# ruff: noqa: ANN401 (Beam's and the client's own types are Any here)
from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from apache_beam.io.gcp.pubsub import PubsubMessage
from apache_beam.pvalue import PBegin
from apache_beam.runners.direct.util import TransformResult
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp
from google.api_core.exceptions import DeadlineExceeded, ServiceUnavailable
from google.pubsub_v1 import types

MAX_MESSAGES = 500
PULL_TIMEOUT_S = 30.0
GATHER_S = 0.1  # between two pulls: a bundle costs as much as a hundred sightings, whatever it holds
WAIT_S = 0.05  # how long the graph stands still for a message at most: its timers wait meanwhile
QUIET_S = 1.0  # when a pull has waited so long, all that was published before it began to wait has come
AGAIN_S = 1.0  # between two pulls while Pub/Sub cannot be reached

_log = logging.getLogger(__name__)

Received = tuple[Timestamp, PubsubMessage]


class _Answer(NamedTuple):
    messages: list[Any]
    at: Timestamp  # all that was published before has come


class Reader:
    """A subscription's messages in the order in which Pub/Sub gives them, and the watermark that they make."""

    def __init__(self, client: Any, subscription: str) -> None:
        self._client, self._subscription = client, subscription
        self.watermark = MIN_TIMESTAMP
        self._pull(())

    def take(self) -> list[Received]:
        """What the pull on its way has brought, if it comes within WAIT_S; it is acknowledged while the next one waits.

        Each message comes at the time at which it was published, but never behind the watermark. Raises what Pub/Sub
        answers to a pull that is no use doing again, each time that it is asked.
        """
        try:
            answer = self._answer.result(WAIT_S)
        except TimeoutError:
            if time.monotonic() - self._waiting_since_s > QUIET_S:
                self._advance(Timestamp.of(time.time() - QUIET_S))
            return []
        found = [_message(received.message) for received in answer.messages]
        self._pull([received.ack_id for received in answer.messages])
        self._advance(min((published for published, _ in found), default=answer.at))
        return [(max(published, self.watermark), message) for published, message in found]

    def _advance(self, to: Timestamp) -> None:
        self.watermark = max(self.watermark, to)

    def _pull(self, acknowledged: Sequence[str]) -> None:
        self._waiting_since_s = math.inf  # until Pub/Sub is asked, time tells nothing
        self._answer = _in_background(lambda: self._ask(acknowledged))

    def _ask(self, acknowledged: Sequence[str]) -> _Answer:
        if acknowledged:
            self._client.acknowledge(subscription=self._subscription, ack_ids=acknowledged)
            time.sleep(GATHER_S)
        self._waiting_since_s = time.monotonic()
        try:
            response = self._client.pull(
                subscription=self._subscription, max_messages=MAX_MESSAGES, timeout=PULL_TIMEOUT_S, retry=None
            )
        except DeadlineExceeded:  # nothing was published meanwhile
            return _Answer([], Timestamp.of(time.time()))
        except ServiceUnavailable as error:  # the client's own retries would look like a quiet road
            self._waiting_since_s = math.inf
            _log.warning("Pub/Sub cannot be reached, which is tried again: %s", " ".join(str(error).split()))
            time.sleep(AGAIN_S)
            return _Answer([], MIN_TIMESTAMP)
        return _Answer(list(types.PullResponse.pb(response).received_messages), Timestamp.of(time.time()))


def _in_background(work: Callable[[], _Answer]) -> Future[_Answer]:
    """Its result, once it is there. A thread that waits for Pub/Sub must not keep the process from ending."""
    future: Future[_Answer] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as error:  # noqa: BLE001 (whoever takes the result is told)
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _message(found: Any) -> Received:
    """Of the plain protocol buffer: the client's wrapper costs more than decoding what it holds."""
    published = Timestamp(micros=found.publish_time.ToMicroseconds())
    published_at = found.publish_time.ToDatetime(tzinfo=UTC)
    return published, PubsubMessage(found.data, dict(found.attributes), found.message_id, published_at)


_readers: WeakKeyDictionary[Any, Reader] = WeakKeyDictionary()


def read(evaluator: Any) -> TransformResult:
    """One bundle of messages, if there are any: stands where the runner's own evaluator of a Pub/Sub source pulls."""
    step, context = evaluator._applied_ptransform, evaluator._evaluation_context
    if step not in _readers:
        _readers[step] = Reader(evaluator._get_subscriber_client(step), evaluator._sub_name)
    received = _readers[step].take()
    bundles = []
    if received:
        bundles.append(context.create_bundle(next(iter(evaluator._outputs))))
        for timestamp, message in received:
            bundles[0].output(GlobalWindows.windowed_value(message, timestamp=timestamp))
    again = context.create_bundle(PBegin(step.transform.pipeline))
    again.add(GlobalWindows.windowed_value(None, timestamp=MAX_TIMESTAMP))  # an empty one would be kept for ever
    return TransformResult(evaluator, bundles, [again], None, {None: _readers[step].watermark})
