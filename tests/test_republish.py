"""Republish: what can be sent again is; each of the others is one line, stays where it is, and stops nothing."""

import base64
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
import requests
from single_records import sighting_record

from pipeline import endpoints
from pipeline.enforcement import records
from pipeline.enforcement.model import Message, Sighting
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.records import Rejected
from pipeline.jobs import main
from pipeline.rejected_inbox import Inbox
from pipeline.warehouse.rows import ROW_IDS

ROW = sighting_record(Sighting("e1", "ABC1234", 1_776_000_000_123_456, camera_id="G1"), ("s",), Pseudonyms(None))
ROW_BYTES = json.dumps({name: getattr(ROW, name) for name in ROW.__struct_fields__}).encode()


def rejected(data: bytes = b'{"vehicle_id": "A"}', stage: str = "intake", **attributes: str) -> dict[str, object]:
    """A rejected record as it is written to files and to its topic."""
    message = Message(data, "m", 1_776_000_000_000_000, attributes)
    found = records.rejected(message, stage, "unknown_camera", "no such camera", "camera_id")
    return {name: getattr(found, name) for name in Rejected.__struct_fields__}


def refused_row(**attributes: str) -> dict[str, object]:
    return rejected(ROW_BYTES, "warehouse", **({"table": "sightings"} | attributes))


GOOD = rejected()
BAD = {
    "no JSON": (b"{", "no rejected record"),
    "no UTF-8": (b'{"stage": "\xff"}', "no rejected record"),
    "deep": (b"[" * 20_000, "no rejected record"),
    "another record": (b'{"vehicle_id": "A"}', "no rejected record"),
    "no base64": (GOOD | {"payload": "!!!!"}, "payload: no base64"),
    "base64 with strangers in it": (GOOD | {"payload": "!" + str(GOOD["payload"])}, "payload: no base64"),
    "attributes that are none": (GOOD | {"attributes": "[1]"}, "attributes: "),
    "attributes of numbers": (GOOD | {"attributes": '{"a": 1}'}, "attributes: "),
    "row without a table": (rejected(ROW_BYTES, "warehouse"), "attributes: found no table"),
    "row of a strange table": (refused_row(table="views"), "attributes: found table 'views'"),
    "row that is none": (rejected(b"[]", "warehouse", table="sightings"), "payload: no row of sightings"),
    "nothing to publish": (rejected(b""), "InvalidArgument"),
}


class Warehouse:
    """A BigQuery client that notes what is inserted."""

    def __init__(self, *errors: object) -> None:
        self.calls: list[tuple[tuple[object, ...], dict[str, object]]] = []
        self.errors = list(errors)

    def insert_rows_json(self, *args: object, **kwargs: object) -> list[object]:
        self.calls.append((args, kwargs))
        error = self.errors.pop(0) if self.errors else []
        if isinstance(error, Exception):
            raise error
        return error


@pytest.fixture
def warehouse(monkeypatch) -> Warehouse:
    client = Warehouse()
    monkeypatch.setattr(endpoints, "bigquery_client", lambda _: client)
    return client


@pytest.fixture
def inbox(topic, subscribe):
    """The subscription of the input topic."""
    return subscribe()


def lines(*found: bytes | dict[str, object]) -> bytes:
    return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in found)


class Done:
    """What a run said and returned."""

    def __init__(self, capfd, status: int) -> None:
        said = capfd.readouterr()
        self.status, self.counts, self.errors = status, said.out.strip(), said.err.splitlines()
        assert "Traceback" not in said.err


@pytest.fixture
def run(capfd, topic, tmp_path, monkeypatch):
    """Republishes rejected records of a file."""
    monkeypatch.chdir(tmp_path)

    def republish_these(*found: bytes | dict[str, object], options: tuple[str, ...] = ()) -> Done:
        Path("rejected.ndjson").write_bytes(lines(*found))
        return Done(capfd, main(["republish", "--input=rejected.ndjson", f"--input_topic={topic}", *options]))

    return republish_these


def pulled(subscriber, inbox: str, wanted: int) -> list[tuple[bytes, dict[str, str]]]:
    found, deadline = [], time.monotonic() + 10
    while len(found) < wanted and time.monotonic() < deadline:
        answer = subscriber.pull(subscription=inbox, max_messages=100, timeout=5)
        found += [(one.message.data, dict(one.message.attributes)) for one in answer.received_messages]
    return found


@pytest.mark.parametrize(("bad", "says"), BAD.values(), ids=BAD)
def test_what_cannot_be_sent_is_one_line_and_stops_nothing(run, warehouse, subscriber, inbox, bad, says):
    done = run(GOOD, bad, GOOD, options=("--dataset=project-1.speed",))
    assert (done.status, done.counts) == (1, "sent again 2, left out 0, truncated 0, failed 1")
    (error,) = done.errors
    assert error.startswith("python -m pipeline republish: rejected.ndjson, line 2: ")
    assert says in error
    assert [data for data, _ in pulled(subscriber, inbox, 2)] == [b'{"vehicle_id": "A"}'] * 2
    assert warehouse.calls == []


def test_row_without_a_dataset_is_one_line_too(run, subscriber, inbox):
    done = run(refused_row(), GOOD)
    assert (done.status, done.counts) == (1, "sent again 1, left out 0, truncated 0, failed 1")
    assert "--dataset: absent; needed for rows that BigQuery refused" in done.errors[0]
    assert len(pulled(subscriber, inbox, 1)) == 1


def test_attributes_that_are_named_like_arguments_of_the_client(run, subscriber, inbox):
    named = {
        name: name for name in ("topic", "data", "ordering_key", "retry", "timeout", "messages", "self", "request")
    }
    assert run(rejected(b"x", **{"content_encoding": "none"}), GOOD | {"attributes": json.dumps(named)}).status == 0
    assert [attributes for _, attributes in pulled(subscriber, inbox, 2)] == [{"content_encoding": "none"}, named]


def test_attributes_that_pubsub_itself_had_added_are_left_out(run, subscriber, inbox):
    assert run(rejected(b"x", googclient_deliveryattempt="2", a="b")).status == 0
    assert pulled(subscriber, inbox, 1) == [(b"x", {"a": "b"})]


def test_other_reasons_are_left_out(run, subscriber, inbox):
    done = run(GOOD, GOOD | {"reason": "malformed"}, options=("--reason=malformed",))
    assert (done.status, done.counts) == (0, "sent again 1, left out 1, truncated 0, failed 0")


def test_bytes_that_were_not_kept_whole_are_not_sent(run):
    done = run(GOOD | {"payload_bytes": 70_000})
    assert (done.status, done.counts) == (1, "sent again 0, left out 0, truncated 1, failed 0")


def test_row_has_the_id_of_its_first_insert_and_a_time_limit(run, warehouse):
    assert run(refused_row(), options=("--dataset=project-1.speed",)).status == 0
    ((args, options),) = warehouse.calls
    row = {name: value for name, value in json.loads(ROW_BYTES).items() if value is not None}
    assert args == ("project-1.speed.sightings", [row])
    assert options["row_ids"] == [ROW_IDS["sightings"](ROW)]
    assert options["timeout"] > 0
    assert options["retry"] is not None


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (requests.ConnectionError("down\nand out"), "ConnectionError: down and out"),
        ([{"index": 0, "errors": [{"reason": "invalid", "message": "no such field: x"}]}], "no such field: x"),
    ],
    ids=["no answer", "refused again"],
)
def test_row_that_bigquery_does_not_take(run, warehouse, error, says):
    warehouse.errors.append(error)
    done = run(refused_row(), refused_row(), options=("--dataset=project-1.speed",))
    assert (done.status, done.counts) == (1, "sent again 1, left out 0, truncated 0, failed 1")
    assert len(done.errors) == 1
    assert says in done.errors[0]


def test_files_that_cannot_be_read_are_a_mistake(capfd, topic, tmp_path):
    (tmp_path / "folder").mkdir()
    done = Done(capfd, main(["republish", f"--input={tmp_path}/f*", f"--input_topic={topic}"]))
    assert done.status == 2
    assert done.errors[0].startswith(f"python -m pipeline: --input: {tmp_path}/folder cannot be read: ")


# --- from the rejected subscription


@pytest.fixture
def rejected_topic(publisher):
    name = f"projects/local-project/topics/rejected-{time.monotonic_ns()}"
    publisher.create_topic(name=name)
    return name


@pytest.fixture
def rejected_inbox(subscriber, rejected_topic):
    name = rejected_topic.replace("/topics/", "/subscriptions/")
    subscriber.create_subscription(request={"name": name, "topic": rejected_topic, "ack_deadline_seconds": 10})
    return name


def test_sent_ones_are_taken_off_their_subscription_and_others_stay(
    capfd, publisher, subscriber, topic, inbox, rejected_topic, rejected_inbox
):
    for data in (b"no record", lines(GOOD)):
        publisher.publish(rejected_topic, data).result(10)
    done = Done(capfd, main(["republish", f"--rejected_subscription={rejected_inbox}", f"--input_topic={topic}"]))
    assert (done.status, done.counts) == (1, "sent again 1, left out 0, truncated 0, failed 1")
    assert done.errors[0].startswith("python -m pipeline republish: message ")
    assert len(pulled(subscriber, inbox, 1)) == 1
    time.sleep(11)
    assert [data for data, _ in pulled(subscriber, rejected_inbox, 1)] == [b"no record"]


class Answers:
    """A subscriber whose pulls give what they are told to, and which notes what is done with it."""

    def __init__(self, *pulls: list[tuple[str, str]]) -> None:
        self._pulls = list(pulls)
        self.acknowledged: list[str] = []
        self.leases: dict[str, int] = {}

    def pull(self, **_: object) -> SimpleNamespace:
        time_of = datetime(2026, 1, 1, tzinfo=UTC)
        found = self._pulls.pop(0) if len(self._pulls) > 1 else self._pulls[0]
        return SimpleNamespace(
            received_messages=[
                SimpleNamespace(message=SimpleNamespace(data=b"x", message_id=name, publish_time=time_of), ack_id=ack)
                for name, ack in found
            ]
        )

    def acknowledge(self, *, ack_ids: list[str], **_: object) -> None:
        self.acknowledged += ack_ids

    def modify_ack_deadline(self, *, ack_ids: list[str], ack_deadline_seconds: int, **_: object) -> None:
        self.leases |= dict.fromkeys(ack_ids, ack_deadline_seconds)


def looked_at(monkeypatch, answers: Answers, sends: set[str]) -> list[str]:
    """The messages that an inbox gives out, of which those in `sends` are sent."""
    monkeypatch.setattr(endpoints, "subscriber", lambda: answers)
    inbox, seen = Inbox("projects/p/subscriptions/s", "--rejected_subscription"), []
    for batch in inbox.batches():
        seen += [found.where.removeprefix("message ") for found in batch]
        inbox.acknowledge(batch, [found for found in batch if found.where.removeprefix("message ") in sends])
    return seen


def test_what_could_not_be_delivered_is_sent_as_it_was(
    capfd, publisher, subscriber, topic, inbox, rejected_topic, rejected_inbox
):
    """With its own attributes, its time among them, and without those that tell how it became a dead letter."""
    source = {"CloudPubSubDeadLetterSourceDeliveryCount": "100", "CloudPubSubDeadLetterSourceSubscription": "s"}
    publisher.publish(rejected_topic, b"\x1f\x8b", timestamp="1776000000000", **source).result(10)
    words = [f"--undelivered_subscription={rejected_inbox}", f"--input_topic={topic}"]
    done = Done(capfd, main(["republish", *words]))
    assert (done.status, done.counts) == (0, "sent again 1, left out 0, truncated 0, failed 0")
    assert pulled(subscriber, inbox, 1) == [(b"\x1f\x8b", {"timestamp": "1776000000000"})]
    time.sleep(11)
    again = Done(capfd, main(["republish", *words]))
    assert again.counts == "sent again 0, left out 0, truncated 0, failed 0"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--undelivered_subscription=s-1", "--rejected_subscription=s-2"], "allowed: exactly one of them"),
        ([], "allowed: exactly one of them"),
        (["--undelivered_subscription=s-1", "--reason=unknown_camera"], "--reason: found with --undelivered"),
    ],
)
def test_options_that_contradict_each_other(capfd, words, said):
    assert main(["republish", *words]) == 2
    assert said in capfd.readouterr().err


def test_one_that_comes_back_while_it_runs_is_not_tried_for_ever(monkeypatch):
    """What is not acknowledged is delivered again when its deadline has passed."""
    answers = Answers([("7", "a")])
    assert looked_at(monkeypatch, answers, set()) == ["7"]
    assert answers.acknowledged == []
    assert answers.leases == {"a": 0}


def test_pull_with_nothing_new_does_not_end_the_search(monkeypatch):
    answers = Answers([("1", "a")], [("1", "a2")], [("2", "b")], [])
    assert looked_at(monkeypatch, answers, {"2"}) == ["1", "2"]
    assert answers.acknowledged == ["b"]
    assert answers.leases == {"a": 0, "a2": 0}


def test_one_that_a_pull_holds_twice_is_sent_once(monkeypatch):
    answers = Answers([("1", "a"), ("1", "a2"), ("2", "b")], [])
    assert looked_at(monkeypatch, answers, {"1", "2"}) == ["1", "2"]
    assert sorted([*answers.acknowledged, *answers.leases]) == ["a", "a2", "b"]


def test_sent_one_that_comes_again_is_taken_off_and_not_sent_again(monkeypatch):
    """Its acknowledgement came too late."""
    answers = Answers([("1", "a")], [("1", "a2")], [])
    assert looked_at(monkeypatch, answers, {"1"}) == ["1"]
    assert answers.acknowledged == ["a", "a2"]


def test_wanted_ones_behind_many_others_are_found(
    capfd, publisher, subscriber, topic, inbox, rejected_topic, rejected_inbox
):
    others = lines(GOOD | {"reason": "too_late"})
    sent = [publisher.publish(rejected_topic, others) for _ in range(700)]
    sent += [publisher.publish(rejected_topic, lines(GOOD)) for _ in range(5)]
    for future in sent:
        future.result(30)
    options = [f"--rejected_subscription={rejected_inbox}", f"--input_topic={topic}", "--reason=unknown_camera"]
    done = Done(capfd, main(["republish", *options]))
    assert (done.status, done.counts) == (0, "sent again 5, left out 700, truncated 0, failed 0")
    assert len(pulled(subscriber, inbox, 5)) == 5


def test_payload_is_kept_as_standard_base64():
    assert base64.b64decode(str(GOOD["payload"]), validate=True) == b'{"vehicle_id": "A"}'
