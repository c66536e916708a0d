"""Suspected passages held back until the near twins that may speak against them have come out.

An unmatched read comes out when its vehicle has been unseen for a session gap. One whose vehicle's entry was taken for
that of a passage lies behind the passage's entry by as long as a vehicle may be in the section, so once another gap has
passed all have come out, but for those of vehicles that are still driving on other sections: what comes later than that
changes no case any more, and is an alarm. An alarm is also what names the twin, whenever it came. Where violations are
passed on as soon as the exit is seen nothing is held: what has come out by then counts, and what comes later is an
alarm.

Reads are far more than cases, and most concern none. So they are put by as they come, beside what is known of the
cases, and looked at when a case is to be let go, and once a session gap for pairs and for what came too late.

Nothing that was taken back goes out. Revisions of a passage and withdrawals of its case come this way too, in whatever
order: of each passage the highest revision counts that was heard of. A case that is held when its withdrawal comes is
dropped, and one whose withdrawal came first is never held; the passage is told by the revision that took it back.
Unmatched reads are not taken back: one that a late sighting has matched since still sends a case to a person.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from pipeline.enforcement import twins
from pipeline.enforcement.alarms import Alarm
from pipeline.enforcement.model import Passage
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.twins import Reads, Rules, Unmatched


class TakenBack(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A case that was taken back, by this revision of its passage."""

    passage_id: str
    revision: int


class News(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is heard of a stretch: a suspected passage, unmatched reads, or a case that was taken back."""

    suspected: Passage | None = None
    reads: tuple[Unmatched, ...] = ()
    taken_back: TakenBack | None = None


class Suspicion(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A suspected passage in its highest revision, and whether it is still held."""

    passage: Passage
    held: bool


class Watch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of a stretch beside its unmatched reads, each thing in the order in which it came.

    until_us: nothing new comes after that, as far as is known. told: the alarms that were raised. reads: those that an
    earlier release kept here.
    """

    suspicions: tuple[Suspicion, ...] = ()
    reads: tuple[Unmatched, ...] = ()
    taken_back: tuple[TakenBack, ...] = ()
    until_us: int = 0
    told: tuple[str, ...] = ()


class Step(NamedTuple):
    """What is known after something was heard or time has passed, what goes on, and how many revisions were dropped."""

    watch: Watch
    suspected: Sequence[Passage] = ()
    alarms: Sequence[Alarm] = ()
    dropped: int = 0


def hear(watch: Watch, news: News) -> Step:
    """Take in what is suspected or was taken back. News that is repeated changes nothing."""
    if news.suspected is not None:
        return _suspect(watch, news.suspected)
    if news.taken_back is not None:
        return _take_back(watch, news.taken_back)
    return Step(watch)


def _suspect(watch: Watch, passage: Passage) -> Step:
    known = [one.passage.revision for one in watch.suspicions if one.passage.passage_id == passage.passage_id]
    known += [one.revision for one in watch.taken_back if one.passage_id == passage.passage_id]
    if max(known, default=0) >= passage.revision:
        return Step(watch, dropped=1)
    others, dropped = _without(watch, passage.passage_id, passage.revision)
    return Step(replace(watch, suspicions=(*others, Suspicion(passage, held=True))), dropped=dropped)


def _take_back(watch: Watch, back: TakenBack) -> Step:
    others, dropped = _without(watch, back.passage_id, back.revision + 1)
    known = [one for one in watch.taken_back if one.passage_id != back.passage_id or one.revision > back.revision]
    return Step(replace(watch, suspicions=others, taken_back=(*known, back)), dropped=dropped)


def _without(watch: Watch, passage_id: str, before_revision: int) -> tuple[tuple[Suspicion, ...], int]:
    """The suspicions without earlier revisions of a passage, and how many of these had not gone out."""
    overtaken = [
        one
        for one in watch.suspicions
        if one.passage.passage_id == passage_id and one.passage.revision < before_revision
    ]
    others = tuple(one for one in watch.suspicions if one not in overtaken)
    return others, sum(one.held for one in overtaken)


def release(
    watch: Watch, reads: Iterable[Unmatched], now_us: int, rules: Rules, pseudonyms: Pseudonyms = IN_CLEAR
) -> Step:
    """Let go what has been held long enough. reads: all of the stretch, asked for where something is due alone;
    everything up to now_us has been heard."""
    due = [one.passage for one in watch.suspicions if one.held and due_us(one.passage, rules) <= now_us]
    if not due:
        return Step(watch)
    found = twins.compare(due, Reads(_that_may_concern(due, reads, rules)), rules, pseudonyms)
    gone = {passage.passage_id for passage in due}
    suspicions = tuple(replace(one, held=False) if one.passage.passage_id in gone else one for one in watch.suspicions)
    return _telling(Step(replace(watch, suspicions=suspicions), found.suspected, found.alarms))


def _that_may_concern(due: Sequence[Passage], reads: Iterable[Unmatched], rules: Rules) -> Iterator[Unmatched]:
    """By their times: the few that are left are put in order."""
    spans = [(one.first_us, one.last_us, rules.window_us(one.section_id)) for one in due]
    from_us = min(first_us - window_us for first_us, _, window_us in spans)
    until_us = max(last_us + window_us for _, last_us, window_us in spans)
    return (one for one in reads if from_us <= one.read.time_us <= until_us)


def look(
    watch: Watch, stretch: str, reads: Iterable[Unmatched], rules: Rules, pseudonyms: Pseudonyms = IN_CLEAR
) -> Step:
    """What the reads of the stretch say of each other, and of what has gone out."""
    if twins.parts_of(stretch)[0] not in rules.sections:
        return Step(watch)  # it was taken out of the section file
    known = Reads(reads)
    gone = [one.passage for one in watch.suspicions if not one.held]
    too_late = twins.compare(gone, known, rules, pseudonyms).alarms
    return _telling(Step(watch, alarms=[*too_late, *twins.pairs(stretch, known, rules, pseudonyms)]))


def _telling(step: Step) -> Step:
    """Each alarm once."""
    alarms = [alarm for alarm in step.alarms if alarm.alarm_id not in step.watch.told]
    told = (*step.watch.told, *(alarm.alarm_id for alarm in alarms))
    return step._replace(watch=replace(step.watch, told=told), alarms=alarms)


def due_us(passage: Passage, rules: Rules) -> int:
    """Until when a passage is held; 0: not at all, since it can have no near twin, or is one that waits for nothing."""
    if not twins.may_have_twins(passage) or passage.section_id in rules.early_sections:
        return 0
    latest_us = max(passage.last_us + rules.gap_us, passage.first_us + rules.window_us(passage.section_id))
    return latest_us + rules.gap_us


def next_due_us(watch: Watch, rules: Rules) -> int | None:
    """When the next is to be let go; None: nothing is held."""
    return min((due_us(one.passage, rules) for one in watch.suspicions if one.held), default=None)


def remembered(watch: Watch, stretch: str, now_us: int, remember_us: int, rules: Rules) -> Watch:
    """With the time at which nothing new comes any more; it never moves back."""
    section_id, number = twins.parts_of(stretch)
    end_us = (number + 1) * rules.stretch_us + 2 * rules.window_us(section_id)
    return replace(watch, until_us=max(watch.until_us, max(end_us, now_us) + remember_us))


def look_us(now_us: int, rules: Rules) -> int:
    """When to look at reads that have come out now, and at all others that do until then: each look costs as much as
    the stretch has reads."""
    return (now_us // rules.gap_us + 1) * rules.gap_us
