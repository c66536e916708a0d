"""What a later look at the same session changes: revisions, and cases taken back.

A late sighting makes the session fire again with all it holds. Only what is new or materially different goes on;
a passage that the new look no longer contains is superseded. Nothing that was once a suspected violation is fined
after a change: it is withdrawn, or goes to a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from pipeline.enforcement.model import Outcome, Passage, Reason, Sighting
from pipeline.enforcement.passages import Session
from pipeline.enforcement.policy import is_suspected
from pipeline.enforcement.records import last_coordinates

EVIDENCE_BYTES = 8


class Published(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A passage as last passed on, the span and size of its session, and whether it was ever suspected.

    It is kept for each vehicle, so without what need not be: the vehicle is known where it is looked at, and of entry
    and exit all that counts later is where the vehicle was last, and whether they are still the same: `evidence`, their
    digest. Empty: of a release that kept the whole passage.
    """

    passage: Passage
    session_first_us: int
    session_last_us: int
    session_n: int
    ever_suspected: bool
    evidence: bytes = b""


History = tuple[Published, ...]
Span = tuple[int, int, int]  # of a session: first_us, last_us, n_sightings


class Change(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A passage to pass on. `withdraws`: an earlier revision was a suspected violation and this one is not."""

    passage: Passage
    withdraws: bool = False


def revise(history: History, session: Session) -> tuple[list[Change], History]:
    """What to pass on of `session`, and the history that remembers it. The session's passages are decided."""
    if not history:
        return _first_look(session)
    history = tuple(map(_without_sightings, history))
    touched = [
        old for old in history if session.first_us <= old.session_last_us and old.session_first_us <= session.last_us
    ]
    if any(old.session_n > session.n_sightings for old in touched):
        return [], history  # an earlier, smaller look that arrived after a later one
    now = {passage.passage_id for passage in session.passages}
    before = {old.passage.passage_id: old for old in touched}
    gone = [old for old in touched if old.passage.passage_id not in now]
    changes = [_superseded(old.passage, session) for old in gone if Reason.SUPERSEDED not in old.passage.reasons]
    suspected_before = any(old.ever_suspected for old in gone) or _trip_has_changed(touched, session)
    for passage in session.passages:
        changes.extend(_change(before.get(passage.passage_id), passage, suspected_before=suspected_before))
    return changes, _remember(history, changes, session)


def _trip_has_changed(before: Iterable[Published], session: Session) -> bool:
    """Whether what was ever suspected is now one that another passage of its trip stands for: that other one is no
    first. An early look may have told of the one, and left the other for this look to tell."""
    suspected = {old.passage.passage_id for old in before if old.ever_suspected}
    return any(one.passage_id in suspected and Reason.ONE_FINE_A_TRIP in one.reasons for one in session.passages)


def _first_look(session: Session) -> tuple[list[Change], History]:
    """Nearly every session is looked at once."""
    span = (session.first_us, session.last_us, session.n_sightings)
    remembered = [_kept(passage, span, is_suspected(passage)) for passage in session.passages]
    return [Change(passage) for passage in session.passages], tuple(remembered)


def _kept(passage: Passage, span: Span, ever_suspected: bool) -> Published:
    place = last_coordinates(passage)
    last = None if place is None else Sighting("", "", 0, location=place)
    bare = replace(passage, vehicle_id="", entry=None, exit=last, points=())
    return Published(bare, *span, ever_suspected, _evidence(passage))


def _evidence(passage: Passage) -> bytes:
    return blake2b(msgspec.msgpack.encode((passage.entry, passage.exit)), digest_size=EVIDENCE_BYTES).digest()


def _without_sightings(old: Published) -> Published:
    """As it is kept now, also where an earlier release has written it."""
    if old.evidence:
        return old
    return _kept(old.passage, (old.session_first_us, old.session_last_us, old.session_n), old.ever_suspected)


def _superseded(old: Passage, session: Session) -> Change:
    passage = replace(
        old,
        vehicle_id=session.vehicle_id,
        outcome=Outcome.UNMEASURABLE,
        reasons=(Reason.SUPERSEDED,),
        revision=old.revision + 1,
    )
    return Change(passage, withdraws=is_suspected(old))


def _change(old: Published | None, passage: Passage, *, suspected_before: bool) -> Iterator[Change]:
    if old is not None:
        if _same(old, passage):
            return
        passage = replace(passage, revision=old.passage.revision + 1)
        suspected_before = suspected_before or old.ever_suspected
    if is_suspected(passage) and suspected_before:
        passage = replace(passage, reasons=(*passage.reasons, Reason.REVISED))
    withdraws = old is not None and is_suspected(old.passage) and not is_suspected(passage)
    yield Change(passage, withdraws=withdraws)


def _same(old: Published, passage: Passage) -> bool:
    """Whether nothing that a decision rests on differs."""
    if old.evidence != _evidence(passage):
        return False
    before = old.passage
    reasons = tuple(reason for reason in before.reasons if reason is not Reason.REVISED)
    now = replace(passage, revision=1, n_sightings=0, vehicle_id="", entry=None, exit=before.exit, points=(), trip=())
    return replace(before, revision=1, n_sightings=0, reasons=reasons, trip=()) == now


def _remember(history: History, changes: list[Change], session: Session) -> History:
    """The history with the changed passages; what is not changed still knows that it was part of this session."""
    span = (session.first_us, session.last_us, session.n_sightings)
    known = {old.passage.passage_id: old for old in history}
    changed = {change.passage.passage_id: change.passage for change in changes}
    now = {passage.passage_id for passage in session.passages} | changed.keys()
    others = [old for passage_id, old in known.items() if passage_id not in now]
    of_session = [passage_id for passage_id in known | changed if passage_id in now]
    return (*others, *(_again(known.get(one), changed.get(one), span) for one in of_session))


def _again(old: Published | None, changed: Passage | None, span: Span) -> Published:
    """A passage of this session, with its change if there is one."""
    suspected = old is not None and old.ever_suspected
    if changed is not None:
        return _kept(changed, span, suspected or is_suspected(changed))
    assert old is not None
    return Published(old.passage, *span, suspected or is_suspected(old.passage), old.evidence)
