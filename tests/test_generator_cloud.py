"""Publishing and uploading with the real clients against the local services."""

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from datetime import datetime
from pathlib import Path

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage

from generator.cli import main
from generator.cloud import BucketStore, PubsubSink
from generator.config import Config, GeneratorError, Pictures
from generator.run import begin_at, generate, publish
from generator.truth import TruthSummary, read_truth
from pipeline.enforcement.sections import parse_network

ROOT = Path(__file__).parent.parent
SECTIONS = ROOT / "templates" / "demo_sections.yaml"
PROJECT = "generator-tests"


@pytest.fixture
def topic(cloud, monkeypatch):
    """A new topic, with a subscription of the same name."""
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    name = f"t-{uuid.uuid4().hex[:8]}"
    pubsub_v1.PublisherClient().create_topic(name=f"projects/{PROJECT}/topics/{name}")
    with pubsub_v1.SubscriberClient() as subscriber:
        subscriber.create_subscription(
            name=f"projects/{PROJECT}/subscriptions/{name}", topic=f"projects/{PROJECT}/topics/{name}"
        )
    return name


@pytest.fixture
def bucket(cloud, monkeypatch):
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    client = storage.Client(project=PROJECT, credentials=AnonymousCredentials())
    return client.create_bucket(f"b-{uuid.uuid4().hex[:8]}")


def pulled(topic, seconds=2.0):
    """All messages that wait, until none has come for a while."""
    messages, quiet_since = [], time.monotonic()
    with pubsub_v1.SubscriberClient() as subscriber:
        path = f"projects/{PROJECT}/subscriptions/{topic}"
        while time.monotonic() - quiet_since < seconds:
            got = subscriber.pull(subscription=path, max_messages=1000, timeout=10).received_messages
            if got:
                subscriber.acknowledge(subscription=path, ack_ids=[one.ack_id for one in got])
                messages += [one.message for one in got]
                quiet_since = time.monotonic()
    return messages


def run(topic, *words):
    common = ["--sections", str(SECTIONS), "--project_id", PROJECT, "--topic_name", topic, "--vehicles", "60"]
    return main([*common, *[str(word) for word in words]])


@pytest.mark.parametrize("compress", [False, True])
def test_all_that_the_truth_counts_arrives_with_the_time_of_its_earliest_sighting(topic, tmp_path, compress):
    words = ["--rate", "0", "--faults", "all", "--truth", tmp_path / "t.ndjson", "--batch", "20"]
    assert run(topic, *words, *(["--gzip"] if compress else [])) == 0
    messages, summary = pulled(topic), read_truth(tmp_path / "t.ndjson")[-1]
    assert isinstance(summary, TruthSummary)
    lines = 0
    for message in messages:
        assert (message.attributes.get("content_encoding") == "gzip") == compress
        data = gzip.decompress(message.data) if compress else message.data
        lines += len(data.splitlines())
        assert abs(int(message.attributes["timestamp"]) / 1000 - time.time()) < 3600
    assert lines == summary.sightings + summary.malformed
    assert summary.complete


def test_a_full_topic_path_works_as_a_short_name_does(topic):
    words = ["--sections", str(SECTIONS), "--topic_name", f"projects/{PROJECT}/topics/{topic}"]
    assert main([*words, "--vehicles", "3", "--rate", "0"]) == 0
    assert pulled(topic)


def test_pictures_lie_in_the_bucket_before_their_sighting_is_published(topic, bucket):
    network = parse_network(SECTIONS.read_text())
    settings = Config(network=network, vehicles=8, rate=0, bucket=bucket.name, pictures=Pictures.ALL, batch=5)
    sink, early = PubsubSink(f"projects/{PROJECT}/topics/{topic}"), []
    send = sink.send

    def check_then_send(message):
        early.extend(order.name for order in message.pictures if not bucket.blob(order.name).exists())
        send(message)

    sink.send = check_then_send
    progress = publish(generate(settings), sink, store=BucketStore(bucket.name, PROJECT))
    seen = [json.loads(line) for message in pulled(topic) for line in message.data.splitlines()]
    assert early == []
    assert progress.pictures == len(seen) == progress.sightings > 8
    for sighting in seen[:3]:
        name = sighting["image_url"].removeprefix(f"gs://{bucket.name}/")
        assert bucket.blob(name).download_as_bytes().startswith(b"\xff\xd8")


def test_edem_s_messages_arrive_unchanged(topic):
    line = ["--initial_coordinates", "(40.76,-73.97)", "--final_coordinates", "(40.75,-73.98)"]
    words = [
        "--format",
        "edem",
        *line,
        "--project_id",
        PROJECT,
        "--topic_name",
        topic,
        "--vehicles",
        "4",
        "--rate",
        "0",
    ]
    assert main(words) == 0
    messages = pulled(topic)
    assert len(messages) == 40
    assert all(set(json.loads(message.data)) == {"vehicle_id", "speed", "location"} for message in messages)
    assert all(not message.attributes for message in messages)


def test_a_topic_or_bucket_that_is_not_there_is_one_line(topic, bucket, capsys):
    assert run("no-such-topic") == 2
    assert run(topic, "--bucket", "no-such-bucket") == 2
    error = capsys.readouterr().err
    assert "--topic_name: found projects/generator-tests/topics/no-such-topic" in error
    assert "--bucket: found no-such-bucket" in error
    assert error.count("\n") == 2


def test_live_sightings_go_out_in_their_own_time(topic):
    network = parse_network(SECTIONS.read_text())
    scenario = generate(Config(network=network, vehicles=40, rate=20, batch=10))
    began_s = time.time()
    publish(begin_at(scenario, int(began_s * 1e6)), PubsubSink(f"projects/{PROJECT}/topics/{topic}"))
    took_s = time.time() - began_s
    assert took_s == pytest.approx(scenario.span_us / 1e6 / scenario.haste, abs=1.0)
    seen = [json.loads(line) for message in pulled(topic) for line in message.data.splitlines()]
    assert max(datetime.fromisoformat(one["timestamp"]).timestamp() for one in seen) <= time.time()


def test_a_stopped_run_has_published_what_it_tells(topic):
    network = parse_network(SECTIONS.read_text())
    scenario = generate(Config(network=network, vehicles=400, batch=10, batch_us=1e5))
    stop = threading.Event()
    sink = PubsubSink(f"projects/{PROJECT}/topics/{topic}")
    threading.Timer(2.0, stop.set).start()
    progress = publish(scenario, sink, stop=stop)
    assert 0 < progress.items < scenario.items
    assert sum(len(message.data.splitlines()) for message in pulled(topic)) == progress.items


def test_ctrl_c_flushes_and_writes_the_truth_of_what_was_published(cloud, topic, tmp_path):
    words = ["--project_id", PROJECT, "--topic_name", topic, "--truth", str(tmp_path / "t.ndjson"), "--vehicles", "900"]
    process = subprocess.Popen(
        [sys.executable, "-m", "generator", "--sections", str(SECTIONS), *words],
        cwd=ROOT,
        env=os.environ | cloud.env,
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(8)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=20)
    summary = read_truth(tmp_path / "t.ndjson")[-1]
    assert process.returncode == 130
    assert "Traceback" not in error
    assert isinstance(summary, TruthSummary)
    assert not summary.complete
    assert sum(len(message.data.splitlines()) for message in pulled(topic)) == summary.sightings > 0


def test_publishing_fails_in_one_line_when_the_service_is_gone(monkeypatch):
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", "127.0.0.1:1")
    monkeypatch.setattr("generator.cloud.REQUEST_TIMEOUT_S", 2.0)
    with pytest.raises(GeneratorError, match="--topic_name"):
        PubsubSink(f"projects/{PROJECT}/topics/t")


def test_who_may_publish_but_not_look_at_the_topic_publishes(topic, monkeypatch):
    def forbidden(self, **_):
        raise exceptions.PermissionDenied("no pubsub.topics.get")

    monkeypatch.setattr(pubsub_v1.PublisherClient, "get_topic", forbidden)
    assert run(topic, "--rate", "0") == 0
    assert pulled(topic)


def test_an_upload_that_fails_ends_the_run_in_one_line(topic, bucket, monkeypatch, capsys):
    def forbidden(self, *_, **__):
        raise exceptions.Forbidden("no storage.objects.create")

    monkeypatch.setattr(storage.Blob, "upload_from_string", forbidden)
    assert run(topic, "--rate", "0", "--bucket", bucket.name, "--pictures", "all") == 2
    error = capsys.readouterr().err
    assert f"--bucket {bucket.name}: " in error
    assert error.count("\n") == 1
