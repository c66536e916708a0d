"""What a later look at the same session changes: revisions, and cases taken back.

A late sighting makes the session fire again with all it holds. Only what is new or materially different goes on;
a passage that the new look no longer contains is superseded. Nothing that was once a suspected violation is fined
after a change: it is withdrawn, or goes to a person.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from pipeline.enforcement.model import Outcome, Passage, Reason, Session
from pipeline.enforcement.policy import is_suspected


class Published(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A passage as last passed on, the span and size of its session, and whether it was ever suspected."""

    passage: Passage
    session_first_us: int
    session_last_us: int
    session_n: int
    ever_suspected: bool


History = tuple[Published, ...]


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A passage to pass on. `withdraws`: an earlier revision was a suspected violation and this one is not."""

    passage: Passage
    withdraws: bool = False


def revise(history: History, session: Session) -> tuple[list[Change], History]:
    """What to pass on of `session`, and the history that remembers it. The session's passages are decided."""
    if not history:
        return _first_look(session)
    touched = [
        old for old in history if session.first_us <= old.session_last_us and old.session_first_us <= session.last_us
    ]
    if any(old.session_n > session.n_sightings for old in touched):
        return [], history  # an earlier, smaller look that arrived after a later one
    now = {passage.passage_id for passage in session.passages}
    before = {old.passage.passage_id: old for old in touched}
    gone = [old for old in touched if old.passage.passage_id not in now]
    changes = [_superseded(old.passage) for old in gone if Reason.SUPERSEDED not in old.passage.reasons]
    suspected_before = any(old.ever_suspected for old in gone)
    for passage in session.passages:
        changes.extend(_change(before.get(passage.passage_id), passage, suspected_before=suspected_before))
    return changes, _remember(history, changes, session)


def _first_look(session: Session) -> tuple[list[Change], History]:
    """Nearly every session is looked at once."""
    span = (session.first_us, session.last_us, session.n_sightings)
    remembered = [Published(passage, *span, is_suspected(passage)) for passage in session.passages]
    return [Change(passage) for passage in session.passages], tuple(remembered)


def _superseded(old: Passage) -> Change:
    passage = replace(old, outcome=Outcome.UNMEASURABLE, reasons=(Reason.SUPERSEDED,), revision=old.revision + 1)
    return Change(passage, withdraws=is_suspected(old))


def _change(old: Published | None, passage: Passage, *, suspected_before: bool) -> Iterator[Change]:
    if old is not None:
        if _same(old.passage, passage):
            return
        passage = replace(passage, revision=old.passage.revision + 1)
        suspected_before = suspected_before or old.ever_suspected
    if is_suspected(passage) and suspected_before:
        passage = replace(passage, reasons=(*passage.reasons, Reason.REVISED))
    withdraws = old is not None and is_suspected(old.passage) and not is_suspected(passage)
    yield Change(passage, withdraws=withdraws)


def _same(old: Passage, passage: Passage) -> bool:
    """Whether nothing that a decision rests on differs."""
    reasons = tuple(reason for reason in old.reasons if reason is not Reason.REVISED)
    return replace(old, revision=1, n_sightings=0, reasons=reasons) == replace(passage, revision=1, n_sightings=0)


def _remember(history: History, changes: list[Change], session: Session) -> History:
    """The history with the changed passages; what is not changed still knows that it was part of this session."""
    suspected = {old.passage.passage_id for old in history if old.ever_suspected}
    changed = {change.passage.passage_id: change.passage for change in changes}
    of_session = {passage.passage_id for passage in session.passages} | changed.keys()
    span = (session.first_us, session.last_us, session.n_sightings)
    latest = {old.passage.passage_id: old.passage for old in history} | changed
    others = tuple(old for old in history if old.passage.passage_id not in of_session)
    return others + tuple(
        Published(passage, *span, ever_suspected=passage_id in suspected or is_suspected(passage))
        for passage_id, passage in latest.items()
        if passage_id in of_session
    )
