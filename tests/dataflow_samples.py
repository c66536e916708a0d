"""A launch as the template's launcher does it, and what it leaves behind, for tests."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from apache_beam.portability.api import beam_runner_api_pb2
from google.cloud import storage

from localcloud import LocalCloud
from pipeline import secret

ROOT = Path(__file__).parents[1]
IMAGE = "europe-west1-docker.pkg.dev/project-1/section-speed/section-speed:1"
LABELS = '{\n   "goog-dataflow-provided-template-name" : "section_speed",\n   "team" : "roads"\n}\n'

# What a worker does first: unpickle the function of every step. It prints how many there were.
UNPICKLE = """
import sys
from apache_beam.internal import pickler
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as api

steps = api.Pipeline.FromString(sys.stdin.buffer.read()).components.transforms.values()
payloads = [api.ParDoPayload.FromString(step.spec.payload) for step in steps
            if step.spec.urn == common_urns.primitives.PAR_DO.urn]
print(len([pickler.loads(found.do_fn.payload) for found in payloads
           if found.do_fn.urn == python_urns.PICKLED_DOFN_INFO]))
"""


def parameters(bucket: storage.Bucket) -> dict[str, str]:
    """What a user gives a template, all of it text."""
    return {
        "input_subscription": "projects/project-1/subscriptions/sightings-pipeline",
        "output_topic": "projects/project-1/topics/fines",
        "rejected_topic": "projects/project-1/topics/rejected",
        "alarms_topic": "projects/project-1/topics/alarms",
        "dataset": "section_speed",
        "sections": f"gs://{bucket.name}/sections.yaml",
        "privacy_secret": f"gs://{bucket.name}/privacy.secret",
        "evidence_bucket": "project-1-evidence",
        "signing_key": f"gs://{bucket.name}/signing.key",
        "sdk_container_image": IMAGE,
        "publish_all": "true",
        "id_attribute": "event_id",
        "timestamp_attribute": "timestamp",
        "session_gap": "90s",
        "allowed_lateness": "12h",
    }


def of_the_launcher(bucket: storage.Bucket) -> dict[str, str]:
    """What the launcher adds, in the words of its own log."""
    return {
        "runner": "DataflowRunner",
        "project": "project-1",
        "region": "europe-west1",
        "job_name": "section-speed",
        "labels": LABELS,
        "temp_location": f"gs://{bucket.name}/tmp",
        "staging_location": f"gs://{bucket.name}/staging",
        "template_location": f"gs://{bucket.name}/staging/template_launches/1/job_object",
        "service_account_email": "section-speed@project-1.iam.gserviceaccount.com",
        "max_num_workers": "3",
        "machine_type": "n2-standard-2",
        "autoscaling_algorithm": "THROUGHPUT_BASED",
        "subnetwork": "regions/europe-west1/subnetworks/roads",
    }


def launch(
    cloud: LocalCloud,
    bucket: storage.Bucket,
    given: Mapping[str, str],
    *more: str,
    interpreter: Path = Path(sys.executable),
    program: Path = ROOT / "pipeline" / "__main__.py",
    cwd: Path = ROOT,
    without: tuple[str, ...] = (),
    installed: bool = False,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess:
    """Run the program as the launcher does: by its file, each option as --name=value, and nothing on its input.

    installed: whether the interpreter has the package; else it finds this checkout as if it had.
    """
    options = {name: value for name, value in (of_the_launcher(bucket) | given).items() if name not in without}
    inherited = {name: value for name, value in os.environ.items() if name != secret.VARIABLE}
    return subprocess.run(
        [interpreter, program, *(f"--{name}={value}" for name, value in options.items()), *more],
        cwd=cwd,
        env=inherited | cloud.env | ({} if installed else {"PYTHONPATH": str(ROOT)}) | dict(env or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class Launched:
    """The job that Dataflow would start, and its graph, read from the bucket."""

    def __init__(self, bucket: storage.Bucket) -> None:
        found = {blob.name: blob for blob in bucket.list_blobs(prefix="staging/")}
        self.job = json.loads(found["staging/template_launches/1/job_object"].download_as_bytes())
        self.staged = {name.rsplit("/", 1)[1] for name in found}
        self.graph = next(blob for name, blob in found.items() if name.endswith("/pipeline.pb")).download_as_bytes()
        self.components = beam_runner_api_pb2.Pipeline.FromString(self.graph).components

    def unpickled(self, interpreter: Path, env: Mapping[str, str]) -> subprocess.CompletedProcess:
        """What becomes of the steps in another process, which knows nothing of this one."""
        command = [interpreter, "-c", UNPICKLE]
        return subprocess.run(
            command, input=self.graph, cwd="/", env=dict(env), capture_output=True, timeout=120, check=False
        )

    @property
    def options(self) -> dict[str, object]:
        """The options that workers get."""
        return self.job["environment"]["sdkPipelineOptions"]["options"]

    @property
    def pool(self) -> dict[str, object]:
        """The workers."""
        (pool,) = self.job["environment"]["workerPools"]
        return pool

    def steps(self, urn: str) -> list[beam_runner_api_pb2.PTransform]:
        """The steps of a kind, named by the end of its URN."""
        return [step for step in self.components.transforms.values() if step.spec.urn.endswith(urn)]

    def coder_of(self, collection: str) -> str:
        """The names of the coders of a collection, inner ones in brackets."""
        return self._coder(self.components.pcollections[collection].coder_id)

    def _coder(self, coder_id: str) -> str:
        coder = self.components.coders[coder_id]
        inner = ", ".join(self._coder(part) for part in coder.component_coder_ids)
        name = coder.spec.urn.split(":")[2]
        if name == "pickled_python":
            name = coder.spec.payload.split(b"$")[0].decode("latin-1").rsplit("\x01", 1)[-1].strip()
        return f"{name}({inner})" if inner else name
