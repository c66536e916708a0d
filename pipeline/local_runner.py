"""Beam's local streaming runner, fit for a run that lasts.

As it comes (2.77), BundleBasedDirectRunner asks every method of a step for its signature at every bundle, makes a class
for every look at a trigger, copies states deeply, looks at the timers of every key on every turn of a loop that never
rests, and never forgets a key. That is most of its time, and memory that only grows. The functions replaced here give
the same answers with less work; Beam's version is pinned in setup.py.
"""

from __future__ import annotations

import copy
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from apache_beam.runners.direct import evaluation_context
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.transforms import core, trigger

TIMER_PERIOD_S = 0.5  # how late a timer may fire: far below any session gap
REST_S = 0.001


class LocalRunner(BundleBasedDirectRunner):
    """Runs a streaming pipeline on this machine."""

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:  # noqa: ANN401 (Beam's types are Any here)
        """Run it; the result's state tells when it ends."""
        _lighten()
        return super().run_pipeline(pipeline, options)


def _lighten() -> None:
    """Put the lighter functions in place, once for the process."""
    context = evaluation_context.EvaluationContext
    if hasattr(context, "lightened"):
        return
    context.lightened = True
    core.get_signature = _remembered(core.get_signature)
    trigger._CombiningValueStateTag.without_extraction = _made_once(trigger._CombiningValueStateTag.without_extraction)
    trigger.InMemoryUnmergedState.copy = _copy_of_state
    context.extract_all_timers = _rested(context.extract_all_timers)
    evaluation_context.DirectStepContext.get_keyed_state = _keyed_state


def _remembered(ask: Callable[[Any], object]) -> Callable[[Any], object]:
    """Signatures never change."""
    known: dict[tuple[object, bool], object] = {}

    def get_signature(function: Any) -> object:  # noqa: ANN401 (any callable)
        key = (getattr(function, "__func__", function), hasattr(function, "__self__"))
        if key not in known:
            known[key] = ask(function)
        return known[key]

    return get_signature


def _made_once(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The combiner of a tag without its last step is always the same."""
    known: dict[object, Any] = {}

    def without_extraction(tag: Any) -> Any:  # noqa: ANN401
        if tag.combine_fn not in known:
            known[tag.combine_fn] = make(tag).combine_fn
        return trigger._CombiningValueStateTag(tag.tag, known[tag.combine_fn])

    return without_extraction


def _copy_of_state(state: Any) -> Any:  # noqa: ANN401
    """A copy to change in its place: new containers, while windows, times and values are never changed themselves."""
    made = trigger.InMemoryUnmergedState(defensive_copy=state.defensive_copy)
    made.timers = defaultdict(dict, {window: dict(timers) for window, timers in state.timers.items()})
    made.global_state = {tag: _copy_of_value(value) for tag, value in state.global_state.items()}
    for window, tags in state.state.items():
        for tag, values in tags.items():
            made.state[window][tag] = copy.copy(values)
    return made


def _copy_of_value(value: Any) -> Any:  # noqa: ANN401
    """The merged windows' ids: lists in a dictionary; anything else is replaced as a whole."""
    return {window: list(ids) for window, ids in value.items()} if isinstance(value, dict) else value


def _rested(extract: Callable[[Any], tuple[list[Any], bool]]) -> Callable[[Any], tuple[list[Any], bool]]:
    """Look at the timers every TIMER_PERIOD_S, and rest in between. The run never ends, so a timer may always wait.

    Under the lock that commits take: no state may appear or change while they are looked at and pruned.
    """

    def extract_all_timers(context: Any) -> tuple[list[Any], bool]:  # noqa: ANN401
        if time.monotonic() < getattr(context, "look_again_at", 0.0):
            time.sleep(REST_S)
            return [], True
        with context._lock:
            found = extract(context)
            for states in context._transform_keyed_states.values():
                _prune(states)
        context.look_again_at = time.monotonic() + TIMER_PERIOD_S
        return found

    return extract_all_timers


def _prune(states: dict[Any, Any]) -> None:
    """Forget keys that hold neither state nor timer any more."""
    for key in [key for key, state in states.items() if _is_empty(state)]:
        del states[key]


def _keyed_state(step: Any, key: Any) -> Any:  # noqa: ANN401
    """A bundle's own copy of a key's state. It is put among the others when the bundle is committed, and not before."""
    if key not in step.partial_keyed_state:
        state = step.existing_keyed_state.get(key)
        step.partial_keyed_state[key] = evaluation_context.DirectUnmergedState() if state is None else state.copy()
    return step.partial_keyed_state[key]


def _is_empty(state: Any) -> bool:  # noqa: ANN401
    return not state.timers and not state.global_state and not any(state.state.values())
