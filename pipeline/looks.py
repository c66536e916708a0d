"""What preflight looks at: one request for each thing that a streaming run needs, and the command that mends it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial
from typing import NamedTuple

import google.auth
import requests
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.cloud import bigquery
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient

from pipeline import endpoints, options
from pipeline.deployment import roles
from pipeline.deployment.roles import BUCKET, SUBSCRIPTION, TABLE, TOPIC, WORKER, Grant
from pipeline.options import Settings
from pipeline.patience import START_LOCALLY, first_line, refusal, remedy
from pipeline.warehouse import columns, tables

LOOK_TIMEOUT_S = 5.0
MAX_SKEW_S = 5.0
DELETED_TOPIC = "_deleted-topic_"
PROBE = ".preflight"  # no object of this name is ever written
LOG_IN = "gcloud auth application-default login"


class NotReadyError(Exception):
    """What a look found wrong; `fix`: the command that mends it, if it is not the look's own for what is absent."""

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem)
        self.fix = fix


class Look(NamedTuple):
    """One thing to look at. `ask` returns a few words about it, or raises.

    absent, denied, down: the command that mends it if it does not exist, may not be used, or does not answer.
    """

    name: str
    ask: Callable[[], str]
    absent: str = ""
    denied: str = ""
    down: str = ""
    fatal: bool = True


def needed(settings: Settings, sections: str | None, camera_bucket: str | None) -> list[Look]:
    """All that a streaming run of these settings needs."""
    found = [*_account(settings), *_messaging(settings), *_storage(settings, camera_bucket), *_warehouse(settings)]
    if settings.read_plates:
        found.append(_vision(settings))
    if sections is not None:
        found.append(Look("section file", partial(_sections, settings, sections), f"ls -l {shlex.quote(sections)}"))
    return [*found, Look("clock", _clock, "sudo timedatectl set-ntp true", down=remedy("storage"), fatal=False)]


def explained(one: Look, error: Exception) -> tuple[str, str]:
    """What an error of a client means, and the command that mends it."""
    if isinstance(error, exceptions.NotFound):
        return "does not exist", one.absent
    if isinstance(error, exceptions.PermissionDenied | exceptions.Forbidden):
        return f"may not be used by this account: {first_line(error)}", one.denied
    if isinstance(error, GoogleAuthError) and not isinstance(error, TransportError):
        return f"no credentials: {first_line(error)}", _log_in()
    return f"does not answer: {refusal(error)}", one.down


def _log_in() -> str:
    return START_LOCALLY if endpoints.is_local("pubsub") else LOG_IN


# --- account and project


def _account(settings: Settings) -> Iterator[Look]:
    local = {"pubsub", "storage", "vision"}
    if settings.dataset is None and all(map(endpoints.is_local, local)):
        return  # the local services ask for none
    yield Look("credentials", _credentials, LOG_IN, LOG_IN, _log_in())
    project = settings.input.split("/")[1]
    switch = f"gcloud config set project {project}"
    yield Look("project", partial(_project, settings), switch, LOG_IN, _log_in(), fatal=False)


def _credentials() -> str:
    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(Request())
    return str(getattr(credentials, "service_account_email", None) or "there")


def _project(settings: Settings) -> str:
    """A run whose names are in another project than its account is allowed, and mostly a mistake."""
    _, own = google.auth.default()
    names = (settings.input, *(topic for _, topic in _sent_to(settings)))
    projects = {name.split("/")[1] for name in names}
    if settings.dataset:
        projects.add(settings.dataset.rpartition(".")[0])
    if len(projects) > 1:
        raise NotReadyError(f"the names are in {len(projects)} projects: {', '.join(sorted(projects))}")
    (project,) = projects
    if own and own != project:
        raise NotReadyError(f"the names are in {project}, the credentials belong to {own}")
    return project


# --- Pub/Sub


def _messaging(settings: Settings) -> Iterator[Look]:
    yield _named("subscription", settings.input, SUBSCRIPTION, "input_subscription", partial(_subscription, settings))
    for name, topic in _sent_to(settings):
        yield _named(name.replace("_", " "), topic, TOPIC, name, _topic)


def _sent_to(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each option that names a topic with what it names."""
    topics = ("output_topic", "rejected_topic", "alarms_topic")
    return ((option, topic) for option in topics if (topic := getattr(settings, option)))


def _named(name: str, full: str, kind: str, option: str, ask: Callable[[str], str]) -> Look:
    _, project, _, short = full.split("/")
    denied = roles.command(Grant(WORKER, "roles/pubsub.viewer", kind, short, ""), project)
    absent = _provision(project, option, short)
    if kind == TOPIC:  # what is sent to a topic without a subscription is lost
        absent += f" --{option.replace('topic', 'subscription')} {shlex.quote(short + '-inbox')}"
    return Look(name, partial(ask, full), absent, denied, remedy("pubsub"))


def _provision(project: str, option: str, name: str) -> str:
    return f"python -m pipeline provision --project_id {project} --{option} {shlex.quote(name)}"


def _subscription(settings: Settings, name: str) -> str:
    with endpoints.subscriber() as client:
        found = client.get_subscription(subscription=name, timeout=LOOK_TIMEOUT_S, retry=None)
        _require(client, name, "pubsub.subscriptions.consume", "roles/pubsub.subscriber")
    if found.topic == DELETED_TOPIC:
        _, project, _, short = name.split("/")
        raise NotReadyError(
            f"{name} has lost its topic: it was deleted, and no sighting can arrive",
            _provision(project, "input_subscription", f"{short}-next"),
        )
    _refuse_loop(settings, found.topic)
    return f"{name} of {found.topic}"


def _refuse_loop(settings: Settings, topic: str) -> None:
    """What the run sends must not come back to it as sightings, to be rejected and sent again for ever."""
    for option, sent_to in _sent_to(settings):
        if sent_to == topic:
            raise NotReadyError(
                f"its topic {topic} is the --{option} too: what is sent there would come back as sightings; give "
                "another subscription or another topic, which the command shows",
                f"python -m pipeline provision --project_id {topic.split('/')[1]} --dry_run",
            )


def _topic(name: str) -> str:
    with endpoints.publisher() as client:
        client.get_topic(topic=name, timeout=LOOK_TIMEOUT_S, retry=None)
        _require(client, name, "pubsub.topics.publish", "roles/pubsub.publisher")
    return name


def _require(client: PublisherClient | SubscriberClient, name: str, permission: str, role: str) -> None:
    """That a topic can be seen does not mean that it may be published to."""
    question = {"resource": name, "permissions": [permission]}
    try:
        answer = client.test_iam_permissions(request=question, timeout=LOOK_TIMEOUT_S, retry=None)
    except exceptions.MethodNotImplemented:
        return  # an emulator that knows nothing of permissions
    if permission not in answer.permissions:
        _, project, kind, short = name.split("/")
        grant = Grant(WORKER, role, kind.removesuffix("s"), short, "")
        raise NotReadyError(f"this account lacks {permission} on {name}", roles.command(grant, project))


# --- Cloud Storage


def _storage(settings: Settings, camera_bucket: str | None) -> Iterator[Look]:
    project = settings.input.split("/")[1]
    wanted = (
        ("evidence bucket, to write", settings.evidence_bucket, "evidence_bucket", "Creator", _writable),
        ("evidence bucket, to read", settings.evidence_bucket, "evidence_bucket", "Viewer", _readable),
        ("camera bucket, to read", camera_bucket, "camera_bucket", "Viewer", _readable),
    )
    for name, bucket, option, role, ask in wanted:
        if bucket is not None:
            grant = Grant(WORKER, f"roles/storage.object{role}", BUCKET, bucket, "")
            absent, denied = _provision(project, option, bucket), roles.command(grant, project)
            yield Look(name, partial(ask, bucket), absent, denied, remedy("storage"))


def _writable(name: str) -> str:
    """Ask for an upload and call it off: nothing is written, which a bucket with a retention policy would keep."""
    blob = endpoints.storage_client().bucket(name).blob(PROBE)
    session = blob.create_resumable_upload_session(if_generation_match=0, timeout=LOOK_TIMEOUT_S, retry=None)
    requests.delete(session, timeout=LOOK_TIMEOUT_S)
    return f"gs://{name}"


def _readable(name: str) -> str:
    list(endpoints.storage_client().list_blobs(name, max_results=1, timeout=LOOK_TIMEOUT_S, retry=None))
    return f"gs://{name}"


# --- BigQuery


def _warehouse(settings: Settings) -> Iterator[Look]:
    if settings.dataset is None:
        return
    project, _, name = settings.dataset.rpartition(".")
    provision = _provision(project, "dataset", name)
    yield Look("dataset", partial(_dataset, settings.dataset), provision, down=remedy("bigquery"))
    for table in (name for name, table in tables.TABLES.items() if not table.by_people):
        grant = Grant(WORKER, "roles/bigquery.dataEditor", TABLE, f"{name}.{table}", "")
        denied = roles.command(grant, project)
        full = f"{settings.dataset}.{table}"
        yield Look(f"table {table}", partial(_table, full), provision, denied, remedy("bigquery"))


def _dataset(name: str) -> str:
    client = endpoints.bigquery_client(name.rpartition(".")[0])
    with suppress(exceptions.Forbidden):  # a worker needs no more than the tables, which are looked at each
        client.get_dataset(name, timeout=LOOK_TIMEOUT_S, retry=None)
    return name


def _table(name: str) -> str:
    project, dataset, table = name.rsplit(".", 2)
    client = endpoints.bigquery_client(project)
    found = client.get_table(name, timeout=LOOK_TIMEOUT_S, retry=None)
    planned = tables.schema(tables.TABLES[table].record_type)
    problem = columns.difference(found.schema, planned)
    if problem.startswith(columns.WITHOUT):
        raise NotReadyError(f"{name} is {problem}")
    if problem:
        raise NotReadyError(f"{name}: {problem}", _provision(project, "dataset", f"{dataset}_next"))
    if not endpoints.is_local("bigquery"):  # which knows nothing of permissions
        _require_rows(client, name)
    return name


def _require_rows(client: bigquery.Client, name: str) -> None:
    permission, (project, table) = "bigquery.tables.updateData", name.split(".", 1)
    answer = client.test_iam_permissions(name, [permission], timeout=LOOK_TIMEOUT_S, retry=None)
    if permission not in answer.get("permissions", ()):
        grant = Grant(WORKER, "roles/bigquery.dataEditor", TABLE, table, "")
        raise NotReadyError(f"this account lacks {permission} on {name}", roles.command(grant, project))


# --- Vision, the section file and the clock


def _vision(settings: Settings) -> Look:
    enable = f"gcloud services enable vision.googleapis.com --project={settings.input.split('/')[1]}"
    return Look("Vision", _ask_vision, enable, enable, remedy("vision"))


def _ask_vision() -> str:
    """A question without a picture costs nothing; that Vision finds fault with it proves that it is there."""
    with suppress(exceptions.InvalidArgument):
        endpoints.vision_client().batch_annotate_images(requests=[], timeout=LOOK_TIMEOUT_S, retry=None)
    return "answers"


def _sections(settings: Settings, path: str) -> str:
    try:
        network = options.read_network(path)
    except ValueError as error:
        raise NotReadyError(str(error)) from error
    if network != settings.network:
        raise NotReadyError(f"{path} has changed since it was read")
    return f"{path}, {len(network.sections)} sections"


def _clock() -> str:
    """This machine's clock against the service's: the local runner takes it for the watermark."""
    asked_s = time.time()
    headers: Mapping[str, str] = requests.head(endpoints.storage_address(), timeout=LOOK_TIMEOUT_S).headers
    answered_s = time.time()
    if "Date" not in headers:
        raise NotReadyError("the service tells no time", remedy("storage"))
    there_s = parsedate_to_datetime(headers["Date"]).timestamp() + 0.5  # the header has whole seconds
    skew_s = (asked_s + answered_s) / 2 - there_s
    if abs(skew_s) > MAX_SKEW_S:
        way = "ahead of" if skew_s > 0 else "behind"
        raise NotReadyError(f"{abs(skew_s):.0f} s {way} the service's; allowed: {MAX_SKEW_S:g} s")
    return f"within {MAX_SKEW_S:g} s of the service's"
