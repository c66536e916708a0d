"""Our functions by themselves: microseconds a sighting for each step of the streaming job, and a fine for judging.

Generated messages of a hundred sightings, with every fault of the generator; each step is timed on what the step before
it gave, CPU time, medians of several rounds. A step's DoFn is called as an engine calls it, but with a state and a
timer that keep nothing and counters that nobody reads: bench/sdk.py has them. Grouping is the local runner's own
(pipeline/local_sessions.py); elsewhere the engine groups.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from apache_beam.transforms.core import Windowing
from apache_beam.transforms.window import WindowFn
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from bench import traffic
from pipeline.enforcement import evidence, messages, passages, policy
from pipeline.enforcement.intake import Batch
from pipeline.enforcement.model import Case, Message, Passage, Passages, Sighting
from pipeline.local_sessions import SessionDriver, SessionsOfKey
from pipeline.options import Settings
from pipeline.transforms.coders import StructCoder
from pipeline.transforms.intake import _Decode
from pipeline.transforms.judge import _Judge
from pipeline.transforms.sessions import GroupSessions, Key, Measure, _MeasureAndRevise, keyed

LINE = "{:<32}{:>12}{:>12}"
FEW_PASSAGES = 100  # in an element, as a bundle gives them


class Row(NamedTuple):
    """Microseconds of a step for each sighting, or for each fine. None: it has no function, or no DoFn, of its own."""

    step: str
    function_us: float | None
    dofn_us: float | None = None
    each: str = "sighting"


class Work(NamedTuple):
    """What each step is timed on."""

    messages: list[Message]
    batches: list[Batch]
    keyed: list[WindowedValue]
    sessions: list[tuple[Key, list[Sighting]]]
    measured: list[Passage]
    decided: list[Passage]
    cases: list[Case]


class _Forgets:
    """A state that is empty, and a timer that is never set."""

    def read(self) -> None:
        """What was written is not kept."""

    def write(self, _value: object) -> None:
        """Kept by nobody."""

    set = write


def measure(folder: Path, sightings: int, repeats: int, sections: Path = traffic.SECTIONS) -> list[Row]:
    """All steps, on about so many generated sightings."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = traffic.settings(folder, sections)
    steps, windows = Measure(settings), GroupSessions(settings).windows().windowing
    steps.setup()
    work = _work(settings, steps, windows, traffic.traffic(sightings, sections).messages)
    n = sum(len(batch.located) for batch in work.batches)

    def us(do: Callable[[], object], each: int = n) -> float:
        return _cpu_s(do, repeats) / max(each, 1) * 1e6

    return [*_before_sessions(us, settings, work, windows), *_after_sessions(us, settings, work, steps)]


def _cpu_s(do: Callable[[], object], repeats: int) -> float:
    gc.collect()
    gc.freeze()
    found = []
    for _ in range(repeats):
        begun = time.process_time()
        do()
        found.append(time.process_time() - begun)
    gc.unfreeze()
    return median(found)


def _work(settings: Settings, steps: Measure, windows: Windowing, sent: list[Message]) -> Work:
    batches = [settings.intake.read(message, message.received_us)[0] for message in sent]
    elements = [_in_window(one, windows) for batch in batches for one in keyed(batch)]
    sessions = [(key, found) for key, values in _grouped(elements, windows).items() for found in values]
    network = settings.network.sections
    measured = [one for key, seen in sessions for one in passages.measure(network[key[0]], key[1], seen).passages]
    decided = [one for key, seen in sessions for one in steps.session(key, seen).passages]
    cases = [evidence.case_of(one) for one in decided if policy.is_suspected(one)]
    return Work(sent, batches, elements, sessions, measured, decided, cases)


def _in_window(element: Any, windows: Windowing) -> WindowedValue:  # noqa: ANN401 (as keyed gives it)
    context = WindowFn.AssignContext(element.timestamp, element.value)
    return WindowedValue(element.value, element.timestamp, tuple(windows.windowfn.assign(context)))


def _grouped(elements: Iterable[WindowedValue], windows: Windowing) -> dict[Key, list[list[Sighting]]]:
    """The sessions of each key, all of which end after the last element has come."""
    driver, states = SessionDriver(windows), dict[Key, SessionsOfKey]()
    for element in elements:
        key, sighting = element.value
        state = states.get(key) or states.setdefault(key, SessionsOfKey())
        found = WindowedValue(sighting, element.timestamp, element.windows)
        driver.process_elements(state, [found], MIN_TIMESTAMP, MIN_TIMESTAMP)
    fired: dict[Key, list[list[Sighting]]] = {}
    for key, state in states.items():
        due, _ = state.get_timers(watermark=MAX_TIMESTAMP)
        fired[key] = [pane.value for end, timer in due for pane in driver.process_timer(end, "", "", timer[2], state)]
    return fired


def _before_sessions(us: Callable[..., float], settings: Settings, work: Work, windows: Windowing) -> list[Row]:
    dofn, sighting_coder = _Decode(settings.intake), StructCoder(Sighting)
    read, locate = settings.intake.read, settings.intake._locate
    decoded = [sighting for message in work.messages for sighting in _decoded(message)]
    both_us = us(lambda: [read(message, message.received_us) for message in work.messages])
    dofn_us = us(lambda: [list(dofn.process(one, Timestamp(micros=one.received_us))) for one in work.messages])
    seen = [element.value[1] for element in work.keyed]
    return [
        Row("decode", us(lambda: [_decoded(message) for message in work.messages])),
        Row("locate", us(lambda: [_each(locate, sighting) for sighting in decoded])),
        Row("decode and locate", both_us, dofn_us),
        Row("key", us(lambda: [list(keyed(batch)) for batch in work.batches])),
        Row("encode for the shuffle", us(lambda: list(map(sighting_coder.encode, seen)))),
        Row("group", us(lambda: _grouped(work.keyed, windows))),
    ]


def _decoded(message: Message) -> list[Sighting]:
    with suppress(messages.Refusal):
        found = (_each(messages.read, raw, message, number) for number, raw in messages.split(message))
        return [sighting for sighting in found if sighting is not None]
    return []


def _each(step: Callable[..., Any], *given: object) -> Any:  # noqa: ANN401 (what the step gives)
    """Refused ones cost their time too."""
    try:
        return step(*given)
    except messages.Refusal:
        return None


def _after_sessions(us: Callable[..., float], settings: Settings, work: Work, steps: Measure) -> list[Row]:
    network, policies = settings.network.sections, settings.policies
    few = [Passages(tuple(work.decided[at : at + FEW_PASSAGES])) for at in range(0, len(work.decided), FEW_PASSAGES)]
    pseudonyms, n_cases = steps.pseudonyms, len(work.cases)
    judge = _Judge(settings.network)
    return [
        Row(
            "measure",
            us(lambda: [passages.measure(network[key[0]], key[1], seen, pseudonyms) for key, seen in work.sessions]),
        ),
        Row("decide", us(lambda: [policy.decide(one, policies[one.section_id]) for one in work.measured])),
        Row("measure, decide and revise", None, us(lambda: _remembered(settings, steps, work))),
        Row("encode passages", us(lambda: list(map(StructCoder(Passages).encode, few)))),
        Row(
            "judge",
            us(lambda: [evidence.judge(case, network[case.passage.section_id]) for case in work.cases], n_cases),
            us(lambda: [list(judge.process(case)) for case in work.cases], n_cases),
            each="fine",
        ),
    ]


def _remembered(settings: Settings, steps: Measure, work: Work) -> None:
    dofn, forgets = _MeasureAndRevise(steps, settings.allowed_lateness_s), _Forgets()
    dofn.start_bundle()
    for element in work.sessions:
        for _ in dofn.process(element, forgets, forgets):
            pass
    for _ in dofn.finish_bundle():
        pass


def table(rows: Iterable[Row], machine: Mapping[str, object]) -> str:
    """For people."""
    lines = [LINE.format("CPU us", "function", "DoFn")]
    for row in rows:
        cells = (f"{value:.2f}" if value is not None else "-" for value in (row.function_us, row.dofn_us))
        lines.append(LINE.format(f"{row.step}, a {row.each}", *cells))
    lines.append(f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, load {machine['load']:.1f}")
    return "\n".join(lines)
