"""Self-test: cameras tested by the traffic that they see. One line and one signed record for each section and day."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from pipeline import __version__, command_lines, places, quarantine, selftest_inputs
from pipeline.enforcement import selftest
from pipeline.enforcement.sections import Network, Section
from pipeline.enforcement.selftest import Examined
from pipeline.enforcement.selftest_records import FORMAT, WHAT, Day, SelfTest, Thresholds, Traffic, Verdict
from pipeline.enforcement.times import rfc3339
from pipeline.option_values import OptionError, dataset_name
from pipeline.options import read_network
from pipeline.packets import keys
from pipeline.packets.keys import SigningKey
from pipeline.packets.versions import rules_sha256
from pipeline.quarantine import State
from pipeline.selftest_inputs import Days

Baseline = dict[str, list[Day]]
Found = TypeVar("Found")


class _Setting(NamedTuple):
    """What all sections and days of a run share."""

    network: Network
    thresholds: Thresholds
    notices: str | None
    key: SigningKey | None


class _Earlier(msgspec.Struct):
    """Of a record that is there already; its line stays as it was written."""

    section_id: str
    verdict: Verdict
    quarantined_from: str | None


def run(argv: Sequence[str]) -> int:
    """Test each section on each day. Exit status 1 if one fails."""
    args = command_lines.selftest().parse(argv)
    _check(args)
    network = read_network(args.sections)
    key = keys.load(args.signing_key) if args.signing_key else None
    setting = _Setting(network, _thresholds(args.thresholds), args.notices, key)
    baseline = _baseline(args.baseline)
    failed = 0
    for day, seen in _days(args, network).items():
        records = [_tested(section, day, seen, baseline, setting) for section in network.sections.values()]
        _write_records(args.output, day, records, key)
        failed += sum(record.verdict is Verdict.FAILED for record in records)
    if args.baseline:
        places.write(args.baseline, "--baseline", msgspec.json.encode(baseline))
    return 1 if failed else 0


def _check(args: argparse.Namespace) -> None:
    files = bool(args.passages) + bool(args.sightings)
    if (files, bool(args.dataset)) not in ((2, False), (0, True)):
        raise OptionError("--passages with --sightings, --dataset: allowed: either both files' patterns, or a dataset")
    if args.dataset and not args.day:
        raise OptionError("--day: absent; needed with --dataset. Give a day such as 2026-01-31")
    if args.day and not selftest_inputs.is_day(args.day):
        raise OptionError(f"--day: found {args.day!r}; allowed: a day such as 2026-01-31")


def _days(args: argparse.Namespace, network: Network) -> Days:
    if args.dataset:
        dataset = dataset_name(args.dataset, args.project_id) or args.dataset
        return selftest_inputs.of_dataset(dataset, args.day, network.sections.values())
    return selftest_inputs.of_files(args.passages, args.sightings, args.day)


def _tested(
    section: Section,
    day: str,
    seen: tuple[list[selftest_inputs.SeenPassage], list[selftest_inputs.SeenSighting]],
    baseline: Baseline,
    setting: _Setting,
) -> SelfTest:
    """The record of a section, whose line is printed, and whose day goes to the baseline if it passed."""
    states = quarantine.read(setting.notices).get(section.section_id, []) if setting.notices else []
    whole = selftest_inputs.traffic_of(section, *seen)
    span = quarantine.unexplained(states, selftest_inputs.until(whole) or 0)
    traffic, past = whole.within(*span), _past(baseline, section, day)
    other = selftest.opposite_of(section, setting.network)
    both = None
    if other is not None:
        both = other, selftest_inputs.traffic_of(other, *seen).within(*span), _past(baseline, other, day)
    examined = selftest.examine(section, day, traffic, past, setting.thresholds, both)
    record = _record(section, day, traffic, len(past), examined, setting)
    _keep(baseline, section, day, examined, states, setting.thresholds)
    _tell(record)
    if setting.notices:
        _quarantine(setting.notices, record, examined, states)
    return record


def _past(baseline: Baseline, section: Section, day: str) -> list[Day]:
    return [one for one in baseline.get(section.section_id, []) if one.day < day]


def _record(
    section: Section, day: str, traffic: Traffic, past_days: int, examined: Examined, setting: _Setting
) -> SelfTest:
    until_us, from_us = selftest_inputs.until(traffic), examined.quarantined_from_us
    return SelfTest(
        what=WHAT,
        format=FORMAT,
        section_id=section.section_id,
        day=day,
        until=None if until_us is None else rfc3339(until_us),
        verdict=examined.verdict,
        passages=len(traffic.passages.ids),
        sightings=len(traffic.sightings.time_us),
        past_days=past_days,
        checks=examined.checks,
        quarantined_from=None if from_us is None else rfc3339(from_us),
        issued_since=examined.issued_since,
        found_within=examined.found_within,
        thresholds=setting.thresholds,
        version=__version__,
        rules_sha256=rules_sha256(),
        key_id=setting.key.key_id if setting.key else None,
    )


def _keep(
    baseline: Baseline,
    section: Section,
    day: str,
    examined: Examined,
    states: Sequence[State],
    thresholds: Thresholds,
) -> None:
    """A day that did not pass, or on which the section was in quarantine, is nothing to compare with."""
    days = [one for one in baseline.get(section.section_id, []) if one.day != day]
    in_quarantine = any(state.covers(day) for state in states)
    passed = examined.verdict is not Verdict.FAILED and not in_quarantine
    if examined.day is not None and passed:
        days.append(examined.day)
    if days or section.section_id in baseline:
        baseline[section.section_id] = sorted(days, key=lambda one: one.day)[-thresholds.days :]


def _tell(record: SelfTest) -> None:
    head = f"{record.section_id} {record.day}"
    if record.verdict is Verdict.FAILED:
        why = "; ".join(check.said for check in record.checks if check.verdict is Verdict.FAILED)
        print(f"FAILED      {head}: {why}")
        print(f"            quarantine from {record.quarantined_from}; {len(record.issued_since)} fines issued since")
    elif record.verdict is Verdict.NOT_JUDGED:
        print(f"not judged  {head}: {record.checks[0].said}")
    else:
        found = record.found_within.get("-2 s")
        within = f"; a shift of 2 s to the drivers' harm shows after about {found:,} passages" if found else ""
        print(f"passed      {head}: {record.passages:,} passages, {record.sightings:,} sightings{within}")


def _quarantine(notices: str, record: SelfTest, examined: Examined, states: Sequence[State]) -> None:
    """Once for each change: not again while an open quarantine stands, unless it turns out to have begun earlier."""
    from_us = examined.quarantined_from_us
    begun_us = [state.from_us for state in states if state.in_quarantine and state.until_us is None]
    if from_us is None or any(one_us <= from_us for one_us in begun_us):
        return
    why = "; ".join(check.name for check in record.checks if check.verdict is Verdict.FAILED)
    quarantine.begin(notices, record.section_id, from_us, f"self-test of {record.day}: {why}")


def _write_records(output: str, day: str, records: Sequence[SelfTest], key: SigningKey | None) -> None:
    """Behind them stay the failures that the day's record tells already: once mended, no later run finds them."""
    name = f"{output}/selftest-{day}.ndjson"
    data = msgspec.json.Encoder().encode_lines(records) + b"".join(_kept_failures(name, records))
    places.write(name, "--output", data)
    if key is not None:
        places.write(f"{name}.sig", "--output", key.sign(data))


def _kept_failures(name: str, records: Sequence[SelfTest]) -> Iterator[bytes]:
    """The lines of earlier failures, but those whose section fails again from no later a time. Times compare as text:
    rfc3339() wrote them."""
    failing = {record.section_id: record.quarantined_from for record in records}
    for line in (places.read(name, "--output") or b"").splitlines():
        earlier = _decoded(line, f"--output: {name}", _Earlier)
        from_now, from_then = failing.get(earlier.section_id), earlier.quarantined_from
        is_told_again = from_now is not None and from_then is not None and from_now <= from_then
        if earlier.verdict is Verdict.FAILED and not is_told_again:
            yield line + b"\n"


def _baseline(path: str | None) -> Baseline:
    data = places.read(path, "--baseline") if path else None
    return {} if data is None else _decoded(data, f"--baseline: {path}", Baseline)


def _thresholds(path: str | None) -> Thresholds:
    if path is None:
        return Thresholds()
    data = places.read(path, "--thresholds")
    if data is None:
        raise OptionError(f"--thresholds: {path} does not exist. Name an existing file")
    return _decoded(data, f"--thresholds: {path}", Thresholds)


def _decoded(data: bytes, where: str, kind: type[Found]) -> Found:
    try:
        return msgspec.json.decode(data, type=kind)
    except (ValueError, RecursionError) as error:
        raise OptionError(f"{where} is no such file: {error}") from error
