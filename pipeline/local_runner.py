"""Beam's local streaming runner, fit for a run that lasts.

As it comes (2.77), BundleBasedDirectRunner pickles, sets up and asks every step for its signatures at every bundle,
copies states deeply, compares the holds of all keys at every commit, looks at the timers of all keys on every turn of a
loop that never rests, sends empty bundles through every step, stands still while one step waits for a service, and
never forgets a key. That is most of its time, and memory that only grows; and a timer on its way can clear the one that
has taken its place. What is replaced here gives the same answers with less work, and loses none; Beam's version is
pinned in setup.py. How it reads Pub/Sub is in local_reader, how it keeps sessions in local_sessions, how its threads
share the work in local_threads.
"""

# ruff: noqa: ANN401 (Beam's own types are Any here)
from __future__ import annotations

import copy
import heapq
import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, ClassVar

from apache_beam.internal import pickler
from apache_beam.runners import common
from apache_beam.runners.direct import (
    direct_metrics,
    evaluation_context,
    executor,
    transform_evaluator,
    watermark_manager,
)
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner, _StreamingGroupAlsoByWindow
from apache_beam.transforms import core, trigger, userstate
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp

from pipeline import local_reader, local_sessions, local_threads

TIMER_PERIOD_S = 1.0  # how late a timer may fire: far below any session gap
PRUNE_PERIOD_S = 5.0


class LocalRunner(BundleBasedDirectRunner):
    """Runs a streaming pipeline on this machine."""

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:
        """Run it; the result's state tells when it ends."""
        _lighten()
        return super().run_pipeline(pipeline, options)


def _lighten() -> None:
    """Put the lighter functions in place, once for the process."""
    context = evaluation_context.EvaluationContext
    if not hasattr(context, "lightened"):
        context.lightened = True
        for owner, name, lighter in _replacements():
            setattr(owner, name, lighter)


def _replacements() -> Iterator[tuple[object, str, object]]:
    """What is replaced: the module or class, the name in it, and what takes its place."""
    state, watermarks = trigger.InMemoryUnmergedState, watermark_manager
    dofn_specs = _asked_once(userstate.get_dofn_specs)
    yield core, "get_signature", _remembered(core.get_signature)
    yield core, "get_function_args_defaults", _remembered(core.get_function_args_defaults)
    yield userstate, "get_dofn_specs", dofn_specs
    yield transform_evaluator, "get_dofn_specs", dofn_specs
    yield userstate, "validate_stateful_dofn", _asked_once(userstate.validate_stateful_dofn)
    yield transform_evaluator, "create_trigger_driver", local_sessions.driver(transform_evaluator.create_trigger_driver)
    yield transform_evaluator, "pickler", _KeptDoFns
    yield transform_evaluator, "DoFnRunner", _KeptDoFnRunner
    yield Timestamp, "micros", property(_micros)
    evaluator = transform_evaluator._TransformEvaluator
    yield evaluator, "process_timer_wrapper", _unless_replaced(evaluator.process_timer_wrapper)
    yield state, "copy", _copy_of_state
    yield state, "get_timers", _when_due(state.get_timers)
    yield state, "set_timer", _due_again(state.set_timer)
    of_step = watermarks._TransformWatermarks
    yield of_step, "__init__", _with_ordered_holds(of_step.__init__)
    yield of_step, "extract_transform_timers", local_threads.once_delivered(of_step.extract_transform_timers)
    yield evaluation_context.DirectStepContext, "get_keyed_state", _keyed_state
    yield transform_evaluator._PubSubReadEvaluator, "finish_bundle", local_reader.read
    parallel = executor._ExecutorServiceParallelExecutor
    yield parallel, "NUM_WORKERS", local_threads.WORKERS
    yield executor._ExecutorService._ExecutorServiceWorker, "TIMEOUT", local_threads.STOP_S
    registry = transform_evaluator.TransformEvaluatorRegistry
    yield registry, "should_execute_serially", local_threads.after_sessions_too(registry.should_execute_serially)
    for name in ("commit_logical", "commit_physical", "query"):
        yield (
            direct_metrics.DirectMetrics,
            name,
            local_threads.one_at_a_time(getattr(direct_metrics.DirectMetrics, name)),
        )
    yield parallel, "schedule_consumers", local_threads.unless_empty(parallel.schedule_consumers)
    monitor = parallel._MonitorTask
    yield monitor, "_is_executing", local_threads.with_results_of_others(monitor._is_executing)
    yield monitor, "_add_work_if_necessary", local_threads.read_on
    yield executor._SerialEvaluationState, "_update_currently_evaluating", local_threads.in_order_of_arrival
    context = evaluation_context.EvaluationContext
    yield context, "_initialize_keyed_states", _with_sessions(context._initialize_keyed_states)
    yield context, "extract_all_timers", _now_and_then(context.extract_all_timers)


class _KeptDoFns:
    """Stands where the runner pickles a step's DoFn for each bundle: one that has served serves the next bundle too."""

    _of_steps: ClassVar[dict[int, tuple[Any, list[Any]]]] = {}
    _free_of: ClassVar[dict[int, list[Any]]] = {}

    @classmethod
    def roundtrip(cls, dofn: Any) -> Any:
        """A copy of the step's DoFn that no other bundle uses."""
        _, free = cls._of_steps.setdefault(id(dofn), (dofn, []))
        try:
            return free.pop()
        except IndexError:
            made = pickler.roundtrip(dofn)
            cls._free_of[id(made)] = free
            return made

    @classmethod
    def give_back(cls, dofn: Any) -> None:
        """After a bundle that went well; one that failed may have left its DoFn in any state."""
        cls._free_of[id(dofn)].append(dofn)


class _KeptDoFnRunner(common.DoFnRunner):
    """Sets a DoFn up before its first bundle only, and never tears it down."""

    def __init__(self, dofn: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(dofn, *args, **kwargs)
        self._dofn = dofn

    def setup(self) -> None:
        """Once for each DoFn."""
        if not getattr(self._dofn, "is_set_up", False):
            super().setup()
            self._dofn.is_set_up = True

    def teardown(self) -> None:
        """The bundle went well."""
        _KeptDoFns.give_back(self._dofn)


class _Holds(dict[Any, Any]):
    """The watermark holds of a step's keys; of their values only the earliest is ever asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[int, int, Any, Any]] = []
        self._number = count()

    def __setitem__(self, key: Any, hold: Any) -> None:
        if hold is not None and hold < MAX_TIMESTAMP and self.get(key) != hold:
            heapq.heappush(self._heap, (hold.micros, next(self._number), key, hold))
        super().__setitem__(key, hold)

    def values(self) -> Any:
        """The earliest hold, if there is one."""
        while self._heap and self.get(self._heap[0][2]) != self._heap[0][3]:
            heapq.heappop(self._heap)
        return [hold for _, _, _, hold in self._heap[:1]]


def _unless_replaced(fire: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """A timer on its way whose place another one has taken is not delivered: it would clear the other one, and a
    session that had just grown would never fire."""

    def process_timer_wrapper(evaluator: Any, firing: Any) -> None:
        state = evaluator._step_context.get_keyed_state(firing.encoded_key)
        timer = (firing.name, firing.time_domain, firing.dynamic_timer_tag)
        if state.timers.get(firing.window, {}).get(timer) == firing.timestamp:
            fire(evaluator, firing)

    return process_timer_wrapper


def _with_ordered_holds(make: Callable[..., None]) -> Callable[..., None]:
    def __init__(watermarks: Any, *args: Any) -> None:
        make(watermarks, *args)
        watermarks._keyed_earliest_holds = _Holds()

    return __init__


def _when_due(get: Callable[..., Any]) -> Callable[..., Any]:
    """A state whose earliest timer lies ahead need not be looked through."""
    now: list[Any] = [None, 0]  # the same for all states of a look: its micros are worked out once

    def get_timers(
        state: Any,
        clear: bool = False,
        watermark: Any = MAX_TIMESTAMP,
        processing_time: Any = None,
    ) -> Any:
        if not clear:
            due_us = getattr(state, "due_us", None)
            if due_us is None:
                due_us = state.due_us = _due_us(state)
            if watermark is not now[0]:
                now[:] = watermark, watermark.micros
            if due_us > now[1]:
                return [], False
        return get(state, clear, watermark, processing_time)

    return get_timers


def _due_us(state: Any) -> float:
    """When its first timer is due by the watermark; a timer by the clock is always looked at."""
    return min(
        (
            at.micros if domain == TimeDomain.WATERMARK else -math.inf
            for timers in state.timers.values()
            for (_, domain, _), at in timers.items()
        ),
        default=math.inf,
    )


def _due_again(set_it: Callable[..., None]) -> Callable[..., None]:
    def set_timer(state: Any, *args: Any, **kwargs: Any) -> None:
        set_it(state, *args, **kwargs)
        state.due_us = None

    return set_timer


def _remembered(ask: Callable[[Any], object]) -> Callable[[Any], object]:
    """Signatures never change."""
    known: dict[tuple[object, bool], object] = {}

    def get_signature(function: Any) -> object:
        key = (getattr(function, "__func__", function), hasattr(function, "__self__"))
        if key not in known:
            known[key] = ask(function)
        return known[key]

    return get_signature


def _asked_once(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """What a DoFn's methods ask for never changes."""
    known: dict[int, tuple[Any, Any]] = {}

    def asked(dofn: Any) -> Any:
        if id(dofn) not in known:
            known[id(dofn)] = (dofn, ask(dofn))
        return known[id(dofn)][1]

    return asked


_plain_micros = Timestamp.micros.fget


def _micros(timestamp: Any) -> int:
    """Asked for at each look at a window."""
    if timestamp._precision == Timestamp.MICROS_PRECISION:
        return int(timestamp._seconds * 1_000_000 + timestamp._subseconds)
    return int(_plain_micros(timestamp))


def _copy_of_state(state: Any) -> Any:
    """A copy to change in its place: new containers, while windows, times and values are never changed themselves."""
    made = trigger.InMemoryUnmergedState(defensive_copy=state.defensive_copy)
    made.timers = defaultdict(dict, {window: dict(timers) for window, timers in state.timers.items()})
    made.global_state = {tag: _copy_of_value(value) for tag, value in state.global_state.items()}
    for window, tags in state.state.items():
        for tag, values in tags.items():
            made.state[window][tag] = copy.copy(values)
    return made


def _copy_of_value(value: Any) -> Any:
    """The merged windows' ids: lists in a dictionary; anything else is replaced as a whole."""
    return {window: list(ids) for window, ids in value.items()} if isinstance(value, dict) else value


def _now_and_then(extract: Callable[[Any], tuple[list[Any], bool]]) -> Callable[[Any], tuple[list[Any], bool]]:
    """Look at the timers every TIMER_PERIOD_S. The run never ends, so a timer may always wait.

    Under the lock that commits take: no state may appear or change while they are looked at and pruned.
    """

    def extract_all_timers(context: Any) -> tuple[list[Any], bool]:
        if time.monotonic() < getattr(context, "look_again_at", 0.0):
            return [], True
        with context._lock:
            found = extract(context)
            if time.monotonic() > getattr(context, "prune_again_at", 0.0):
                context.prune_again_at = time.monotonic() + PRUNE_PERIOD_S
                for step, states in context._transform_keyed_states.items():
                    if isinstance(states, local_sessions.SessionStates):
                        states.forget(context._watermark_manager.get_watermarks(step).input_watermark)
                    else:
                        _prune(states)
        context.look_again_at = time.monotonic() + TIMER_PERIOD_S
        return found

    return extract_all_timers


def _with_sessions(initialize: Callable[..., dict[Any, Any]]) -> Callable[..., dict[Any, Any]]:
    """Steps that group by session windows keep sessions."""

    def _initialize_keyed_states(context: Any, *graph: Any) -> dict[Any, Any]:
        states = initialize(context, *graph)
        for step in states:
            if isinstance(step.transform, _StreamingGroupAlsoByWindow) and local_sessions.fits(
                step.transform.windowing
            ):
                states[step] = local_sessions.SessionStates(step.transform.windowing)
        return states

    return _initialize_keyed_states


def _prune(states: dict[Any, Any]) -> None:
    """Forget keys that hold neither state nor timer any more."""
    for key in [key for key, state in states.items() if _is_empty(state)]:
        del states[key]


def _keyed_state(step: Any, key: Any) -> Any:
    """A bundle's own copy of a key's state. It is put among the others when the bundle is committed, and not before."""
    if key not in step.partial_keyed_state:
        state = step.existing_keyed_state.get(key)
        new = getattr(step.existing_keyed_state, "new", evaluation_context.DirectUnmergedState)
        step.partial_keyed_state[key] = new() if state is None else state.copy()
    return step.partial_keyed_state[key]


def _is_empty(state: Any) -> bool:
    return not any(state.timers.values()) and not state.global_state and not any(state.state.values())
