"""Travel times of a section when nothing slows its traffic, and what a clock's shift does to them.

A clock that is off by s adds s to every travel time; congestion adds much to some. So only the quick part of the
passages is looked at, and only its shape: how many drive in congestion does not count. The quick part has edges (nobody
drives much faster than the fastest few, many keep close to the limit), and a shift moves all of them at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FREE_FLOW_NEEDS = 200  # passages, to say anything of it
POINTS = 200  # that stand for the travel times of a day
STEP_S = 0.05
MARGIN_S = 15.0
QUICK_SHARE, SLOW_SHARE = 0.6, 0.1
SMOOTHING = 0.7
LEAST_WIDTH_S = 0.2
STRAYS = 0.1  # of times that no past explains: one of them proves nothing
MOST_PER_VEHICLE = 1.0


def points_of(travel_time_s: Floats) -> tuple[float, ...]:
    """A day's travel times (n) in seconds as POINTS quantiles: all that is kept of them, and of no single vehicle."""
    shares = (np.arange(POINTS) + 0.5) / POINTS
    return tuple(np.round(np.quantile(travel_time_s, shares), 3).tolist())


class FreeFlow:
    """The distribution of a section's travel times, smoothed, from the points of days or from travel times."""

    def __init__(self, times_s: Sequence[float] | Floats, passages: int) -> None:
        """times_s (n): travel times in seconds that stand for so many passages."""
        times = np.sort(np.asarray(times_s, np.float64))
        self.times_s, self.passages = times, passages
        self._first_s = times[0] - MARGIN_S
        cells = int((times[-1] + MARGIN_S - self._first_s) / STEP_S) + 1
        self.quick_s = float(np.quantile(times, QUICK_SHARE))
        self.slow_s = float(np.quantile(times, 1 - SLOW_SHARE))
        counts = np.bincount(self._cells(times, cells), minlength=cells).astype(np.float64)
        density = np.convolve(counts, _bell(self._width_s(times)), "same") / len(times)
        self._density: Floats = density + STRAYS / cells
        self._below: Floats = np.cumsum(self._density)

    def _width_s(self, times: Floats) -> float:
        quick = times[times <= self.quick_s]
        spread_s = float(quick[-1] - quick[len(quick) // 10]) / 3
        return max(LEAST_WIDTH_S, SMOOTHING * spread_s * math.pow(self.passages, -0.2))

    def _cells(self, times_s: Floats, count: int) -> npt.NDArray[np.int64]:
        cells: npt.NDArray[np.int64] = np.clip((times_s - self._first_s) / STEP_S, 0, count - 1).astype(np.int64)
        return cells

    def _log_density(self, times_s: Floats, shift_s: float, cut_s: float) -> Floats:
        """Of passages (n) below the cut whose clocks add shift_s, given that they are below it."""
        size = len(self._density)
        below = self._below[self._cells(np.array([cut_s - shift_s]), size)[0]]
        found: Floats = np.log(self._density[self._cells(times_s - shift_s, size)] / below)
        return found

    def _cut_s(self, shift_s: float) -> float:
        """Quicker passages are looked at: those that are quick, and would still be after a shift."""
        return self.quick_s + max(shift_s, 0.0)

    def scores(self, travel_time_s: Floats, shift_s: float) -> Floats:
        """How much better each passage (n) is explained by a shift than without; 0 for those that are not quick.

        shift_s: what the clocks add to the travel time; below 0 drivers look faster than they are.
        """
        cut_s = self._cut_s(shift_s)
        shifted, still = (self._log_density(travel_time_s, shift, cut_s) for shift in (shift_s, 0.0))
        bounded = np.clip(shifted - still, -MOST_PER_VEHICLE, MOST_PER_VEHICLE)
        return np.where(travel_time_s < cut_s, bounded, 0.0)

    def shift_s(self, travel_time_s: Floats, about_s: float = 0.0, most_s: float = 10.0) -> float:
        """The shift that explains these passages (n) best, in seconds. about_s: what it may be."""
        cut_s = self._cut_s(about_s)
        quick = travel_time_s[travel_time_s < cut_s]
        if not len(quick):
            return 0.0
        size, reach = len(self._density), round(most_s / STEP_S)
        cells, counts = np.unique(self._cells(quick, size), return_counts=True)
        steps = np.arange(-reach, reach + 1)
        likely = np.log(self._density)[np.clip(cells - steps[:, None], 0, size - 1)] @ counts
        limit = self._cells(np.array([cut_s]), size)[0]
        likely -= len(quick) * np.log(self._below[np.clip(limit - steps, 0, size - 1)])
        return float(steps[int(np.argmax(likely))] * STEP_S)

    def passages_to_find(self, shift_s: float, threshold: float) -> int | None:
        """After how many passages a shift is found on average, by the past; None: never."""
        gain = float(self.scores(self.times_s + shift_s, shift_s).mean())
        return round(threshold / gain) if gain > 1e-6 else None


def _bell(width_s: float) -> Floats:
    reach = int(4 * width_s / STEP_S)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP_S / width_s) ** 2)
    smooth: Floats = weights / weights.sum()
    return smooth
