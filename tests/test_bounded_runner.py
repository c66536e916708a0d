"""Beam's local engine on bounded input: in many bundles, on data in files, with the same results."""

import json
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.coders import BytesCoder, coders
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api.org.apache.beam.model.fn_execution.v1.beam_fn_api_pb2 import Elements
from apache_beam.runners.portability.fn_api_runner import FnApiRunner, execution, fn_runner
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import core, userstate
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from test_bounded_job import SECRET, SECTIONS, Results, run, traffic

from pipeline import bounded_runner, running, secret
from pipeline.bounded_runner import BoundedRunner
from pipeline.jobs import main
from pipeline.transforms import blocks


@pytest.fixture(autouse=True)
def _environment(tmp_path, monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, SECRET)
    monkeypatch.chdir(tmp_path)
    Path("sections.yaml").write_text(SECTIONS)
    Path("in.ndjson").write_bytes(b"\n".join(traffic(100)))


def sorted_results(found: Results) -> list[list[str]]:
    kinds = (found.sightings, found.passages, found.fines, found.rejected)
    return [sorted(str({**record, "received_at": ""}) for record in kind) for kind in kinds]


@pytest.fixture
def small_bundles(monkeypatch):
    """So that a small run has many of everything, and all of it in files."""
    monkeypatch.setattr(bounded_runner, "BUNDLE_BYTES", 2000)
    monkeypatch.setattr(bounded_runner, "IN_MEMORY_BYTES", 1)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)


def test_results_are_those_of_beams_own_engine(monkeypatch, small_bundles):
    many = run()
    assert sum(name.startswith("passages-") for name in many.text) > 3, "the run was to have several bundles"
    monkeypatch.setattr(running, "BoundedRunner", FnApiRunner)
    whole = run()
    assert sum(name.startswith("passages-") for name in whole.text) == 1
    assert sorted_results(many) == sorted_results(whole)
    assert many.summary == whole.summary


def test_two_processes_share_the_bundles(monkeypatch, small_bundles):
    monkeypatch.setenv("PYTHONPATH", str(Path(running.__file__).parents[1]))
    one = run()
    two = run("--direct_running_mode=multi_processing", "--direct_num_workers=2")
    assert sorted_results(one) == sorted_results(two)
    assert one.summary == two.summary


def test_data_between_stages_lies_in_files(monkeypatch, small_bundles):
    written = []
    put = bounded_runner._File.put

    def counted(self, data: bytes):
        place = put(self, data)
        assert self._file._rolled
        written.append(len(data))
        return place

    monkeypatch.setattr(bounded_runner._File, "put", counted)
    assert run().summary["sightings_in"] > 0
    assert sum(written) > 30_000


def test_output_of_a_bundle_does_not_wait_for_its_end(monkeypatch):
    """It went to its buffer as it came: a worker in this process holds no data when its bundle is done."""
    held = []
    rest = bounded_runner._TakenAtOnce.__iter__

    def watched(sent: bounded_runner._TakenAtOnce) -> Iterator[object]:
        held.append(list(rest(sent)))
        return iter(held[-1])

    monkeypatch.setattr(bounded_runner._TakenAtOnce, "__iter__", watched)
    assert run().summary["sightings_in"] > 0
    assert len(held) > 5
    assert not any(isinstance(sent, Elements.Data) for of_bundle in held for sent in of_bundle)


def test_few_data_stay_in_memory(monkeypatch):
    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", None)
    assert run().summary["sightings_in"] > 0


def test_engine_is_beams_own_again_after_a_run():
    before = (execution.ListBuffer, execution.GroupingBuffer, fn_runner.ListBuffer)
    run()
    assert (execution.ListBuffer, execution.GroupingBuffer, fn_runner.ListBuffer) == before


def failing(number: int) -> int:
    if number == 3:
        raise ValueError("no three")
    return number


def test_error_in_a_bundle_fails_the_run(monkeypatch):
    monkeypatch.setattr(bounded_runner, "BUNDLE_BYTES", 1)
    with pytest.raises(ValueError, match="no three"), beam.Pipeline(BoundedRunner(), PipelineOptions([])) as pipeline:
        _ = pipeline | beam.Create(range(9)) | beam.Reshuffle() | beam.Map(failing)


def test_no_bundle_is_begun_after_an_error():
    begun = []
    both, failed = threading.Barrier(2, timeout=10), threading.Event()

    def process(bundle: list[bytes], worker: str) -> None:
        begun.append(bundle)
        both.wait()
        if worker == "bad":
            failed.set()
            raise ValueError("first")
        assert failed.wait(10)
        time.sleep(0.2)  # until the error has ended the bundles

    bundles = ([bytes([number])] for number in range(50))
    with pytest.raises(ValueError, match="first"):
        bounded_runner._shared(bundles, ["bad", "good"], process)
    assert len(begun) == 2


def test_slow_worker_does_not_keep_the_others_waiting():
    done = []
    last = threading.Event()

    def process(bundle: list[bytes], worker: str) -> None:
        if worker == "slow":
            assert last.wait(10)
        done.append(worker)
        if len(done) == 9:
            last.set()

    bounded_runner._shared(([b"x"] for _ in range(10)), ["slow", "fast"], process)
    assert done == ["fast"] * 9 + ["slow"]


def test_small_files_are_read_in_one_bundle(monkeypatch):
    for number, text in enumerate(traffic(40)):
        Path(f"part-{number:03}.ndjson").write_bytes(text + b"\n")
    found = run(source="part-*.ndjson")
    assert [name for name in found.text if name.startswith("sightings")] == ["sightings-00000-of-00001.ndjson"]


def test_beams_own_repetition_of_bundles_is_understood():
    """It is a test of Beam's, whose trial runs leave their temporary files behind."""
    once = run()
    argv = ["--input=in.ndjson", "--output_dir=again", "--sections=sections.yaml", "--direct_runner_bundle_repeat=1"]
    assert main(argv) == 0
    assert json.loads(Path("again/summary.json").read_text()) == once.summary


class Counting(beam.DoFn):
    """Counts a key's values, and tells how many there were when all have come."""

    COUNT = userstate.CombiningValueStateSpec("count", sum)
    END = userstate.TimerSpec("end", beam.TimeDomain.WATERMARK)

    def process(self, _, count=beam.DoFn.StateParam(COUNT), end=beam.DoFn.TimerParam(END)):  # noqa: B008
        count.add(1)
        end.set(Timestamp(100))
        return ()

    @userstate.on_timer(END)
    def end(self, count=beam.DoFn.StateParam(COUNT)):  # noqa: B008
        yield count.read()


def test_timers_see_all_bundles_of_their_stage(monkeypatch):
    monkeypatch.setattr(bounded_runner, "BUNDLE_BYTES", 1)
    with beam.Pipeline(BoundedRunner(), PipelineOptions([])) as pipeline:
        counts = pipeline | beam.Create([("a", 1)] * 50 + [("b", 1)] * 7) | beam.Reshuffle() | beam.ParDo(Counting())
        assert_that(counts, equal_to([50, 7]))


# --- buffers


def test_temporary_data_that_came_back_cut_are_an_error():
    file = bounded_runner._File()
    place = file.put(b"12345")
    file._file.truncate(3)
    with pytest.raises(OSError, match="of 5 bytes of temporary data 3 came back"):
        file.get(place)


def grouped(*parts: bytes) -> bounded_runner._GroupsOnDisk:
    pairs = coders.WindowedValueCoder(coders.TupleCoder([BytesCoder(), BytesCoder()]), coders.GlobalWindowCoder())
    groups = coders.WindowedValueCoder(
        coders.TupleCoder([BytesCoder(), coders.IterableCoder(BytesCoder())]), coders.GlobalWindowCoder()
    )
    found = bounded_runner._GroupsOnDisk(_Grouping(pairs), groups, core.Windowing(GlobalWindows()))
    for number, part in enumerate(parts):
        value = WindowedValue((b"key%d" % (number % 2), part), 0, [GlobalWindow()])
        found.append(pairs.get_impl().encode_nested(value))
    return found


class _Grouping:
    """What Beam gives for the pairs: their coder, and that of their keys."""

    def __init__(self, pairs: coders.WindowedValueCoder) -> None:
        self._pairs = pairs

    def get_impl(self) -> object:
        return self._pairs.get_impl()

    def key_coder(self) -> coders.Coder:
        return BytesCoder()


def contents(buffer: bounded_runner._GroupsOnDisk) -> dict[bytes, list[bytes]]:
    impl = buffer._post_grouped_coder.get_impl()
    return {windowed.value[0]: list(windowed.value[1]) for encoded in buffer for windowed in impl.decode_all(encoded)}


def test_groups_hold_all_values_of_their_keys():
    assert contents(grouped(b"a", b"b", b"", b"d" * 9_999_999)) == {
        b"key0": [b"a", b""],
        b"key1": [b"b", b"d" * 9_999_999],
    }


def test_groups_can_be_read_twice_and_joined():
    one = grouped(b"a", b"b")
    assert contents(one) == contents(one)
    one.extend(grouped(b"c"))
    assert contents(one) == {b"key0": [b"a", b"c"], b"key1": [b"b"]}


def test_copy_of_data_is_its_own():
    one = bounded_runner._DataOnDisk(None)
    one.append(b"a")
    other = one.copy()
    one.append(b"b")
    other.append(b"c")
    assert (list(one), list(other)) == ([b"a", b"b"], [b"a", b"c"])


def test_cleared_data_can_be_used_again():
    one = bounded_runner._DataOnDisk(None)
    one.append(b"a")
    one.clear()
    one.reset()
    one.append(b"b")
    assert list(one) == [b"b"]
