"""How many sightings and passages went which way, as SVG: bands as broad as what flows in them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from demo.ledger import Summary

WIDTH, HEIGHT = 800, 250
NODE_PX, GAP_PX, LEAST_PX, BROADEST_PX = 9, 22, 2.5, 150
COLUMNS = (0, 200, 415, 630)


@dataclass(frozen=True)
class Node:
    """A bar at which bands begin or end: its CSS class, its number and what it counts."""

    kind: str
    number: int
    text: str
    x: float
    y: float
    height: float

    def drawn(self) -> str:
        """The bar with its words on the right."""
        middle = self.y + self.height / 2
        return (
            f'<rect class="{self.kind}" x="{self.x}" y="{self.y:.1f}" width="{NODE_PX}" height="{self.height:.1f}"/>'
            f'<text x="{self.x + NODE_PX + 8}" y="{middle + 5:.1f}"><tspan class="number">{self.number:,}</tspan>'
            f'<tspan class="what" dx="6">{self.text}</tspan></text>'
        )


def flow(summary: Summary) -> str:
    """An svg element."""
    entering = [("in", summary.sightings_in, "sightings")]
    kept = [("stored", summary.sightings_stored, "stored"), ("rejected", summary.rejected, "rejected")]
    outcomes = [
        ("clear", summary.passages_clear, "clear"),
        ("fined", summary.passages_fined, "fined"),
        ("review", summary.passages_review, "for a person"),
        ("unmeasurable", summary.passages_unmeasurable, "unmeasurable"),
    ]
    columns = [
        _column(entering, COLUMNS[0], summary.sightings_in),
        _column(kept, COLUMNS[1], summary.sightings_in),
        _column([("passages", summary.passages, "passages")], COLUMNS[2], summary.passages),
        _column(outcomes, COLUMNS[3], summary.passages),
    ]
    bands = [*_fan(columns[0][0], columns[1]), _band(columns[1][0], columns[2][0]), *_fan(columns[2][0], columns[3])]
    drawn = "".join([*bands, *(node.drawn() for column in columns for node in column)])
    label = f"{summary.sightings_line}; {summary.passages_line}"
    return f'<svg class="flow" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{drawn}</svg>'


def _column(counted: list[tuple[str, int, str]], x: float, whole: int) -> list[Node]:
    heights = [max(LEAST_PX, number / max(whole, 1) * BROADEST_PX) for _, number, _ in counted]
    total = sum(heights) + GAP_PX * (len(counted) - 1)
    nodes, y = [], (HEIGHT - total) / 2
    for (kind, number, text), height in zip(counted, heights, strict=True):
        nodes.append(Node(kind, number, text, x, y, height))
        y += height + GAP_PX
    return nodes


def _fan(source: Node, targets: list[Node]) -> Iterator[str]:
    """Bands from one node to several, as broad at their beginning as their share of it."""
    whole, y = sum(target.height for target in targets), source.y
    for target in targets:
        height = source.height * target.height / whole
        if target.number:
            yield _shape(source.x + NODE_PX, y, height, target)
        y += height


def _band(source: Node, target: Node) -> str:
    return _shape(source.x + NODE_PX, source.y, source.height, target)


def _shape(x: float, y: float, height: float, target: Node) -> str:
    middle, low, high = (x + target.x) / 2, y + height, target.y + target.height
    upper = f"C{middle},{y:.1f} {middle},{target.y:.1f} {target.x},{target.y:.1f}"
    lower = f"C{middle},{high:.1f} {middle},{low:.1f} {x},{low:.1f}"
    return f'<path class="band {target.kind}" d="M{x},{y:.1f} {upper} V{high:.1f} {lower} Z"/>'
