"""What a graph costs inside the portable worker harness, stage by stage, with the runner left out.

The graph runs once through Beam's FnApiRunner, which cuts it into the stages that a portable runner would send to its
workers. What every stage was given is kept: the descriptor, the encoded input, the fired timers. A stage is then
replayed alone: the harness's own BundleProcessor with an in-memory data channel and state handler is fed the same bytes
in bundles of a chosen size, and its CPU time is taken around process_bundle, so that grouping, triggers, watermarks and
the network are not in it. What is left of the engine in it (decoding windows, moving elements from step to step,
asking for state) is measured by replaying a graph of the same shape that does nothing: see bench/nothing.py.
"""

# ruff: noqa: ANN401 (Beam's own types are Any here)
from __future__ import annotations

import gc
import math
import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any, NamedTuple

from apache_beam.coders.coder_impl import create_InputStream
from apache_beam.portability.api import beam_fn_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.worker_handlers import StateServicer
from apache_beam.runners.worker import bundle_processor, data_plane, sdk_worker
from apache_beam.runners.worker.statecache import StateCache

NO_CACHE_BYTES = 0
TIMERS = "timers"


class Input(NamedTuple):
    """Elements of one way into a stage: the data of a transform, or the timers of a (transform, family)."""

    place: str | tuple[str, str]
    elements: list[bytes]


class Stage(NamedTuple):
    """What a worker needs to run a stage, and what it was given."""

    descriptor: beam_fn_api_pb2.ProcessBundleDescriptor
    steps: tuple[str, ...]
    inputs: list[Input]


class Way(NamedTuple):
    """A way out of a stage: elements and their bytes, as they are encoded for the data channel."""

    elements: int
    bytes: int


class Replay(NamedTuple):
    """A stage, run over all of its input. cpu_s: of each bundle. state_bytes: of all keys, when no timer has fired."""

    cpu_s: list[float]
    out: dict[str, Way]
    keys: int
    state_bytes: int


class RecordingRunner(FnApiRunner):
    """Beam's local portable runner, which keeps what each stage is given."""

    def __init__(self) -> None:
        super().__init__()
        self._raw: dict[str, tuple[Any, list[tuple[Any, list[bytes]]]]] = {}

    def _execute_bundle(self, runner: Any, manager: Any, given: Any) -> Any:
        _, inputs = self._raw.setdefault(manager.stage.name, (manager.process_bundle_descriptor, []))
        for place, buffer in [*given.data.items(), *given.timers.items()]:
            inputs.append((place, list(buffer)))
        return super()._execute_bundle(runner, manager, given)

    def stages(self) -> list[Stage]:
        """All stages that were run, in order."""
        return [_stage(descriptor, inputs) for descriptor, inputs in self._raw.values()]


def _stage(descriptor: Any, inputs: list[tuple[Any, list[bytes]]]) -> Stage:
    processor = _Processor(descriptor)
    found = [Input(place, [one for chunk in chunks for one in processor.cut(place, chunk)]) for place, chunks in inputs]
    processor.close()
    steps = tuple(sorted(transform.unique_name for transform in descriptor.transforms.values()))
    return Stage(descriptor, steps, [given for given in found if given.elements])


class _Processor:
    """The harness's processor of one stage, with a runner's end of its data channel and an empty state."""

    def __init__(self, descriptor: Any) -> None:
        self._channel = data_plane.InMemoryDataChannel()
        self.state = StateServicer()
        self._handler = sdk_worker.GlobalCachingStateHandler(StateCache(NO_CACHE_BYTES), self.state)
        channels = data_plane.InMemoryDataChannelFactory(self._channel.inverse())
        self._processor = bundle_processor.BundleProcessor(frozenset(), descriptor, self._handler, channels)
        self._bundles = 0

    def cut(self, place: Any, data: bytes) -> Iterator[bytes]:
        """The single elements of a chunk."""
        stream, at = create_InputStream(data), 0
        coder = self._coder(place)
        while stream.size() > 0:
            coder.decode_from_stream(stream, True)
            end = len(data) - stream.size()
            yield data[at:end]
            at = end

    def _coder(self, place: Any) -> Any:
        if isinstance(place, tuple):
            return self._processor.timers_info[place].timer_coder_impl
        return self._processor.ops[place].windowed_coder_impl

    def run(self, given: Input, start: int, end: int) -> tuple[float, list[Any]]:
        """One bundle: its CPU seconds, and what it sent."""
        self._bundles += 1
        name = f"bundle-{self._bundles}"
        self._send(name, given, start, end)
        with self._handler.process_instruction_id(name, []):
            begun = time.process_time()
            self._processor.process_bundle(name)
            cpu_s = time.process_time() - begun
        self._processor.reset()
        return cpu_s, list(self._channel.input_elements(name, []))

    def _send(self, name: str, given: Input, start: int, end: int) -> None:
        """As a runner does; timers of a stage without any, too."""
        for place in [given.place, *self._processor.timers_info]:
            if isinstance(place, tuple):
                stream = self._channel.output_timer_stream(name, *place)
            else:
                stream = self._channel.output_stream(name, place)
            if place == given.place:
                stream.write(b"".join(given.elements[start:end]))
            stream.close()

    def counted(self, sent: Sequence[Any]) -> Iterator[tuple[str, Way]]:
        """Elements and bytes of what was sent, by the steps that sent it; timers together."""
        for one in sent:
            timers = isinstance(one, beam_fn_api_pb2.Elements.Timers)
            data = one.timers if timers else one.data
            if data:
                place = (one.transform_id, one.timer_family_id) if timers else one.transform_id
                yield TIMERS if timers else str(place), Way(sum(1 for _ in self.cut(place, data)), len(data))

    def kept(self) -> list[bytes]:
        """The state of each key."""
        return [data for data in map(b"".join, self.state._state.values()) if data]

    def close(self) -> None:
        self._processor.shutdown()


def cpu_s(replays: Sequence[Replay]) -> float:
    """CPU seconds of a stage that was replayed several times: for each bundle the median, so that a burst of other work
    on the machine, which hits a bundle in one round or two, does not count."""
    return math.fsum(median(times) for times in zip(*(one.cpu_s for one in replays), strict=True))


def run(pipeline: Any, runner: RecordingRunner) -> list[Stage]:
    """The stages of a pipeline that was made with this runner."""
    pipeline.run().wait_until_finish()
    return runner.stages()


def replay(stage: Stage, bundle: int) -> Replay:
    """Process all of a stage's input in bundles of so many elements."""
    processor = _Processor(stage.descriptor)
    out: dict[str, Way] = {}
    bundles_s: list[float] = []
    keys, state_bytes = 0, 0
    gc.collect()
    gc.freeze()
    try:
        for given in stage.inputs:
            for start in range(0, len(given.elements), bundle):
                cpu_s, sent = processor.run(given, start, start + bundle)
                bundles_s.append(cpu_s)
                for name, way in processor.counted(sent):
                    before = out.get(name, Way(0, 0))
                    out[name] = Way(before.elements + way.elements, before.bytes + way.bytes)
            if not keys:
                kept = processor.kept()
                keys, state_bytes = len(kept), sum(map(len, kept))
    finally:
        gc.unfreeze()
        processor.close()
    return Replay(bundles_s, out, keys, state_bytes)
