"""Our functions by themselves: microseconds a sighting for each step of the streaming job, and a fine for judging.

Generated messages of a hundred sightings, with every fault of the generator; each step is timed on what the step before
it gave: CPU time, medians of several rounds over all of them. A step's DoFn is called as an engine calls it, but with a
state and a timer that keep nothing and counters that nobody reads: bench/sdk.py has them. Grouping is the local
runner's own (pipeline/local_sessions.py); elsewhere the engine groups.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from apache_beam.transforms.core import Windowing
from apache_beam.transforms.window import WindowFn
from apache_beam.utils.timestamp import MAX_TIMESTAMP, MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from bench import traffic
from pipeline.enforcement import evidence, messages, passages, policy, trips
from pipeline.enforcement.intake import Batch
from pipeline.enforcement.model import Case, Message, Passage, Passages, Sighting
from pipeline.local_sessions import SessionDriver, SessionsOfKey
from pipeline.options import Settings
from pipeline.transforms.coders import StructCoder
from pipeline.transforms.intake import _Decode
from pipeline.transforms.judge import _Judge
from pipeline.transforms.sessions import GroupSessions, Measure, _MeasureAndRevise, keyed

LINE = "{:<32}{:>12}{:>12}"
FEW_PASSAGES = 100  # in an element, as a bundle gives them


class Row(NamedTuple):
    """Microseconds of a step for each sighting, or for each fine. None: it has no function, or no DoFn, of its own."""

    step: str
    function_us: float | None
    dofn_us: float | None
    each: str


class Step(NamedTuple):
    """What is timed: a step's function and its DoFn, over n of what it is for."""

    name: str
    function: Callable[[], object] | None
    dofn: Callable[[], object] | None
    n: int
    each: str = "sighting"


class Work(NamedTuple):
    """What each step is timed on."""

    messages: list[Message]
    batches: list[Batch]
    keyed: list[WindowedValue]
    sessions: list[tuple[str, list[Sighting]]]  # of a vehicle
    seen: list[tuple[str, str, Sequence[Sighting]]]  # section, vehicle
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
    timed = [*_before_sessions(settings, work, windows, n), *_after_sessions(settings, work, steps, n)]
    gc.collect()
    gc.freeze()
    rounds = [[(_cpu_s(step.function), _cpu_s(step.dofn)) for step in timed] for _ in range(repeats)]
    gc.unfreeze()
    return [_row(step, [of[number] for of in rounds]) for number, step in enumerate(timed)]


def _cpu_s(do: Callable[[], object] | None) -> float:
    if do is None:
        return 0.0
    begun = time.process_time()
    do()
    return time.process_time() - begun


def _row(step: Step, rounds: list[tuple[float, float]]) -> Row:
    function_us, dofn_us = (median(times) / max(step.n, 1) * 1e6 for times in zip(*rounds, strict=True))
    return Row(step.name, function_us if step.function else None, dofn_us if step.dofn else None, step.each)


def _work(settings: Settings, steps: Measure, windows: Windowing, sent: list[Message]) -> Work:
    batches = [settings.intake.read(message, message.received_us)[0] for message in sent]
    elements = [_in_window(one, windows) for batch in batches for one in keyed(batch)]
    sessions = [(vehicle, found) for vehicle, values in _grouped(elements, windows).items() for found in values]
    seen = [
        (section_id, vehicle, part)
        for vehicle, found in sessions
        for section_id, part in trips.by_section(
            passages.in_order(found), settings.intake.section_ids, round(settings.session_gap_s * 1e6)
        )
    ]
    network = settings.network.sections
    measured = [one for name, vehicle, part in seen for one in passages.measure(network[name], vehicle, part).passages]
    decided = [one for vehicle, found in sessions for one in steps.session(vehicle, found).passages]
    cases = [evidence.case_of(one) for one in decided if policy.is_suspected(one)]
    return Work(sent, batches, elements, sessions, seen, measured, decided, cases)


def _in_window(element: Any, windows: Windowing) -> WindowedValue:  # noqa: ANN401 (as keyed gives it)
    context = WindowFn.AssignContext(element.timestamp, element.value)
    return WindowedValue(element.value, element.timestamp, tuple(windows.windowfn.assign(context)))


def _grouped(elements: Iterable[WindowedValue], windows: Windowing) -> dict[str, list[list[Sighting]]]:
    """The sessions of each key, all of which end after the last element has come."""
    driver, states = SessionDriver(windows), dict[str, SessionsOfKey]()
    for element in elements:
        key, sighting = element.value
        state = states.get(key) or states.setdefault(key, SessionsOfKey())
        found = WindowedValue(sighting, element.timestamp, element.windows)
        driver.process_elements(state, [found], MIN_TIMESTAMP, MIN_TIMESTAMP)
    fired: dict[str, list[list[Sighting]]] = {}
    for key, state in states.items():
        due, _ = state.get_timers(watermark=MAX_TIMESTAMP)
        fired[key] = [pane.value for end, timer in due for pane in driver.process_timer(end, "", "", timer[2], state)]
    return fired


def _before_sessions(settings: Settings, work: Work, windows: Windowing, n: int) -> list[Step]:
    dofn, encode = _Decode(settings.intake, settings.privacy_secret), StructCoder(Sighting).encode
    dofn.setup()
    read, locate = settings.intake.read, settings.intake._locate
    decoded = [sighting for message in work.messages for sighting in _decoded(message)]
    seen = [element.value[1] for element in work.keyed]
    lines = [line for message in work.messages for line in message.data.splitlines()]
    return [
        Step("json.loads, to compare", lambda: [_each(json.loads, line) for line in lines], None, n),
        Step("decode", lambda: [_decoded(message) for message in work.messages], None, n),
        Step("locate", lambda: [_each(locate, sighting) for sighting in decoded], None, n),
        Step(
            "decode and locate",
            lambda: [read(message, message.received_us) for message in work.messages],
            lambda: [list(dofn.process(one, Timestamp(micros=one.received_us))) for one in work.messages],
            n,
        ),
        Step("key", lambda: [list(keyed(batch)) for batch in work.batches], None, n),
        Step("encode for the shuffle", lambda: list(map(encode, seen)), None, n),
        Step("group", lambda: _grouped(work.keyed, windows), None, n),
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
    except ValueError:  # a refusal is one, too
        return None


def _after_sessions(settings: Settings, work: Work, steps: Measure, n: int) -> list[Step]:
    network, policies, pseudonyms = settings.network.sections, settings.policies, steps._pseudonyms
    few = [Passages(tuple(work.decided[at : at + FEW_PASSAGES])) for at in range(0, len(work.decided), FEW_PASSAGES)]
    judge, encode = _Judge(settings.network), StructCoder(Passages).encode
    return [
        Step(
            "measure",
            lambda: [passages.measure(network[name], vehicle, part, pseudonyms) for name, vehicle, part in work.seen],
            None,
            n,
        ),
        Step("decide", lambda: [policy.decide(one, policies[one.section_id]) for one in work.measured], None, n),
        Step("measure, decide and revise", None, lambda: _remembered(settings, steps, work), n),
        Step("encode passages", lambda: list(map(encode, few)), None, n),
        Step(
            "judge",
            lambda: [evidence.judge(case, network[case.passage.section_id]) for case in work.cases],
            lambda: [list(judge.process(case)) for case in work.cases],
            len(work.cases),
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
