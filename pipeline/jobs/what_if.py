"""What-if: replay sightings or stored passages under another policy, and print the difference."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline import command_lines, options, policies, stored_records
from pipeline.enforcement import replay, sections, what_if, wording
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.records import PassageRecord
from pipeline.enforcement.replay import UntoldError
from pipeline.enforcement.what_if import Comparison, Difference, Effect, Judgement, Standing
from pipeline.jobs import section_speed
from pipeline.option_values import OptionError, dataset_name
from pipeline.options import Settings
from pipeline.running import run_pipeline
from pipeline.stored_records import Span, Stored, moment_us

DAY_US = 86_400_000_000
_OF_RUN = (*command_lines.ALSO_OF_RUN, "policies", "tolerance")
_IN_ORDER = (Effect.FALLS, Effect.CHANGES, Effect.ARISES)
_SUSPECTED_BEFORE = (Effect.FALLS, Effect.CHANGES, Effect.STANDS)
_SUSPECTED_AFTER = (Effect.ARISES, Effect.CHANGES, Effect.STANDS)


class RunError(ValueError):
    """A run of the section-speed job that failed, after it has said why."""


class Asked(NamedTuple):
    """The other policy, all that are known by name, and what is looked at."""

    policy: Policy
    policies: Mapping[str, Policy]
    tolerance_kmh: float
    span: Span


Pairs = Iterator[tuple[PassageRecord, PassageRecord | None]]  # of a run, and of the run under the other policy


def run(argv: Sequence[str]) -> int:
    """Print each suspected violation that differs, the counts and the money."""
    args = command_lines.what_if().parse(argv)
    asked = _asked(args)
    pairs = _of_runs(args, asked) if args.input else _of_stored(args, asked.span)
    comparison, differences = Comparison(), []
    for record, other in pairs:
        difference = _compared(record, other, asked, comparison)
        if difference is not None:
            differences.append(difference)
    print(*_lines(asked, comparison, differences), sep="\n")
    stored_records.write_lines(args.output, differences)
    return 0


def _asked(args: argparse.Namespace) -> Asked:
    known = policies.known(args.policies)
    for option, name in (("--policy", args.policy), ("--instead_of", args.instead_of)):
        if name is not None and name not in known:
            raise OptionError(f"{option}: found {name!r}; allowed: {', '.join(known)}")
    if args.input is None:
        for name in ("instead_of", *command_lines.ALSO_OF_RUN):
            if getattr(args, name):
                raise OptionError(f"--{name}: found without --input; allowed: only with it. Leave it out")
    if args.dataset and not args.day:
        raise OptionError("--day: absent; needed with --dataset. Name the day to look at, such as 2026-03-02")
    tolerance_kmh = sections.parse_speed_kmh(args.tolerance, "--tolerance", 0, options.MAX_TOLERANCE_KMH)
    start_us = moment_us(args.day, "--day") if args.day else None
    if start_us is not None and start_us % DAY_US:
        raise OptionError(f"--day: found {args.day!r}; allowed: a day such as 2026-03-02")
    span = Span(start_us, None if start_us is None else start_us + DAY_US, args.section)
    return Asked(known[args.policy], known, tolerance_kmh, span)


def _of_stored(args: argparse.Namespace, span: Span) -> Pairs:
    stored = Stored(None, args.passages, dataset_name(args.dataset, args.project_id))
    for record in replay.latest_passages(stored.records(PassageRecord, span)):
        yield record, None


def _of_runs(args: argparse.Namespace, asked: Asked) -> Pairs:
    """Run the section-speed job twice. Passages are the same ones, since they do not hang on a policy; what came
    without a time is read at the same one."""
    if args.passages or args.dataset:
        raise OptionError("--input: found with --passages or --dataset; allowed: exactly one of them")
    given = {name: getattr(args, name) for name in _OF_RUN} | {"policy": args.instead_of, "input": args.input}
    words = [f"--{name}={value}" for name, value in given.items() if value is not None]
    with tempfile.TemporaryDirectory(prefix="what-if-") as folder:
        found = options.parse([*words, f"--output_dir={folder}", "--ocr=none"])  # no picture is read, and none is kept
        settings = options.check(found)
        other = settings._replace(policies=dict.fromkeys(settings.policies, asked.policy))
        before = _run(found, settings, Path(folder, "before"), asked.span)
        after = {record.passage_id: record for record in _run(found, other, Path(folder, "after"), asked.span)}
        for record in before:
            yield record, after[record.passage_id]


def _run(found: PipelineOptions, settings: Settings, folder: Path, span: Span) -> list[PassageRecord]:
    """The passages of one run from files."""
    folder.mkdir()
    settings = settings._replace(output_dir=str(folder))
    print(f"python -m pipeline what-if: run {folder.name} the other policy", file=sys.stderr)
    if run_pipeline(found, settings, lambda pipeline: section_speed.build(pipeline, settings)):
        raise RunError(f"--input: the run {folder.name} the other policy failed")
    pattern = str(folder / "passages-*")
    return replay.latest_passages(stored_records.of_files(pattern, "--passages", PassageRecord, span))


def _compared(
    record: PassageRecord, other: PassageRecord | None, asked: Asked, comparison: Comparison
) -> Difference | None:
    try:
        before, after = what_if.stored(record, asked.policies), _after(record, other, asked)
    except UntoldError as error:
        comparison.add_untold(str(error))
        return None
    return comparison.add(record, before, after)


def _after(record: PassageRecord, other: PassageRecord | None, asked: Asked) -> Standing:
    if other is None:
        return what_if.replayed(record, asked.policy, asked.tolerance_kmh)
    return what_if.of_run(other, asked.policy)


def _lines(asked: Asked, comparison: Comparison, differences: Sequence[Difference]) -> Iterator[str]:
    for one in sorted(differences, key=lambda one: (_IN_ORDER.index(one.effect), one.entry_time, one.passage_id)):
        yield _line(one)
    yield f"what-if      policy {asked.policy.name}: {asked.policy.title or 'without a title'}"
    yield f"looked at    {comparison.before.total() + comparison.untold.total()} passages"
    for judgement in Judgement:
        yield f"{judgement:<12} {comparison.before[judgement]} -> {comparison.after[judgement]}"
    yield f"  before     {_sum(comparison, _SUSPECTED_BEFORE)}"
    yield f"  after      {_sum(comparison, _SUSPECTED_AFTER)}"
    if not asked.policy.amounts:
        yield f"money        policy {asked.policy.name} names no amounts"
    for currency in sorted({*comparison.money_before, *comparison.money_after}):
        before, after = (found[currency] for found in (comparison.money_before, comparison.money_after))
        yield f"money        {currency} {wording.number(before, 2)} -> {wording.number(after, 2)}, if each were fined"
    for why, count in sorted(comparison.untold.items()):
        yield f"untold       {count}: {why}"


def _sum(comparison: Comparison, effects: Sequence[Effect]) -> str:
    counts = [comparison.effects[effect] for effect in effects]
    words = " + ".join(f"{count} {effect}" for count, effect in zip(counts, effects, strict=True))
    return f"{sum(counts)} suspected = {words}"


def _line(one: Difference) -> str:
    figures = f"{_shown(one.before)} -> {_shown(one.after)}, limit {wording.limit(one.limit_kmh)}"
    return f"{one.effect:<8} {one.entry_time}  {one.passage_id}  {one.section_id}  {figures}"


def _shown(standing: Standing) -> str:
    speed = "no speed" if standing.counted_speed is None else wording.speed(standing.counted_speed)
    money = "" if standing.amount is None else f", {standing.currency} {wording.number(standing.amount, 2)}"
    return f"{standing.judgement} by {standing.policy} ({speed}{money})"
