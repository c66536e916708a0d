"""A comparison as a picture: bars on a panel of their own colour, to be read on light and dark pages."""

from __future__ import annotations

from html import escape

from bench.comparison import Result
from bench.participants import OURS

WIDTH, LEFT, RIGHT, TOP, STEP, BAR = 1000, 210, 150, 62, 48, 15
STYLE = """
    .panel { fill: #fbfaf6; stroke: #e2ddd3; }
    .whole { fill: #8b8a86; } .after { fill: #d5d0c5; }
    .ours .whole { fill: #3f7d77; } .ours .after { fill: #a9cbc7; }
    .name { font-size: 14px; font-weight: 600; fill: #1c1e21; text-anchor: end; }
    .note { font-size: 11.5px; fill: #5f6164; }
"""
FONT = "ui-sans-serif, system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def svg(result: Result) -> str:
    """Two bars for each participant that counts: the whole process, and without its start."""
    rows = [row for row in result.rows if row.counts]
    bars = [(row.name, result.per_cpu_s(row), result.marginal_per_cpu_s(row) or 0.0) for row in rows]
    scale = (WIDTH - LEFT - RIGHT) / max((rate for _, *rates in bars for rate in rates), default=1.0)
    height = TOP + STEP * len(bars) + 14
    title = f"Sightings a CPU second, {result.sightings:,} sightings, medians of {result.repeats}"
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
            f'aria-labelledby="title" font-family="{FONT}">',
            f'  <title id="title">{title}</title>',
            f"  <style>{STYLE}  </style>",
            f'  <rect class="panel" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="14"/>',
            f'  <text class="note" x="{LEFT}" y="36">{title}; pale: without the start of the process</text>',
            *(_bars(TOP + STEP * number, scale, *bar) for number, bar in enumerate(bars)),
            "</svg>\n",
        ]
    )


def _bars(y: float, scale: float, name: str, whole: float, after: float) -> str:
    return "\n".join(
        [
            f'  <g class="{"ours" if name == OURS else "peer"}">',
            f'    <text class="name" x="{LEFT - 14}" y="{y + BAR + 5}">{escape(name)}</text>',
            _bar("whole", y, whole, scale),
            _bar("after", y + BAR + 2, after, scale) if after else "",
            "  </g>",
        ]
    )


def _bar(kind: str, y: float, rate: float, scale: float) -> str:
    length = max(rate * scale, 1.0)
    return (
        f'    <rect class="{kind}" x="{LEFT}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2"/>'
        f'<text class="note" x="{LEFT + length + 8:.1f}" y="{y + BAR - 3}">{rate:,.0f}</text>'
    )
