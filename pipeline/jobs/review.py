"""Review: list the cases that wait for a person, show one, confirm or reject it; what else there is to look at, and how
often each camera misreads."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from google.api_core.exceptions import GoogleAPIError

from pipeline import command_lines, policies
from pipeline.enforcement import case_text, decisions, review, wording
from pipeline.enforcement.decisions import DecisionError, Reviewed, Told
from pipeline.enforcement.model import AlarmKind, Reason, Status
from pipeline.enforcement.records import Fine
from pipeline.enforcement.wording import line
from pipeline.option_values import OptionError, dataset_name, resource_name
from pipeline.packets.saving import save
from pipeline.review_desk import Desk

_FINE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NAME = re.compile(r"\S(.{0,98}\S)?")
LONGEST_REASON = 2000
_DECIDING = ("reviewer", "reason", "plate", "both_pictures_seen", "output_topic")


def run(argv: Sequence[str]) -> int:
    """Do one of ACTIONS. Exit status 1 if a decision did not take effect, or a picture is not what was judged."""
    args = command_lines.review().parse(argv)
    _check(args)
    return ACTIONS[args.action](args, time.time_ns() // 1000)


# --- looking


def _list(args: argparse.Namespace, now_us: int) -> int:
    known, capacity = policies.known(args.policies), _capacity(args.capacity)
    found = _desk(args).queue()
    waiting = review.queue(found.cases, known, now_us, capacity)
    for one in waiting:
        print(case_text.row(one, now_us))
    print(case_text.summary(waiting, capacity))
    for name in review.unknown_policies(found.cases, known):
        _warn(f"policy {name!r} is unknown, and so are its deadlines; name its file with --policies")
    if found.unreadable:
        _warn(f"{found.unreadable} more cases were written by a later release; use that one")
    for fine_id in found.unsent:
        _warn(f"{fine_id} is confirmed and its fine was not sent; run again: review confirm {fine_id} --reviewer ...")
    return 0


def _show(args: argparse.Namespace, now_us: int) -> int:
    known = policies.known(args.policies)
    case = _desk(args).case(_fine_id(args))
    for heading, text in case_text.facts(case, review.deadline_us(case.fine, known), now_us):
        print(f"{heading:<10}{line(text)}")
    if args.save is None:
        return 0
    saved = save(case.fine, args.save)
    for one in saved:
        print(f"{'saved' if one.problem is None else 'FAILED':<10}{line(one)}")
    return int(any(one.problem for one in saved))


def _alarms(args: argparse.Namespace, now_us: int) -> int:
    days = _count(args.days or "7", "--days", "so many days back", 3650)
    found = _desk(args).alarms(now_us - days * 86_400_000_000)
    shown = [one for one in found.alarms if args.kind in (None, one.kind)]
    for one in shown:
        print("\n".join(case_text.alarm(one)))
    counts = (f"{sum(one.kind is kind for one in shown)} {kind}" for kind in AlarmKind if args.kind in (None, kind))
    print(f"alarms of {days} days: {', '.join(counts)}")
    if found.unreadable:
        _warn(f"{found.unreadable} more alarms were written by a later release; use that one")
    return 0


def _cameras(args: argparse.Namespace, now_us: int) -> int:
    del now_us
    found = _desk(args).cameras()
    print(f"{'camera':<20}{'misread':>8}{'of':>8}{'rate':>8}   reader of plates wrong")
    for row in found:
        rate = "-" if row["misread_rate"] is None else f"{row['misread_rate']:.1%}"
        automatic = f"{row['automatic_misreads']} of {row['automatic_readings']}"
        name = line(row["camera_id"] or "no camera")
        print(f"{name:<20}{row['misreads']:>8}{row['readings']:>8}{rate:>8}   {automatic}")
    return 0


# --- deciding


def _confirm(args: argparse.Namespace, now_us: int) -> int:
    reviewer, desk = _reviewer(args), _desk(args, sends=True)
    case = desk.case(_fine_id(args))
    fine = case.fine
    if fine.status is Status.ISSUED and Reason.CONFIRMED_BY_PERSON in fine.reasons and not case.rejection:
        print(f"{fine.fine_id}: confirmed already, and its fine sent as revision {fine.revision}; nothing was changed")
        return 0
    if fine.status is Status.REVIEW and case.confirmation and not case.rejection:
        return _send(desk, decisions.issued(fine, case.confirmation), decisions.said(case.confirmation))
    told = _told(args, reviewer, fine)
    known = policies.known(args.policies)
    if unknown := review.unknown_policies([fine], known):
        raise DecisionError(f"--policies: policy {unknown[0]!r} is unknown, and so is its deadline; name its file")
    deadline_us = review.deadline_us(fine, known)
    decided = decisions.confirm(case, told, now_us, deadline_us, after_deadline=args.after_deadline)
    desk.add(decided)
    now = desk.case(fine.fine_id)
    if (obstacle := _obstacle(case, now)) is not None:
        print(f"python -m pipeline: {fine.fine_id}: {obstacle}; no fine was sent", file=sys.stderr)
        return 1
    return _send(desk, decisions.issued(fine, now.confirmation or decided), decisions.said(decided))


def _obstacle(before: Reviewed, now: Reviewed) -> str | None:
    """What happened since the case was looked at, and keeps it from becoming a fine."""
    if now.rejection is not None:
        return f"{decisions.said(now.rejection)}, and a rejection counts more"
    # Somebody else who confirmed it too may have sent the very fine that is sent now.
    if now.fine not in (before.fine, *(decisions.issued(before.fine, one) for one in now.reviews)):
        return f"revision {now.fine.revision}, {now.fine.status}, came while you decided. Look at it again"
    return None


def _reject(args: argparse.Namespace, now_us: int) -> int:
    reviewer, desk = _reviewer(args), _desk(args, sends=True)
    case = desk.case(_fine_id(args))
    decided = case.rejection
    if decided is not None and case.fine.status is Status.WITHDRAWN:
        print(f"{case.fine.fine_id}: {decisions.said(decided)}; nothing was changed")
        return 0
    if decided is None:
        decided = decisions.reject(case, _told(args, reviewer, case.fine), now_us)
        desk.add(decided)
        case = desk.case(case.fine.fine_id)
    if case.fine.status is Status.WITHDRAWN:
        print(f"{case.fine.fine_id}: {decisions.said(decided)}; it was taken back meanwhile")
        return 0
    return _send(desk, decisions.withdrawn(case.fine), decisions.said(decided))


def _send(desk: Desk, fine: Fine, why: str) -> int:
    try:
        desk.send(fine)
    except (ValueError, GoogleAPIError) as error:
        print(
            f"python -m pipeline: {fine.fine_id}: the decision is stored, but not sent: {line(error)}", file=sys.stderr
        )
        print("    run the same command again", file=sys.stderr)
        return 1
    plate = f", plate {fine.license_plate}" if fine.license_plate else ""
    print(f"{fine.fine_id}: {why}; sent as revision {fine.revision}, {fine.status}{plate}")
    return 0


def _told(args: argparse.Namespace, reviewer: str, fine: Fine) -> Told:
    read = decisions.plates_read(fine, args.plate or [], both=args.both_pictures_seen)
    return Told(reviewer, _reason(args), read, args.both_pictures_seen)


# --- options

ACTIONS: Mapping[str, Callable[[argparse.Namespace, int], int]] = {
    "list": _list,
    "show": _show,
    "confirm": _confirm,
    "reject": _reject,
    "alarms": _alarms,
    "cameras": _cameras,
}
# What each of them takes beside --project_id and --dataset; an option that would be ignored is a mistake.
_TAKES: Mapping[str, tuple[str, ...]] = {
    "list": ("capacity", "policies"),
    "show": ("fine_id", "save", "policies"),
    "confirm": ("fine_id", *_DECIDING, "after_deadline", "policies"),
    "reject": ("fine_id", *_DECIDING),
    "alarms": ("kind", "days"),
    "cameras": (),
}


def _check(args: argparse.Namespace) -> None:
    for name, value in vars(args).items():
        if name in ("action", "project_id", "dataset", *_TAKES[args.action]) or not value:
            continue
        fit = [action for action, takes in _TAKES.items() if name in takes]
        shown = "FINE_ID" if name == "fine_id" else f"--{name}"
        raise OptionError(f"{shown}: found with {args.action}; allowed: with {', '.join(fit)}. Leave it out")


def _desk(args: argparse.Namespace, *, sends: bool = False) -> Desk:
    topic = resource_name(args.output_topic or "fines", "topics", "--output_topic", args.project_id) if sends else None
    return Desk(dataset_name(args.dataset, args.project_id) or "", topic)


def _fine_id(args: argparse.Namespace) -> str:
    found = args.fine_id or ""
    if not _FINE_ID.fullmatch(found):
        raise OptionError(
            f"FINE_ID: found {found!r}; allowed: the id of a case, as python -m pipeline review list shows"
        )
    return found


def _reviewer(args: argparse.Namespace) -> str:
    found = args.reviewer or ""
    if not (_NAME.fullmatch(found) and found.isprintable()):
        raise OptionError(f"--reviewer: found {found!r}; allowed: who decides, in 1 to 100 characters. It is recorded")
    return found


def _reason(args: argparse.Namespace) -> str | None:
    found = wording.line(args.reason or "")
    if len(found) > LONGEST_REASON:
        raise OptionError(f"--reason: found {len(found)} characters; allowed: up to {LONGEST_REASON}")
    return found or None


def _capacity(text: str | None) -> int | None:
    return None if text is None else _count(text, "--capacity", "how many cases are looked at in a day", 1_000_000)


def _count(text: str, option: str, what: str, most: int) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise OptionError(f"{option}: found {text!r}; allowed: {what}, 1 to {most}")
    return int(text)


def _warn(text: str) -> None:
    print(f"python -m pipeline review: {line(text)}", file=sys.stderr)
