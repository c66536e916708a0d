"""Sessions in the local runner: the panes of Beam's own driver; what is late, what is on its way, what is over."""

from types import SimpleNamespace

import pytest
from apache_beam.runners.direct import evaluation_context, transform_evaluator
from apache_beam.runners.direct.util import KeyedWorkItem, TimerFiring
from apache_beam.transforms import core, trigger, window
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Duration, Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import local_runner, local_sessions

GAP_S, LATENESS_S = 41, 100
WINDOWING = core.Windowing(
    window.Sessions(GAP_S),
    trigger.AfterWatermark(late=trigger.AfterCount(1)),
    trigger.AccumulationMode.ACCUMULATING,
    allowed_lateness=Duration(seconds=LATENESS_S),
)


class Sessions:
    """The session step of one key by the runner's own evaluator, bundle by bundle."""

    def __init__(self, *, beams=False):
        self.states = {} if beams else local_sessions.SessionStates(WINDOWING)
        self._driver = trigger.create_trigger_driver(WINDOWING) if beams else local_sessions.SessionDriver(WINDOWING)
        self.hold_s = None

    def bundle(self, at_s, *seen, timers=()):
        """What comes out of a bundle at watermark `at_s`: of each pane its values and when it ends."""
        evaluator = object.__new__(transform_evaluator._StreamingGroupAlsoByWindowEvaluator)
        evaluator._step_context = SimpleNamespace(partial_keyed_state={}, existing_keyed_state=self.states)
        evaluator._step_context.get_keyed_state = lambda key: local_runner._keyed_state(evaluator._step_context, key)
        watermarks = SimpleNamespace(input_watermark=Timestamp(at_s), output_watermark=Timestamp(at_s))
        manager = SimpleNamespace(get_watermarks=lambda _: watermarks)
        evaluator._evaluation_context = SimpleNamespace(_watermark_manager=manager)
        evaluator._applied_ptransform, evaluator.key_coder = None, SimpleNamespace(decode=lambda key: key)
        evaluator.driver, evaluator.gabw_items, evaluator.keyed_holds = self._driver, [], {}
        fire = local_runner._unless_replaced(transform_evaluator._TransformEvaluator.process_timer_wrapper)
        for timer in timers:
            fire(evaluator, timer)
        if seen:
            found = [WindowedValue(at, Timestamp(at), [window.IntervalWindow(at, at + GAP_S)]) for at in seen]
            evaluator.process_element(window.GlobalWindows.windowed_value(KeyedWorkItem(b"k", elements=found)))
        self.states.update(evaluator._step_context.partial_keyed_state)
        self.hold_s = evaluator.keyed_holds.get(b"k", self.hold_s)
        return sorted(
            (sorted(pane.value[1]), float(pane.timestamp), [(float(one.start), float(one.end)) for one in pane.windows])
            for pane in evaluator.gabw_items
        )

    def seen(self, at_s, *seen, timers=()):
        """The values alone."""
        return [values for values, _, _ in self.bundle(at_s, *seen, timers=timers)]

    def due(self, at_s):
        """The timers that a look at the watermark takes along."""
        return [
            TimerFiring(key, number, name, domain, at, dynamic_timer_tag=tag)
            for key, state in self.states.items()
            for number, (name, domain, at, tag) in state.get_timers(watermark=Timestamp(at_s))[0]
        ]

    def fired(self, at_s):
        """What the timers that are due then bring."""
        return self.seen(at_s, timers=self.due(at_s))

    def forget(self, at_s):
        self.states.forget(Timestamp(at_s))


steps = st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(-200, 20), max_size=3)), max_size=12)


@given(steps)
@settings(max_examples=500)
def test_panes_are_those_of_beam(steps):
    """The watermark goes on, timers fire, and sightings come: early, on time, late and too late."""
    ours, beams = Sessions(), Sessions(beams=True)
    at_s = 1000
    for passed_s, seen in steps:
        at_s += passed_s
        assert ours.bundle(at_s, timers=ours.due(at_s)) == beams.bundle(at_s, timers=beams.due(at_s))
        arrived = [at_s + ago_s for ago_s in seen]
        assert ours.bundle(at_s, *arrived) == beams.bundle(at_s, *arrived)
        ours.forget(at_s)
    assert ours.fired(at_s + 1000) == beams.fired(at_s + 1000)


@given(steps)
def test_watermark_waits_for_sessions_that_have_not_fired_and_for_no_others(steps):
    sessions = Sessions()
    at_s = 1000
    for passed_s, seen in steps:
        at_s += passed_s
        sessions.fired(at_s)
        sessions.bundle(at_s, *(at_s + ago_s for ago_s in seen))
        assert sessions.hold_s is None or sessions.hold_s > Timestamp(at_s) - 1
    sessions.fired(at_s + 1000)
    assert sessions.hold_s in (None, MAX_TIMESTAMP)


def test_session_that_grows_while_its_timer_is_on_its_way_still_fires():
    sessions = Sessions()
    sessions.seen(1000, 1000)
    on_its_way = sessions.due(1041.5)
    assert sessions.seen(1041.5, 1010) == []
    assert sessions.seen(1041.5, timers=on_its_way) == []
    assert sessions.fired(1052) == [[1000, 1010]]


def test_timer_that_is_delivered_twice_fires_once():
    sessions = Sessions()
    sessions.seen(1000, 1000)
    twice = sessions.due(1042) + sessions.due(1042)
    assert sessions.seen(1042, timers=twice) == [[1000]]


def test_session_is_forgotten_after_its_lateness_and_a_gap_and_not_before():
    sessions = Sessions()
    sessions.seen(1000, 1000, 1010)
    assert sessions.fired(1052) == [[1000, 1010]]
    sessions.forget(1051 + LATENESS_S + GAP_S)
    assert sessions.states
    sessions.forget(1051 + LATENESS_S + GAP_S + 1)
    assert not sessions.states


def test_session_that_may_still_be_joined_is_not_forgotten():
    """The latest sighting that is not late yet, and reaches back to the session's end."""
    sessions = Sessions()
    sessions.seen(1000, 1000)
    assert sessions.fired(1042) == [[1000]]
    at_s = 1040 + GAP_S + LATENESS_S
    sessions.forget(at_s)
    assert sessions.seen(at_s, 1040) == [[1000, 1040]]


def test_session_whose_timer_has_not_been_delivered_is_not_forgotten():
    sessions = Sessions()
    sessions.seen(1000, 1000)
    sessions.forget(10_000)
    assert sessions.fired(10_000) == [[1000]]


def test_bundle_that_fails_leaves_the_sessions_as_they_were():
    sessions = Sessions()
    sessions.seen(1000, 1000)
    step = SimpleNamespace(partial_keyed_state={}, existing_keyed_state=sessions.states)
    own = local_runner._keyed_state(step, b"k")
    own.sessions = ()
    assert sessions.fired(1042) == [[1000]]


@pytest.mark.parametrize(
    "other",
    [
        core.Windowing(window.FixedWindows(10)),
        core.Windowing(window.Sessions(10)),
        core.Windowing(
            window.Sessions(10),
            trigger.AfterWatermark(late=trigger.AfterCount(1)),
            trigger.AccumulationMode.DISCARDING,
        ),
    ],
)
def test_other_windows_are_left_to_beam(other):
    assert not local_sessions.fits(other)
    assert local_sessions.fits(WINDOWING)
    made = local_sessions.driver(trigger.create_trigger_driver)(other)
    assert isinstance(made, trigger.GeneralTriggerDriver)


def test_new_key_of_other_steps_has_a_state_of_beams():
    step = SimpleNamespace(partial_keyed_state={}, existing_keyed_state={})
    assert isinstance(local_runner._keyed_state(step, b"k"), evaluation_context.DirectUnmergedState)
