"""Before a streaming run: is all there that it needs? One line for each thing, and for each that is not, what mends it.

A run that starts without its table or its bucket would only say so in a worker's log, with sightings in its hands.
All looks happen at once and each has a deadline, so that a dead network costs seconds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TextIO

from pipeline import looks
from pipeline import option_values as values
from pipeline.declared_options import DEFAULT_PREFLIGHT
from pipeline.looks import Look, NotReadyError
from pipeline.options import SectionSpeedOptions, Settings

DEADLINE_S = 8.0  # for all looks together; each has LOOK_TIMEOUT_S for its own request


class Finding(NamedTuple):
    """What a look found: `problem` is None if all is well; `fix` is one command."""

    name: str
    told: str
    problem: str | None = None
    fix: str = ""
    fatal: bool = True


def run(own: SectionSpeedOptions, settings: Settings) -> int | None:
    """Look, and print what was found. The exit status with which to stop, or None: the run may start.

    Raises OptionError for a mistake in the options that are preflight's alone.
    """
    mode = own.preflight or DEFAULT_PREFLIGHT
    camera_bucket = values.bucket_name(own.camera_bucket, "--camera_bucket")
    if mode == "off":
        return None
    began_s = time.monotonic()
    findings = look(looks.needed(settings, own.sections, camera_bucket))
    only = mode == "only"
    _tell(findings, time.monotonic() - began_s, sys.stdout if only else sys.stderr, everything=only)
    fatal = any(finding.problem and finding.fatal for finding in findings)
    return int(fatal) if only or fatal else None


def look(needed: Sequence[Look], deadline_s: float = DEADLINE_S) -> list[Finding]:
    """Look at everything at once; what has not answered by the deadline counts as absent."""
    found: dict[int, Finding] = {}
    threads = [
        # A look that hangs must not hold up the end of the process: daemons, which nobody waits for.
        threading.Thread(target=_into, args=(found, number, one), daemon=True)
        for number, one in enumerate(needed)
    ]
    until_s = time.monotonic() + deadline_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until_s - time.monotonic()))
    return [found.get(number) or _no_answer(one, deadline_s) for number, one in enumerate(needed)]


def _into(found: dict[int, Finding], number: int, one: Look) -> None:
    found[number] = _finding(one)


def _finding(one: Look) -> Finding:
    try:
        return Finding(one.name, one.ask())
    except NotReadyError as trouble:
        return Finding(one.name, "", str(trouble), trouble.fix or one.absent, one.fatal)
    except Exception as error:  # noqa: BLE001 (whatever a client raises is what the look found)
        return Finding(one.name, "", *looks.explained(one, error), one.fatal)


def _no_answer(one: Look, deadline_s: float) -> Finding:
    return Finding(one.name, "", f"no answer within {deadline_s:g} s", one.down, one.fatal)


def _tell(findings: Sequence[Finding], took_s: float, out: TextIO, *, everything: bool) -> None:
    good, bad = _marks(out)
    told = set[str]()
    for finding in findings:
        if finding.problem is not None:
            note = "" if finding.fatal else " (the run can start)"
            # One cause has many crosses; its long story is told once.
            problem = finding.problem.split(":")[0] if finding.problem in told else finding.problem
            print(f"{bad} {finding.name}: {problem}{note}", file=out)
            print(f"    {finding.fix}", file=out)
            told.add(finding.problem)
        elif everything:
            print(f"{good} {finding.name}: {finding.told}", file=out)
    print(_summary(findings, took_s), file=out, flush=True)


def _summary(findings: Sequence[Finding], took_s: float) -> str:
    problems = [finding for finding in findings if finding.problem is not None]
    told = f"preflight: {len(findings)} looked at in {took_s:.1f} s"
    if not problems:
        return f"{told}, all there"
    fatal = sum(finding.fatal for finding in problems)
    end = "the run would fail: mend it, or skip this with --preflight off" if fatal else "the run can start"
    return f"{told}, {_count(problems)}; {end}"


def _count(problems: Iterable[Finding]) -> str:
    number = len(list(problems))
    return "1 problem" if number == 1 else f"{number} problems"


def _marks(out: TextIO) -> tuple[str, str]:
    """A tick and a cross, or words where the terminal has neither."""
    try:
        "✓✗".encode(getattr(out, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return "yes", "NO "
    return "✓", "✗"
