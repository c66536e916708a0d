"""The file of notices, local or gs://: read at the start, and followed while a stream runs.

Each process looks at it every few seconds, and reads it when it has changed. As long as it cannot be read, or a line of
it, or less is in it than was once read, nobody knows what it would say: the cases of all sections that it speaks of are
then for a person.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from google.cloud.storage.retry import DEFAULT_RETRY
from msgspec.structs import replace

from pipeline import places
from pipeline.enforcement import notices
from pipeline.enforcement.limits import SectionNotices
from pipeline.enforcement.notices import Notice, Problem
from pipeline.enforcement.sections import Network
from pipeline.option_values import OptionError

POLL_S = 2.0
TIMEOUT_S = 5.0
RETRY = DEFAULT_RETRY.with_timeout(TIMEOUT_S)
MAX_TOLD = 5
BySection = Mapping[str, SectionNotices]
_log = logging.getLogger(__name__)


class Source(NamedTuple):
    """Where the notices are, and which there were at the start. followed: whether it is looked at again."""

    place: str
    at_start: frozenset[Notice]
    section_ids: tuple[str, ...]
    variable_ids: tuple[str, ...]
    followed: bool


def source(place: str | None, network: Network, *, followed: bool) -> Source | None:
    """What --notices names; None: nothing. Raises OptionError, also for a line that is no notice."""
    variable_ids = tuple(name for name, section in network.sections.items() if section.limits.variable)
    if place is None:
        if variable_ids:
            raise OptionError(
                f"--notices: absent; needed for section {variable_ids[0]}, which has variable_limit: yes. Name the "
                "file in which its sign's limits stand"
            )
        return None
    try:
        found = _read(place)
    except places.REFUSED as error:
        raise OptionError(
            f"--notices: {place} cannot be read: {_line(error)}. Name an existing file; it may be empty"
        ) from error
    told, problems = notices.read(found, network.sections)
    if problems:
        raise OptionError(f"--notices {place}: {problems[0].text}")
    return Source(place, notices.condensed(told), tuple(network.sections), variable_ids, followed)


def at_start(found: Source | None) -> BySection:
    """What they said when the run was started, which is all that a run from files asks for."""
    return notices.by_section(found.at_start if found else ())


@cache
def follow(found: Source | None) -> Following:
    """The same for all threads of a process."""
    return Following(found)


class Following:
    """What the notices say now."""

    def __init__(self, found: Source | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._source, self._clock, self._polling = found, clock, threading.Lock()
        self._next_s = clock()
        self._stamp: object = None
        self._lines = _Lines(found.section_ids if found else ())
        self._known = found.at_start if found else frozenset()
        self._by_section: BySection = notices.by_section(self._known)
        self._wrong: Sequence[Problem] = ()

    def by_section(self) -> BySection:
        """Of each section that they speak of; looked at again if the last time is a while ago."""
        if self._source is None or not self._source.followed or self._clock() < self._next_s:
            return self._by_section
        if self._polling.acquire(blocking=False):  # who comes meanwhile works with what is known
            try:
                self._poll(self._source)
            finally:
                self._polling.release()
        return self._by_section

    def _poll(self, found: Source) -> None:
        begun_s = self._clock()
        try:
            stamp = _stamp(found.place)  # before the reading: what is written meanwhile is seen the next time
            if stamp != self._stamp:
                self._take(found, self._lines.take(_read(found.place)))
                self._stamp = stamp
        except places.REFUSED as error:
            self._stamp = None
            self._say(found, [Problem(None, f"cannot be read: {_line(error)}")])
        # Of a service that does not answer no more than a fifth of the time is spent on asking.
        self._next_s = self._clock() + max(POLL_S, 4 * (self._clock() - begun_s))

    def _take(self, found: Source, told: Collection[Notice]) -> None:
        """What was once read stays known, also where somebody has removed it."""
        removed = [one for one in self._known if one.confirmed_until_us is None and one not in told]
        lost = [Problem(one.section_id, "a notice that was read is no longer in it; put it back") for one in removed]
        self._known = notices.condensed((*self._known, *told))
        self._say(found, [*self._lines.problems, *lost])

    def _say(self, found: Source, wrong: Sequence[Problem]) -> None:
        said = notices.by_section(self._known)
        if wrong:
            concerned = {*said, *found.variable_ids, *(one.section_id for one in wrong)}
            names = [name for name in found.section_ids if name in concerned]
            said |= {name: replace(said.get(name, SectionNotices(name)), unread=True) for name in names}
        if wrong and wrong != self._wrong:
            _log.error("--notices %s: %s. Suspected cases are for a person", found.place, _told(wrong))
        elif self._wrong and not wrong:
            _log.warning("--notices %s: can be read again", found.place)
        self._by_section, self._wrong = said, wrong


class _Lines:
    """What the lines of a file say that grows at its end: each of them is read once."""

    def __init__(self, section_ids: Collection[str]) -> None:
        self._section_ids = section_ids
        self._read, self._notices, self._wrong = b"", frozenset[Notice](), tuple[Problem, ...]()
        self.problems: tuple[Problem, ...] = ()

    def take(self, data: bytes) -> frozenset[Notice]:
        """The notices of the whole file, and its problems. A last line may still be being written."""
        whole, last = data[: data.rfind(b"\n") + 1], data[data.rfind(b"\n") + 1 :]
        if not whole.startswith(self._read):
            self._read, self._notices, self._wrong = b"", frozenset(), ()
        told, wrong = self._of(whole[len(self._read) :])
        self._notices, self._wrong = notices.condensed((*self._notices, *told)), (*self._wrong, *wrong)
        self._read = whole
        told, wrong = self._of(last)
        self.problems = (*self._wrong, *wrong)
        return notices.condensed((*self._notices, *told))

    def _of(self, data: bytes) -> tuple[list[Notice], list[Problem]]:
        return notices.read(data, self._section_ids, self._read.count(b"\n") + 1)


def _stamp(place: str) -> object:
    """Changes with what is there."""
    if not places.is_remote(place):
        found = os.stat(place)
        return found.st_ino, found.st_mtime_ns, found.st_size
    blob = places.blob(place)
    blob.reload(timeout=TIMEOUT_S, retry=RETRY)
    return blob.generation


def _read(place: str) -> bytes:
    if not places.is_remote(place):
        return Path(place).read_bytes()
    found: bytes = places.blob(place).download_as_bytes(timeout=TIMEOUT_S, retry=RETRY)
    return found


def _told(wrong: Sequence[Problem]) -> str:
    more = f"; and {len(wrong) - MAX_TOLD} more" if len(wrong) > MAX_TOLD else ""
    return "; ".join(one.text for one in wrong[:MAX_TOLD]) + more


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
