"""The template's description: it is the options', Dataflow takes it, and it allows what the program allows."""

import argparse
import re
import shutil
import subprocess

import pytest
from dataflow_samples import IMAGE, ROOT
from google.cloud import dataflow
from google.protobuf import json_format

from pipeline import dataflow as for_dataflow
from pipeline import flex_template, options, secret
from pipeline.declared_options import add_options

FILE = ROOT / "templates" / "section_speed.json"
PARAMETERS = {found["name"]: found for found in flex_template.metadata()["parameters"]}
PUBSUB = {
    "input_subscription": "projects/project-1/subscriptions/sightings",
    "output_topic": "projects/project-1/topics/fines",
    "rejected_topic": "projects/project-1/topics/rejected",
    "radar_id": "M30",
    "project_id": "project-1",
    "ocr": "none",
}
ALLOWED = {
    "policy": ["nl", "edem-classic"],
    "policies": ["gs://bucket/policies.yaml"],
    "notices": ["gs://bucket/notices.ndjson"],
    "project_id": ["project-1", "example.com:project-1"],
    "input_subscription": ["projects/project-1/subscriptions/sightings"],
    "output_topic": ["projects/project-1/topics/fines", "projects/example.com:roads/topics/fines.v1"],
    "rejected_topic": ["projects/project-1/topics/rejected"],
    "alarms_topic": ["projects/project-1/topics/alarms"],
    "timestamp_attribute": ["timestamp"],
    "id_attribute": ["event_id", "ce-id"],
    "allowed_lateness": ["24h", "1.5 d", "90s", "10min"],
    "dataset": ["section_speed", "project-1.section_speed", "project-1:section_speed"],
    "sections": ["gs://roads-config/sections/v1.yaml", "/template/sections.yaml"],
    "radar_id": ["M30", "7", "First Avenue, E 20th to E 26th", "A-B_c.d:e", "Straße", "x" * 128],
    "speed_limit": ["25 mph", "40.5 km/h"],
    "tolerance": ["3 km/h", "0 km/h", "2mph"],
    "clone_ceiling": ["250 km/h", "160 mph"],
    "session_gap": ["30s", "2min"],
    "cars_api": ["https://cars.example/api", "http://10.0.0.5:8080/pictures"],
    "evidence_bucket": ["roads-evidence", "gs://roads-evidence"],
    "privacy_secret": ["gs://roads-config/privacy.secret"],
    "signing_key": ["gs://roads-config/signing.key"],
    "sdk_container_image": [IMAGE, f"gcr.io/project-1/section-speed@sha256:{'0' * 64}"],
}
REFUSED = {
    "policy": ["two words"],
    "policies": ["policies.yaml", "gs://"],
    "notices": ["notices.ndjson", "gs://"],
    "project_id": ["p1", "My Project"],
    "input_subscription": ["a/b", "projects/project-1/topics/sightings"],
    "output_topic": ["a b", "projects/project-1/subscriptions/fines"],
    "rejected_topic": ["projects/p/topics/x"],
    "alarms_topic": ["projects/p/topics/x"],
    "timestamp_attribute": ["a time"],
    "id_attribute": ["event id"],
    "allowed_lateness": ["24", "1 week", "-1h"],
    "dataset": ["section-speed", "a.b.c-d"],
    "sections": ["sections.yaml", "https://example.com/sections.yaml"],
    "radar_id": ["a/b", "a\\b", "a#b", "why?", "M*", " M30", "M30 ", " ", "x" * 129],
    "speed_limit": ["40", "40 kph"],
    "tolerance": ["3", "-3 km/h"],
    "clone_ceiling": ["250", "fast"],
    "session_gap": ["30", "soon"],
    "cars_api": ["cars.example", "file:///etc/passwd"],
    "evidence_bucket": ["gs://b/folder", "B"],
    "privacy_secret": ["~/.config/section-speed/privacy.secret", "privacy.secret"],
    "signing_key": ["~/.config/section-speed/signing.key", "signing.key"],
    "sdk_container_image": ["section-speed", "gcr.io/project-1/section-speed"],
}
# What Dataflow asks of a file or of an attribute's name is not asked by the program, which runs elsewhere too.
ONLY_OF_THE_TEMPLATE = {
    "policies",
    "notices",
    "sections",
    "timestamp_attribute",
    "id_attribute",
    "privacy_secret",
    "signing_key",
    "sdk_container_image",
}


def matches(name: str, value: str) -> bool:
    """As grep -E understands it, which is POSIX, and as Python does: they must agree."""
    (expression,) = PARAMETERS[name]["regexes"]
    grep = shutil.which("grep")
    found = subprocess.run([grep, "-Eq", "--", expression], input=value, text=True, timeout=10, check=False)
    assert (found.returncode == 0) == bool(re.search(expression, value))
    return found.returncode == 0


def accepted(name: str, value: str) -> bool:
    """Whether the program takes it; a complaint of another option is none of this one."""
    given = PUBSUB | {name: value}
    if name == "cars_api":
        given["evidence_bucket"] = "roads-evidence"
    try:
        options.check(options.parse([f"--{found}={text}" for found, text in given.items()]))
    except ValueError as error:
        return f"--{name}" not in str(error)
    return True


@pytest.fixture(autouse=True)
def _secret(monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, "0123456789abcdef")


def test_checked_in_file_is_what_the_options_say():
    assert FILE.read_text(encoding="utf-8") == flex_template.text(), "run make template"


def test_file_is_written_where_it_is_asked_for(tmp_path, capsys):
    assert flex_template.main([str(tmp_path / "template.json")]) == 0
    assert (tmp_path / "template.json").read_text(encoding="utf-8") == FILE.read_text(encoding="utf-8")
    assert flex_template.main([]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_dataflow_knows_every_field():
    """The client's own message refuses fields and kinds that the service does not have."""
    found = dataflow.TemplateMetadata.from_json(FILE.read_text(encoding="utf-8"), ignore_unknown_fields=False)
    assert len(found.parameters) == len(PARAMETERS)
    assert found.streaming
    with pytest.raises(json_format.ParseError):
        dataflow.TemplateMetadata.from_json('{"parameterz": []}', ignore_unknown_fields=False)


def test_every_option_is_described_or_left_out_with_a_reason():
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    own = {action.dest for action in parser._actions}
    assert own == (set(PARAMETERS) - {"sdk_container_image"}) | set(flex_template.LEFT_OUT)
    assert all(flex_template.LEFT_OUT.values())


def test_only_what_every_launch_needs_is_needed():
    needed = {name for name, found in PARAMETERS.items() if not found["isOptional"]}
    assert needed == {"sdk_container_image", "input_subscription", "output_topic", "rejected_topic"}


def test_a_case_is_judged_once():
    """At least once, one case could be a fine and also for a person, under one id."""
    found = flex_template.metadata()
    assert (found["supportsAtLeastOnce"], found["supportsExactlyOnce"]) == (False, True)
    assert "defaultStreamingMode" not in found


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_is_said_in_words(name):
    found = PARAMETERS[name]
    assert found["label"]
    assert found["helpText"]
    assert len(found["helpText"]) < 200


def test_every_expression_is_tried():
    checkable = {name for name, found in PARAMETERS.items() if "regexes" in found}
    assert checkable == set(ALLOWED) == set(REFUSED)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in ALLOWED.items() for value in values])
def test_what_the_template_allows_the_program_allows(name, value):
    assert matches(name, value)
    assert name in ONLY_OF_THE_TEMPLATE or accepted(name, value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in REFUSED.items() for value in values])
def test_what_the_program_refuses_the_template_refuses(name, value):
    assert not matches(name, value)
    assert name in ONLY_OF_THE_TEMPLATE or not accepted(name, value)


@pytest.mark.parametrize("name", ["ocr", "privacy"])
def test_choices_are_those_of_the_program(name):
    for choice in PARAMETERS[name]["enumOptions"]:
        assert accepted(name, choice["value"])
    assert not accepted(name, "perhaps")


def test_values_that_a_form_fills_in_are_the_programs_own():
    """The console sends them along, so that they must change nothing."""
    filled = {name: found["defaultValue"] for name, found in PARAMETERS.items() if "defaultValue" in found}
    assert set(filled) == {
        "publish_all",
        "allowed_lateness",
        "decide_at",
        "tolerance",
        "clone_ceiling",
        "ocr",
        "privacy",
    }
    given = [f"--{name}={value}" for name, value in (PUBSUB | {"evidence_bucket": "roads-evidence"}).items()]
    given.remove("--ocr=none")
    plain = options.check(options.parse(given))
    full = options.check(options.parse([*given, *(f"--{name}={value}" for name, value in filled.items())]))
    comparable = {"network", "intake", "received_us"}
    assert {name: value for name, value in full._asdict().items() if name not in comparable} == {
        name: value for name, value in plain._asdict().items() if name not in comparable
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((), "--sdk_container_image: absent"),
        ((f"--sdk_container_image={IMAGE}",), "--privacy_secret: found ~/.config"),
        ((f"--sdk_container_image={IMAGE}", "--privacy_secret=secret.txt"), "--privacy_secret: found secret.txt"),
        ((f"--sdk_container_image={IMAGE}", "--privacy=off", "--rejected_topic="), "--rejected_topic: absent"),
    ],
)
def test_what_would_fail_on_workers_alone_is_refused_before(given, says):
    argv = [*(f"--{name}={value}" for name, value in PUBSUB.items()), "--runner=DataflowRunner", *given]
    argv.append("--temp_location=gs://bucket/tmp")
    with pytest.raises(options.OptionError) as refused:
        for_dataflow.check(options.parse(argv))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


# --- the commands of docs/operating.md

CLOUD = (ROOT / "docs/operating.md").read_text(encoding="utf-8").split("## In the cloud")[1].split("\n## ")[0]
SHELL = {"PROJECT": "my-project", "REGION": "europe-west1", "BUCKET": "my-project-dataflow", "TAG": "1"}


def filled(text: str) -> str:
    """As the shell fills in what the page has it export."""
    (image,) = re.findall(r"export IMAGE=(\S+)", CLOUD)
    for name, value in {"IMAGE": image, **SHELL}.items():
        text = text.replace(f"${name}", value)
    return text


def test_parameters_of_the_page_are_the_templates_and_allowed():
    given = dict(found.split("=", 1) for found in re.findall(r"--parameters (\S+)", CLOUD))
    assert {name for name, found in PARAMETERS.items() if not found["isOptional"]} <= set(given) <= set(PARAMETERS)
    assert all(matches(name, filled(value)) for name, value in given.items())


def test_options_of_the_page_are_beams_and_ours():
    (command,) = re.findall(r"-m pipeline (--runner.*?) \.\.\.", CLOUD, re.DOTALL)
    words = filled(command.replace("\\\n", " ")).split()
    found = options.parse([*words, "--radar_id=M30", "--privacy=off"])
    assert for_dataflow.is_asked_for(found)
    for_dataflow.check(found)
    assert options.check(found).rejected_topic == "projects/my-project/topics/rejected"


def test_files_that_the_page_names_exist():
    named = set(re.findall(r"(?<![\w/$-])((?:templates|tests)/[\w./]+\w)", CLOUD))
    assert {"templates/section_speed.json", "templates/sections.yaml", "tests/dataflow_steps.txt"} <= named
    assert all((ROOT / name).exists() for name in named)


def test_tables_are_brought_up_before_the_job_is():
    """BigQuery refuses rows with a column that their table does not have yet."""
    update = CLOUD.split("### Update\n")[1].split("### ")[0]
    assert "First `provision`, then the job" in " ".join(update.split())


def test_looks_of_the_page_are_at_what_the_job_is_given():
    (command,) = re.findall(r"-m pipeline (--preflight only.*?)\n    #", CLOUD, re.DOTALL)
    found = options.parse(filled(command.replace("\\\n", " ")).split())
    given = dict(found.split("=", 1) for found in re.findall(r"--parameters (\S+)", CLOUD))
    for name in ("sections", "privacy_secret", "dataset"):
        assert getattr(found.view_as(options.SectionSpeedOptions), name) == filled(given[name])
