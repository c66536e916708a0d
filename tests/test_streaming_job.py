"""The whole streaming job, as a user runs it, through the local services."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import msgspec
import numpy as np
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import pubsub_v1, storage
from signing_samples import KEY, PRIVATE_PEM

from generator.pictures import Conditions, render
from pipeline import endpoints
from pipeline.deployment.plan import Resources
from pipeline.jobs import main
from pipeline.provision import provision

SECTIONS = """
cameras:
  G1: {location: [40.7400, -73.9900]}
  G2: {location: [40.7409, -73.9893]}
sections:
  - {id: G1-G2, cameras: [G1, G2], length_m: [100.0], limit: 40 km/h}
"""
GAP_S = 11.0  # longer than any passage here takes
PATIENCE_S = 90.0


class Run:
    """Resources of their own, the job as a process, and what came out of it."""

    def __init__(self, name, cloud, folder, *options):
        self.names = Resources.named_after("local-project")._replace(
            input_topic=f"{name}-in",
            input_subscription=f"{name}-in",
            output_topic=f"{name}-out",
            output_subscription=f"{name}-out",
            rejected_topic=f"{name}-rejected",
            rejected_subscription=f"{name}-rejected",
            dataset=name,
        )
        for _ in provision(self.names):
            pass
        self.publisher, self.subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        self.log = folder / "pipeline.log"
        command = [sys.executable, "-m", "pipeline", "--project_id", "local-project", "--dataset", name]
        command += ["--input_subscription", self.names.input_subscription, "--output_topic", self.names.output_topic]
        command += ["--rejected_topic", self.names.rejected_topic, "--privacy_secret", str(folder / "secret")]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen([*command, *options], stdout=log, stderr=log, env=os.environ | cloud.env)
        self.found = []

    def publish(self, *objects, **attributes):
        data = b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in objects)
        self.publisher.publish(f"projects/local-project/topics/{self.names.input_topic}", data, **attributes).result()

    def _pull(self, subscription):
        path = f"projects/local-project/subscriptions/{subscription}"
        pulled = self.subscriber.pull(subscription=path, max_messages=100, timeout=10).received_messages
        if pulled:
            self.subscriber.acknowledge(subscription=path, ack_ids=[one.ack_id for one in pulled])
        return [json.loads(one.message.data) for one in pulled]

    def wait_for(self, description, done):
        deadline = time.monotonic() + PATIENCE_S
        while not (result := done()):
            assert self.process.poll() is None, f"the pipeline ended: {self.log.read_text()[-3000:]}"
            assert time.monotonic() < deadline, f"no {description}: {self.found} {self.log.read_text()[-3000:]}"
        return result

    def fines(self, n, subscription=None):
        """At least n messages of the output topic."""

        def done():
            self.found += self._pull(subscription or self.names.output_subscription)
            return len(self.found) >= n

        self.wait_for(f"{n} messages", done)
        return self.found

    def rows(self, query):
        client = endpoints.bigquery_client("local-project")
        return [dict(row) for row in client.query(query.format(d=f"local-project.{self.names.dataset}")).result()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def run(cloud, tmp_path, monkeypatch, request):
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    with contextlib.ExitStack() as stack:

        def start(*options):
            started = Run(f"t{abs(hash(request.node.name)) % 10**8}", cloud, tmp_path, *options)
            stack.callback(started.process.kill)
            return started

        yield start


def picture(plate, seed=3):
    rng = np.random.default_rng(seed)
    return render(plate, "US-NY", rng=rng, conditions=Conditions.clear_daylight(rng))


def upload(name, data):
    client = storage.Client(project="local-project", credentials=AnonymousCredentials())
    client.bucket("local-project-camera").blob(name).upload_from_string(data, content_type="image/jpeg")
    return f"gs://local-project-camera/{name}"


def pictures(plate, entry_seed=3, exit_seed=4):
    return upload(f"{plate}-1.jpg", picture(plate, entry_seed)), upload(f"{plate}-2.jpg", picture(plate, exit_seed))


def passage(plate, entry_s, travel_s, **more):
    both = {"vehicle_id": plate, "plate": plate, "plate_region": "US-NY", "plate_confidence": 0.97, **more}
    return (
        {**both, "camera_id": "G1", "timestamp": entry_s, "event_id": f"{plate}-1", "image_url": both.get("entry_url")},
        {**both, "camera_id": "G2", "timestamp": entry_s + travel_s, "event_id": f"{plate}-2"},
    )


def signing_key(folder):
    """The same one for all runs, which share a bucket."""
    place = folder / "signing.key"
    place.write_bytes(PRIVATE_PEM)
    place.chmod(0o600)
    (folder / "signing.key.pub").write_bytes(KEY.public_pem())
    return str(place)


def assert_proven(messages, folder, capfd):
    """Each message names a packet that proves it and has its place in the chain."""
    capfd.readouterr()
    assert main(["verify", f"--public_key={folder / 'signing.key.pub'}", "gs://local-project-evidence"]) == 0
    lines = capfd.readouterr().out.splitlines()
    for message in messages:
        (line,) = (line for line in lines if f" {message['packet_url']}: " in line)
        assert line.startswith("ok      ")
        assert f": {message['status']}; " in line
        assert line.endswith(f" of {message['radar_id']}")


def test_every_way_a_sighting_can_go(run, tmp_path, capfd):
    sections = tmp_path / "sections.yaml"
    sections.write_text(SECTIONS)
    job = run(
        "--sections", str(sections), "--session_gap", f"{GAP_S}s", "--evidence_bucket", "local-project-evidence",
        "--signing_key", signing_key(tmp_path),
    )  # fmt: skip
    urls, other, same = pictures("KLM4821"), pictures("HJT7305"), pictures("RTS9035", exit_seed=3)
    now = time.time()
    speeder = passage("KLM4821", now - 5, 5.0)
    misread = passage("KLM4827", now - 5, 5.0)
    without = passage("NOP1111", now - 5, 5.0)
    once = passage("RTS9035", now - 5, 5.0)
    slow = passage("QRS2222", now - 20, 9.5)  # 37.9 km/h
    for (entry, leaving), (first, last) in zip(
        (speeder, misread, without, once), (urls, other, (None, None), same), strict=True
    ):
        entry["image_url"], leaving["image_url"] = first, last
    pairs = (speeder, misread, without, once, slow)
    sound = [{k: v for k, v in one.items() if v is not None} for pair in pairs for one in pair]
    bad = [b'{"vehicle_id": 5, "camera_id": "G1"}', b'{"vehicle_id": "X", "camera_id": "nowhere"}']
    job.publish(*sound, *bad)
    job.publish(*reversed(sound))  # delivered twice

    found = {one["vehicle_id"]: one for one in job.fines(4)}
    fine = found["KLM4821"]
    assert (fine["status"], fine["license_plate"], fine["avg_speed"], fine["reasons"]) == (
        "issued",
        "KLM4821",
        72.0,
        [],
    )
    assert fine["image_url"].startswith("gs://local-project-evidence/G1-G2/")
    assert (found["KLM4827"]["status"], found["KLM4827"]["reasons"]) == ("review", ["plate_disagrees"])
    assert found["NOP1111"]["status"] == "review"
    assert "picture_missing" in found["NOP1111"]["reasons"]
    assert (found["RTS9035"]["status"], found["RTS9035"]["reasons"]) == ("review", ["same_picture_at_both_ends"])
    assert list(fine)[:7] == [
        "radar_id", "vehicle_id", "avg_speed", "coordinates", "is_Ticketed", "license_plate", "image_url",
    ]  # fmt: skip

    job.wait_for("five passages", lambda: len(job.rows("SELECT * FROM `{d}.latest_passages`")) == 5)
    outcomes = {
        row["outcome"]: row["n"]
        for row in job.rows("SELECT outcome, COUNT(*) AS n FROM `{d}.latest_passages` GROUP BY outcome")
    }
    assert outcomes == {"fined": 1, "review": 3, "clear": 1}
    assert len(job.rows("SELECT * FROM `{d}.latest_sightings`")) == len(sound)
    assert {row["reason"] for row in job.rows("SELECT reason FROM `{d}.rejected`")} == {
        "invalid_field",
        "unknown_camera",
    }
    assert not job.rows("SELECT vehicle_id FROM `{d}.sightings` WHERE vehicle_id = 'QRS2222' OR plate = 'QRS2222'")

    # The same vehicle's exit was read again later: the measurement is in doubt, and the fine is taken from the machine.
    later = {**sound[1], "timestamp": now + 6.0, "event_id": "late"}
    job.publish(later)
    revised = [one for one in job.fines(5) if one["vehicle_id"] == "KLM4821"][-1]
    assert (revised["fine_id"], revised["revision"], revised["status"]) == (fine["fine_id"], 2, "withdrawn")
    assert not revised["is_Ticketed"]
    assert job.stop() == 0
    assert_proven(job.found, tmp_path, capfd)


def test_exit_that_is_seen_is_fined_before_the_session_ends_and_revised_by_a_second_read(run, tmp_path):
    """The session would end minutes later. The vehicle that was not too fast waits for that."""
    sections = tmp_path / "sections.yaml"
    sections.write_text(SECTIONS)
    job = run(
        "--sections", str(sections), "--session_gap", "10min", "--decide_at", "exit",
        "--evidence_bucket", "local-project-evidence",
    )  # fmt: skip
    now = time.time()
    (entry, leaving), urls = passage("KLM4821", now - 10, 5.0), pictures("KLM4821")
    entry["image_url"], leaving["image_url"] = urls
    job.publish(entry, *({k: v for k, v in one.items() if v} for one in passage("QRS2222", now - 20, 9.5)))
    job.publish(leaving)
    (fine,) = job.fines(1)
    assert (fine["vehicle_id"], fine["revision"], fine["status"], fine["reasons"]) == ("KLM4821", 1, "issued", [])
    job.publish({**leaving, "timestamp": now - 2, "event_id": "another lane"})
    revised = job.fines(2)[-1]
    assert (revised["fine_id"], revised["revision"], revised["status"]) == (fine["fine_id"], 2, "review")
    assert {"ambiguous_pairing", "revised_after_suspicion"} <= set(revised["reasons"])
    latest = "SELECT revision, outcome FROM `{d}.latest_passages`"
    job.wait_for("a revised passage", lambda: job.rows(latest) == [{"revision": 2, "outcome": "review"}])
    assert job.stop() == 0


def test_sighting_that_waits_for_the_job_is_not_late(run, tmp_path):
    """It was published in time; that nobody read it at once is no fault of its own."""
    sections = tmp_path / "sections.yaml"
    sections.write_text(SECTIONS)
    job = run("--sections", str(sections), "--session_gap", f"{GAP_S}s", "--allowed_lateness", "1s")
    entry, leaving = passage("QRS2222", time.time(), 9.5)
    job.publish(entry, {**leaving, "timestamp": entry["timestamp"] - 10, "event_id": "long before"})
    job.wait_for("a sighting", lambda: job.rows("SELECT * FROM `{d}.latest_sightings`"))
    assert [row["event_id"] for row in job.rows("SELECT * FROM `{d}.latest_sightings`")] == [entry["event_id"]]
    assert [row["reason"] for row in job.rows("SELECT * FROM `{d}.rejected`")] == ["too_late"]
    assert job.stop() == 0


def test_edem_feed_fines_exactly_what_is_over_the_limit(run, cloud, tmp_path, capfd):
    job = run(
        "--radar_id", "edem", "--speed_limit", "40 km/h", "--cars_api", cloud.env["CARS_API_URL"],
        "--evidence_bucket", "local-project-evidence", "--session_gap", f"{GAP_S}s",
        "--signing_key", signing_key(tmp_path),
    )  # fmt: skip
    rng = np.random.default_rng(9)
    cars = cloud.data_dir / "cars"
    cars.mkdir(exist_ok=True)
    over, plates = set(), {}
    for number in range(12):
        speeds = np.where(rng.random(10) < 0.75, rng.uniform(25, 40, 10), rng.uniform(40, 90, 10)).round(2)
        vehicle_id = f"edem-{number}"
        if 9 / (1 / speeds[:9]).sum() > 40:
            over.add(vehicle_id)
            plates[vehicle_id] = f"KLM48{number:02d}"
            (cars / f"{vehicle_id}.jpg").write_bytes(picture(plates[vehicle_id]))
        for index, speed in enumerate(speeds):
            place = [40.76 - 0.01 * index / 9, -73.97 - 0.01 * index / 9]
            job.publish({"vehicle_id": vehicle_id, "speed": float(speed), "location": place})
    assert over, "the seed makes speeders"
    job.fines(len(over))
    job.wait_for("all passages", lambda: len(job.rows("SELECT * FROM `{d}.edem`")) == 12)
    found = job.fines(len(over))
    assert {one["vehicle_id"] for one in found} == over
    assert {one["vehicle_id"]: one["license_plate"] for one in found if one["status"] == "issued"} == plates
    assert all(one["basis"] == "point_speeds" and one["radar_id"] == "edem" for one in found)
    columns = list(job.rows("SELECT * FROM `{d}.edem`")[0])
    assert columns == [
        "radar_id",
        "vehicle_id",
        "avg_speed",
        "coordinates",
        "is_Ticketed",
        "image_url",
        "license_plate",
    ]
    assert job.stop() == 0
    assert_proven(found, tmp_path, capfd)


def test_what_was_rejected_is_sent_again_once(run, cloud, tmp_path):
    """After a fix the original bytes pass; without one they do not chase their own tail."""
    sections = tmp_path / "sections.yaml"
    sections.write_text(SECTIONS)
    job = run("--sections", str(sections), "--ocr", "none", "--session_gap", f"{GAP_S}s")
    job.publish({"vehicle_id": "A", "camera_id": "G9"}, {"vehicle_id": "B", "camera_id": "G1"})
    job.wait_for("a rejected row", lambda: job.rows("SELECT * FROM `{d}.rejected`"))
    command = [sys.executable, "-m", "pipeline", "republish", "--project_id", "local-project"]
    command += ["--rejected_subscription", job.names.rejected_subscription, "--input_topic", job.names.input_topic]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | cloud.env, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "sent again 1, left out 0, truncated 0, failed 0"), done.stderr
    job.wait_for("a second rejection", lambda: len(job.rows("SELECT * FROM `{d}.rejected`")) == 2)
    payloads = {row["payload"] for row in job.rows("SELECT payload FROM `{d}.rejected`")}
    assert len(payloads) == 1, "the same bytes"
    assert msgspec.json.decode(__import__("base64").b64decode(payloads.pop())) == {"vehicle_id": "A", "camera_id": "G9"}
    assert job.stop() == 0


def test_notices_are_followed_without_a_restart(run, tmp_path):
    """Each is appended before a vehicle comes; its session ends long after the file was looked at again."""
    sections, notices = tmp_path / "sections.yaml", tmp_path / "notices.ndjson"
    sections.write_text(SECTIONS)
    notices.write_text("")
    job = run(
        "--sections", str(sections), "--ocr", "none", "--session_gap", f"{GAP_S}s", "--notices", str(notices),
    )  # fmt: skip

    def drive(plate, *appended):
        with notices.open("a") as out:
            out.writelines(json.dumps({"section_id": "G1-G2"} | one) + "\n" for one in appended)
        job.publish(*passage(plate, time.time() - 5, 5.0, image_url="gs://local-project-camera/none.jpg"))  # 72 km/h

    def since(seconds):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - seconds))

    def limits():
        rows = job.rows("SELECT vehicle_id, limit_kmh, outcome, entry_time FROM `{d}.latest_passages`")
        return [(row["limit_kmh"], row["outcome"]) for row in sorted(rows, key=lambda row: row["entry_time"])]

    drive("AAA1111")
    assert job.fines(1)[0]["limit_kmh"] == 40.0
    drive("BBB2222", {"from": since(60), "limit": "80 km/h"})
    job.wait_for("a clear passage", lambda: limits() == [(40.0, "review"), (80.0, "clear")])
    drive("CCC3333", {"from": since(20), "limit": None}, {"from": since(20), "quarantine": "works"})
    last = next(one for one in job.fines(2) if one["vehicle_id"] == "CCC3333")
    assert (last["limit_kmh"], last["reasons"][0]) == (40.0, "section_quarantined")
    assert job.stop() == 0
