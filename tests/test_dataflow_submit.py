"""Submission without a template: what Dataflow's API is sent, by the real client, and what is made of its answers."""

import json
import time
from collections.abc import Iterator

import pytest
import requests
from dataflow_api import ENDPOINT, JOB_ID, RUNNING, DataflowApi
from dataflow_samples import IMAGE, launch, parameters
from google.cloud import dataflow
from http_server import serving

DIRECT = ("template_location",)
NETWORK = {
    "num_workers": "2",
    "worker_disk_type": "compute.googleapis.com/projects//zones//diskTypes/pd-ssd",
    "network": "roads",
}


@pytest.fixture
def api() -> Iterator[DataflowApi]:
    with serving(DataflowApi()) as server:
        yield server


def submit(cloud, bucket, api, *more: str, **changed: str):
    given = parameters(bucket) | NETWORK | changed | {"dataflow_endpoint": ENDPOINT}
    return launch(cloud, bucket, given, "--preflight=off", "--no_use_public_ips", *more, without=DIRECT, env=api.proxy)


@pytest.fixture(scope="module")
def submitted(cloud, dataflow_bucket) -> tuple[str, dataflow.Job, tuple[str, str], float]:
    """What was said, the job that the API got, where, and how long it took."""
    with serving(DataflowApi()) as server:
        begin = time.monotonic()
        found = submit(cloud, dataflow_bucket, server, "--experiments=min_num_workers=2")
        assert found.returncode == 0, found.stderr
        (job,), (place,) = server.jobs, server.places
        return found.stderr, job, place, time.monotonic() - begin


def test_program_ends_when_the_job_is_created_and_says_where_to_look(submitted):
    said, _, _, took_s = submitted
    where = f"https://console.cloud.google.com/dataflow/jobs/europe-west1/{JOB_ID}?project=project-1"
    assert said.splitlines()[-1] == f"python -m pipeline: submitted to Dataflow as {JOB_ID}: {where}"
    assert took_s < 60


def test_job_is_created_in_the_project_and_region(submitted):
    assert submitted[2] == ("project-1", "europe-west1")


def test_workers_are_what_was_asked_for(submitted):
    (pool,) = submitted[1].environment.worker_pools
    assert pool.machine_type == "n2-standard-2"
    assert pool.num_workers == 2
    assert pool.autoscaling_settings.max_num_workers == 3
    assert pool.autoscaling_settings.algorithm is dataflow.AutoscalingAlgorithm.AUTOSCALING_ALGORITHM_BASIC
    assert pool.worker_harness_container_image == IMAGE


def test_workers_have_no_public_address_and_are_in_the_network_that_was_named(submitted):
    (pool,) = submitted[1].environment.worker_pools
    assert pool.ip_configuration is dataflow.WorkerIPAddressConfiguration.WORKER_IP_PRIVATE
    assert (pool.network, pool.subnetwork) == ("roads", "regions/europe-west1/subnetworks/roads")


def test_workers_act_as_the_service_account_that_was_named(submitted):
    assert submitted[1].environment.service_account_email == "section-speed@project-1.iam.gserviceaccount.com"


def test_labels_and_experiments_arrive(submitted):
    job = submitted[1]
    assert dict(job.labels) == {"goog-dataflow-provided-template-name": "section_speed", "team": "roads"}
    assert {"min_num_workers=2", "enable_streaming_engine", "use_runner_v2"} <= set(job.environment.experiments)


def test_job_replaces_the_running_one_of_its_name_with_its_steps_mapped(cloud, dataflow_bucket, api):
    mapping = json.dumps({"Old name": "Group sessions"})
    found = submit(cloud, dataflow_bucket, api, "--update", f"--transform_name_mapping={mapping}")
    assert found.returncode == 0, found.stderr
    (job,) = api.jobs
    assert job.replace_job_id == RUNNING["id"]
    assert dict(job.transform_name_mapping) == {"Old name": "Group sessions"}


def test_refusal_of_the_service_is_told_in_one_line(cloud, dataflow_bucket, api):
    api.refusal = "Current user cannot act as service account section-speed@project-1.iam.gserviceaccount.com."
    found = submit(cloud, dataflow_bucket, api)
    assert found.returncode == 2
    last = found.stderr.splitlines()[-1]
    assert last.startswith("python -m pipeline: a Google service cannot be used: Forbidden: 403")
    assert api.refusal in last


@pytest.mark.parametrize("body", [{"nam": "x"}, {"name": "Not A Name"}, {"name": "batch", "type": "JOB_TYPE_BATCH"}])
def test_stand_in_refuses_what_is_no_job(api, body):
    """Else the tests above would pass whatever was sent."""
    proxies = {"http": api.proxy["http_proxy"]}
    url = f"{ENDPOINT}/v1b3/projects/project-1/locations/europe-west1/jobs"
    answer = requests.post(url, json=body, proxies=proxies, timeout=10)
    assert (answer.status_code, api.jobs) == (400, [])
