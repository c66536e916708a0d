"""Beam's local engine for bounded input that may be larger than memory.

Beam 2.77's FnApiRunner keeps all that goes from one stage to the next in memory, and hands it to the next stage at
once: more than two kilobytes a sighting. Here it lies in temporary files, and a stage gets it bundle by bundle, each
bundle of some megabytes by the next worker that is free.
"""

# ruff: noqa: ANN401 (Beam's own types are Any here)
from __future__ import annotations

import tempfile
from array import array
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from apache_beam.metrics import monitoring_infos
from apache_beam.portability import common_urns
from apache_beam.portability.api.org.apache.beam.model.fn_execution.v1.beam_fn_api_pb2 import (
    Elements,
    InstructionResponse,
)
from apache_beam.runners.portability.fn_api_runner import execution, fn_runner
from apache_beam.runners.portability.fn_api_runner.fn_runner import BundleManager, FnApiRunner
from apache_beam.runners.worker.data_plane import InMemoryDataChannel

Result = TypeVar("Result")
IN_MEMORY_BYTES = 4 * 1024 * 1024
BUNDLE_BYTES = 16 * 1024 * 1024
READS = common_urns.sdf_components.PROCESS_SIZED_ELEMENTS_AND_RESTRICTIONS.urn


class BoundedRunner(FnApiRunner):
    """Runs each stage in several bundles, on data that lies on disk."""

    def run_stages(self, *args: Any, **kwargs: Any) -> Any:
        """One stage after the other."""
        with _buffers_on_disk():
            return super().run_stages(*args, **kwargs)

    def _get_bundle_manager(self, bundle_context_manager: Any) -> BundleManager:
        tokens = self.get_cache_token_generator(static=False)
        return _ManyBundles(bundle_context_manager, self._progress_frequency, cache_token_generator=tokens)


class _ManyBundles(BundleManager):
    """Has the workers process a stage's input in bundles of about BUNDLE_BYTES, at least one part of a file."""

    def process_bundle(
        self,
        inputs: Mapping[str, Any],
        expected_outputs: Any,
        fired_timers: Any,
        expected_output_timers: Any,
        dry_run: bool = False,
    ) -> Any:
        """The results of all bundles as one."""
        context = self.bundle_context_manager
        if len(inputs) != 1 or expected_output_timers or context.stage.is_stateful():
            return super().process_bundle(inputs, expected_outputs, fired_timers, expected_output_timers, dry_run)
        ((name, buffer),) = inputs.items()

        def take(transform_id: str, data: bytes) -> None:
            with BundleManager._lock:
                context.get_buffer(expected_outputs[transform_id], transform_id).append(data)

        def process(bundle: list[bytes], worker: Any) -> Any:
            manager = BundleManager(
                _ContextOfWorker(context, worker),
                self._progress_frequency,
                cache_token_generator=self._cache_token_generator,
            )
            is_tried_out = dry_run or manager._select_split_manager()  # Beam then does the bundle once more
            if isinstance(worker.data_conn, InMemoryDataChannel) and not is_tried_out:
                worker.data_conn._inputs = _TakenAtOnce(take)
            return manager.process_bundle(
                {name: bundle}, expected_outputs, fired_timers, expected_output_timers, dry_run
            )

        results = _shared(self._bundles(name, buffer), context.worker_handlers, process)
        return _as_one([result for result, _ in results]), [split for _, splits in results for split in splits]

    def _bundles(self, name: str, buffer: Iterable[bytes]) -> Generator[list[bytes]]:
        """At least one, which may be empty."""
        gathered: list[bytes] = []
        n_bytes = 0.0
        for piece, size in self._parts_of_files(name, buffer) if self._reads_files() else _sized(buffer):
            if gathered and n_bytes + size > BUNDLE_BYTES:
                yield gathered
                gathered, n_bytes = [], 0.0
            gathered.append(piece)
            n_bytes += size
        yield gathered

    def _parts_of_files(self, name: str, buffer: Iterable[bytes]) -> Iterator[tuple[bytes, float]]:
        """With the sizes of what will be read; several small files are one bundle, since each bundle writes files."""
        coder = self.bundle_context_manager.get_input_coder_impl(name)
        for data in buffer:
            for part in coder.decode_all(data):
                yield coder.encode_all([part]), part.value[1]

    def _reads_files(self) -> bool:
        steps = self.bundle_context_manager.process_bundle_descriptor.transforms.values()
        return any(step.spec.urn == READS for step in steps)


def _sized(buffer: Iterable[bytes]) -> Iterator[tuple[bytes, float]]:
    for data in buffer:
        yield data, len(data)


class _TakenAtOnce:
    """What a worker in this process sends: its data is taken as it comes, or all that a bundle gives, a packed file for
    one, would lie in memory until its end."""

    def __init__(self, take: Callable[[str, bytes], None]) -> None:
        self._take = take
        self._others: list[Any] = []

    def append(self, sent: Any) -> None:
        if not isinstance(sent, Elements.Data):
            self._others.append(sent)
        elif sent.data:
            self._take(sent.transform_id, sent.data)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._others)


class _ContextOfWorker:
    """A stage's context for one of its workers."""

    def __init__(self, context: Any, worker: Any) -> None:
        self._context, self.worker_handlers = context, [worker]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def _shared(
    bundles: Generator[list[bytes]], workers: Sequence[Any], process: Callable[[list[bytes], Any], Result]
) -> list[Result]:
    """Each worker takes the next bundle when it is free, so that none waits in memory. After an error none is begun."""
    lock, results = Lock(), []

    def work(worker: Any) -> None:
        while True:
            with lock:
                bundle = next(bundles, None)
            if bundle is None:
                return
            try:
                results.append(process(bundle, worker))
            except BaseException:
                with lock:
                    bundles.close()
                raise

    if len(workers) == 1:
        work(workers[0])  # without a thread, which would only be in the way
    else:
        with ThreadPoolExecutor(len(workers)) as pool:
            list(pool.map(work, workers))
    return results


def _as_one(results: list[InstructionResponse]) -> InstructionResponse:
    merged = InstructionResponse()
    for result in results:
        merged.MergeFrom(result)
    infos = monitoring_infos.consolidate(chain.from_iterable(one.process_bundle.monitoring_infos for one in results))
    del merged.process_bundle.monitoring_infos[:]
    merged.process_bundle.monitoring_infos.extend(infos)
    return merged


@contextmanager
def _buffers_on_disk() -> Iterator[None]:
    """While a pipeline runs, what its stages write is kept by the classes below."""
    beams = {"ListBuffer": execution.ListBuffer, "GroupingBuffer": execution.GroupingBuffer}
    execution.ListBuffer = fn_runner.ListBuffer = _DataOnDisk
    execution.GroupingBuffer = _GroupsOnDisk
    try:
        yield
    finally:
        execution.ListBuffer = fn_runner.ListBuffer = beams["ListBuffer"]
        execution.GroupingBuffer = beams["GroupingBuffer"]


class _Place(NamedTuple):
    offset: int
    size: int


class _File:
    """Bytes in a temporary file without a name, which is gone when nobody needs it; in memory while they are few."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115 (it outlives this call)
        self._end, self._lock = 0, Lock()

    def put(self, data: bytes) -> _Place:
        with self._lock:
            place = _Place(self._end, len(data))
            self._file.seek(place.offset)
            self._file.write(data)
            self._end += len(data)
        return place

    def get(self, place: _Place) -> bytes:
        with self._lock:
            self._file.seek(place.offset)
            data = self._file.read(place.size)
        if len(data) != place.size:
            raise OSError(f"of {place.size} bytes of temporary data {len(data)} came back")
        return data


class _Places:
    """Where in a file pieces lie, in 16 bytes for each: a hundred million sightings are some million pieces."""

    def __init__(self) -> None:
        self._numbers = array("q")

    def append(self, place: _Place) -> None:
        self._numbers.extend(place)

    def copy(self) -> _Places:
        other = _Places()
        other._numbers = self._numbers[:]
        return other

    def __len__(self) -> int:
        return len(self._numbers) // 2

    def __iter__(self) -> Iterator[_Place]:
        return map(_Place, self._numbers[::2], self._numbers[1::2])


class _DataOnDisk(execution.ListBuffer):
    """Encoded elements, many in each piece of data."""

    def __init__(self, coder_impl: Any) -> None:
        super().__init__(coder_impl)
        self._file, self._places = _File(), _Places()

    def copy(self) -> _DataOnDisk:
        other = _DataOnDisk(self._coder_impl)
        other._file, other._places = self._file, self._places.copy()
        return other

    def append(self, element: bytes) -> None:
        self._places.append(self._file.put(element))

    def extend(self, extra: Iterable[bytes]) -> None:
        for data in list(extra):
            self.append(data)

    def partition(self, n: int) -> list[list[bytes]]:
        raise NotImplementedError("bundles are made by _ManyBundles")

    def __iter__(self) -> Iterator[bytes]:
        return map(self._file.get, self._places)

    def clear(self) -> None:
        super().clear()
        self._file, self._places = _File(), _Places()


class _ValuesOnDisk:
    """The values of one key; those that the engine does not look into, as bytes in the file."""

    def __init__(self, file: _File) -> None:
        self._file = file
        self._places = _Places()
        self._others: list[Any] = []

    def append(self, value: Any) -> None:
        if isinstance(value, bytes):
            self._places.append(self._file.put(value))
        else:
            self._others.append(value)

    def extend(self, values: Iterable[Any]) -> None:
        for value in values:
            self.append(value)

    def __len__(self) -> int:
        return len(self._places) + len(self._others)

    def __iter__(self) -> Iterator[Any]:
        return chain(map(self._file.get, self._places), self._others)


class _GroupsOnDisk(execution.GroupingBuffer):
    """Values by their key."""

    def __init__(self, *coders_and_windowing: Any) -> None:
        super().__init__(*coders_and_windowing)
        self._coders_and_windowing, file = coders_and_windowing, _File()
        self._table: defaultdict[bytes, _ValuesOnDisk] = defaultdict(lambda: _ValuesOnDisk(file))

    def __iter__(self) -> Iterator[bytes]:
        """The groups, one after the other, as Beam encodes them."""
        for key, values in self._table.items():
            group = _GroupsOnDisk(*self._coders_and_windowing)
            group._table[key] = values
            yield from group.partition(1)[0]
