"""Worker processes for a job server: started when it asks, on this machine alone, and ended with us."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

HOST = "127.0.0.1"
_RUN = """
import sys
from apache_beam.runners.worker.sdk_worker import SdkHarness
SdkHarness(sys.argv[1], worker_id=sys.argv[2]).run()
"""
STOP_S = 10.0


class Workers:
    """Beam's own pool of workers listens on all interfaces and runs what anybody sends it; this one does not.

    StartWorker and StopWorker are the two calls of the protocol, under its names for them.
    """

    def __init__(self, log: Path) -> None:
        self.address = ""
        self._log = log
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def StartWorker(
        self, request: beam_fn_api_pb2.StartWorkerRequest, _context: grpc.ServicerContext
    ) -> beam_fn_api_pb2.StartWorkerResponse:
        """A process of this Python that connects to the job server."""
        command = [sys.executable, "-c", _RUN, request.control_endpoint.url, request.worker_id]
        with self._log.open("ab") as log:
            self._running[request.worker_id] = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        return beam_fn_api_pb2.StartWorkerResponse()

    def StopWorker(
        self, request: beam_fn_api_pb2.StopWorkerRequest, _context: grpc.ServicerContext
    ) -> beam_fn_api_pb2.StopWorkerResponse:
        """End one worker."""
        _end(self._running.pop(request.worker_id, None))
        return beam_fn_api_pb2.StopWorkerResponse()

    def kill_one(self) -> int | None:
        """Kill a worker as a machine that fails does; its process id, or None where none runs."""
        for worker in self._running.values():
            if worker.poll() is None:
                worker.kill()
                worker.wait()
                return worker.pid
        return None

    def end_all(self) -> None:
        """End every worker that still runs."""
        for worker in self._running.values():
            _end(worker)


def _end(worker: subprocess.Popen[bytes] | None) -> None:
    if worker is None:
        return
    worker.terminate()
    try:
        worker.wait(STOP_S)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()


@contextmanager
def serving(log: Path) -> Iterator[Workers]:
    """Workers for whoever asks at the address on this machine, for as long as the context is open."""
    workers = Workers(log)
    server = grpc.server(ThreadPoolExecutor(2))
    beam_fn_api_pb2_grpc.add_BeamFnExternalWorkerPoolServicer_to_server(workers, server)
    workers.address = f"{HOST}:{server.add_insecure_port(f'{HOST}:0')}"
    server.start()
    try:
        yield workers
    finally:
        server.stop(None).wait()
        workers.end_all()
