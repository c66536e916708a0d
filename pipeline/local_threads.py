"""How the threads of the local streaming runner share its work.

As it comes (Beam 2.77) the runner has one thread, which stands still while a step waits for Vision or BigQuery.
Here several do, while one bundle computes; and messages are read meanwhile.
"""

# ruff: noqa: ANN401 (Beam's own types are Any here)
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from apache_beam.runners.direct import executor
from apache_beam.runners.direct.direct_runner import _StreamingGroupAlsoByWindow
from apache_beam.transforms.window import Sessions

REST_S = 0.01
WORKERS = 8  # threads: one for the monitor, one for the reader; one bundle computes, others wait for services
STOP_S = 1  # how long a thread without work takes to notice the end
MAX_BUNDLES = 16  # in the graph at once: with more of them no message is read


def read_on(monitor: Any, timers_fired: bool) -> None:
    """Read while bundles are under way, unless they are many: as it comes, one call of Vision stops the reading.

    But not while a bundle is on its way to the sessions: it holds their watermark, which would never move if there
    always were one. Before that, rest until a bundle is done: as it comes, the monitor asks without end.
    """
    run = monitor._executor
    done = run.all_updates._queue
    with done.not_empty:
        if not done._qsize():
            done.not_empty.wait(REST_S)
    services = run.transform_executor_services
    waiting = sum(len(state.serial_queue) for state in list(services._serial_cache.values()))
    if timers_fired or len(services.executors) + waiting >= MAX_BUNDLES:
        return
    of_step = run.evaluation_context._watermark_manager.get_watermarks
    if any(of_step(step)._pending for step in _up_to_sessions(run)):
        return
    for step, bundles in run.node_to_pending_bundles.items():
        while bundles:
            run.schedule_consumption(step, bundles.pop(), [], run.default_completion_callback)


def _up_to_sessions(run: Any) -> list[Any]:
    """The steps that make sessions, and all between the roots and them; in a graph without any, all but the roots."""
    if not hasattr(run, "up_to_sessions"):
        asked = [step for step in run.all_nodes if _makes_sessions(step)]
        steps = set(asked)
        while asked:
            producers = {_leaf(found.producer) for found in asked.pop().inputs if found.producer} - steps
            steps |= producers
            asked += producers
        run.up_to_sessions = [step for step in steps or run.all_nodes if step not in run.root_nodes]
    return run.up_to_sessions  # type: ignore[no-any-return]


def _makes_sessions(step: Any) -> bool:
    """What is grouped later, in no window, waits for no watermark."""
    grouping = step.transform
    return isinstance(grouping, _StreamingGroupAlsoByWindow) and isinstance(grouping.windowing.windowfn, Sessions)


def _leaf(step: Any) -> Any:
    """The step itself, or the last one of its parts."""
    while step.parts:
        step = step.parts[-1]
    return step


def after_sessions_too(ask: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """What follows the sessions, up to the next step with a state, takes one bundle after the other: looks at a vehicle
    stay in order."""
    known: dict[Any, bool] = {}

    def follows_sessions(registry: Any, step: Any) -> bool:
        if step not in known:
            producers = [_leaf(found.producer) for found in step.inputs if found.producer]
            known[step] = any(
                _makes_sessions(one) or (not ask(registry, one) and follows_sessions(registry, one))
                for one in producers
            )
        return known[step]

    return lambda registry, step: ask(registry, step) or follows_sessions(registry, step)


def one_at_a_time(count_or_tell: Callable[..., Any]) -> Callable[..., Any]:
    """Counters are counted by one thread at a time."""

    def alone(*args: Any, **kwargs: Any) -> Any:
        with _counting:
            return count_or_tell(*args, **kwargs)

    return alone


_counting = threading.RLock()


def once_delivered(extract: Callable[[Any], tuple[list[Any], bool]]) -> Callable[[Any], tuple[list[Any], bool]]:
    """A step whose timers are on their way gets no others, nor the same ones again."""
    return lambda watermarks: ([], True) if watermarks._fired_timers else extract(watermarks)


def unless_empty(schedule: Callable[[Any, Any], None]) -> Callable[[Any, Any], None]:
    """A bundle without elements goes no further: each Flatten makes one of each of its inputs, again and again."""

    def schedule_consumers(run: Any, bundle: Any) -> None:
        if bundle.has_elements():
            schedule(run, bundle)

    return schedule_consumers


def with_results_of_others(is_executing: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """What another thread has just finished is work too, until the monitor has passed it on."""
    return lambda monitor: is_executing(monitor) or not monitor._executor.all_updates._queue.empty()


def in_order_of_arrival(state: Any, new_work: Any, completed_work: Any) -> None:
    """The bundles of a step with state one after the other; as it comes, the newest of those that wait is next."""
    with state._lock:
        if new_work:
            state.serial_queue.append(new_work)
        if completed_work:
            state.currently_evaluating = None
        if state.serial_queue and not state.currently_evaluating:
            state.currently_evaluating = state.serial_queue.popleft()
            executor._TransformEvaluationState.schedule(state, state.currently_evaluating)
