"""The lighter functions of the local runner give the answers of Beam's own."""

import threading

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.direct import evaluation_context
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import core, trigger, window
from apache_beam.utils.timestamp import Timestamp

from pipeline import local_runner


@pytest.fixture
def lightened(monkeypatch):
    """The replaced functions for one test, but for the rest between two looks: a test stream has no time of its own."""
    tag = trigger._CombiningValueStateTag
    monkeypatch.setattr(core, "get_signature", local_runner._remembered(core.get_signature))
    monkeypatch.setattr(tag, "without_extraction", local_runner._made_once(tag.without_extraction))
    monkeypatch.setattr(trigger.InMemoryUnmergedState, "copy", local_runner._copy_of_state)
    monkeypatch.setattr(evaluation_context.DirectStepContext, "get_keyed_state", local_runner._keyed_state)


def panes(expected):
    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    stream = (
        TestStream()
        .advance_watermark_to(0)
        .add_elements([window.TimestampedValue(("a", second), second) for second in (1, 3)])
        .add_elements([window.TimestampedValue(("b", 2), 2)])
        .advance_watermark_to(20)
        .add_elements([window.TimestampedValue(("a", 4), 4)])
        .advance_watermark_to(200)
        .add_elements([window.TimestampedValue(("a", 199), 199)])
        .advance_watermark_to_infinity()
    )
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        found = (
            pipeline
            | stream
            | beam.WindowInto(
                window.Sessions(5),
                trigger=trigger.AfterWatermark(late=trigger.AfterCount(1)),
                accumulation_mode=trigger.AccumulationMode.ACCUMULATING,
                allowed_lateness=100,
            )
            | beam.GroupByKey()
            | beam.Map(lambda keyed: (keyed[0], sorted(keyed[1])))
        )
        assert_that(found, equal_to(expected))


PANES = [("a", [1, 3]), ("b", [2]), ("a", [1, 3, 4]), ("a", [199])]


def test_panes_of_beam_itself():
    panes(PANES)


def test_same_panes_with_the_lighter_functions(lightened):
    panes(PANES)


def test_functions_that_are_replaced_exist():
    """Beam is pinned; whoever moves the pin is told here what to look at."""
    assert callable(evaluation_context.EvaluationContext.extract_all_timers)
    assert callable(evaluation_context.DirectStepContext.get_keyed_state)
    assert callable(trigger._CombiningValueStateTag.without_extraction)
    assert callable(core.get_signature)


def test_copy_of_a_state_is_its_own():
    state = trigger.InMemoryUnmergedState()
    tag = trigger._ListStateTag("seen")
    state.add_state("w", tag, 1)
    state.set_timer("w", "end", "WATERMARK", Timestamp(5))
    state.set_global_state(trigger._ReadModifyWriteStateTag("ids"), {"w": ["w1"]})
    copied = local_runner._copy_of_state(state)
    copied.add_state("w", tag, 2)
    copied.clear_timer("w", "end", "WATERMARK")
    copied.get_global_state(trigger._ReadModifyWriteStateTag("ids"))["w"].append("w2")
    assert state.get_state("w", tag) == [1]
    assert state.get_timers(watermark=Timestamp(9))[0]
    assert state.get_global_state(trigger._ReadModifyWriteStateTag("ids")) == {"w": ["w1"]}


@pytest.mark.parametrize("what", ["state", "timer", "global"])
def test_key_that_holds_anything_is_not_forgotten(what):
    state = trigger.InMemoryUnmergedState()
    assert local_runner._is_empty(state)
    if what == "state":
        state.add_state("w", trigger._ListStateTag("seen"), 1)
    elif what == "timer":
        state.set_timer("w", "end", "WATERMARK", Timestamp(5))
    else:
        state.set_global_state(trigger._ReadModifyWriteStateTag("ids"), {"w": ["w1"]})
    assert not local_runner._is_empty(state)


def test_no_committed_state_is_forgotten_while_others_are_pruned():
    """Bundles commit on their threads while the timers are looked at: every committed key must be there afterwards."""

    class Context:
        def __init__(self):
            self._lock = threading.Lock()
            self._transform_keyed_states = {"step": {}}

    context, tag = Context(), trigger._ListStateTag("seen")
    states = context._transform_keyed_states["step"]
    look = local_runner._rested(lambda _: ([], True))

    def commit(writer):
        for number in range(2_000):
            step = evaluation_context.DirectStepContext(states)
            state = local_runner._keyed_state(step, (writer, number % 50))
            state.add_state("w", tag, number)
            with context._lock:
                states.update(step.partial_keyed_state)

    writers = [threading.Thread(target=commit, args=(writer,)) for writer in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        context.look_again_at = 0.0
        look(context)
    assert len(states) == 200
    assert all(len(state.get_state("w", tag)) == 40 for state in states.values())
