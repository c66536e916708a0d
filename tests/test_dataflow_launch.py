"""What the template's launcher does, without Google: the program is run by its file and leaves the job's graph."""

import ast
import base64
import bz2
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2, standard_window_fns_pb2
from dataflow_samples import IMAGE, LABELS, ROOT, Launched, launch, of_the_launcher, parameters
from google.cloud import storage

from pipeline import dataflow, secret
from pipeline.enforcement.privacy import fingerprint
from pipeline.options import OptionError
from pipeline.packets import keys

STEPS = ROOT / "tests" / "dataflow_steps.txt"
NEEDED = ("--project=project-1", "--temp_location=gs://bucket/tmp", "--sdk_container_image=image:1")
READ, WRITE, GROUP = ":pubsub_read:v1", ":pubsub_write:v1", ":group_by_key:v1"


@pytest.fixture(scope="module")
def launched(cloud, dataflow_bucket) -> Launched:
    found = launch(cloud, dataflow_bucket, parameters(dataflow_bucket))
    assert found.returncode == 0, found.stderr
    return Launched(dataflow_bucket)


@pytest.fixture
def other_bucket(dataflow_bucket) -> storage.Bucket:
    """One for a launch whose graph is another's."""
    client = dataflow_bucket.client
    bucket = client.create_bucket(f"{dataflow_bucket.name}-{time.time_ns()}")
    for blob in ("privacy.secret", "signing.key", "sections.yaml"):
        bucket.blob(blob).upload_from_string(dataflow_bucket.blob(blob).download_as_bytes())
    return bucket


# --- the launch


def test_launch_ends_by_itself_and_says_where_the_graph_is(cloud, dataflow_bucket):
    """The launcher starts the job after this program has ended: one that waited would never be started."""
    begin = time.monotonic()
    found = launch(cloud, dataflow_bucket, parameters(dataflow_bucket))
    assert (found.returncode, found.stdout) == (0, "")
    where = of_the_launcher(dataflow_bucket)["template_location"]
    assert found.stderr.splitlines()[-1] == f"python -m pipeline: the graph of the job is in {where}"
    assert time.monotonic() - begin < 60


def test_program_is_run_by_its_file_alone_in_its_folder(cloud, other_bucket, tmp_path):
    """As in the image: sys.path begins with the folder of the file, which must hide no module's name."""
    program = tmp_path / "section_speed.py"
    shutil.copy(ROOT / "pipeline" / "__main__.py", program)
    found = launch(cloud, other_bucket, parameters(other_bucket), program=program, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    assert Launched(other_bucket).options["job_name"] == "section-speed"


def test_no_module_of_ours_hides_one_that_is_imported_by_its_first_name():
    """By its file in this checkout, the folder of the package itself comes first on the path."""
    own = {path.stem for path in (ROOT / "pipeline").iterdir() if path.suffix == ".py" or path.is_dir()}
    program = "import sys, pipeline.jobs.section_speed; print('\\n'.join(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )
    assert own & (set(loaded.stdout.split()) | set(sys.stdlib_module_names)) <= {"__init__", "__main__"}


def test_option_that_only_the_launcher_knows_does_not_end_the_launch(cloud, other_bucket):
    found = launch(cloud, other_bucket, parameters(other_bucket), "--launcher_of_tomorrow=1")
    assert found.returncode == 0, found.stderr
    assert "not known here, and left to the runner: --launcher_of_tomorrow=1" in found.stderr


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"session_gap": "soon"}, "--session_gap: found 'soon'; allowed: a number with its unit"),
        ({"sections": "gs://nobody-has-this/sections.yaml"}, "--sections: gs://nobody-has-this/sections.yaml cannot"),
        ({"privacy_secret": "gs://nobody-has-this/secret"}, "--privacy_secret: gs://nobody-has-this/secret cannot be"),
        ({"privacy_secret": "privacy.secret"}, "--privacy_secret: found privacy.secret; allowed with --runner=Data"),
        ({"signing_key": "gs://nobody-has-this/key"}, "--signing_key: gs://nobody-has-this/key cannot be read"),
        ({"signing_key": "signing.key"}, "--signing_key: found signing.key; allowed with --runner=Data"),
        ({"rejected_topic": ""}, "--rejected_topic: absent; needed with --runner=DataflowRunner"),
        ({"job_name": "Section Speed"}, "--job_name: found 'Section Speed'; allowed: a-z 0-9 -"),
    ],
)
def test_mistake_is_the_last_line_of_the_launchers_log(cloud, other_bucket, changed, says):
    found = launch(cloud, other_bucket, parameters(other_bucket) | changed)
    assert found.returncode == 2
    assert found.stderr.splitlines()[-1].startswith(f"python -m pipeline: {says}")
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("option", ["temp_location", "staging_location"])
@pytest.mark.parametrize("found", ["/tmp/here", "gs://bucket", "gs://b/tmp", "s3://bucket/tmp"])
def test_folder_that_is_none_is_a_mistake(option, found):
    """Beam would warn of it, and take the other one or make a bucket of its own."""
    with pytest.raises(OptionError, match=rf"^--{option}: found '{found}'; allowed .*: gs://BUCKET/FOLDER$"):
        dataflow.check(PipelineOptions([*NEEDED, "--privacy=off", f"--{option}={found}"]))


@pytest.mark.parametrize("folder", [f"--{name}=gs://bucket/" for name in ("temp_location", "staging_location")])
def test_one_folder_is_enough_and_one_is_needed(folder):
    asked = [NEEDED[0], *NEEDED[2:], "--privacy=off"]
    dataflow.check(PipelineOptions([*asked, folder]))
    with pytest.raises(
        OptionError, match=r"^--temp_location: absent; needed with --runner=DataflowRunner\. Give gs://"
    ):
        dataflow.check(PipelineOptions(asked))


@pytest.mark.parametrize(
    ("given", "variable", "project"),
    [
        (("--project=beams",), "variables", "beams"),
        (("--project_id=our-own",), "variables", "our-own"),
        (("--project_id=our-own", "--project=beams"), None, "beams"),
        ((), "variables", "variables"),
    ],
)
def test_job_is_in_the_project_of_its_names(given, variable, project, monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    if variable:
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", variable)
    asked = PipelineOptions([*given, *NEEDED[1:], "--privacy=off"])
    dataflow.check(asked)
    assert asked.view_as(GoogleCloudOptions).project == project


def test_job_without_a_project_is_a_mistake(monkeypatch):
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
    with pytest.raises(OptionError, match=r"^--project_id: absent; needed with --runner=.* GOOGLE_CLOUD_PROJECT$"):
        dataflow.check(PipelineOptions([*NEEDED[1:], "--privacy=off"]))


def test_mistake_that_beam_finds_is_told_in_our_words(monkeypatch):
    def find(**_):
        raise ValueError("Pipeline has validations errors: \nMissing required option: region.\nInvalid job_name (A)")

    monkeypatch.setattr(dataflow.beam, "Pipeline", find)
    with pytest.raises(OptionError) as raised:
        dataflow.new_pipeline(PipelineOptions([]))
    assert str(raised.value) == "--runner=DataflowRunner: --region: absent; needed, give it. Invalid job_name (A)"


@pytest.mark.parametrize("option", ["dataflow_service_options", "experiments"])
def test_case_may_not_be_judged_twice(option):
    asked = [f"--{option}=streaming_mode_at_least_once", *NEEDED, "--privacy=off"]
    with pytest.raises(OptionError, match="found streaming_mode_at_least_once; allowed: exactly once"):
        dataflow.check(PipelineOptions(asked))
    dataflow.check(PipelineOptions(asked[1:]))


@pytest.mark.parametrize("option", ["input", "output_dir", "notices"])
def test_files_of_this_machine_are_not_on_the_workers(option):
    places = {"input": "gs://b/day.ndjson", "output_dir": "gs://b/results", "notices": "gs://b/notices.ndjson"}
    asked = [*NEEDED, "--privacy=off"]
    dataflow.check(PipelineOptions([*asked, *(f"--{name}={place}" for name, place in places.items())]))
    places[option] = "out/here"
    with pytest.raises(OptionError, match=f"--{option}: found out/here; allowed with --runner=DataflowRunner: gs://"):
        dataflow.check(PipelineOptions([*asked, *(f"--{name}={place}" for name, place in places.items())]))


def test_secret_of_the_environment_is_none_of_the_workers(monkeypatch):
    """Here it goes before the file; there it is not, and ids would be others'."""
    asked = PipelineOptions([*NEEDED, "--privacy_secret=gs://b/privacy.secret"])
    dataflow.check(asked)
    monkeypatch.setenv(secret.VARIABLE, "0123456789abcdef")
    with pytest.raises(
        OptionError, match=f"^{secret.VARIABLE}: set; allowed with --runner=Data.*gs://b/privacy.secret"
    ):
        dataflow.check(asked)
    dataflow.check(PipelineOptions([*NEEDED, "--privacy=off"]))


def test_key_of_the_environment_is_none_of_the_workers(monkeypatch):
    asked = PipelineOptions([*NEEDED, "--privacy=off", "--signing_key=gs://b/signing.key"])
    dataflow.check(asked)
    monkeypatch.setenv(keys.VARIABLE, "a key")
    with pytest.raises(OptionError, match=f"^--signing_key: found gs://b/signing.key and {keys.VARIABLE}; allowed"):
        dataflow.check(asked)


def test_workers_know_which_secret_the_launch_found(launched, dataflow_bucket):
    mark = fingerprint(dataflow_bucket.blob("privacy.secret").download_as_bytes()).encode()
    steps = [step for step in launched.components.transforms.values() if step.spec.urn == "beam:transform:pardo:v1"]
    marked = {step.unique_name for step in steps if mark in unpacked(step)}
    assert {name for name in marked if "Measure" in name}
    assert {name for name in marked if "Store sightings" in name}
    assert {name for name in marked if "Store passages" in name}


def unpacked(step: beam_runner_api_pb2.PTransform) -> bytes:
    """The step's function as it was pickled: Beam packs it."""
    packed = beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload).do_fn.payload
    try:
        return bz2.decompress(base64.b64decode(packed))
    except (OSError, ValueError):
        return packed


def test_what_is_rejected_on_dataflow_has_a_topic():
    """Without one it is only said aloud, in the log of a worker: its bytes would be lost."""
    asked = [*NEEDED, "--privacy=off", "--input_subscription=sightings", "--dataset=roads"]
    with pytest.raises(OptionError, match="--rejected_topic: absent; needed with --runner=DataflowRunner"):
        dataflow.check(PipelineOptions(asked))
    with pytest.raises(OptionError, match="--rejected_topic: absent"):
        dataflow.check(PipelineOptions(asked[:-1]))
    dataflow.check(PipelineOptions([*asked, "--rejected_topic=rejected"]))


def test_place_that_cannot_be_written_to_is_a_mistake():
    """Beam asks several times before it raises this; that is not waited for here."""

    class Unwritable:
        def run(self):
            raise OSError("Could not upload to GCS path gs://nobody-has-this/staging: 404.\nPlease verify")

    with pytest.raises(OptionError, match="--staging_location, --temp_location: cannot be written to"):
        dataflow.run(Unwritable(), PipelineOptions([]))


# --- the job


def test_workers_run_this_image(launched):
    assert launched.pool["workerHarnessContainerImage"] == IMAGE
    assert [found["containerImage"] for found in launched.pool["sdkHarnessContainerImages"]] == [IMAGE]


def test_job_streams_by_the_streaming_engine(launched):
    assert launched.job["type"] == "JOB_TYPE_STREAMING"
    assert {"enable_streaming_engine", "use_runner_v2"} <= set(launched.job["environment"]["experiments"])
    assert launched.options["streaming"] is True


def test_workers_are_added_up_to_what_was_asked_for(launched):
    asked = {"algorithm": "AUTOSCALING_ALGORITHM_BASIC", "maxNumWorkers": 3}
    assert launched.pool["autoscalingSettings"] == asked


def test_labels_of_the_launcher_and_of_people_arrive(launched):
    assert launched.job["labels"] == ast.literal_eval(LABELS)


def test_secrets_are_no_part_of_the_job(launched, dataflow_bucket):
    words = dataflow_bucket.blob("privacy.secret").download_as_bytes()
    key = dataflow_bucket.blob("signing.key").download_as_bytes().splitlines()[1]
    staged = b"".join(blob.download_as_bytes() for blob in dataflow_bucket.list_blobs(prefix="staging/"))
    assert words not in staged
    assert key not in staged


def test_nothing_is_installed_by_workers(launched):
    """What is staged besides the graph: this program's own few names, and the list of packages it ran with."""
    assert launched.staged == {
        "job_object",
        "pipeline.pb",
        "pickled_main_session",
        "submission_environment_dependencies.txt",
    }


def test_worker_with_the_package_has_every_step_and_one_without_has_none(launched):
    interpreter, bare = Path(sys.executable), {"PATH": os.environ["PATH"]}
    steps = [step for step in launched.components.transforms.values() if step.spec.urn == "beam:transform:pardo:v1"]
    found = launched.unpickled(interpreter, bare | {"PYTHONPATH": str(ROOT)})
    assert (found.returncode, int(found.stdout or 0)) == (0, len(steps)), found.stderr
    without = launched.unpickled(interpreter, bare)
    assert b"No module named 'pipeline'" in without.stderr


# --- the graph


def test_source_reads_ids_and_times_from_the_attributes_that_were_named(launched):
    (read,) = launched.steps(READ)
    found = beam_runner_api_pb2.PubSubReadPayload.FromString(read.spec.payload)
    assert found.subscription == launched.options["input_subscription"]
    assert (found.id_attribute, found.timestamp_attribute, found.with_attributes) == ("event_id", "timestamp", True)


def test_source_asks_no_attribute_of_messages_unless_named(cloud, other_bucket):
    """A message without a named attribute of the time could not be read at all."""
    found = launch(
        cloud, other_bucket, parameters(other_bucket), without=("id_attribute", "timestamp_attribute", "publish_all")
    )
    assert found.returncode == 0, found.stderr
    (read,) = Launched(other_bucket).steps(READ)
    payload = beam_runner_api_pb2.PubSubReadPayload.FromString(read.spec.payload)
    assert (payload.id_attribute, payload.timestamp_attribute) == ("", "")


def test_results_are_published_by_dataflows_own_sink(launched):
    topics = [
        beam_runner_api_pb2.PubSubWritePayload.FromString(step.spec.payload).topic for step in launched.steps(WRITE)
    ]
    alarms, fines, rejected = (f"projects/project-1/topics/{name}" for name in ("alarms", "fines", "rejected"))
    assert sorted(topics) == [alarms, fines, fines, rejected]


def test_sessions_close_after_the_gap_and_fire_again_for_late_sightings(launched):
    (group,) = (step for step in launched.steps(GROUP) if step.unique_name.startswith("Group sessions"))
    collection = launched.components.pcollections[next(iter(group.inputs.values()))]
    found = launched.components.windowing_strategies[collection.windowing_strategy_id]
    sessions = standard_window_fns_pb2.SessionWindowsPayload.FromString(found.window_fn.payload)
    assert found.window_fn.urn == "beam:window_fn:session_windows:v1"
    assert sessions.gap_size.ToTimedelta().total_seconds() == 90
    assert found.allowed_lateness == 12 * 3600 * 1000
    assert found.accumulation_mode == beam_runner_api_pb2.AccumulationMode.ACCUMULATING
    assert found.trigger.after_end_of_window.late_firings.element_count.element_count == 1


def is_shuffled(step: beam_runner_api_pb2.PTransform) -> bool:
    """Whether the engine groups its input by key: elements leave the process there, as bytes."""
    if step.spec.urn.endswith(GROUP):
        return True
    if not step.spec.urn.endswith(":pardo:v1"):
        return False
    payload = beam_runner_api_pb2.ParDoPayload.FromString(step.spec.payload)
    return bool(payload.state_specs or payload.timer_family_specs)


def shuffled(launched: Launched) -> dict[str, str]:
    """The coders of what is grouped, by step."""
    steps = [step for step in launched.components.transforms.values() if not step.subtransforms and is_shuffled(step)]
    return {step.unique_name: launched.coder_of(found) for step in steps for found in step.inputs.values()}


def test_everything_that_is_shuffled_is_typed(launched):
    found = shuffled(launched)
    assert found == {
        "Commit alarms/Group": "kv(varint, iterable(StructCoder))",
        "Commit withdrawals/Group": "kv(varint, iterable(StructCoder))",
        "Compare twins/Hold/ParDo(_Hold)": "kv(string_utf8, StructCoder)",
        "Group sessions/Group": "kv(string_utf8, StructCoder)",
        "Judge cases/Commit/Group": "kv(varint, iterable(StructCoder))",
        "Judge cases/Seal packets/Commit sealed/Group": "kv(varint, iterable(StructCoder))",
        "Measure passages/Measure and decide/ParDo(_MeasureAndRevise)": "kv(string_utf8, iterable(StructCoder))",
        "Write outputs/Commit passages/Group": "kv(varint, iterable(StructCoder))",
        "Write outputs/Store in BigQuery/Store passages/Gather/ParDo(_GroupIntoBatchesDoFn)": "kv(varint, StructCoder)",
    }


MAY_COME_OUT_OTHERWISE = ("Measure passages/", "Compare twins/", "Judge cases/Judge", "Judge cases/Seal packets/Seal")


def comes_from(launched: Launched, sink: beam_runner_api_pb2.PTransform, *, in_its_bundle: bool) -> set[str]:
    """The steps that may come out otherwise when they are done again, of those that a sink is behind."""
    leaves = [step for step in launched.components.transforms.values() if not step.subtransforms]
    makers = {found: step for step in leaves for found in step.outputs.values()}
    steps: dict[str, beam_runner_api_pb2.PTransform] = {}
    wanted = list(sink.inputs.values())
    while wanted:
        step = makers[wanted.pop()]
        if step.unique_name not in steps:
            steps[step.unique_name] = step
            wanted += [] if in_its_bundle and is_shuffled(step) else step.inputs.values()
    return {name for name in steps if name.startswith(MAY_COME_OUT_OTHERWISE)}


def test_nothing_takes_effect_before_it_is_final(launched):
    """In one bundle with Vision, a case that is judged again could be published as a fine and also for a person; in one
    with the bucket of packets, a case that could not be sealed and then could."""
    sinks = {
        step.unique_name: step
        for step in launched.components.transforms.values()
        if step.spec.urn.endswith(WRITE) or (step.unique_name.endswith(("/Insert", "/Seal")) and not step.subtransforms)
    }
    behind = {name for name, step in sinks.items() if comes_from(launched, step, in_its_bundle=False)}
    assert set(sinks) - behind == {"Write outputs/Store in BigQuery/Store sightings/Insert"}
    assert len(behind) == 10
    assert [name for name in behind if comes_from(launched, sinks[name], in_its_bundle=True)] == []


def test_nothing_between_our_steps_is_pickled(launched):
    """What is, stays in one process: the questions to Vision, and messages of Beam's own type."""
    pickled = {
        f"{step.unique_name} {tag}"
        for step in launched.components.transforms.values()
        for tag, found in step.outputs.items()
        if not step.subtransforms and re.search("FastPrimitives|Pickle", launched.coder_of(found))
    }
    allowed = re.compile(
        r"Read messages/Pull/.*"
        r"|Read plates/(First|Other) picture/(Choose/FlatMap\(question\) None|Vision/.*)"
        r"|Write outputs/.*/Encode None"
    )
    assert [name for name in pickled if not allowed.fullmatch(name)] == []


def names(found: Launched) -> list[str]:
    return sorted(filter(None, (step.unique_name for step in found.components.transforms.values())))


def test_steps_have_the_names_that_running_jobs_know(launched):
    """A job is updated by the names of its steps: state of one that is renamed is lost unless the launch maps it.

    Where a name must change, change it in dataflow_steps.txt, and tell who updates to give
    --transform-name-mappings '{"old": "new"}'.
    """
    assert names(launched) == STEPS.read_text(encoding="utf-8").splitlines()


def test_options_do_not_rename_steps(cloud, other_bucket, launched):
    """Steps may come and go with options; none is called otherwise."""
    few = parameters(other_bucket) | {"ocr": "none", "privacy": "off"}
    left_out = (
        "publish_all",
        "dataset",
        "privacy_secret",
        "id_attribute",
        "evidence_bucket",
        "signing_key",
        "alarms_topic",
    )
    found = launch(cloud, other_bucket, few, without=left_out)
    assert found.returncode == 0, found.stderr
    assert set(names(Launched(other_bucket))) - set(names(launched)) == {"Keep pictures/Name"}
