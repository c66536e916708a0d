"""terraform/ describes the same resources, settings and roles as pipeline/deployment does."""

import re
from functools import cache
from pathlib import Path

import hcl2
import pytest

from pipeline.deployment import roles
from pipeline.deployment.plan import DAY_S, Resources, plan
from pipeline.warehouse import tables
from releases import shapes

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "terraform"
PROJECT = "project-1"
NAMES = Resources.named_after(PROJECT)
PLAN = plan(NAMES)


def unquoted(name):
    return name.strip('"')


@cache
def blocks(kind):
    """All blocks of a kind in all files: (labels, content)."""
    found = []
    for path in sorted(FOLDER.glob("*.tf")):
        for block in hcl2.loads(path.read_text(encoding="utf-8")).get(kind, []):
            labels = []
            content = block
            while kind != "locals" and len(content) == 1 and not content.get("__is_block__"):
                ((label, content),) = content.items()
                labels.append(unquoted(label))
            found.append((tuple(labels), content))
    return found


@cache
def local_values():
    found = {"evidence_kept_s": None}
    for _, content in blocks("locals"):
        found |= content
    return found


@cache
def variables():
    found = {labels[0]: plain(content.get("default")) for labels, content in blocks("variable")}
    return found | {"project_id": PROJECT}


def plain(value, each=None):
    """The value of an expression, as far as this project's files use them; others stay as they are written."""
    if isinstance(value, list):
        return [plain(one, each) for one in value]
    if isinstance(value, dict):
        return {unquoted(name): plain(one, each) for name, one in value.items() if not name.startswith("__")}
    if not isinstance(value, str):
        return value
    if value.startswith('"'):
        return re.sub(r"\$\{([^}]+)\}", lambda match: str(reference(match[1], each)), value[1:-1])
    return reference(value.removeprefix("${").removesuffix("}"), each) if value.startswith("${") else value


def reference(text, each):
    if text == "each.key" and each:
        return each[0]
    if text.startswith("each.value") and each:
        return each[1] if text == "each.value" else each[1][text.removeprefix("each.value.")]
    if text.startswith("var.") and text[4:].isidentifier():
        return variables()[text[4:]]
    if text.startswith("local.") and text[6:].isidentifier():
        return plain(local_values()[text[6:]])
    if match := re.fullmatch(r"var\.(\w+) \* (\d+)", text):
        return variables()[match[1]] * int(match[2])
    if match := re.fullmatch(r'coalesce\(var\.(\w+), "(.*)"\)', text):
        return variables()[match[1]] or plain(f'"{match[2]}"')
    if match := re.fullmatch(r"toset\(local\.(\w+)\)", text):
        return {name: {} for name in plain(local_values()[match[1]])}
    if match := re.fullmatch(r"\{for grant in local\.(\w+) : .* => grant\}", text):
        return {str(grant): grant for grant in plain(local_values()[match[1]])}
    return text


def resources(kind):
    """All resources of a kind with the settings they get, each one of a for_each by itself."""
    found = []
    for (of_kind, _), content in blocks("resource"):
        if of_kind == kind:
            each = plain(content["for_each"]).items() if "for_each" in content else [None]
            found += [plain({name: v for name, v in content.items() if name != "for_each"}, one) for one in each]
    return found


def test_topics_are_the_planned_ones_and_keep_messages_as_long():
    found = {
        one["name"]: (one["labels"], one["message_retention_duration"]) for one in resources("google_pubsub_topic")
    }
    assert found == {topic.name: (topic.labels, f"{topic.replayable_s}s") for topic in PLAN.topics}


def topic_of(reference, subscription):
    """The name of the topic that topics[each.value.topic].id means."""
    assert reference == "google_pubsub_topic.topics[each.value.topic].id"
    own = plain(local_values()["subscriptions"])[subscription["labels"]["component"]]
    return plain(local_values()["topics"])[own["topic"]]


def test_subscriptions_are_the_planned_ones_with_their_policies():
    found = {one["name"]: one for one in resources("google_pubsub_subscription")}
    assert found.keys() == {one.name for one in PLAN.subscriptions}
    for planned in PLAN.subscriptions:
        one = found[planned.name]
        assert topic_of(one["topic"], one) == planned.topic
        assert one["labels"] == planned.labels
        assert one["filter"].replace('\\"', '"') == planned.filter
        assert one["ack_deadline_seconds"] == planned.ack_deadline_s
        assert one["message_retention_duration"] == f"{planned.unread_kept_s}s"
        assert one["expiration_policy"] == [{"ttl": ""}]
        least_s, most_s = planned.retry_s
        assert one["retry_policy"] == [{"minimum_backoff": f"{least_s}s", "maximum_backoff": f"{most_s}s"}]


def test_dead_letter_policy_is_that_of_the_planned_subscription():
    (one,) = [content for (kind, _), content in blocks("resource") if kind == "google_pubsub_subscription"]
    dynamic = one["dynamic"][0]['"dead_letter_policy"']
    condition = re.fullmatch(r'\$\{each\.key == "(\w+)" \? \["(\w+)"\] : \[\]\}', dynamic["for_each"])
    (planned,) = [one for one in PLAN.subscriptions if one.dead_letter_topic]
    assert plain(local_values()["subscriptions"])[condition[1]]["name"] == planned.name
    assert plain(local_values()["topics"])[condition[2]] == planned.dead_letter_topic
    assert dynamic["content"][0]["max_delivery_attempts"] == planned.delivery_attempts
    assert "topics[dead_letter_policy.value].id" in dynamic["content"][0]["dead_letter_topic"]


def test_buckets_are_the_planned_ones_with_their_rules():
    found = {one["name"]: one for one in resources("google_storage_bucket")}
    assert found.keys() == {bucket.name for bucket in PLAN.buckets}
    for planned in PLAN.buckets:
        one = found[planned.name]
        assert (one["location"], one["labels"]) == (planned.location, planned.labels)
        assert one["uniform_bucket_level_access"] is True
        assert one["public_access_prevention"] == "enforced"
        kept = [{"retention_period": planned.kept_days * DAY_S}] if planned.kept_days else None
        assert one.get("retention_policy") == kept
        assert "versioning" not in one, "Cloud Storage takes retention or versioning, not both"
        rule = {"action": [{"type": "Delete"}], "condition": [{"age": planned.deleted_after_days}]}
        assert one.get("lifecycle_rule") == ([rule] if planned.deleted_after_days else None)
        soft = [{"retention_duration_seconds": 0}] if planned.deleted_after_days else None
        assert one.get("soft_delete_policy") == soft


def test_evidence_is_not_destroyed():
    (evidence,) = [one for one in resources("google_storage_bucket") if one["labels"]["component"] == "evidence"]
    assert evidence["lifecycle"] == [{"prevent_destroy": True}]


def test_dataset_is_the_planned_one():
    (found,) = resources("google_bigquery_dataset")
    planned = PLAN.dataset
    assert found == {"dataset_id": planned.name, "location": planned.location, "labels": planned.labels}


def test_tables_are_those_of_the_records_and_read_their_schema_files():
    found = {one["table_id"]: one for one in resources("google_bigquery_table") if "schema" in one}
    assert found.keys() == tables.TABLES.keys()
    (text,) = {one["schema"] for one in found.values()}
    assert text == 'file("${path.module}/schemas/${each.key}.json")'
    for name, table in tables.TABLES.items():
        assert found[name]["time_partitioning"] == [{"type": "DAY", "field": table.partitioned_by}]
        assert found[name]["clustering"] == list(table.clustered_by)
        assert found[name]["labels"] == PLAN.dataset.labels
        assert found[name]["deletion_protection"] is True


def test_schema_files_are_those_of_the_records():
    found = {path.stem: path.read_text(encoding="utf-8") for path in (FOLDER / "schemas").iterdir()}
    assert found == {name: shapes.schema_json(name) for name in tables.TABLES}, "run make schemas"


def test_views_are_those_of_the_warehouse_and_read_their_files():
    found = {one["table_id"]: one for one in resources("google_bigquery_table") if "view" in one}
    assert found.keys() == set(tables.VIEWS)
    for name, one in found.items():
        file = re.fullmatch(r'replace\(file\("\$\{local\.view_texts\}/(.+)\.sql"\), .*\)', one["view"][0]["query"])
        assert file[1] in (name, "${each.key}")
        assert "`dataset." in one["view"][0]["query"]
    assert plain(local_values()["view_texts"]).endswith("/../pipeline/warehouse/views")
    assert plain(local_values()["dataset"]) == f"{PROJECT}.{NAMES.dataset}"


GRANTS = {
    "google_pubsub_topic_iam_member": roles.TOPIC,
    "google_pubsub_subscription_iam_member": roles.SUBSCRIPTION,
    "google_storage_bucket_iam_member": roles.BUCKET,
    "google_artifact_registry_repository_iam_member": roles.REPOSITORY,
    "google_bigquery_table_iam_member": roles.TABLE,
    "google_project_iam_member": roles.PROJECT,
}


def granted(kind):
    """(account, role, resource) of each grant on resources of a kind."""
    topics, subscriptions = plain(local_values()["topics"]), plain(local_values()["subscriptions"])
    named = {
        roles.TOPIC: lambda grant: topics[grant["topic"]],
        roles.SUBSCRIPTION: lambda grant: subscriptions[grant["subscription"]]["name"],
        roles.BUCKET: lambda grant: f"{PROJECT}-{grant['bucket']}",
        roles.REPOSITORY: lambda _: f"{variables()['region']}/{variables()['image_repository']}",
        roles.TABLE: lambda grant: f"{NAMES.dataset}.{grant['table']}",
        roles.PROJECT: lambda _: PROJECT,
    }
    grants = plain(local_values()[f"{kind}_grants"])
    return sorted((grant["account"], grant["role"], named[kind](grant)) for grant in grants)


@pytest.mark.parametrize("kind", GRANTS.values())
def test_roles_are_those_that_provision_prints(kind):
    assert granted(kind) == sorted(
        (grant.account, grant.role, grant.resource) for grant in roles.grants(NAMES) if grant.kind == kind
    )


def test_each_role_is_bound_to_its_resource_and_added_to_what_others_granted():
    bound = {kind for (kind, _), _ in blocks("resource") if "_iam_" in kind}
    assert bound == GRANTS.keys()
    for kind, of in GRANTS.items():
        (content,) = [content for (found, _), content in blocks("resource") if found == kind]
        assert f"local.{of}_grants" in content["for_each"]
        assert content["role"] == "${each.value.role}"
        assert content["member"] == "${local.members[each.value.account]}"


def test_repository_and_bucket_of_dataflow_are_those_of_the_variables():
    (content,) = [
        found for (kind, _), found in blocks("resource") if kind == "google_artifact_registry_repository_iam_member"
    ]
    assert (content["location"], content["repository"]) == ("${var.region}", "${var.image_repository}")
    assert plain(local_values()["buckets"])["dataflow"] == NAMES.dataflow_bucket


def test_accounts_are_those_that_roles_name():
    found = {one["account_id"] for one in resources("google_service_account")}
    accounts = {grant.account for grant in roles.grants(NAMES)} - {roles.PUBSUB}
    assert found == {f"section-speed-{account}" for account in accounts}


def test_nothing_else_is_made():
    known = {"google_pubsub_topic", "google_pubsub_subscription", "google_storage_bucket", "google_service_account"}
    known |= {"google_bigquery_dataset", "google_bigquery_table", *GRANTS}
    assert {kind for (kind, _), _ in blocks("resource")} == known


def test_variables_are_the_options_of_provision():
    options = set(Resources._fields) - {"project"} | {"project_id", "location", "evidence_kept_days"}
    assert variables().keys() == options
    for name in options & set(Resources._fields) - {"camera_bucket", "evidence_bucket", "dataflow_bucket"}:
        assert variables()[name] == getattr(NAMES, name)
