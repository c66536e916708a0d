"""The services as one: started together on free ports of 127.0.0.1, checked by real requests, stopped together."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from localcloud import storage
from localcloud.checks import LocalCloudError, free_port, require_free, require_writable
from localcloud.health import answers_grpc, answers_http
from localcloud.serving import HOST

DEFAULT_PROJECT = "local-project"
START_TIMEOUT_S = 30.0
POLL_S = 0.1
STOP_GRACE_S = 5.0
PACKAGE_PARENT = Path(__file__).resolve().parent.parent

Log = Callable[[str], object]


@dataclass(frozen=True)
class Service:
    """A service: the module that runs it, the request that proves it up, and the variable that clients find it by."""

    module: str
    is_up: Callable[[str], bool]
    variable: str
    address_format: str = "{address}"


SERVICES: Mapping[str, Service] = {
    "pubsub": Service(
        "localcloud.pubsub.server",
        # A ListTopicsRequest for "projects/health".
        answers_grpc("/google.pubsub.v1.Publisher/ListTopics", b"\n\x0fprojects/health"),
        "PUBSUB_EMULATOR_HOST",
    ),
    "storage": Service(
        "localcloud.storage", answers_http("/storage/v1/b"), "STORAGE_EMULATOR_HOST", "http://{address}"
    ),
    "bigquery": Service(
        "localcloud.bigquery",
        answers_http("/bigquery/v2/projects/health/datasets"),
        "BIGQUERY_EMULATOR_HOST",
        "http://{address}",
    ),
    "vision": Service(
        "localcloud.vision",
        # An empty batch: answered only once the models are loaded.
        answers_grpc("/google.cloud.vision.v1.ImageAnnotator/BatchAnnotateImages", b""),
        "VISION_EMULATOR_HOST",
    ),
    "cars_api": Service("localcloud.cars_api", answers_http("/pictures/", 404), "CARS_API_URL", "http://{address}/"),
    "metadata": Service("localcloud.metadata", answers_http("/"), "GCE_METADATA_HOST"),
}
# BigQuery's client insists on credentials, so they are always there to be had.
ALWAYS = "metadata"


@dataclass
class LocalCloud:
    """The running services.

    ``env`` holds what a Google client must find in its environment to use them; ``pids`` the process of each service.
    """

    env: dict[str, str]
    data_dir: Path
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def pids(self) -> dict[str, int]:
        return {name: process.pid for name, process in self.processes.items()}

    def log_path(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def dead(self) -> list[str]:
        """The names of services that ended by themselves."""
        return [name for name, process in self.processes.items() if process.poll() is not None]


@contextmanager
def running(
    data_dir: Path,
    *,
    only: Collection[str] | None = None,
    ports: Mapping[str, int] | None = None,
    log: Log = print,
    project: str = DEFAULT_PROJECT,
) -> Iterator[LocalCloud]:
    """Run the services while the context is open; their data and logs are kept under ``data_dir``.

    only: names from SERVICES to start, the others are left out. ports: wanted ports by name; absent or 0: a free one.
    log: called with one line for a person when something is weaker than the real service, or a service dies.
    Raises LocalCloudError, its text one line too, for a mistake of the caller or a service that does not start.
    """
    names = _chosen(only)
    ports = _assigned(names, ports or {})
    data_dir = Path(data_dir).expanduser().resolve()
    require_writable(data_dir)
    if "storage" in names:
        _tell_about_storage(log)
    cloud = LocalCloud(_environment(ports, project, data_dir), data_dir)
    try:
        for name in names:
            cloud.processes[name] = _spawn(cloud, name, ports[name], project)
        _wait_until_up(cloud, ports)
        for name in names:
            threading.Thread(target=_report_death, args=(cloud, name, log), daemon=True).start()
        yield cloud
    finally:
        _stop(cloud)


def _chosen(only: Collection[str] | None) -> list[str]:
    unknown = sorted(set(only or ()) - SERVICES.keys())
    if unknown:
        raise LocalCloudError(f"only: unknown service {unknown[0]!r}; allowed: {', '.join(SERVICES)}")
    return [name for name in SERVICES if only is None or name in only or name == ALWAYS]


def _assigned(names: Collection[str], wanted: Mapping[str, int]) -> dict[str, int]:
    unknown = sorted(wanted.keys() - SERVICES.keys())
    if unknown:
        raise LocalCloudError(f"ports: unknown service {unknown[0]!r}; allowed: {', '.join(SERVICES)}")
    for name in wanted.keys() & set(names):
        require_free(name, wanted[name])
    # All probes stay bound until every port is known, so that no port is given out twice.
    with _closing_all() as probes:
        return {name: wanted.get(name) or free_port(probes) for name in names}


@contextmanager
def _closing_all() -> Iterator[list[socket.socket]]:
    probes: list[socket.socket] = []
    try:
        yield probes
    finally:
        for probe in probes:
            probe.close()


def _tell_about_storage(log: Log) -> None:
    try:
        note = storage.note()
    except LookupError as missing:
        raise LocalCloudError(str(missing.args[0])) from None
    if note is not None:
        log(note)


def _environment(ports: Mapping[str, int], project: str, data_dir: Path) -> dict[str, str]:
    env = {
        service.variable: service.address_format.format(address=f"{HOST}:{ports[name]}")
        for name, service in SERVICES.items()
        if name in ports
    }
    metadata = env["GCE_METADATA_HOST"]
    return env | {
        "GOOGLE_CLOUD_PROJECT": project,
        "GCE_METADATA_IP": metadata,
        "GCE_METADATA_ROOT": metadata,
        # Without this, a login that gcloud keeps in the home folder would be used, and refreshed over the internet.
        "CLOUDSDK_CONFIG": str(data_dir / "gcloud"),
    }


def _spawn(cloud: LocalCloud, name: str, port: int, project: str) -> "subprocess.Popen[bytes]":
    log_path = cloud.log_path(name)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    search = os.pathsep.join(filter(None, [str(PACKAGE_PARENT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "localcloud.child", SERVICES[name].module]
    command += ["--port", str(port), "--data_dir", str(cloud.data_dir), "--project", project]
    with log_path.open("wb") as log_file:
        return subprocess.Popen(  # noqa: S603 (this interpreter and this package)
            command,
            stdin=subprocess.PIPE,
            stdout=log_file,
            stderr=subprocess.STDOUT,
            env=os.environ | cloud.env | {"PYTHONPATH": search, "PYTHONUNBUFFERED": "1"},
            # Ctrl-C reaches the parent only; it then stops the services in order, and none of them prints a traceback.
            start_new_session=True,
        )


def _wait_until_up(cloud: LocalCloud, ports: Mapping[str, int]) -> None:
    waiting = list(cloud.processes)
    deadline = time.monotonic() + START_TIMEOUT_S
    while waiting:
        for name in cloud.dead():
            raise LocalCloudError(
                f"{name}: did not start: {_last_line(cloud.log_path(name))}; see {cloud.log_path(name)}"
            )
        waiting = [name for name in waiting if not SERVICES[name].is_up(f"{HOST}:{ports[name]}")]
        if waiting and time.monotonic() > deadline:
            name = waiting[0]
            raise LocalCloudError(f"{name}: no answer after {START_TIMEOUT_S:.0f} s; see {cloud.log_path(name)}")
        time.sleep(POLL_S if waiting else 0)


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it printed nothing"


def _report_death(cloud: LocalCloud, name: str, log: Log) -> None:
    code = cloud.processes[name].wait()
    if not cloud.stopping.is_set():
        log(f"{name}: the service ended by itself (exit code {code}); see {cloud.log_path(name)}")


def _stop(cloud: LocalCloud) -> None:
    cloud.stopping.set()
    for process in cloud.processes.values():
        if process.stdin is not None:
            # The end of its input asks a child to stop; one that is dead already has no reader for it.
            with suppress(OSError):
                process.stdin.close()
    deadline = time.monotonic() + STOP_GRACE_S
    for process in cloud.processes.values():
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
