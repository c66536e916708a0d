"""Ctrl-C, a polite kill and a closed terminal: one KeyboardInterrupt, then quiet until everything is stopped."""

from __future__ import annotations

import signal
import sys
from types import FrameType

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP


class Interrupts:
    """The first signal raises KeyboardInterrupt in the main thread; further ones no longer disturb the stopping."""

    def __init__(self) -> None:
        self._pending = False

    def install(self) -> None:
        """From now on signals come here; an interrupt that a destructor swallows says nothing, check() repeats it."""
        tell = sys.unraisablehook
        sys.unraisablehook = lambda swallowed: None if swallowed.exc_type is KeyboardInterrupt else tell(swallowed)
        for number in SIGNALS:
            signal.signal(number, self._on_signal)

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came while something swallowed the first one, as destructors do."""
        if self._pending:
            raise KeyboardInterrupt

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        first, self._pending = not self._pending, True
        if first:
            raise KeyboardInterrupt
