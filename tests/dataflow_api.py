"""A stand-in for Dataflow's jobs API, for tests: it takes what the real client sends and refuses what is no job."""

import json
import re
from http.server import BaseHTTPRequestHandler

from google.api_core.exceptions import GoogleAPIError
from google.cloud import dataflow
from google.protobuf import json_format
from http_server import HttpServer

# Beam speaks REST, not gRPC with TLS, to an address with this word in it, and takes none with a port: so the tests
# name this one, and have the stand-in for their proxy, which is asked for the whole address.
ENDPOINT = "http://dataflow.sandbox"
PLACE = re.compile(rf"{ENDPOINT}/v1b3/projects/(?P<project>[a-z0-9-]+)/locations/(?P<region>[a-z0-9-]+)/jobs(?:\?.*)?")
JOB_ID = "2026-11-22_01_02_03-4567890123456789"
RUNNING = {"id": "2026-11-21_01_02_03-1111111111111111", "name": "section-speed", "currentState": "JOB_STATE_RUNNING"}
JOB_NAME = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")  # of the API's documentation


class DataflowApi(HttpServer):
    """jobs: what was created, places: where. refusal: what creation is answered with, as where a role is missing."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.jobs: list[dataflow.Job] = []
        self.places: list[tuple[str, str]] = []
        self.refusal: str | None = None

    @property
    def proxy(self) -> dict[str, str]:
        """The environment in which ENDPOINT is this server; other services are found as before."""
        return {"http_proxy": self.url, "no_proxy": "127.0.0.1,localhost"}


class _Handler(BaseHTTPRequestHandler):
    server: DataflowApi

    def do_GET(self) -> None:
        self._answer(200, {"jobs": [RUNNING]}) if PLACE.fullmatch(self.path) else self._answer(404, {})

    def do_POST(self) -> None:
        place = PLACE.fullmatch(self.path)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if place is None:
            self._refuse(404, f"no such method: {self.path}")
        elif self.server.refusal is not None:
            self._refuse(403, self.server.refusal)
        else:
            self._create(place["project"], place["region"], body)

    def _create(self, project: str, region: str, body: bytes) -> None:
        try:
            job = dataflow.Job.from_json(body, ignore_unknown_fields=False)
        except (json_format.ParseError, GoogleAPIError) as error:
            self._refuse(400, f"Invalid JSON payload received: {error}")
            return
        mistake = _mistake(job)
        if mistake:
            self._refuse(400, mistake)
            return
        self.server.jobs.append(job)
        self.server.places.append((project, region))
        self._answer(200, {"id": JOB_ID, "name": job.name, "clientRequestId": job.client_request_id})

    def _refuse(self, status: int, message: str) -> None:
        self._answer(status, {"error": {"code": status, "message": message}})

    def _answer(self, status: int, content: dict[str, object]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing aloud."""


def _mistake(job: dataflow.Job) -> str | None:
    """What the service's documentation asks of a job, as far as a client can get it wrong."""
    if not JOB_NAME.fullmatch(job.name):
        return f"job.name: {job.name!r} does not match {JOB_NAME.pattern}"
    if job.type_ is not dataflow.JobType.JOB_TYPE_STREAMING:
        return "job.type: not a streaming job"
    if len(job.environment.worker_pools) != 1 or job.environment.worker_pools[0].kind != "harness":
        return "job.environment.workerPools: one harness pool is needed"
    if not job.environment.temp_storage_prefix.startswith("storage.googleapis.com/"):
        return "job.environment.tempStoragePrefix: no place in Cloud Storage"
    return None
