"""The lighter functions of the local runner give the answers of Beam's own."""

import contextlib
import queue
import threading
from types import SimpleNamespace

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.pipeline import AppliedPTransform
from apache_beam.runners.direct import evaluation_context, executor
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner, _StreamingGroupAlsoByWindow
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms import core, trigger, window
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from pipeline import local_runner, local_threads


@pytest.fixture
def lightened(monkeypatch):
    """The replaced functions for one test, but for those that go on reading and rest: a test stream has no time."""
    for owner, name, lighter in local_runner._replacements():
        if name not in {"extract_all_timers", "_add_work_if_necessary"}:
            monkeypatch.setattr(owner, name, lighter)


def panes(expected):
    """Asked again where Beam itself lost a timer: its look for a stall takes those out that become due just then, and
    what it raises is no exception. A stream that goes on never comes to that look."""
    for _ in range(2):
        with contextlib.suppress(TypeError):
            return panes_of_a_run(expected)
    return panes_of_a_run(expected)


def panes_of_a_run(expected):
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


def test_everything_that_is_replaced_exists():
    """Beam is pinned; whoever moves the pin is told here what to look at."""
    for owner, name, _ in local_runner._replacements():
        assert hasattr(owner, name)


class Counting(beam.DoFn):
    """Says how often it was set up, and what its bundle holds."""

    set_up = 0

    def setup(self):
        Counting.set_up += 1

    def start_bundle(self):
        self._bundle = []

    def process(self, element):
        if element == "stop":
            raise ValueError(element)
        self._bundle.append(element)
        yield tuple(self._bundle)


def test_step_is_set_up_once_and_begins_each_bundle_anew(lightened):
    Counting.set_up = 0
    stream = TestStream().add_elements(["a"]).add_elements(["b"]).add_elements(["c"]).advance_watermark_to_infinity()
    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        assert_that(pipeline | stream | beam.ParDo(Counting()), equal_to([("a",), ("b",), ("c",)]))
    assert Counting.set_up == 1


def test_two_bundles_at_once_have_a_step_each():
    step = Counting()
    first, second = local_runner._KeptDoFns.roundtrip(step), local_runner._KeptDoFns.roundtrip(step)
    assert first is not second
    local_runner._KeptDoFns.give_back(second)
    assert local_runner._KeptDoFns.roundtrip(step) is second
    assert local_runner._KeptDoFns.roundtrip(Counting()) not in (first, second)


@given(st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), st.integers(0, 9))), max_size=40))
def test_earliest_hold_is_that_of_all_keys(steps):
    """Held, moved and released in any order, as _TransformWatermarks.hold does it."""
    holds, plain = local_runner._Holds(), {}
    for key, at in steps:
        for kept in (holds, plain):
            kept[key] = None if at is None else Timestamp(at)
            if at is None:
                del kept[key]
        assert list(holds.values()) == sorted(plain.values())[:1]


@given(st.lists(st.tuples(st.sampled_from(["set", "clear"]), st.integers(0, 3), st.integers(0, 9)), max_size=12))
def test_timers_that_are_due_are_those_of_beam(steps):
    beams, ours = trigger.InMemoryUnmergedState(), trigger.InMemoryUnmergedState()
    look = local_runner._when_due(trigger.InMemoryUnmergedState.get_timers)
    set_timer = local_runner._due_again(trigger.InMemoryUnmergedState.set_timer)
    for what, name, at in steps:
        if what == "set":
            beams.set_timer("w", str(name), TimeDomain.WATERMARK, Timestamp(at))
            set_timer(ours, "w", str(name), TimeDomain.WATERMARK, Timestamp(at))
        else:
            beams.clear_timer("w", str(name), TimeDomain.WATERMARK)
            ours.clear_timer("w", str(name), TimeDomain.WATERMARK)
        for now in (0, 4, 9):
            assert look(ours, watermark=Timestamp(now)) == beams.get_timers(watermark=Timestamp(now))
    assert look(ours, clear=True) == beams.get_timers(clear=True)


def test_timer_by_the_clock_is_always_looked_at():
    state = trigger.InMemoryUnmergedState()
    look = local_runner._when_due(trigger.InMemoryUnmergedState.get_timers)
    state.set_timer("w", "soon", TimeDomain.REAL_TIME, Timestamp(5))
    assert look(state, watermark=Timestamp(0), processing_time=Timestamp(4)) == ([], True)
    assert look(state, watermark=Timestamp(0), processing_time=Timestamp(6))[0]


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
            self._transform_keyed_states = {AppliedPTransform(None, None, "step", {}, None, None): {}}
            self._watermark_manager = SimpleNamespace(get_watermarks=lambda _: None)

    context, tag = Context(), trigger._ListStateTag("seen")
    (states,) = context._transform_keyed_states.values()
    look = local_runner._now_and_then(lambda _: ([], True))

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


def test_bundles_of_a_step_with_state_go_in_the_order_in_which_they_came(lightened):
    """As it comes, the runner takes the newest of those that wait."""
    submitted = []
    state = executor._SerialEvaluationState(SimpleNamespace(submit=submitted.append), set())
    for number in ("1st", "2nd", "3rd"):
        state.schedule(number)
    for number in ("1st", "2nd", "3rd"):
        assert submitted[-1] == number
        state.complete(number)


def test_empty_bundle_goes_no_further(lightened):
    """A Flatten makes one of each of its inputs."""
    noted.clear()
    options = PipelineOptions()
    options.view_as(StandardOptions).streaming = True
    with beam.Pipeline(runner=BundleBasedDirectRunner(), options=options) as pipeline:
        found = pipeline | TestStream().add_elements(["a", "b"]).advance_watermark_to_infinity()
        wanted, unwanted = found | beam.Filter("a".__eq__), found | "None" >> beam.Filter("c".__eq__)
        _ = (wanted, unwanted) | beam.Flatten() | beam.ParDo(Noting())
    assert noted == [["a"]]


class Step:
    """A step of a graph, as far as the runner asks for it."""

    parts = ()

    def __init__(self, transform, *producers):
        self.transform, self.inputs = transform, [SimpleNamespace(producer=producer) for producer in producers]


@pytest.mark.parametrize(
    ("pending", "reads"),
    [("source", True), ("key", False), ("group", False), ("judge", True), ("commit", True), ("insert", True)],
)
def test_nothing_is_read_while_a_bundle_is_on_its_way_to_the_sessions(pending, reads):
    """It holds their watermark: under load no session would ever fire. What comes after them holds up nobody."""
    read = []
    steps = {"source": Step(None)}
    steps["key"] = Step(None, steps["source"])
    steps["group"] = Step(_StreamingGroupAlsoByWindow(core.Windowing(window.Sessions(1))), steps["key"])
    steps["judge"] = Step(None, steps["group"])
    steps["commit"] = Step(_StreamingGroupAlsoByWindow(core.Windowing(window.GlobalWindows())), steps["judge"])
    steps["insert"] = Step(None, steps["commit"])
    of_step = {found: SimpleNamespace(_pending={1} if name == pending else set()) for name, found in steps.items()}
    run = SimpleNamespace(
        all_updates=SimpleNamespace(_queue=queue.Queue()),
        transform_executor_services=SimpleNamespace(_serial_cache={}, executors=frozenset()),
        evaluation_context=SimpleNamespace(_watermark_manager=SimpleNamespace(get_watermarks=of_step.get)),
        all_nodes=frozenset(steps.values()),
        root_nodes={steps["source"]},
        node_to_pending_bundles={steps["source"]: ["bundle"]},
        schedule_consumption=lambda _step, bundle, *_: read.append(bundle),
        default_completion_callback=None,
    )
    local_threads.read_on(SimpleNamespace(_executor=run), timers_fired=False)
    assert bool(read) == reads


def test_what_follows_the_sessions_takes_one_bundle_after_the_other():
    """Side by side they would overtake each other, and an older look at a vehicle would come last."""
    grouping = Step(_StreamingGroupAlsoByWindow(core.Windowing(window.Sessions(1))))
    leaving = Step(None, grouping)
    with_state = Step("state", leaving)
    serially = local_threads.after_sessions_too(lambda _registry, step: step.transform == "state")
    assert serially(None, leaving)
    assert serially(None, Step(None, leaving))
    assert serially(None, with_state)
    assert not serially(None, Step(None, with_state))
    assert not serially(None, Step(None, Step(_StreamingGroupAlsoByWindow(core.Windowing(window.GlobalWindows())))))


def test_timers_on_their_way_are_not_sent_again():
    look = local_threads.once_delivered(lambda _: (["timer"], False))
    assert look(SimpleNamespace(_fired_timers=set())) == (["timer"], False)
    assert look(SimpleNamespace(_fired_timers={"timer"})) == ([], True)


noted = []


class Noting(beam.DoFn):
    """Notes its bundles."""

    def start_bundle(self):
        noted.append([])

    def process(self, element):
        noted[-1].append(element)
