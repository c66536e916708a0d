"""Session windows in the local streaming runner: the sessions of a key as plain records.

Beam's own driver (2.77) serves any window with any trigger, and takes about a third of a millisecond for each element
and several kilobytes for each session. This one knows sessions that fire when the watermark passes their end and again,
whole, for what comes late, and those that fire for each arrival before their end, too: the same panes, in a tenth of
the time. One thing it calls by another name: where a session has fired and then grows past the watermark, Beam's driver
says that its next pane is early, although none on time will follow; here it is late.
"""

# ruff: noqa: ANN401 (Beam's own types and the values of a session are Any here)
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, NamedTuple

from apache_beam.transforms import core, trigger
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.window import IntervalWindow, Sessions, TimestampCombiner
from apache_beam.utils.timestamp import MAX_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming, WindowedValue

TRIGGER = trigger.AfterWatermark(late=trigger.AfterCount(1))
EARLY_TOO = trigger.AfterWatermark(early=trigger.AfterCount(1), late=trigger.AfterCount(1))
NAME = ("", TimeDomain.WATERMARK, "")  # of a session's one timer: its own, its domain's, its tag's


def fits(windowing: core.Windowing) -> bool:
    """Whether these are the windows and the trigger that this module knows."""
    return (
        isinstance(windowing.windowfn, Sessions)
        and windowing.triggerfn in (TRIGGER, EARLY_TOO)
        and windowing.accumulation_mode == trigger.AccumulationMode.ACCUMULATING
        and windowing.timestamp_combiner == TimestampCombiner.OUTPUT_AT_EOW
    )


class Session(NamedTuple):
    """A session: [start_us, end_us), its values, and whether it has fired on time or late: never early again.

    Panes are counted anew whenever the session grows: `panes` all, `due_panes` those that were not early.
    """

    start_us: int
    end_us: int
    values: tuple[Any, ...]
    panes: int = 0
    due_panes: int = 0
    has_ended: bool = False

    def joined(self, other: Session) -> Session:
        """Both as one, where `other` begins no earlier."""
        end_us = max(self.end_us, other.end_us)
        grows = end_us != self.end_us
        return Session(
            self.start_us,
            end_us,
            self.values + other.values,
            0 if grows else self.panes,
            0 if grows else self.due_panes,
            self.has_ended or other.has_ended,
        )


class SessionsOfKey:
    """What the runner calls the state of a key: its sessions in order of time. Records are replaced, never changed."""

    __slots__ = ("sessions",)

    def __init__(self, sessions: tuple[Session, ...] = ()) -> None:
        self.sessions = sessions

    def copy(self) -> SessionsOfKey:
        """For a bundle, to change as it likes."""
        return SessionsOfKey(self.sessions)

    @property
    def timers(self) -> dict[int, dict[tuple[str, str, str], Timestamp]]:
        """A timer at the end of each session that has not fired yet."""
        return {session.end_us: {NAME: Timestamp(micros=session.end_us)} for session in self._waiting()}

    def get_timers(
        self,
        clear: bool = False,
        watermark: Timestamp = MAX_TIMESTAMP,
        processing_time: object = None,
    ) -> tuple[list[tuple[int, tuple[str, str, Timestamp, str]]], bool]:
        """Those of them that are due; none goes by the clock."""
        if all(session.has_ended for session in self.sessions):
            return [], False
        now_us = watermark.micros
        due = [session.end_us for session in self._waiting() if session.end_us <= now_us]
        return [(end_us, (*NAME[:2], Timestamp(micros=end_us), NAME[2])) for end_us in due], False

    def clear_timer(self, *_timer: object, **_of: object) -> None:
        """It goes when its session fires."""

    def get_earliest_hold(self) -> Timestamp:
        """The watermark waits for each session that has not fired."""
        ends_us = [session.end_us for session in self._waiting()]
        return Timestamp(micros=min(ends_us) - 2) if ends_us else MAX_TIMESTAMP

    def forget(self, ended_us: int) -> None:
        """Drop the sessions that have fired and ended before then."""
        if any(session.end_us < ended_us for session in self.sessions):
            self.sessions = tuple(
                session for session in self.sessions if session.end_us >= ended_us or not session.has_ended
            )

    def _waiting(self) -> Iterator[Session]:
        return (session for session in self.sessions if not session.has_ended)


class SessionStates(dict[Any, SessionsOfKey]):
    """The keys of a step whose windows fit."""

    new = SessionsOfKey

    def __init__(self, windowing: core.Windowing) -> None:
        super().__init__()
        self._waited_us = windowing.allowed_lateness.micros + windowing.windowfn.gap_size.micros

    def forget(self, watermark: Timestamp) -> None:
        """Drop the sessions that nothing can join any more, and the keys without one.

        A session ends for good once its lateness has passed; an element that is not late may still reach back over one
        gap.
        """
        ended_us = watermark.micros - self._waited_us
        for state in self.values():
            state.forget(ended_us)
        for key in [key for key, state in self.items() if not state.sessions]:
            del self[key]


class SessionDriver:
    """Puts values into sessions, and says what they fire; what Beam calls a trigger driver."""

    def __init__(self, windowing: core.Windowing) -> None:
        self._lateness_us = windowing.allowed_lateness.micros
        self._early_too = windowing.triggerfn == EARLY_TOO

    def process_elements(
        self, state: SessionsOfKey, found: Iterable[WindowedValue], _output_watermark: object, now: Timestamp
    ) -> list[WindowedValue]:
        """Add what is not too late. A session that has fired on time, or whose end the watermark has passed, fires at
        once; with the trigger for it any other does too, early."""
        now_us = now.micros
        arrived = [
            Session(window.start.micros, window.end.micros, (one.value,)) for one in found for window in one.windows
        ]
        arrived = [session for session in arrived if now_us <= session.end_us + self._lateness_us]
        sessions, grown = _merged(state.sessions, arrived)
        late = {number for number in grown if sessions[number].has_ended or sessions[number].end_us <= now_us}
        panes = [
            _fire(sessions, number, PaneInfoTiming.LATE if number in late else PaneInfoTiming.EARLY)
            for number in grown
            if number in late or self._early_too
        ]
        state.sessions = tuple(sessions)
        return panes

    def process_timer(
        self, end_us: int, _name: str, _domain: str, at: Timestamp, state: SessionsOfKey, _now: object = None
    ) -> list[WindowedValue]:
        """The session of this timer fires, if it has not fired, nor grown."""
        sessions = list(state.sessions)
        due = [
            number
            for number, session in enumerate(sessions)
            if session.end_us == end_us and not session.has_ended and end_us <= at.micros
        ]
        panes = [_fire(sessions, number, PaneInfoTiming.ON_TIME) for number in due]
        state.sessions = tuple(sessions)
        return panes


def _merged(sessions: Iterable[Session], arrived: Iterable[Session]) -> tuple[list[Session], list[int]]:
    """All of them, those that overlap as one, and the numbers of those that something has arrived for."""
    merged: list[Session] = []
    grown: dict[int, None] = {}
    both = chain(((session, False) for session in sessions), ((session, True) for session in arrived))
    for session, is_new in sorted(both, key=lambda one: one[0].start_us):
        if merged and session.start_us < merged[-1].end_us:
            merged[-1] = merged[-1].joined(session)
        else:
            merged.append(session)
        if is_new:
            grown[len(merged) - 1] = None
    return merged, list(grown)


def _fire(sessions: list[Session], number: int, timing: int) -> WindowedValue:
    session = sessions[number]
    is_early = timing == PaneInfoTiming.EARLY
    sessions[number] = session._replace(
        panes=session.panes + 1, due_panes=session.due_panes + (not is_early), has_ended=not is_early
    )
    window = IntervalWindow(Timestamp(micros=session.start_us), Timestamp(micros=session.end_us))
    pane = PaneInfo(session.panes == 0, False, timing, session.panes, -1 if is_early else session.due_panes)
    return WindowedValue(list(session.values), window.max_timestamp(), (window,), pane)


def driver(make: Callable[..., Any]) -> Callable[..., Any]:
    """Stands where the runner makes a trigger driver."""

    def create_trigger_driver(windowing: core.Windowing, **options: Any) -> Any:
        return SessionDriver(windowing) if fits(windowing) else make(windowing, **options)

    return create_trigger_driver
