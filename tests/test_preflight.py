"""Preflight against the local services: all there, each thing missing or wrong in turn, everything down."""

import contextlib
import io
import itertools
import os
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler

import google.auth
import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import bigquery
from google.cloud.exceptions import Forbidden
from google.iam.v1 import iam_policy_pb2
from http_server import HttpServer, serving

from pipeline import endpoints, looks, options, preflight, secret
from pipeline.deployment.plan import Resources
from pipeline.jobs import main
from pipeline.looks import Look, NotReadyError
from pipeline.provision import provision
from pipeline.warehouse import tables

numbers = itertools.count()
PROJECT = "local-project"
WRITTEN = [name for name, table in tables.TABLES.items() if not table.by_people]
SECTIONS = """
cameras:
  G1: {location: [40.7400, -73.9900]}
  G2: {location: [40.7409, -73.9893]}
sections:
  - {id: G1-G2, cameras: [G1, G2], length_m: [100.0], limit: 40 km/h}
"""


@pytest.fixture
def names(cloud, monkeypatch, tmp_path):
    """A deployment of the test's own, in which everything is there."""
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(secret.VARIABLE, "0123456789abcdef")
    mark = f"preflight{next(numbers)}"
    defaults = Resources.named_after(PROJECT)
    buckets = {name: f"{mark}-{name.split('_')[0]}" for name in ("camera_bucket", "evidence_bucket")}
    own = {name: f"{mark}-{value}" for name, value in defaults._asdict().items() if name not in buckets}
    made = Resources(**own | buckets | {"project": PROJECT, "dataset": mark})
    for _ in provision(made):
        pass
    (tmp_path / "sections.yaml").write_text(SECTIONS)
    return made


def argv(names, folder, **changed):
    chosen = {
        "project_id": PROJECT,
        "input_subscription": names.input_subscription,
        "output_topic": names.output_topic,
        "rejected_topic": names.rejected_topic,
        "alarms_topic": names.alarms_topic,
        "dataset": names.dataset,
        "evidence_bucket": names.evidence_bucket,
        "camera_bucket": names.camera_bucket,
        "sections": str(folder / "sections.yaml"),
    }
    return [f"--{name}={value}" for name, value in (chosen | changed).items()]


@pytest.fixture
def found(names, tmp_path, monkeypatch):
    """Looks with the options of a run, some changed; the finding of each look by its name."""
    monkeypatch.setattr(google.auth, "default", lambda **_: (AnonymousCredentials(), PROJECT))

    def look(deadline_s=preflight.DEADLINE_S, **changed):
        parsed = options.parse(argv(names, tmp_path, **changed))
        own = parsed.view_as(options.SectionSpeedOptions)
        settings = options.check(parsed)
        needed = looks.needed(settings, own.sections, own.camera_bucket)
        return {
            finding.name: finding for finding in preflight.look(needed, deadline_s) if finding.name != "credentials"
        }

    return look


def problems(found):
    return {name for name, finding in found.items() if finding.problem is not None}


# --- all there


def test_nothing_is_wrong_where_everything_is_there(found):
    everything = found()
    assert problems(everything) == set()
    assert everything.keys() == {
        "project",
        "subscription",
        "output topic",
        "rejected topic",
        "alarms topic",
        "evidence bucket, to write",
        "evidence bucket, to read",
        "camera bucket, to read",
        "dataset",
        *(f"table {name}" for name in WRITTEN),
        "Vision",
        "section file",
        "clock",
    }


def test_look_at_the_evidence_bucket_writes_nothing(found, names):
    found()
    assert list(endpoints.storage_client().list_blobs(names.evidence_bucket)) == []


def test_without_reading_plates_vision_is_not_asked(found):
    assert "Vision" not in found(ocr="none")


# --- each thing missing or wrong


def test_subscription_that_is_missing(found, names):
    wrong = found(input_subscription="nobody-made-it")
    assert problems(wrong) == {"subscription"}
    assert wrong["subscription"].problem == "does not exist"
    fix = "python -m pipeline provision --project_id local-project --input_subscription nobody-made-it"
    assert wrong["subscription"].fix == fix


def test_subscription_whose_topic_was_deleted(found, names):
    endpoints.publisher().delete_topic(topic=f"projects/{PROJECT}/topics/{names.input_topic}")
    wrong = found()["subscription"]
    assert "has lost its topic" in wrong.problem
    assert wrong.fix.endswith(f"--input_subscription {names.input_subscription}-next")


@pytest.mark.parametrize("option", ["output_topic", "rejected_topic", "alarms_topic"])
def test_topic_of_the_subscription_is_no_place_for_what_is_sent(found, names, option):
    """It would come back as sightings, be rejected, and be sent again for ever."""
    wrong = found(**{option: names.input_topic})
    assert problems(wrong) == {"subscription"}
    topic = f"projects/{PROJECT}/topics/{names.input_topic}"
    assert wrong["subscription"].problem.startswith(f"its topic {topic} is the --{option} too: ")
    assert wrong["subscription"].fix == f"python -m pipeline provision --project_id {PROJECT} --dry_run"
    assert wrong["subscription"].fatal


@pytest.mark.parametrize("which", ["output", "rejected"])
def test_topic_that_is_missing(found, which):
    wrong = found(**{f"{which}_topic": "nobody-made-it"})
    assert problems(wrong) == {f"{which} topic"}
    with_inbox = f"--{which}_topic nobody-made-it --{which}_subscription nobody-made-it-inbox"
    assert wrong[f"{which} topic"].fix.endswith(with_inbox), "what is sent to a topic without a subscription is lost"
    assert wrong[f"{which} topic"].fatal


def test_evidence_bucket_that_is_missing(found):
    wrong = found(evidence_bucket="nobody-made-it")
    assert problems(wrong) == {"evidence bucket, to write", "evidence bucket, to read"}
    assert wrong["evidence bucket, to write"].fix.endswith("--evidence_bucket nobody-made-it")


def test_camera_bucket_that_is_missing(found):
    assert problems(found(camera_bucket="nobody-made-it")) == {"camera bucket, to read"}


def test_dataset_that_is_missing(found):
    wrong = found(dataset="nobody_made_it")
    assert problems(wrong) == {"dataset", *(f"table {name}" for name in WRITTEN)}
    assert wrong["dataset"].fix == "python -m pipeline provision --project_id local-project --dataset nobody_made_it"


def test_table_that_is_missing(found, names):
    endpoints.bigquery_client(PROJECT).delete_table(f"{PROJECT}.{names.dataset}.fines")
    wrong = found()
    assert problems(wrong) == {"table fines"}
    assert wrong["table fines"].problem == "does not exist"


@pytest.mark.parametrize(
    ("columns", "said", "fix"),
    [
        (lambda all_: all_[:-1], "is without speeds_error_s", "--dataset {dataset}"),
        (
            lambda all_: [bigquery.SchemaField("radar_id", "INT64"), *all_[1:]],
            "radar_id is INT64 NULLABLE, planned STRING NULLABLE",
            "--dataset {dataset}_next",
        ),
    ],
)
def test_table_whose_columns_take_no_row(found, names, columns, said, fix):
    client, full = endpoints.bigquery_client(PROJECT), tables.table(f"{PROJECT}.{names.dataset}", "fines")
    client.delete_table(full.reference)
    client.create_table(bigquery.Table(full.reference, schema=columns(full.schema)))
    wrong = found()
    assert problems(wrong) == {"table fines"}
    assert said in wrong["table fines"].problem
    assert wrong["table fines"].fix.endswith(fix.format(dataset=names.dataset))


def test_names_in_another_project_than_the_credentials(found, monkeypatch):
    monkeypatch.setattr(google.auth, "default", lambda **_: (AnonymousCredentials(), "other-project"))
    wrong = found()["project"]
    assert wrong.problem == "the names are in local-project, the credentials belong to other-project"
    assert wrong.fix == "gcloud config set project local-project"
    assert not wrong.fatal


def test_names_in_two_projects(found):
    wrong = found(output_topic="projects/other-project/topics/fines")
    assert wrong["project"].problem == "the names are in 2 projects: local-project, other-project"
    assert problems(wrong) == {"project", "output topic"}


def test_section_file_that_has_gone_or_changed(names, tmp_path):
    settings = options.check(options.parse(argv(names, tmp_path)))
    path = tmp_path / "sections.yaml"
    path.write_text(SECTIONS.replace("100.0", "150.0"))
    with pytest.raises(NotReadyError, match="has changed since it was read"):
        looks._sections(settings, str(path))
    path.unlink()
    with pytest.raises(NotReadyError, match="cannot be read"):
        looks._sections(settings, str(path))


class Powerless:
    """A Pub/Sub client whose account may look, and nothing else."""

    def __init__(self, client):
        self.client = client

    def __getattr__(self, name):
        return getattr(self.client, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close() if hasattr(self.client, "close") else self.client.transport.close()

    def test_iam_permissions(self, **_):
        return iam_policy_pb2.TestIamPermissionsResponse()


class Unknowing(Powerless):
    """A Pub/Sub client of an emulator that knows nothing of permissions."""

    def test_iam_permissions(self, **_):
        raise exceptions.MethodNotImplemented("Method not found!")


def test_emulator_without_permissions_is_good_enough(found, monkeypatch):
    for kind in ("publisher", "subscriber"):
        make = getattr(endpoints, kind)
        monkeypatch.setattr(endpoints, kind, lambda make=make: Unknowing(make()))
    assert problems(found()) == set()


def test_account_that_may_look_and_not_publish_or_take(found, names, monkeypatch):
    for kind in ("publisher", "subscriber"):
        make = getattr(endpoints, kind)
        monkeypatch.setattr(endpoints, kind, lambda make=make: Powerless(make()))
    wrong = found()
    assert problems(wrong) == {"subscription", "output topic", "rejected topic", "alarms topic"}
    assert wrong["output topic"].problem.startswith("this account lacks pubsub.topics.publish on projects/")
    assert wrong["output topic"].fix.startswith(f"gcloud pubsub topics add-iam-policy-binding {names.output_topic} ")
    assert "--role=roles/pubsub.publisher" in wrong["output topic"].fix
    assert "lacks pubsub.subscriptions.consume" in wrong["subscription"].problem
    assert "gcloud pubsub subscriptions add-iam-policy-binding" in wrong["subscription"].fix
    assert "--role=roles/pubsub.subscriber" in wrong["subscription"].fix


@pytest.mark.parametrize(("allowed", "lacks"), [(["bigquery.tables.updateData"], False), ([], True)])
def test_account_that_may_or_may_not_add_rows(allowed, lacks):
    class Client:
        def test_iam_permissions(self, table, permissions, **_):
            assert (table, permissions) == ("project-1.speed.fines", ["bigquery.tables.updateData"])
            return {"permissions": allowed} if allowed else {}

    if lacks:
        with pytest.raises(NotReadyError, match=r"lacks bigquery.tables.updateData on project-1.speed.fines") as raised:
            looks._require_rows(Client(), "project-1.speed.fines")
        assert "--role=roles/bigquery.dataEditor --table=true speed.fines" in raised.value.fix
    else:
        looks._require_rows(Client(), "project-1.speed.fines")


class Clock(BaseHTTPRequestHandler):
    """A service whose clock is `ahead` of ours."""

    ahead = timedelta(0)

    def do_HEAD(self):
        self.send_response(404)
        self.end_headers()

    def date_time_string(self, timestamp=None):
        return format_datetime(datetime.now(UTC) + self.ahead, usegmt=True)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    ("ahead_s", "said"),
    [(0, None), (-3, None), (3, None), (60, "60 s behind"), (-3600, "3600 s ahead of"), (7, "7 s behind")],
)
def test_clock_that_is_off(ahead_s, said, monkeypatch):
    handler = type("Handler", (Clock,), {"ahead": timedelta(seconds=ahead_s)})
    with serving(HttpServer(handler)) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        if said is None:
            assert looks._clock().startswith("within")
        else:
            seconds, _, way = said.partition(" s ")
            with pytest.raises(NotReadyError, match=rf"({int(seconds) - 1}|{seconds}|{int(seconds) + 1}) s {way} the"):
                looks._clock()


# --- what clients raise, and what mends it


LOOK = Look("it", lambda: "", absent="make it", denied="grant it", down="start it")


@pytest.mark.parametrize(
    ("error", "problem", "fix"),
    [
        (exceptions.NotFound("gone"), "does not exist", "make it"),
        (exceptions.PermissionDenied("no"), "may not be used by this account: 403 no", "grant it"),
        (Forbidden("no"), "may not be used by this account: 403 no", "grant it"),
        (exceptions.ServiceUnavailable("down"), "does not answer: ServiceUnavailable: 503 down", "start it"),
        (ConnectionError("odd\nand more"), "does not answer: ConnectionError: odd", "start it"),
        (ConnectionError("a long way: Connection refused"), "does not answer: Connection refused", "start it"),
        (DefaultCredentialsError("none found"), "no credentials: none found", looks.LOG_IN),
    ],
)
def test_error_of_a_client_is_told_with_what_mends_it(error, problem, fix, monkeypatch):
    monkeypatch.delenv("PUBSUB_EMULATOR_HOST", raising=False)

    def ask():
        raise error

    (finding,) = preflight.look([LOOK._replace(ask=ask)])
    assert (finding.problem, finding.fix) == (problem, fix)


def test_what_may_not_be_used_names_the_role_on_the_resource(names, tmp_path):
    settings = options.check(options.parse(argv(names, tmp_path)))
    denied = {one.name: one.denied for one in looks.needed(settings, None, names.camera_bucket)}
    assert "add-iam-policy-binding" in denied["table fines"]
    assert f"{names.dataset}.fines" in denied["table fines"]
    assert "roles/storage.objectCreator" in denied["evidence bucket, to write"]
    assert "roles/pubsub.viewer" in denied["subscription"]


def test_look_that_hangs_costs_no_more_than_the_deadline():
    def hang():
        time.sleep(60)

    began_s = time.monotonic()
    first, second = preflight.look([LOOK._replace(ask=hang), LOOK], deadline_s=0.2)
    assert time.monotonic() - began_s < 5
    assert (first.problem, first.fix) == ("no answer within 0.2 s", "start it")
    assert second.problem is None


# --- what is printed, and the exit status


class Terminal(io.StringIO):
    encoding = "ascii"


def test_terminal_without_ticks_gets_words():
    assert preflight._marks(Terminal()) == ("yes", "NO ")
    assert preflight._marks(io.StringIO()) == ("✓", "✗")


def start(cloud_env, *words, seconds=60):
    """The command as a process; its exit status, both outputs, and how long it took."""
    began_s = time.monotonic()
    env = os.environ | cloud_env | {secret.VARIABLE: "0123456789abcdef", "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *words],
        env=env,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return done, time.monotonic() - began_s


def test_only_looks_and_tells_everything(names, cloud, tmp_path):
    done, _ = start(cloud.env, *argv(names, tmp_path), "--preflight=only")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("✗")] == []
    assert any(line.startswith("✓ credentials: ") for line in lines)
    assert lines[-1].startswith("preflight: 18 looked at in ")
    assert lines[-1].endswith("all there")


def test_only_ends_with_one_where_something_is_missing(names, cloud, tmp_path):
    done, _ = start(cloud.env, *argv(names, tmp_path, rejected_topic="nobody-made-it"), "--preflight=only")
    assert done.returncode == 1
    assert "✗ rejected topic: does not exist\n    python -m pipeline provision" in done.stdout


def test_fix_that_is_printed_mends_it(names, cloud, tmp_path):
    changed = argv(names, tmp_path, rejected_topic=f"{names.dataset}-mended")
    done, _ = start(cloud.env, *changed, "--preflight=only")
    (fix,) = [line.split() for line in done.stdout.splitlines() if line.startswith("    python -m pipeline provision")]
    assert start(cloud.env, *fix[3:])[0].returncode == 0
    inbox = f"projects/{PROJECT}/subscriptions/{names.dataset}-mended-inbox"
    assert endpoints.subscriber().get_subscription(subscription=inbox).topic.endswith(f"/{names.dataset}-mended")
    assert start(cloud.env, *changed, "--preflight=only")[0].returncode == 0


def test_run_does_not_start_without_what_it_needs(names, cloud, tmp_path):
    done, _ = start(cloud.env, *argv(names, tmp_path, dataset="nobody_made_it"))
    assert done.returncode == 1
    assert done.stdout == ""
    assert "✗ table fines: does not exist" in done.stderr
    assert "✓" not in done.stderr
    assert done.stderr.splitlines()[-1].endswith("mend it, or skip this with --preflight off")


@contextlib.contextmanager
def deaf_services(env, *, listening):
    """The same services where nobody listens, or where connections are taken and never answered."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name, value in env.items():
            if name.endswith("_EMULATOR_HOST") or name.startswith("GCE_METADATA"):
                probe = stack.enter_context(socket.socket())
                probe.bind(("127.0.0.1", 0))
                if listening:
                    probe.listen(50)
                address = f"127.0.0.1:{probe.getsockname()[1]}"
                found[name] = f"http://{address}" if value.startswith("http") else address
        yield env | found


@pytest.mark.parametrize("listening", [False, True], ids=["refused", "silent"])
def test_everything_down_is_told_within_ten_seconds(names, cloud, tmp_path, listening):
    with deaf_services(cloud.env, listening=listening) as env:
        done, _ = start(env, *argv(names, tmp_path), "--preflight=only")
    assert done.returncode == 1
    crosses = [line for line in done.stdout.splitlines() if line.startswith("✗")]
    ticks = [line for line in done.stdout.splitlines() if line.startswith("✓")]
    assert len(crosses) >= 13, done.stdout
    assert {line.split(":")[0] for line in ticks} <= {"✓ section file", "✓ project"}
    took_s = float(done.stdout.splitlines()[-1].split(" looked at in ")[1].split(" s")[0])
    assert took_s < 10
    assert "python -m localcloud" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


# --- the options


def test_preflight_is_for_pubsub_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, "0123456789abcdef")
    words = [f"--input={tmp_path}", f"--output_dir={tmp_path}", "--radar_id=M30"]
    assert main([*words, "--preflight=only"]) == 2
    assert "--preflight: found with --input; allowed: only with --input_subscription" in capsys.readouterr().err


def test_camera_bucket_is_checked(names, tmp_path, capsys):
    assert main(argv(names, tmp_path, camera_bucket="No Bucket")) == 2
    assert "--camera_bucket: found 'No Bucket'; allowed: BUCKET or gs://BUCKET" in capsys.readouterr().err


def test_off_looks_at_nothing(names, tmp_path, monkeypatch):
    monkeypatch.setattr(preflight, "look", lambda *_: pytest.fail("looked"))
    parsed = options.parse([*argv(names, tmp_path), "--preflight=off"])
    own = parsed.view_as(options.SectionSpeedOptions)
    assert preflight.run(own, options.check(parsed)) is None
