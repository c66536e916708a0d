"""What a later look at the same session changes: revisions, and cases taken back.

A late sighting makes the session fire again with all it holds. Only what is new or materially different goes on;
a passage that the new look no longer contains is superseded. Nothing that was once a suspected violation is fined
after a change: it is withdrawn, or goes to a person. So does what another session throws doubt on, where nobody can
have driven from the one to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from pipeline.enforcement.clones import Pair
from pipeline.enforcement.model import Outcome, Passage, Reason, Sighting
from pipeline.enforcement.passages import Session
from pipeline.enforcement.policy import is_suspected
from pipeline.enforcement.records import last_coordinates

EVIDENCE_BYTES = 8


class Published(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A passage as last passed on, the span and size of its session, and whether it was ever suspected.

    It is kept for each vehicle, so without what need not be: the vehicle is known where it is looked at, and of entry
    and exit all that counts later is where the vehicle was last, and whether they are still the same: `evidence`, their
    digest. Empty: of a release that kept the whole passage. A suspected one is kept whole, since another session may
    bring it before a person. ends: of its session, told with the first of its passages alone.
    """

    passage: Passage
    session_first_us: int
    session_last_us: int
    session_n: int
    ever_suspected: bool
    evidence: bytes = b""
    ends: tuple[Sighting, ...] = ()


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
    history = tuple(map(_as_kept_now, history))
    touched = [old for old in history if _is_of(old, session.first_us, session.last_us)]
    if any(old.session_n > session.n_sightings for old in touched):
        return [], history  # an earlier, smaller look that arrived after a later one
    now = {passage.passage_id for passage in session.passages}
    before = {old.passage.passage_id: old for old in touched}
    gone = [old for old in touched if old.passage.passage_id not in now]
    changes = [_superseded(old.passage, session) for old in gone if Reason.SUPERSEDED not in old.passage.reasons]
    suspected_before = any(old.ever_suspected for old in gone) or _trip_has_changed(touched, session)
    for passage in session.passages:
        changes.extend(_change(before.get(passage.passage_id), passage, suspected_before=suspected_before))
    doubted = {old.passage.passage_id: _seen_elsewhere(old, session.vehicle_id) for old in _elsewhere(history, session)}
    history = tuple([_with(old, doubted.get(old.passage.passage_id)) for old in history])
    return [*changes, *doubted.values()], _remember(history, changes, session)


def ends_of_others(history: History, vehicle_id: str, first_us: int, last_us: int) -> list[Sighting]:
    """The ends of the vehicle's sessions before and after one, as far as they are remembered."""
    others = (old for old in history if old.ends and not _is_of(old, first_us, last_us))
    return [replace(end, vehicle_id=vehicle_id) for old in others for end in old.ends]


def doubted_by(pair: Pair, history: History) -> list[Passage]:
    """The passages, as last passed on, of the sessions of both sightings."""
    return [old.passage for old in history if any(_is_of(old, one.time_us, one.time_us) for one in pair[:2])]


def _is_of(old: Published, first_us: int, last_us: int) -> bool:
    """Whether its session holds anything of that time."""
    return first_us <= old.session_last_us and old.session_first_us <= last_us


def _elsewhere(history: History, session: Session) -> Iterator[Published]:
    """What is suspected in other sessions, from or to which nobody can have driven."""
    times_us = {one.time_us for pair in session.pairs for one in pair[:2]}
    for old in history if times_us else ():
        is_other = not _is_of(old, session.first_us, session.last_us) and any(_is_of(old, at, at) for at in times_us)
        if is_other and is_suspected(old.passage) and Reason.SEEN_ELSEWHERE not in old.passage.reasons:
            yield old


def _seen_elsewhere(old: Published, vehicle_id: str) -> Change:
    """For a person; one that an earlier release kept without its sightings is taken back."""
    reasons = tuple(reason for reason in old.passage.reasons if reason is not Reason.REVISED)
    reasons, revision = (*reasons, Reason.SEEN_ELSEWHERE), old.passage.revision + 1
    if old.passage.vehicle_id:
        return Change(replace(old.passage, reasons=(*reasons, Reason.REVISED), revision=revision))
    outcome = Outcome.UNMEASURABLE
    passage = replace(old.passage, vehicle_id=vehicle_id, outcome=outcome, reasons=reasons, revision=revision)
    return Change(passage, withdraws=True)


def _with(old: Published, change: Change | None) -> Published:
    return old if change is None else replace(old, passage=change.passage)


def _trip_has_changed(before: Iterable[Published], session: Session) -> bool:
    """Whether what was ever suspected is now one that another passage of its trip stands for: that other one is no
    first. An early look may have told of the one, and left the other for this look to tell."""
    suspected = {old.passage.passage_id for old in before if old.ever_suspected}
    return any(one.passage_id in suspected and Reason.ONE_FINE_A_TRIP in one.reasons for one in session.passages)


def _first_look(session: Session) -> tuple[list[Change], History]:
    """Nearly every session is looked at once."""
    span = (session.first_us, session.last_us, session.n_sightings)
    remembered = [_kept(passage, span, is_suspected(passage)) for passage in session.passages]
    return [Change(passage) for passage in session.passages], _with_ends(remembered, session)


def _with_ends(of_session: Sequence[Published], session: Session) -> History:
    """The session's ends with the first of its passages alone."""
    kept = [replace(one, ends=()) if one.ends else one for one in of_session]
    if kept:
        kept[0] = replace(kept[0], ends=session.ends)
    return tuple(kept)


def _kept(passage: Passage, span: Span, ever_suspected: bool) -> Published:
    kept = passage if is_suspected(passage) else _bare(passage)
    return Published(kept, *span, ever_suspected, _evidence(passage))


def _bare(passage: Passage) -> Passage:
    place = last_coordinates(passage)
    last = None if place is None else Sighting("", "", 0, location=place)
    return replace(passage, vehicle_id="", entry=None, exit=last, points=())


def _evidence(passage: Passage) -> bytes:
    return blake2b(msgspec.msgpack.encode((passage.entry, passage.exit)), digest_size=EVIDENCE_BYTES).digest()


def _as_kept_now(old: Published) -> Published:
    """Also where an earlier release has written it."""
    if old.evidence:
        return old
    return _kept(old.passage, (old.session_first_us, old.session_last_us, old.session_n), old.ever_suspected)


def _superseded(old: Passage, session: Session) -> Change:
    passage = replace(
        _bare(old),
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
    reasons = tuple(reason for reason in old.passage.reasons if reason is not Reason.REVISED)
    return _decided_on(replace(old.passage, reasons=reasons)) == _decided_on(passage)


def _decided_on(passage: Passage) -> Passage:
    """Without the evidence, and what tells of other passages or of how often one was told."""
    return replace(passage, revision=1, n_sightings=0, vehicle_id="", entry=None, exit=None, points=(), trip=())


def _remember(history: History, changes: list[Change], session: Session) -> History:
    """The history with the changed passages; what is not changed still knows that it was part of this session."""
    span = (session.first_us, session.last_us, session.n_sightings)
    known = {old.passage.passage_id: old for old in history}
    seen = {passage.passage_id: passage for passage in session.passages}
    changed = {change.passage.passage_id: change.passage for change in changes}
    now = seen.keys() | changed.keys()
    others = [old for passage_id, old in known.items() if passage_id not in now]
    of_session = [
        _again(known.get(one), changed.get(one) or _whole(known[one], seen[one]), span)
        for one in known | changed
        if one in now
    ]
    return (*others, *_with_ends(of_session, session))


def _whole(old: Published, passage: Passage) -> Passage | None:
    """A suspected passage that an earlier release kept without its sightings, with those of this look."""
    if not is_suspected(old.passage) or old.passage.vehicle_id:
        return None
    return replace(passage, revision=old.passage.revision, reasons=old.passage.reasons)


def _again(old: Published | None, changed: Passage | None, span: Span) -> Published:
    """A passage of this session, with its change if there is one."""
    suspected = old is not None and old.ever_suspected
    if changed is not None:
        return _kept(changed, span, suspected or is_suspected(changed))
    assert old is not None
    return Published(old.passage, *span, suspected or is_suspected(old.passage), old.evidence)
