"""Run a graph: on this machine with the runner that fits, elsewhere with the one that was asked for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineResult, PipelineRunner, PipelineState

from pipeline.local_runner import LocalRunner
from pipeline.options import Settings


def run_pipeline(options: PipelineOptions, settings: Settings, build: Callable[[beam.Pipeline], object]) -> int:
    """Build and run; wait for the end on this machine. The exit status: 0, or 1 if the run failed."""
    options.view_as(StandardOptions).streaming = settings.streaming
    pipeline = beam.Pipeline(runner=_runner(options, streaming=settings.streaming), options=options)
    build(pipeline)
    result = pipeline.run()
    if settings.streaming:
        return _until_stopped(result)
    return 0 if result.wait_until_finish() == PipelineState.DONE else 1


def _runner(options: PipelineOptions, *, streaming: bool) -> PipelineRunner | None:
    """The local runner by name: Beam's own choice may be one that it fetches from the network."""
    if (options.view_as(StandardOptions).runner or "DirectRunner") != "DirectRunner":
        return None
    return LocalRunner() if streaming else FnApiRunner()


def _until_stopped(result: PipelineResult) -> int:
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while not stopped.wait(1.0) and not PipelineState.is_terminal(result.state):
            pass
        if stopped.is_set():
            result.cancel()
            return 0
        return 0 if result.wait_until_finish() == PipelineState.DONE else 1
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
