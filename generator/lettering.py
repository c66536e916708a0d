"""Plate characters drawn as strokes with round ends: the embossed gothic that US plates share, with no font file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]

# On a grid 4 wide and 8 high, y downwards; strokes parted by "/", a corner with "~" is rounded.
STROKES = {
    "A": "0,8 2,0 4,8 / 0.8,5.5 3.2,5.5",
    "B": "0,0 0,8 / 0,0 3.8,0~ 3.8,3.8~ 0,3.8 / 0,3.8 4,3.8~ 4,8~ 0,8",
    "C": "4,2.2 4,0~ 0,0~ 0,8~ 4,8~ 4,5.8",
    "D": "0,0 0,8 / 0,0 4,0~ 4,8~ 0,8",
    "E": "4,0 0,0 0,8 4,8 / 0,3.9 3.2,3.9",
    "F": "4,0 0,0 0,8 / 0,3.9 3.2,3.9",
    "G": "4,2.2 4,0~ 0,0~ 0,8~ 4,8~ 4,4.5 2.2,4.5",
    "H": "0,0 0,8 / 4,0 4,8 / 0,3.9 4,3.9",
    "I": "2,0 2,8 / 0.8,0 3.2,0 / 0.8,8 3.2,8",
    "J": "4,0 4,8~ 0,8~ 0,5.6",
    "K": "0,0 0,8 / 4,0 0,4.6 / 1.2,3.3 4,8",
    "L": "0,0 0,8 4,8",
    "M": "0,8 0,0 2,5.2 4,0 4,8",
    "N": "0,8 0,0 4,8 4,0",
    "O": "2,0 4,0~ 4,8~ 0,8~ 0,0~ 2,0",
    "P": "0,8 0,0 / 0,0 4,0~ 4,4.3~ 0,4.3",
    "Q": "2,0 4,0~ 4,8~ 0,8~ 0,0~ 2,0 / 2.2,5.6 4.3,8.4",
    "R": "0,8 0,0 / 0,0 4,0~ 4,4.2~ 0,4.2 / 2,4.2 4,8",
    "S": "4,2.1 4,0~ 0,0~ 0,3.7~ 4,4.2~ 4,8~ 0,8~ 0,5.9",
    "T": "0,0 4,0 / 2,0 2,8",
    "U": "0,0 0,8~ 4,8~ 4,0",
    "V": "0,0 2,8 4,0",
    "W": "0,0 0.9,8 2,2.6 3.1,8 4,0",
    "X": "0,0 4,8 / 4,0 0,8",
    "Y": "0,0 2,4.2 4,0 / 2,4.2 2,8",
    "Z": "0,0 4,0 0,8 4,8",
    "0": "2,0 3.8,0~ 3.8,8~ 0.2,8~ 0.2,0~ 2,0",
    "1": "0.7,1.7 2.3,0 2.3,8",
    "2": "0,2.2 0,0~ 4,0~ 4,3.4~ 0,8 4,8",
    "3": "0,0 4,0 1.7,3.2 4,3.2~ 4,8~ 0,8~ 0,6",
    "4": "3,8 3,0 0,5.7 4.2,5.7",
    "5": "4,0 0.3,0 0.1,3.6 / 0.1,3.6 4,2.8~ 4,8~ 0,8~ 0,6.1",
    "6": "3.8,1.7 3.6,0~ 0,0~ 0,8~ 4,8~ 4,3.5~ 0,3.5~ 0,5",
    "7": "0,0 4,0 1.4,8",
    "8": "2,3.8 0.3,3.8~ 0.3,0~ 3.7,0~ 3.7,3.8~ 0,3.8~ 0,8~ 4,8~ 4,3.8~ 2,3.8",
    "9": "0.2,6.3 0.4,8~ 4,8~ 4,0~ 0,0~ 0,4.5~ 4,4.5~ 4,3",
    "-": "1,4.2 3,4.2",
}
RADIUS = 2.0
SUPERSAMPLING = 4


@lru_cache(maxsize=64)
def font(size_px: int) -> ImageFont.FreeTypeFont:
    """The sans-serif that ships inside Pillow, for every text that is no plate serial.

    Raises TypeError when Pillow was built without FreeType, which its wheels are not.
    """
    face = ImageFont.load_default(size_px)
    if not isinstance(face, ImageFont.FreeTypeFont):
        raise TypeError("this Pillow has no FreeType: install it from a wheel (pip install --force-reinstall pillow)")
    return face


@lru_cache(maxsize=2048)
def glyph(character: str, width_px: int, height_px: int, stroke_px: float) -> Image.Image:
    """The ink of a character (mode L, 255 where ink is). Raises KeyError for a character not in STROKES."""
    big = SUPERSAMPLING
    mask = Image.new("L", (width_px * big, height_px * big))
    draw = ImageDraw.Draw(mask)
    pen = stroke_px * big
    scale_x, scale_y = (width_px * big - pen) / 4, (height_px * big - pen) / 8
    for stroke in STROKES[character].split("/"):
        path = [(pen / 2 + x * scale_x, pen / 2 + y * scale_y) for x, y in _rounded(stroke)]
        draw.line(path, fill=255, width=round(pen), joint="curve")
        for x, y in path:
            draw.circle((x, y), pen / 2, fill=255)
    return mask.reduce(big)


def _rounded(stroke: str) -> list[Point]:
    """The stroke's points, every marked corner replaced by a curve."""
    marks = [mark.endswith("~") for mark in stroke.split()]
    points = [_point(mark) for mark in stroke.split()]
    path: list[Point] = []
    for i, (corner, rounded) in enumerate(zip(points, marks, strict=True)):
        if rounded:
            start = _toward(corner, points[i - 1], shared=marks[i - 1])
            end = _toward(corner, points[i + 1], shared=marks[i + 1])
            path.extend(_curve((start, corner, end)))
        else:
            path.append(corner)
    return [path[0], *(b for a, b in pairwise(path) if a != b)]


def _point(mark: str) -> Point:
    x, y = mark.rstrip("~").split(",")
    return float(x), float(y)


def _toward(corner: Point, neighbour: Point, *, shared: bool) -> Point:
    """Where the curve meets the straight part; two rounded corners share the way between them."""
    length = math.dist(corner, neighbour)
    part = min(RADIUS, length / 2 if shared else length) / length
    return corner[0] + part * (neighbour[0] - corner[0]), corner[1] + part * (neighbour[1] - corner[1])


def _curve(control: Sequence[Point]) -> Iterator[Point]:
    """A quadratic Bezier curve, drawn a little fuller than its control points give: plates have square curves."""
    (ax, ay), (bx, by), (cx, cy) = control
    for step in range(9):
        t = step / 8
        a, b, c = (1 - t) ** 2, 1.35 * 2 * t * (1 - t), t**2
        yield (a * ax + b * bx + c * cx) / (a + b + c), (a * ay + b * by + c * cy) / (a + b + c)
