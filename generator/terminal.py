"""A run from the command line: its files and services, its progress bar, its end by Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tqdm import tqdm

from generator.config import Config, Pictures
from generator.outgoing import Scenario
from generator.run import Progress, begin_at, generate, publish
from generator.sinks import FileSink, FolderStore, PictureStore, Sink, writable
from generator.truth import write_truth


def run(config: Config, options: argparse.Namespace, topic: str | None) -> int:
    """Open everything, publish, write the truth; 0, or 130 when it was interrupted. Raises GeneratorError."""
    if options.truth:
        writable(options.truth, "--truth").close()
    with ExitStack() as stack, interruptible() as stop:
        store = _store(config, options)
        sink = _topic_sink(topic, options) if topic else stack.enter_context(FileSink(options.output))
        scenario = generate(config)
        if topic:
            scenario = begin_at(scenario, time.time_ns() // 1000)
        bar = stack.enter_context(_bar(scenario))
        progress = publish(
            scenario,
            sink,
            store=store,
            paced=topic is not None,
            stop=stop,
            on_progress=lambda now: bar.update(now.items - bar.n),
        )
    if options.truth:
        write_truth(options.truth, scenario.truth(progress.items))
    _tell(progress, topic or str(options.output))
    return 130 if stop.is_set() else 0


def _store(config: Config, options: argparse.Namespace) -> PictureStore | None:
    if config.pictures is Pictures.NONE:
        return None
    if options.cars_dir:
        return FolderStore(options.cars_dir, "--cars_dir")
    from generator.cloud import BucketStore  # noqa: PLC0415 (Google's clients take a second to import)

    return BucketStore(options.bucket, options.project_id)


def _topic_sink(topic: str, options: argparse.Namespace) -> Sink:
    from generator.cloud import PubsubSink  # noqa: PLC0415 (see above)

    return PubsubSink(topic, compress=options.gzip)


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C or a polite kill sets, so that what was begun is finished and flushed."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bar(scenario: Scenario) -> tqdm[None]:
    return tqdm(total=scenario.items, unit=" sightings", unit_scale=True, disable=not sys.stderr.isatty())


def _tell(progress: Progress, place: str) -> None:
    print(
        f"generator: {progress.vehicles:,} vehicles, {progress.sightings:,} sightings, "
        f"{progress.malformed:,} malformed objects, {progress.pictures:,} pictures, "
        f"{progress.messages:,} messages to {place}",
        file=sys.stderr,
    )
