"""Engines other than the local one, most of them behind a job server: Flink, Spark, Prism. Mistakes in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState, create_runner


class EngineError(ValueError):
    """An engine that cannot be used as it was asked for, worded for the person who asked."""


def keep_all_data() -> None:
    """Have Beam's local engine send data to its worker processes by size, not by time.

    By time, a second thread sends what is buffered and then empties the buffer; what was written to it in between is
    lost without a word, whenever sending has to wait for a slow worker (Beam 2.77, data_plane.py).
    """
    worker_handlers.DATA_BUFFER_TIME_LIMIT_MS = 0


def runner(options: PipelineOptions) -> PipelineRunner:
    """The engine of --runner. Raises EngineError for an unknown one, and for a missing --job_endpoint."""
    name = options.view_as(StandardOptions).runner
    if name == "PortableRunner" and not options.view_as(PortableOptions).job_endpoint:
        raise EngineError(
            "--job_endpoint: absent; needed with --runner PortableRunner. Give HOST:PORT of the engine's job server"
        )
    try:
        return create_runner(name)
    except (ValueError, ImportError, AttributeError) as error:
        raise EngineError(f"--runner: found {name!r}: {error}") from error


@contextmanager
def mistakes_told(options: PipelineOptions) -> Iterator[None]:
    """While a job is handed over: raises EngineError if its job server does not answer or cannot be started."""
    try:
        yield
    except grpc.FutureTimeoutError as error:
        endpoint = options.view_as(PortableOptions).job_endpoint
        raise EngineError(
            f"--job_endpoint: found {endpoint}, where nothing answers; allowed: HOST:PORT of a running job server. "
            "Start it, or correct the address"
        ) from error
    except (RuntimeError, ValueError, FileNotFoundError) as error:
        if not _of_the_start(error):
            raise
        raise EngineError(f"--runner: its job server cannot be started: {error}") from error


def _of_the_start(error: Exception) -> bool:
    """Beam starts the job server of Flink and Spark from a jar, without an error of its own for a missing one."""
    return "job server jar" in str(error) or "jar URL" in str(error) or getattr(error, "filename", None) == "java"


def failure(result: PipelineResult) -> str | None:
    """Wait for the end; None after a good one, else what it failed of: the last line of the engine's message."""
    try:
        state = result.wait_until_finish()
    except RuntimeError as error:
        lines = str(error).strip().splitlines()
        return lines[-1] if lines else type(error).__name__
    return None if state == PipelineState.DONE else f"it ended as {state}"
