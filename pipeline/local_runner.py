"""Beam's local streaming runner, fit for a run that lasts.

As it comes (2.77), BundleBasedDirectRunner asks every method of a step for its signature at every bundle, looks at the
timers of every key on every turn of a loop that never rests, and never forgets a key. That is most of its time, and
memory that only grows. The three functions replaced here do the same, less often; the version is pinned in setup.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from apache_beam.runners.direct import watermark_manager
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.transforms import core

TIMER_PERIOD_S = 0.1  # how late a timer may fire: far below any session gap
REST_S = 0.001


class LocalRunner(BundleBasedDirectRunner):
    """Runs a streaming pipeline on this machine."""

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:  # noqa: ANN401 (Beam's types are Any here)
        """Run it; the result's state tells when it ends."""
        core.get_signature = _remembered(core.get_signature)
        watermark_manager.WatermarkManager.extract_all_timers = _rested(
            watermark_manager.WatermarkManager.extract_all_timers
        )
        watermark_manager._TransformWatermarks.extract_transform_timers = _pruned(
            watermark_manager._TransformWatermarks.extract_transform_timers
        )
        return super().run_pipeline(pipeline, options)


def _remembered(ask: Callable[[Any], object]) -> Callable[[Any], object]:
    """Signatures never change."""
    known: dict[tuple[object, bool], object] = {}

    def get_signature(function: Any) -> object:  # noqa: ANN401 (any callable)
        key = (getattr(function, "__func__", function), hasattr(function, "__self__"))
        if key not in known:
            known[key] = ask(function)
        return known[key]

    return get_signature


def _rested(extract: Callable[[Any], tuple[list[Any], bool]]) -> Callable[[Any], tuple[list[Any], bool]]:
    """Look at the timers every TIMER_PERIOD_S, and rest in between. The run never ends, so a timer may always wait."""

    def extract_all_timers(manager: Any) -> tuple[list[Any], bool]:  # noqa: ANN401
        now = time.monotonic()
        if now < getattr(manager, "look_again_at", 0.0):
            time.sleep(REST_S)
            return [], True
        found = extract(manager)
        manager.look_again_at = time.monotonic() + TIMER_PERIOD_S
        return found

    return extract_all_timers


def _pruned(extract: Callable[[Any], tuple[list[Any], bool]]) -> Callable[[Any], tuple[list[Any], bool]]:
    """Forget keys that hold neither state nor timer any more."""

    def extract_transform_timers(watermarks: Any) -> tuple[list[Any], bool]:  # noqa: ANN401
        found = extract(watermarks)
        states = watermarks._keyed_states
        for key in [key for key, state in list(states.items()) if _is_empty(state)]:
            del states[key]
        return found

    return extract_transform_timers


def _is_empty(state: Any) -> bool:  # noqa: ANN401
    return not any(state.timers.values()) and not any(state.state.values()) and not state.global_state
