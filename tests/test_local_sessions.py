"""Sessions in the local runner: the panes of Beam's own driver; what is late, what is on its way, what is over."""

from types import SimpleNamespace

import pytest
from apache_beam.runners.direct import evaluation_context, transform_evaluator
from apache_beam.runners.direct.util import KeyedWorkItem, TimerFiring
from apache_beam.transforms import core, trigger, window
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Duration, Timestamp
from apache_beam.utils.windowed_value import PaneInfoTiming, WindowedValue
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import local_runner, local_sessions

GAP_S, LATENESS_S = 41, 100
WINDOWING, EARLY_TOO = (
    core.Windowing(
        window.Sessions(GAP_S),
        trigger.AfterWatermark(early=early, late=trigger.AfterCount(1)),
        trigger.AccumulationMode.ACCUMULATING,
        allowed_lateness=Duration(seconds=LATENESS_S),
    )
    for early in (None, trigger.AfterCount(1))
)
TRIGGERS = pytest.mark.parametrize("windowing", [WINDOWING, EARLY_TOO], ids=["at the end", "early too"])


class Sessions:
    """The session step of one key by the runner's own evaluator, bundle by bundle."""

    def __init__(self, windowing=WINDOWING, *, beams=False):
        self.states = {} if beams else local_sessions.SessionStates(windowing)
        self._driver = trigger.create_trigger_driver(windowing) if beams else local_sessions.SessionDriver(windowing)
        self.hold_s = None
        self.panes = []

    def bundle(self, at_s, *seen, timers=()):
        """What comes out of a bundle at watermark `at_s`: of each pane its values and when it ends.

        `panes` holds what each says of itself.
        """
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
        self.panes = [one.pane_info for one in sorted(evaluator.gabw_items, key=lambda one: one.windows[0].start)]
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


class Both:
    """The same bundles for both drivers."""

    def __init__(self, windowing):
        self.ours, self.beams = Sessions(windowing), Sessions(windowing, beams=True)
        self._renamed = False  # whether Beam's has called a pane early that no other follows: it counts otherwise then

    def bundle(self, at_s, *seen, timers=False):
        fired = [one.bundle(at_s, *seen, timers=one.due(at_s) if timers else ()) for one in (self.ours, self.beams)]
        assert fired[0] == fired[1]
        for own, other in zip(self.ours.panes, self.beams.panes, strict=True):
            assert (own.is_first, own.is_last, own.index) == (other.is_first, other.is_last, other.index)
            late_or_early = (own.timing, other.timing) == (PaneInfoTiming.LATE, PaneInfoTiming.EARLY)
            self._renamed |= late_or_early
            assert own.timing == other.timing or late_or_early
            assert own.nonspeculative_index == other.nonspeculative_index or self._renamed
        return fired[0]


@TRIGGERS
@given(steps=steps)
@settings(max_examples=500)
def test_panes_are_those_of_beam(windowing, steps):
    """The watermark goes on, timers fire, and sightings come: early, on time, late and too late."""
    both = Both(windowing)
    at_s = 1000
    for passed_s, seen in steps:
        at_s += passed_s
        both.bundle(at_s, timers=True)
        both.bundle(at_s, *(at_s + ago_s for ago_s in seen))
        both.ours.forget(at_s)
    both.bundle(at_s + 1000, timers=True)


@given(steps)
def test_what_is_early_is_fired_again_and_nothing_else_is_held_back(steps):
    """Whoever passes over early panes misses nothing: the last pane of each sighting is not early."""
    sessions = Sessions(EARLY_TOO)
    at_s, last = 1000, {}
    for passed_s, seen in [*steps, (1000, [])]:
        at_s += passed_s
        for bundle in ({"timers": sessions.due(at_s)}, {"seen": [at_s + ago_s for ago_s in seen]}):
            fired = sessions.bundle(at_s, *bundle.pop("seen", ()), **bundle)
            by_start = sorted(fired, key=lambda one: one[2])
            for (values, _, _), pane in zip(by_start, sessions.panes, strict=True):
                last |= dict.fromkeys(values, pane.timing)
    assert PaneInfoTiming.EARLY not in last.values()


def test_early_panes_then_one_on_time_then_late_ones():
    sessions = Sessions(EARLY_TOO)
    told = []
    for at_s, seen, timers in ((1000, [1000], False), (1005, [1010], False), (1052, [], True), (1060, [1020], False)):
        fired = sessions.seen(at_s, *seen, timers=sessions.due(at_s) if timers else ())
        told += [(*fired, one.timing, one.index, one.nonspeculative_index) for one in sessions.panes]
    assert told == [
        ([1000], PaneInfoTiming.EARLY, 0, -1),
        ([1000, 1010], PaneInfoTiming.EARLY, 0, -1),  # another window, since it ends later
        ([1000, 1010], PaneInfoTiming.ON_TIME, 1, 0),
        ([1000, 1010, 1020], PaneInfoTiming.LATE, 0, 0),
    ]


@TRIGGERS
@given(steps=steps)
def test_watermark_waits_for_sessions_that_have_not_fired_and_for_no_others(windowing, steps):
    sessions = Sessions(windowing)
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
        core.Windowing(
            window.Sessions(10),
            trigger.AfterWatermark(early=trigger.AfterCount(2), late=trigger.AfterCount(1)),
            trigger.AccumulationMode.ACCUMULATING,
        ),
    ],
)
def test_other_windows_are_left_to_beam(other):
    assert not local_sessions.fits(other)
    assert local_sessions.fits(WINDOWING)
    assert local_sessions.fits(EARLY_TOO)
    made = local_sessions.driver(trigger.create_trigger_driver)(other)
    assert isinstance(made, trigger.GeneralTriggerDriver)


def test_new_key_of_other_steps_has_a_state_of_beams():
    step = SimpleNamespace(partial_keyed_state={}, existing_keyed_state={})
    assert isinstance(local_runner._keyed_state(step, b"k"), evaluation_context.DirectUnmergedState)
