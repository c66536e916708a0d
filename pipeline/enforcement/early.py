"""What is passed on as soon as the exit is seen, before the session has ended.

An early look at a session is followed by another one, at its end at the latest. So what it leaves out is not lost: all
that is clear, unmeasurable or in doubt, and any violation of a vehicle that is still on its way through a section. What
it has passed on is revised by each later look, early or not, like anything else (revisions).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from pipeline.enforcement.model import Passage, Reason, Sighting
from pipeline.enforcement.passages import Session
from pipeline.enforcement.policy import Policy, is_suspected
from pipeline.enforcement.revisions import Published
from pipeline.enforcement.sections import Section


class Look(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """All that a session of one vehicle holds so far. `early`: another look at it will follow."""

    sightings: tuple[Sighting, ...]
    early: bool


def may_decide(sections: Mapping[str, Section], policies: Mapping[str, Policy]) -> frozenset[str]:
    """The sections whose violations need not wait for the end of the session. `policies`: of each section.

    Of a radar track no end is seen, and a case that is always for a person is in no hurry. Where a policy fines once
    for a trip that lasts until the vehicle is unseen for a gap, a worse passage may come at any time: nothing is early.
    """
    if any(policy.one_fine_per_trip for policy in policies.values()):
        return frozenset()
    return frozenset(
        section_id
        for section_id, section in sections.items()
        if section.cameras and not policies[section_id].always_reviewed
    )


def passed_on(session: Session, history: Iterable[Published], section_ids: frozenset[str], gap_us: int) -> Session:
    """The session with those passages alone that an early look passes on: what was passed on before, and proven
    violations in `section_ids`, unless a section that the vehicle has entered is still open.

    Its passage would be of the same trip where the two sections overlap or touch, and might be the worse one. If
    one is entered after this look, by a camera beside the exit, a later look withdraws what is no longer the worst.
    """
    known = {old.passage.passage_id for old in history}
    decides = not any(_is_open(passage, session.last_us - gap_us) for passage in session.passages)
    passages = (
        one
        for one in session.passages
        if one.passage_id in known
        or (decides and is_suspected(one) and not one.reasons and one.section_id in section_ids)
    )
    return session._replace(passages=tuple(passages))


def _is_open(passage: Passage, since_us: int) -> bool:
    """Whether its exit may still be seen: an exit one gap after the last sighting would be of another passage."""
    return Reason.EXIT_MISSING in passage.reasons and passage.last_us > since_us
