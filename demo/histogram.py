"""The distribution of speeds in a section against its limit, as SVG."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from demo import wording
from demo.warehouse import MeasuredPassage
from pipeline.enforcement.model import Outcome

BIN_KMH = 2.0
MAX_BINS = 60
WIDTH, HEIGHT, TOP, BOTTOM, SIDE = 440, 190, 30, 26, 10
STACKED = (Outcome.CLEAR, Outcome.UNMEASURABLE, Outcome.REVIEW, Outcome.FINED)


@dataclass(frozen=True)
class Bins:
    """Counts by (number of the bin, outcome); bin 0 begins just above the limit, so that no bin lies on both sides."""

    limit_kmh: float
    width_kmh: float
    first: int
    last: int
    counts: Counter[tuple[int, str]]

    @staticmethod
    def of(passages: Sequence[MeasuredPassage], limit_kmh: float) -> Bins:
        """The bins of one section's passages; there must be one at least."""
        speeds = [passage.avg_speed_kmh for passage in passages]
        width_kmh = BIN_KMH * max(1, math.ceil((max(speeds) - min(speeds)) / (BIN_KMH * MAX_BINS)))
        numbers = [math.ceil((speed - limit_kmh) / width_kmh) - 1 for speed in speeds]
        counts = Counter((number, passage.outcome) for number, passage in zip(numbers, passages, strict=True))
        return Bins(limit_kmh, width_kmh, min(*numbers, -2) - 1, max(*numbers, 1) + 1, counts)

    @property
    def highest(self) -> int:
        """The most passages in a bin."""
        totals: Counter[int] = Counter()
        for (number, _), count in self.counts.items():
            totals[number] += count
        return max(totals.values())

    def start_kmh(self, number: int) -> float:
        """Where a bin begins."""
        return self.limit_kmh + number * self.width_kmh

    def x(self, kmh: float) -> float:
        """The place of a speed in the picture."""
        low, high = self.start_kmh(self.first), self.start_kmh(self.last + 1)
        return SIDE + (kmh - low) / (high - low) * (WIDTH - 2 * SIDE)


def histogram(passages: Sequence[MeasuredPassage], limit_kmh: float) -> str:
    """An svg element; for no passages a sentence."""
    if not passages:
        return '<p class="quiet">No passage was measured here.</p>'
    bins = Bins.of(passages, limit_kmh)
    marks = "".join([*_bars(bins), *_axis(bins), _limit(bins)])
    label = f"Speeds of {len(passages)} passages; the limit is {limit_kmh:.1f} km/h"
    return f'<svg class="histogram" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{marks}</svg>'


def caption(passages: Sequence[MeasuredPassage]) -> str:
    """Number, median and fastest."""
    if not passages:
        return ""
    speeds = [passage.avg_speed_kmh for passage in passages]
    number = wording.count(len(speeds), "passage")
    return f"{number} · median {median(speeds):.1f} km/h · fastest {max(speeds):.1f} km/h"


def _bars(bins: Bins) -> Iterator[str]:
    unit = (HEIGHT - TOP - BOTTOM) / bins.highest
    for number in range(bins.first, bins.last + 1):
        below = 0
        for outcome in STACKED:
            count = bins.counts[number, outcome]
            if count:
                yield _bar(bins, number, outcome, count, HEIGHT - BOTTOM - (below + count) * unit, count * unit)
            below += count


def _bar(bins: Bins, number: int, outcome: Outcome, count: int, y: float, height: float) -> str:
    low, high = bins.start_kmh(number), bins.start_kmh(number + 1)
    x, width = bins.x(low) + 0.75, bins.x(high) - bins.x(low) - 1.5
    title = f"{low:.1f} to {high:.1f} km/h: {count} {wording.OUTCOMES[outcome]}"
    return (
        f'<rect class="{outcome}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="1">'
        f"<title>{title}</title></rect>"
    )


def _axis(bins: Bins) -> Iterator[str]:
    base = HEIGHT - BOTTOM
    yield f'<line class="axis" x1="{SIDE}" x2="{WIDTH - SIDE}" y1="{base + 0.5}" y2="{base + 0.5}"/>'
    low, high = bins.start_kmh(bins.first), bins.start_kmh(bins.last + 1)
    step = next(step for step in (5, 10, 20, 50, 100, 1000) if (high - low) / step <= 8)
    ticks = range(math.ceil(low / step) * step, math.floor(high) + 1, step)
    for kmh in ticks:
        yield f'<text class="tick" x="{bins.x(kmh):.1f}" y="{base + 17}" text-anchor="middle">{kmh}</text>'


def _limit(bins: Bins) -> str:
    x = bins.x(bins.limit_kmh)
    left = x > WIDTH * 0.6
    anchor, away = ("end", -7) if left else ("start", 7)
    return (
        f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="6" y2="{HEIGHT - BOTTOM}"/>'
        f'<text class="limit-label" x="{x + away:.1f}" y="16" text-anchor="{anchor}">'
        f"limit {wording.limit(bins.limit_kmh)}</text>"
    )
