"""Recall: given what was true of a section for a time, which past fines fall, change or stand; withdraw on request."""

from __future__ import annotations

import argparse
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from pipeline import command_lines, corrections, policies, stored_records, withdrawals
from pipeline.enforcement import recall, replay, sections, wording
from pipeline.enforcement.model import Outcome, Status
from pipeline.enforcement.recall import Correction, Effect, Recalled, Rules
from pipeline.enforcement.records import Fine, PassageRecord
from pipeline.enforcement.replay import UntoldError
from pipeline.option_values import OptionError, dataset_name, topic_name
from pipeline.options import MAX_TOLERANCE_KMH
from pipeline.stored_records import Span, Stored, moment_us

_IN_ORDER = (Effect.FALLS, Effect.CHANGES, Effect.UNTOLD, Effect.STANDS)


def run(argv: Sequence[str]) -> int:
    """List them, and publish withdrawals if that is asked for. Exit status 1 if one of those could not be sent, or if
    nobody said yes."""
    args = command_lines.recall().parse(argv)
    span, correction, rules, topic = _span(args), corrections.correction(args), _rules(args), _topic(args)
    stored = Stored(args.fines, args.passages, dataset_name(args.dataset, args.project_id))
    latest = replay.latest_fines(stored.records(Fine, span))
    fines = {fine.fine_id: fine for fine in latest if fine.status is not Status.WITHDRAWN}
    found = [recall.recall(fine, correction, rules) for fine in fines.values()]
    print(f"recall      section {args.section}, {span}: {corrections.said(correction, args.clock_offset or ())}")
    print(*_lines(found), sep="\n")
    print(f"withdrawn   {len(latest) - len(fines)} more were withdrawn before, and stay so")
    print(_clear(stored, span, correction, rules))
    stored_records.write_lines(args.output, found)
    falling = [recall.withdrawal(fines[one.fine_id], one) for one in found if one.effect is Effect.FALLS]
    return _send(args, falling, topic, stored.dataset) if topic else 0


def _span(args: argparse.Namespace) -> Span:
    span = Span(moment_us(args.start, "--from"), moment_us(args.end, "--to"), args.section)
    if (span.start_us or 0) >= (span.end_us or 0):
        raise OptionError(f"--to: found {args.end!r}; allowed: a time after --from, {args.start}")
    return span


def _rules(args: argparse.Namespace) -> Rules:
    tolerance_kmh = sections.parse_speed_kmh(args.tolerance, "--tolerance", 0, MAX_TOLERANCE_KMH)
    return Rules(policies.known(args.policies), tolerance_kmh)


def _topic(args: argparse.Namespace) -> str | None:
    """Where withdrawals go, if they are asked for."""
    if not args.publish_withdrawals:
        for name in ("output_topic", "yes"):
            if getattr(args, name):
                raise OptionError(f"--{name}: found without --publish_withdrawals; allowed: only with it. Leave it out")
        return None
    if not args.output_topic:
        raise OptionError("--output_topic: absent; needed with --publish_withdrawals. Name the topic of the fines")
    return topic_name(args.output_topic, "--output_topic", args.project_id)


def _lines(found: Sequence[Recalled]) -> Iterator[str]:
    """A line for each fine, those that matter first, and the sums."""
    for one in sorted(found, key=lambda one: (_IN_ORDER.index(one.effect), one.entry_time, one.fine_id)):
        yield _line(one)
    yield _sum("looked at", found)
    for status in (Status.ISSUED, Status.REVIEW):
        yield _sum(f"  {status}", [one for one in found if one.status is status])
    yield from _money([one for one in found if one.status is Status.ISSUED])


def _line(one: Recalled) -> str:
    after = one.after
    figures = recall.shown(one.before)
    if after is not None and after != one.before:
        figures += f" -> {recall.shown(after)}"
    why = f": {one.why}" if one.why else ""
    return f"{one.effect.replace('_', ' '):<15} {one.entry_time}  {one.fine_id}  {one.status:<6}  {figures}{why}"


def _sum(name: str, found: Sequence[Recalled]) -> str:
    counts = Counter(one.effect for one in found)
    words = " + ".join(f"{counts[effect]} {effect.replace('_', ' ')}" for effect in _IN_ORDER)
    return f"{name:<11} {len(found)} = {words}"


def _money(issued: Sequence[Recalled]) -> Iterator[str]:
    """What fines asked for and ask for now, a line for each currency. What cannot be told is asked for still."""
    for currency in sorted({one.before.currency for one in issued if one.before.currency}):
        of_it = [one for one in issued if one.before.currency == currency]
        before = math.fsum(one.before.amount or 0.0 for one in of_it)
        after = math.fsum((one.before if one.after is None else one.after).amount or 0.0 for one in of_it)
        yield f"{'money':<11} {currency} {wording.number(before, 2)} -> {wording.number(after, 2)}, of issued ones"


def _clear(stored: Stored, span: Span, correction: Correction, rules: Rules) -> str:
    """What the correction would make of those that were not suspected, and never does."""
    if not stored.has(PassageRecord):
        return f"{'clear':<11} not looked at: no --passages"
    latest = replay.latest_passages(stored.records(PassageRecord, span))
    clear = [one for one in latest if one.outcome is Outcome.CLEAR and not replay.is_stood_for(one)]
    counts = Counter(_would_be(one, correction, rules) for one in clear)
    untold = f", {counts['untold']} cannot be told" if counts["untold"] else ""
    return (
        f"{'clear':<11} {len(clear)}, of which {counts['over']} would be over: nobody is fined after the fact{untold}"
    )


def _would_be(record: PassageRecord, correction: Correction, rules: Rules) -> str:
    try:
        return "over" if recall.would_be_over(record, correction, rules) else "clear"
    except UntoldError:
        return "untold"


def _send(args: argparse.Namespace, falling: Sequence[Fine], topic: str, dataset: str | None) -> int:
    if not falling:
        print("nothing to withdraw")
        return 0
    if not (args.yes or command_lines.agreed(f"publish {len(falling)} withdrawals to {topic}")):
        print("nothing was withdrawn", file=sys.stderr)
        return 1
    sent = withdrawals.send(falling, topic, dataset)
    for problem in sent.problems:
        print(f"python -m pipeline recall: {problem}", file=sys.stderr)
    print(
        f"withdrawals {sent.published} published to {topic}"
        + (f", {sent.stored} stored in {dataset}" if dataset else "")
    )
    return 1 if sent.problems else 0
