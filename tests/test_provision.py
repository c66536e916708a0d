"""Provisioning against the local services: what is made, what a difference becomes, what is never removed."""

import itertools
import re
import socket
import subprocess
import sys
from datetime import timedelta

import pytest
from google.api_core.exceptions import NotFound
from google.api_core.retry import Retry
from google.cloud import bigquery
from google.cloud.pubsub_v1 import types
from google.protobuf.field_mask_pb2 import FieldMask

from pipeline import endpoints
from pipeline.deployment import roles
from pipeline.deployment.buckets import Bucket
from pipeline.deployment.plan import DAY_S, Resources, plan
from pipeline.deployment.steps import Resource, RoleError, reconcile
from pipeline.enforcement.model import Status
from pipeline.jobs import main
from pipeline.patience import PATIENCE
from pipeline.provision import provision
from pipeline.warehouse import columns, tables

numbers = itertools.count()
KINDS = {"topic": 5, "subscription": 6, "bucket": 2, "dataset": 1, "table": 6, "view": 6}


@pytest.fixture
def names(cloud, monkeypatch):
    """Names that no other test has used."""
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    mark = f"provision{next(numbers)}"
    defaults = Resources.named_after("local-project")
    own = {
        name: f"{mark}-{value}" for name, value in defaults._asdict().items() if name.endswith(("topic", "scription"))
    }
    return defaults._replace(**own, camera_bucket=f"{mark}-camera", evidence_bucket=f"{mark}-evidence", dataset=mark)


def options(names):
    return [f"--{name}={value}" for name, value in names._asdict().items() if name != "project"] + [
        f"--project_id={names.project}"
    ]


def made(names, **settings):
    return list(provision(plan(names, **settings)))


def subscription_of(names, name):
    return endpoints.subscriber().get_subscription(subscription=f"projects/{names.project}/subscriptions/{name}")


def topic_of(names, name):
    return endpoints.publisher().get_topic(topic=f"projects/{names.project}/topics/{name}")


def outcome_of(steps, name):
    (found,) = [step for step in steps if step.name.endswith(name)]
    return found


# --- making


def test_every_resource_is_made_once(names):
    first, second = made(names), made(names)
    assert {kind: [step.kind for step in first].count(kind) for kind in KINDS} == KINDS
    assert {step.outcome for step in first} == {"made"}
    assert {step.outcome for step in second} == {"exists"}


def test_topic_keeps_messages_for_a_replay_and_has_labels(names):
    made(names)
    topic = topic_of(names, names.input_topic)
    assert topic.message_retention_duration == timedelta(days=7)
    assert dict(topic.labels) == {"application": "section-speed", "component": "sightings"}


def test_input_subscription_never_expires_retries_and_has_a_dead_letter_topic(names):
    made(names)
    found = subscription_of(names, names.input_subscription)
    assert types.Subscription.pb(found).HasField("expiration_policy")
    assert not found.expiration_policy.ttl
    assert found.ack_deadline_seconds == 60
    assert found.message_retention_duration == timedelta(days=31)
    assert found.retry_policy.minimum_backoff == timedelta(seconds=10)
    assert found.retry_policy.maximum_backoff == timedelta(seconds=600)
    assert found.dead_letter_policy.dead_letter_topic.endswith(f"/topics/{names.dead_letter_topic}")
    assert found.dead_letter_policy.max_delivery_attempts == 100
    assert dict(found.labels)["component"] == "sightings"


def test_subscription_of_reviews_is_of_the_fines_and_takes_cases_for_a_person_alone(names):
    made(names)
    found = subscription_of(names, names.review_subscription)
    assert found.topic.endswith(f"/topics/{names.output_topic}")
    assert found.filter == f'attributes.status = "{Status.REVIEW}"'
    assert dict(found.labels)["component"] == "reviews"


def test_subscription_with_another_filter_is_shown_and_left(names):
    """A filter cannot be changed; without it others would be told of every fine."""
    topic = f"projects/{names.project}/topics/{names.output_topic}"
    path = f"projects/{names.project}/subscriptions/{names.review_subscription}"
    endpoints.publisher().create_topic(name=topic)
    endpoints.subscriber().create_subscription(request={"name": path, "topic": topic})
    step = outcome_of(made(names), names.review_subscription)
    assert 'filter is none, planned attributes.status = "review": left as it is' in step.details
    assert subscription_of(names, names.review_subscription).filter == ""


def test_dead_letters_are_kept_for_somebody_who_fetches_them(names):
    made(names)
    assert subscription_of(names, names.dead_letter_subscription).topic.endswith(names.dead_letter_topic)


def test_what_cannot_be_delivered_reaches_the_dead_letter_subscription(names):
    made(names)
    subscriber, publisher = endpoints.subscriber(), endpoints.publisher()
    source = f"projects/{names.project}/subscriptions/{names.input_subscription}"
    quick = types.Subscription(name=source, retry_policy=types.RetryPolicy(minimum_backoff={}, maximum_backoff={}))
    quick.dead_letter_policy = types.DeadLetterPolicy(
        dead_letter_topic=f"projects/{names.project}/topics/{names.dead_letter_topic}", max_delivery_attempts=5
    )
    mask = FieldMask(paths=["retry_policy", "dead_letter_policy"])
    subscriber.update_subscription(request={"subscription": quick, "update_mask": mask})
    publisher.publish(f"projects/{names.project}/topics/{names.input_topic}", b"{}").result()
    for _ in range(5):
        (lent,) = subscriber.pull(subscription=source, max_messages=1, timeout=10).received_messages
        subscriber.modify_ack_deadline(subscription=source, ack_ids=[lent.ack_id], ack_deadline_seconds=0)
    kept = f"projects/{names.project}/subscriptions/{names.dead_letter_subscription}"
    (found,) = subscriber.pull(subscription=kept, max_messages=1, timeout=10).received_messages
    assert found.message.data == b"{}"


def test_dataset_and_tables_have_labels(names):
    made(names)
    client = endpoints.bigquery_client("local-project")
    assert client.get_dataset(names.dataset).labels == {"application": "section-speed", "component": "warehouse"}
    for name in (*tables.TABLES, *tables.VIEWS):
        assert client.get_table(f"{names.dataset}.{name}").labels["application"] == "section-speed"


# --- buckets: the local service forgets most of a bucket's settings, so the request itself is looked at


@pytest.fixture
def buckets(monkeypatch):
    """The two buckets as the cloud is asked for them."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    client = endpoints.storage_client("local-project")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    wanted = plan(Resources.named_after("project-1"), "EU", 90)
    return [Bucket(client, bucket).planned()._properties for bucket in wanted.buckets]


def test_camera_bucket_is_emptied_after_a_day_for_good(buckets):
    camera, _ = buckets
    assert camera["lifecycle"]["rule"] == [{"action": {"type": "Delete"}, "condition": {"age": 1}}]
    assert camera["softDeletePolicy"]["retentionDurationSeconds"] == 0
    assert "retentionPolicy" not in camera


def test_evidence_bucket_lets_nothing_be_deleted_or_replaced(buckets):
    _, evidence = buckets
    assert evidence["retentionPolicy"] == {"retentionPeriod": str(90 * DAY_S)}
    assert "versioning" not in evidence, "Cloud Storage takes retention or versioning, not both"
    assert "lifecycle" not in evidence
    assert "softDeletePolicy" not in evidence


def test_no_bucket_can_be_public(buckets):
    for bucket in buckets:
        assert bucket["iamConfiguration"]["publicAccessPrevention"] == "enforced"
        assert bucket["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"] is True
        assert bucket["labels"]["application"] == "section-speed"


def test_what_the_local_service_does_not_keep_is_told(names):
    made(names)
    step = outcome_of(made(names), names.evidence_bucket)
    assert step.outcome == "exists"
    assert "the service keeps no" in step.details
    assert "kept_s" in step.details


# --- what exists and differs


def test_region_is_the_same_however_it_is_written(names):
    made(names, location="EUROPE-WEST1")
    assert endpoints.bigquery_client("local-project").get_dataset(names.dataset).location == "europe-west1"
    assert outcome_of(made(names, location="EUROPE-WEST1"), f"local-project.{names.dataset}").outcome == "exists"
    elsewhere = outcome_of(made(names, location="EU"), f"local-project.{names.dataset}")
    assert elsewhere.outcome == "differs"
    assert "location is EUROPE-WEST1, planned EU: left as it is" in elsewhere.details


def test_full_names_of_the_project_are_taken(names, capsys):
    full = [f"--input_topic=projects/{names.project}/topics/{names.input_topic}", f"--dataset={names.project}.full"]
    assert main(["provision", "--dry_run", *options(names), *full]) == 0
    printed = capsys.readouterr().out
    assert f"projects/local-project/topics/{names.input_topic} " in printed
    assert "local-project.full.fines" in printed


def test_labels_of_others_stay_and_ours_are_added(names):
    path = f"projects/{names.project}/topics/{names.input_topic}"
    endpoints.publisher().create_topic(request={"name": path, "labels": {"team": "roads"}})
    step = outcome_of(made(names), names.input_topic)
    assert step.outcome == "changed"
    assert dict(topic_of(names, names.input_topic).labels) == {
        "team": "roads",
        "application": "section-speed",
        "component": "sightings",
    }


def test_retention_is_made_longer(names):
    path = f"projects/{names.project}/topics/{names.input_topic}"
    endpoints.publisher().create_topic(request={"name": path, "message_retention_duration": timedelta(days=1)})
    step = outcome_of(made(names), names.input_topic)
    assert "replayable_s was 86400, is 604800" in step.details
    assert topic_of(names, names.input_topic).message_retention_duration == timedelta(days=7)


def test_retention_is_never_made_shorter(names):
    path = f"projects/{names.project}/topics/{names.input_topic}"
    endpoints.publisher().create_topic(request={"name": path, "message_retention_duration": timedelta(days=30)})
    steps = made(names)
    step = outcome_of(steps, names.input_topic)
    assert step.outcome == "changed"  # its labels
    assert f"replayable_s is {30 * DAY_S}, planned {7 * DAY_S}: left as it is" in step.details
    assert topic_of(names, names.input_topic).message_retention_duration == timedelta(days=30)
    assert outcome_of(made(names), names.input_topic).outcome == "differs"


def test_subscription_of_another_making_gets_the_policies_of_the_plan(names):
    topic = f"projects/{names.project}/topics/{names.input_topic}"
    path = f"projects/{names.project}/subscriptions/{names.input_subscription}"
    endpoints.publisher().create_topic(name=topic)
    endpoints.subscriber().create_subscription(request={"name": path, "topic": topic})
    made(names)
    found = subscription_of(names, names.input_subscription)
    assert found.ack_deadline_seconds == 60
    assert found.dead_letter_policy.max_delivery_attempts == 100
    assert types.Subscription.pb(found).HasField("expiration_policy")
    assert outcome_of(made(names), names.input_subscription).outcome == "exists"


def test_dead_letter_topic_that_somebody_chose_is_left(names):
    topic = f"projects/{names.project}/topics/{names.input_topic}"
    path = f"projects/{names.project}/subscriptions/{names.input_subscription}"
    endpoints.publisher().create_topic(name=topic)
    policy = {"dead_letter_topic": topic, "max_delivery_attempts": 5}
    endpoints.subscriber().create_subscription(request={"name": path, "topic": topic, "dead_letter_policy": policy})
    step = outcome_of(made(names), names.input_subscription)
    assert "dead_letters" in step.details
    assert "left as it is" in step.details
    assert subscription_of(names, names.input_subscription).dead_letter_policy.dead_letter_topic == topic


def test_subscription_of_another_topic_is_shown_and_left(names):
    other = f"projects/{names.project}/topics/{names.input_topic}-other"
    path = f"projects/{names.project}/subscriptions/{names.input_subscription}"
    endpoints.publisher().create_topic(name=other)
    endpoints.subscriber().create_subscription(request={"name": path, "topic": other})
    step = outcome_of(made(names), names.input_subscription)
    assert f"topic is {other}" in step.details
    assert subscription_of(names, names.input_subscription).topic == other


def test_table_of_an_earlier_release_gains_its_missing_columns(names):
    client = endpoints.bigquery_client("local-project")
    client.create_dataset(names.dataset)
    full = tables.table(f"local-project.{names.dataset}", "fines")
    client.create_table(bigquery.Table(full.reference, schema=full.schema[:-1]))
    step = outcome_of(made(names), f"{names.dataset}.fines")
    assert "columns was without speeds_error_s" in step.details
    assert "is all of this release" in step.details
    assert columns.difference(client.get_table(full.reference).schema, full.schema) == ""


def test_table_whose_column_has_another_type_is_shown_and_left(names):
    client = endpoints.bigquery_client("local-project")
    client.create_dataset(names.dataset)
    full = tables.table(f"local-project.{names.dataset}", "fines")
    other = [bigquery.SchemaField("radar_id", "INT64"), *full.schema[1:]]
    client.create_table(bigquery.Table(full.reference, schema=other))
    step = outcome_of(made(names), f"{names.dataset}.fines")
    assert "radar_id is INT64 NULLABLE, planned STRING NULLABLE" in step.details
    assert "left as it is" in step.details
    assert client.get_table(full.reference).schema[0].field_type == "INT64"


@pytest.fixture
def labelled(monkeypatch):
    """Buckets with the label of what their names end with: the local service forgets labels."""
    find = Bucket.find

    def with_labels(self):
        found = find(self)
        labels = {"application": "section-speed", "component": self.name.rpartition("-")[2]}
        return None if found is None else {**found, "labels": labels}

    monkeypatch.setattr(Bucket, "find", with_labels)


@pytest.mark.parametrize("dry_run", [(), ("--dry_run",)])
def test_bucket_of_evidence_is_never_made_one_that_is_emptied(names, labelled, dry_run, capsys, monkeypatch):
    made(names)
    swapped = names._replace(camera_bucket=names.evidence_bucket, evidence_bucket=names.camera_bucket)
    monkeypatch.setattr(Bucket, "change", lambda *_: pytest.fail("changed"))
    new = swapped._replace(input_topic=f"{names.input_topic}-new", input_subscription=f"{names.input_subscription}-new")
    assert main(["provision", *dry_run, *options(new)]) == 2
    assert capsys.readouterr().err == (
        f"python -m pipeline: bucket gs://{names.evidence_bucket}: found its label component=evidence; allowed: "
        "component=camera, or none. Give each bucket its own name, or relabel it by hand; nothing was changed\n"
    )
    with pytest.raises(NotFound):
        topic_of(names, new.input_topic)


def test_topic_of_another_role_is_refused(names):
    made(names)
    with pytest.raises(RoleError, match=r"found its label component=fines; allowed: component=sightings, or none"):
        made(names._replace(input_topic=names.output_topic, output_topic=f"{names.output_topic}-next"))


class Safe(Resource):
    """A resource of the test, whose settings change when they are told to."""

    kind, name = "bucket", "gs://b"

    def __init__(self, wanted, found, safe):
        self.wanted, self.found, self.safe = wanted, found, safe

    def find(self):
        return self.found

    def make(self):
        self.found = dict(self.wanted)

    def change(self, names, found):
        self.found = {**self.found, **{name: self.wanted[name] for name in names}}

    def remove(self):
        self.found = None

    def may_change(self, name, found):
        return name in self.safe


def test_dry_run_makes_nothing():
    resource = Safe({"kept_s": 1}, None, ())
    assert reconcile(resource, dry_run=True).outcome == "missing"
    assert resource.found is None


def test_dry_run_changes_nothing_and_tells_what_would_be():
    resource = Safe({"kept_s": 2, "place": "EU"}, {"kept_s": 1, "place": "US"}, ("kept_s",))
    step = reconcile(resource, dry_run=True)
    assert step.outcome == "differs"
    assert step.details == "kept_s is 1, would be 2; place is US, planned EU: left as it is, change it by hand"
    assert resource.found == {"kept_s": 1, "place": "US"}


@pytest.mark.parametrize(("found_days", "may"), [(None, True), (30, True), (400, False)])
def test_retention_of_evidence_is_only_ever_made_longer(found_days, may, monkeypatch):
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    _, evidence = plan(Resources.named_after("project-1"), "EU", 365).buckets
    bucket = Bucket(endpoints.storage_client("local-project"), evidence)
    assert bucket.may_change("kept_s", None if found_days is None else found_days * DAY_S) is may


# --- the command


def test_dry_run_prints_the_plan_and_changes_nothing(names, capsys):
    assert main(["provision", "--dry_run", *options(names)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("missing  ") == sum(KINDS.values())
    assert "replayable_s 604800" in printed
    with pytest.raises(NotFound):
        topic_of(names, names.input_topic)


def test_reader_that_leaves_is_no_mistake(names):
    words = [sys.executable, "-m", "pipeline", "provision", "--roles", *options(names)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        assert command.stdout is not None
        command.stdout.close()
        assert command.stderr is not None
        assert command.stderr.read() == b""
    assert command.returncode == 1


def test_roles_name_an_account_a_resource_and_a_reason(names, capsys):
    assert main(["provision", "--roles", *options(names)]) == 0
    commands = [line for line in capsys.readouterr().out.splitlines() if "add-iam-policy-binding" in line]
    assert len(commands) == len(roles.grants(names))
    for line in commands:
        assert re.fullmatch(r"(gcloud|bq) .*--member=\S.* --role=roles/[\w.]+ .*  # .+", line.replace("$(", ""))


def test_no_role_is_broader_than_its_resource_but_where_there_is_no_other(names):
    of_project = {grant.role for grant in roles.grants(names) if grant.kind == roles.PROJECT}
    assert of_project == {
        "roles/dataflow.worker",
        "roles/serviceusage.serviceUsageConsumer",
        "roles/bigquery.jobUser",
    }
    assert not {grant.role for grant in roles.grants(names)} & {"roles/owner", "roles/editor", "roles/pubsub.editor"}


def test_dataflow_reads_one_repository_and_writes_one_bucket(names):
    own = names._replace(dataflow_bucket="b-1", image_repository="images", region="europe-west1")
    of_dataflow = {
        (grant.kind, grant.resource): (grant.role, roles.command(grant, "project-1"))
        for grant in roles.grants(own)
        if grant.kind == roles.REPOSITORY or grant.resource == "b-1"
    }
    who = "--member=serviceAccount:section-speed-worker@project-1.iam.gserviceaccount.com"
    assert of_dataflow == {
        (roles.REPOSITORY, "europe-west1/images"): (
            "roles/artifactregistry.reader",
            f"gcloud artifacts repositories add-iam-policy-binding images {who} --role=roles/artifactregistry.reader "
            "--location=europe-west1 --project=project-1",
        ),
        (roles.BUCKET, "b-1"): (
            "roles/storage.objectUser",
            f"gcloud storage buckets add-iam-policy-binding gs://b-1 {who} --role=roles/storage.objectUser "
            "--project=project-1",
        ),
    }


def test_nobody_may_delete_or_replace_evidence(names):
    on_evidence = {grant.role for grant in roles.grants(names) if grant.resource == names.evidence_bucket}
    assert on_evidence == {"roles/storage.objectCreator", "roles/storage.objectViewer"}


def test_analyst_sees_no_table_with_plates(names):
    granted = [grant for grant in roles.grants(names) if grant.account == roles.ANALYST and grant.kind == roles.TABLE]
    seen = {grant.resource.split(".")[1] for grant in granted}
    assert seen
    assert not seen & {"fines", "rejected", "latest_fines", "edem", "reviews", "review_queue"}


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--evidence_kept_days=0", "--evidence_kept_days: found '0'; allowed: a whole number from 1 to 36500"),
        ("--evidence_kept_days=forever", "--evidence_kept_days: found 'forever'"),
        ("--region=the moon", "--region: found 'the moon'; allowed: a region of Google Cloud"),
        ("--image_repository=a/b", "--image_repository: found 'a/b'; allowed: up to 63"),
        (
            "--dataflow_bucket=local-project-evidence",
            "--dataflow_bucket: found 'local-project-evidence', which holds pictures",
        ),
        ("--dataflow_bucket=gs://b/tmp", "--dataflow_bucket: found 'gs://b/tmp'; allowed: BUCKET"),
        ("--location=the moon", "--location: found 'the moon'; allowed: a place of Google Cloud"),
        (
            "--evidence_bucket=local-project-camera",
            "--evidence_bucket: found 'local-project-camera', the camera bucket",
        ),
        ("--output_topic=sightings", "--output_topic: found 'sightings', the --input_topic; allowed: another topic"),
        ("--output_topic=projects/local-project/topics/rejected", "found 'rejected', the --output_topic; allowed"),
        (
            "--dead_letter_topic=sightings",
            "--dead_letter_topic: found 'sightings', the --input_topic; allowed: another",
        ),
        (
            "--rejected_subscription=fines-inbox",
            "--rejected_subscription: found 'fines-inbox', the --output_subscription; allowed: another subscription",
        ),
    ],
)
def test_mistake_is_one_line(option, said, cloud, monkeypatch, capsys):
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    assert main(["provision", option]) == 2
    assert said in capsys.readouterr().err


# --- a service that does not answer


@pytest.mark.parametrize("command", [("provision", "--dry_run"), ("provision",), ("deprovision", "--yes")])
@pytest.mark.parametrize("service", ["pubsub", "storage", "bigquery"])
@pytest.mark.parametrize("listening", [False, True], ids=["refused", "silent"])
def test_service_that_does_not_answer_is_told_in_one_line(service, listening, command, names, monkeypatch, capsys):
    """Google's own clients would try for minutes, without a word."""
    hasty = {"timeout": 1.0, "retry": Retry(initial=0.1, maximum=0.2, timeout=1.0)}
    for name, value in hasty.items():
        monkeypatch.setitem(PATIENCE, name, value)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        if listening:
            deaf.listen(50)
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        host = address if service == "pubsub" else f"http://{address}"
        monkeypatch.setenv(f"{service.upper()}_EMULATOR_HOST", host)
        assert main([*command, *options(names)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert re.fullmatch(
        rf"python -m pipeline: \S+: {service} does not answer: "
        r"(Connection refused|[Tt]imed out|.*Deadline Exceeded)\. Try: python -m localcloud\n",
        printed.err,
    )


def test_dead_service_costs_seconds():
    assert max(PATIENCE["timeout"], PATIENCE["retry"].timeout) <= 15


# --- removing


def test_deprovision_without_a_yes_removes_nothing(names, capsys, monkeypatch):
    made(names)
    monkeypatch.setattr("sys.stdin", open("/dev/null"))  # noqa: SIM115
    assert main(["deprovision", *options(names)]) == 1
    assert f"will be removed, with all it holds: dataset local-project.{names.dataset}" in capsys.readouterr().out
    assert topic_of(names, names.input_topic)


def test_deprovision_removes_all_but_evidence(names, capsys):
    made(names)
    client = endpoints.storage_client("local-project")
    for bucket in (names.camera_bucket, names.evidence_bucket):
        client.bucket(bucket).blob("a.jpg").upload_from_string(b"picture")
    assert main(["deprovision", "--yes", *options(names)]) == 0
    after = {step.name for step in provision(plan(names), dry_run=True) if step.outcome != "missing"}
    assert after == {f"gs://{names.evidence_bucket}"}
    assert client.bucket(names.evidence_bucket).blob("a.jpg").exists()
    assert "stays: bucket" in capsys.readouterr().out


def test_deprovision_never_removes_a_bucket_that_is_labelled_as_evidence(names, labelled, capsys):
    """Also where it is named as another one."""
    made(names)
    confused = names._replace(camera_bucket=names.evidence_bucket, evidence_bucket=f"{names.dataset}-other")
    assert main(["deprovision", "--yes", *options(confused)]) == 0
    assert f"stays: bucket gs://{names.evidence_bucket}: evidence is never removed" in capsys.readouterr().out
    client = endpoints.storage_client("local-project")
    assert client.bucket(names.evidence_bucket).exists()
    assert main(["deprovision", "--yes", *options(names)]) == 0
    assert not client.bucket(names.camera_bucket).exists()
    assert client.bucket(names.evidence_bucket).exists()


def test_deprovision_of_nothing_says_so(names, capsys):
    assert main(["deprovision", "--yes", *options(names)]) == 0
    assert "nothing to remove" in capsys.readouterr().out
