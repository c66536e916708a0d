"""The step that makes results final: all of them pass it, once, with what belongs together."""

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import GlobalWindows, TimestampedValue
from msgspec.structs import replace

from pipeline import local_runner
from pipeline.enforcement import evidence
from pipeline.enforcement.model import Case, Passage, Passages
from pipeline.enforcement.records import Fine, Verdict
from pipeline.enforcement.sections import Section
from pipeline.transforms import commit, judge
from pipeline.transforms.commit import SHARES, Commit, by_share
from pipeline.transforms.judge import Part, passage_id

TestStream.__test__ = False  # a class of Beam, not a test

SECTION = Section("s", 40.0)
PASSAGE = Passage("p", "s", "ABC1234", 40.0, 1_776_000_000_000_000, 1_776_000_020_000_000, 2)
CASES = [
    Case(replace(PASSAGE, passage_id=f"p{number}", revision=revision), ())
    for number in range(2 * SHARES)
    for revision in (1, 2)
]
VERDICTS = [Verdict(*evidence.judge(case, SECTION)) for case in CASES]


def pairs(pipeline: beam.Pipeline, found: beam.PCollection) -> beam.PCollection:
    """The ids and revisions of what comes out, each passage beside the fine that came with it."""
    final = found | "Commit" >> Commit(passage_id)
    parted = final | "Part" >> beam.ParDo(Part()).with_outputs("fines", main="passages")
    assert final.windowing.is_default(), "what follows must not wait for a trigger of this step's"
    parted.passages.element_type, parted.fines.element_type = Passages, Fine
    passages = parted.passages | beam.FlatMap(lambda all_: [(one.passage_id, one.revision) for one in all_.passages])
    fines = parted.fines | "Ids" >> beam.Map(lambda fine: (fine.passage_id, fine.revision))
    return (passages, fines) | beam.Flatten()


EXPECTED = 2 * [(case.passage.passage_id, case.passage.revision) for case in CASES]


def test_all_of_a_file_pass():
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        found = pipeline | beam.Create(VERDICTS, reshuffle=False).with_output_types(Verdict)
        assert_that(pairs(pipeline, found), equal_to(EXPECTED))


@pytest.mark.parametrize("lighter", [False, True])
def test_all_of_a_stream_pass_and_none_is_late(monkeypatch, lighter):
    """What comes behind the watermark, and again under a key that has fired, is not dropped."""
    if lighter:
        for owner, name, replacement in local_runner._replacements():
            if name not in {"extract_all_timers", "_add_work_if_necessary"}:
                monkeypatch.setattr(owner, name, replacement)
    half = len(VERDICTS) // 2
    stream = TestStream(coder=beam.coders.registry.get_coder(Verdict)).advance_watermark_to(0)
    stream = stream.add_elements([TimestampedValue(one, 5) for one in VERDICTS[:half]]).advance_watermark_to(1000)
    for begin in range(half, len(VERDICTS), 16):
        stream = stream.add_elements([TimestampedValue(one, 6) for one in VERDICTS[begin : begin + 16]])
    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        found = pipeline | stream.advance_watermark_to_infinity()
        found.element_type = Verdict
        assert_that(pairs(pipeline, found | beam.WindowInto(GlobalWindows())), equal_to(EXPECTED))


def test_revisions_of_a_passage_go_one_way():
    """Of many passages every key is used, and no more are ever kept."""
    keys = [by_share(verdict, passage_id)[0] for verdict in VERDICTS]
    assert keys[0::2] == keys[1::2]
    assert set(keys) <= set(range(SHARES))
    assert len(set(keys)) > SHARES / 2


def test_passages_of_a_large_bundle_are_no_one_element(monkeypatch):
    monkeypatch.setattr(judge, "TOGETHER", 3)
    part = Part()
    part.start_bundle()
    gathered = [
        len(one.passages) for verdict in VERDICTS[:7] for one in part.process(verdict) if isinstance(one, Passages)
    ]
    assert gathered + [len(one.value.passages) for one in part.finish_bundle()] == [3, 3, 1]
    assert list(part.finish_bundle()) == []


def test_results_of_a_large_bundle_are_no_one_element(monkeypatch):
    monkeypatch.setattr(commit, "TOGETHER", 3)
    gather = commit._Gather(passage_id)
    gather.start_bundle()
    found = [element for _ in range(7) for element in gather.process(VERDICTS[0]) or ()]
    found += [one.value for one in gather.finish_bundle()]
    assert [(share, len(results)) for share, results in found] == [(by_share(VERDICTS[0], passage_id)[0], 3)] * 2 + [
        (by_share(VERDICTS[0], passage_id)[0], 1)
    ]
