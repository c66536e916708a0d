"""Changes in a sequence of vehicles, found as early as the evidence allows: Page's cumulative sum of scores.

A score is the logarithm of how much better a change explains a vehicle than no change does. Their sum, never less than
0, runs away after a change and stays low before it (Page, Biometrika 41, 1954). For independent vehicles a sum above h
comes by chance once in e^h vehicles at most (Lorden, Annals of Mathematical Statistics 42, 1971). Vehicles on a road
are not independent, so a threshold is never less than a margin over what the sum has reached in the past by itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Change(NamedTuple):
    """Places in the sequence: where the change may have begun at the earliest, where most likely, and where it was
    found."""

    earliest: int
    begun: int
    found: int


def excursion(scores: Floats) -> Floats:
    """The cumulative sum (n) after each score (n), never less than 0."""
    total = np.cumsum(scores)
    above: Floats = total - np.minimum(np.minimum.accumulate(total), 0.0)
    return above


def peak(scores: Floats) -> float:
    """How high the sum has been."""
    return float(excursion(scores).max(initial=0.0))


def change(scores: Floats, threshold: float, slack: float, lead: int) -> Change | None:
    """The first change whose sum is above the threshold; None: there is none.

    The most likely begin is behind the sum's last nought. One that explains the scores up to the alarm worse by no more
    than `slack` is plausible too. The earliest of them counts, and `lead` places before it, since the first ones behind
    a change need not show it, and whatever came behind it may be wrong.
    """
    path = excursion(scores)
    above = path > threshold
    if not above.any():
        return None
    found = int(above.argmax())
    evidence = np.cumsum(scores[found::-1])[::-1]  # of a begin at each place, up to the alarm
    begun = int(np.flatnonzero(path[:found] == 0.0).max(initial=-1)) + 1
    earliest = int((evidence >= evidence[begun] - slack).argmax())
    return Change(max(min(earliest, begun) - lead, 0), begun, found)


def rate_scores(hits: Flags, usual: float, risen: float) -> Floats:
    """Scores (n) of a share that rises from `usual` to `risen`, both above 0 and below 1."""
    hit, miss = np.log(risen / usual), np.log((1 - risen) / (1 - usual))
    scores: Floats = miss + (hit - miss) * hits
    return scores


def fall_scores(values: Floats, mean: float, spread: float, fall: float) -> Floats:
    """Scores (n) of a mean that falls by `fall` times the spread. No single value says more than three spreads do."""
    below = np.clip((mean - values) / spread, -3.0, 3.0)
    scores: Floats = fall * (below - fall / 2)
    return scores


def longest_gap(hits: Flags) -> tuple[int, int]:
    """The most places in a row without a hit, the end of the sequence included, and where they begin."""
    marks = np.concatenate([[-1], np.flatnonzero(hits), [len(hits)]])
    gaps = np.diff(marks) - 1
    longest = int(gaps.argmax())
    return int(gaps[longest]), int(marks[longest]) + 1


def first_gap(hits: Flags, longer_than: int) -> Change | None:
    """The first run of more places than that without a hit; None: there is none."""
    marks = np.concatenate([[-1], np.flatnonzero(hits), [len(hits)]])
    long = np.flatnonzero(np.diff(marks) - 1 > longer_than)
    if not len(long):
        return None
    begun = int(marks[long[0]]) + 1
    return Change(begun, begun, begun + longer_than)
