"""Run a graph: on this machine with the runner that fits, elsewhere with the one that was asked for."""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, MethodType
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.runner import PipelineResult, PipelineRunner
from apache_beam.transforms import core

from pipeline import conservation, dataflow, earlier_results, job_server
from pipeline.bounded_runner import BoundedRunner
from pipeline.local_runner import LocalRunner
from pipeline.options import Settings

Arguments = tuple[list[str], list[Any]]  # names and default values
_look: Callable[[Any], Arguments] = core.get_function_args_defaults
_seen: dict[Any, Arguments] = {}  # by function, of its methods
NEW_OBJECTS = 50_000  # before the garbage collector looks at them: blocks of data hold thousands that make no cycles


def run_pipeline(options: PipelineOptions, settings: Settings, build: Callable[[beam.Pipeline], object]) -> int:
    """Build and run; wait for the end, but not for Dataflow's. The exit status: 0, or 1 if the run failed."""
    options.view_as(StandardOptions).streaming = settings.streaming
    if dataflow.is_asked_for(options):
        pipeline = dataflow.new_pipeline(options)
        build(pipeline)
        return dataflow.run(pipeline, options)
    output_dir = settings.output_dir or "."
    core.get_function_args_defaults = _look_once
    earlier = {} if settings.streaming else earlier_results.look(output_dir, settings.input)
    pipeline = beam.Pipeline(runner=_runner(options, streaming=settings.streaming), options=options)
    build(pipeline)
    gc.freeze()  # what is loaded by now stays: the garbage collector need not look at it again and again
    gc.set_threshold(NEW_OBJECTS)
    with job_server.mistakes_told(options):
        result = pipeline.run()
    if settings.streaming:
        return _until_stopped(result)
    if failed := job_server.failure(result):
        print(f"python -m pipeline: the run failed: {failed}", file=sys.stderr)
        return 1
    earlier_results.remove(output_dir, earlier)
    line, agree = conservation.account(result, output_dir)
    print(f"python -m pipeline: {line}", file=sys.stderr)
    return 0 if agree else 1


def _look_once(function: Any) -> Arguments:  # noqa: ANN401 (any function)
    """Beam 2.77 looks at the arguments of each method of each step a dozen times while it builds and reads a graph,
    which takes half a second; they are the same each time."""
    if not isinstance(function, MethodType):
        return _look(function)
    if function.__func__ not in _seen:
        _seen[function.__func__] = _look(function)
    names, defaults = _seen[function.__func__]
    return list(names), list(defaults)


def _runner(options: PipelineOptions, *, streaming: bool) -> PipelineRunner:
    """The local runner by name: Beam's own choice may be one that it fetches from the network."""
    if (options.view_as(StandardOptions).runner or "DirectRunner") != "DirectRunner":
        return job_server.runner(options)
    job_server.keep_all_data()
    return LocalRunner() if streaming else BoundedRunner()


def _until_stopped(result: PipelineResult) -> int:
    """Wait for Ctrl-C, a signal to end, or the pipeline's own end: its state alone does not tell of a failure."""
    over, asked, failures = threading.Event(), threading.Event(), []

    def watch() -> None:
        try:
            result.wait_until_finish()
        except Exception as error:  # noqa: BLE001 (whatever ended the run is told below)
            failures.append(error)
        over.set()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        asked.set()
        over.set()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    threading.Thread(target=watch, daemon=True).start()
    try:
        while not over.wait(1.0):
            pass
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if asked.is_set():
        result.cancel()
        return 0
    for failure in failures:
        print(f"python -m pipeline: the run failed: {type(failure).__name__}: {failure}", file=sys.stderr)
    return 1 if failures else 0
