"""What a gantry camera sees: a road, and the rear of a vehicle with its lights, badges, lettering and plate."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from generator.lettering import font

Colour = tuple[int, int, int]
Spot = tuple[float, float]

WIDTH_PX, HEIGHT_PX = 960, 640
ENLARGED = 2  # vehicles are drawn this much larger and then reduced, which smooths their edges

PAINTS: Sequence[Colour] = (
    (206, 208, 210), (150, 154, 158), (84, 88, 92), (30, 31, 34), (236, 236, 232), (130, 24, 28), (28, 52, 96),
    (44, 74, 62), (150, 124, 86), (64, 92, 120),
)  # fmt: skip
BRANDS = {
    "TOYOTA": ("CAMRY", "COROLLA", "RAV4", "SIENNA"),
    "HONDA": ("CIVIC", "ACCORD", "CR-V"),
    "FORD": ("ESCAPE", "FUSION", "F-150"),
    "NISSAN": ("ALTIMA", "ROGUE", "SENTRA"),
    "CHEVROLET": ("MALIBU", "EQUINOX", "TAHOE"),
    "SUBARU": ("OUTBACK", "FORESTER"),
    "HYUNDAI": ("ELANTRA", "TUCSON"),
}
DEALERS = ("RIVER CITY MOTORS", "PARKWAY AUTO", "HILLTOP CARS", "BAY RIDGE AUTO")
TRADES = ("CITY PLUMBING", "EXPRESS PARCELS", "GREEN GROCERS", "ACE ELECTRIC", "FRESH BAKERY", "METRO GLASS")
GLASS: Colour = (38, 46, 56)
RUBBER: Colour = (22, 22, 24)
TRIM: Colour = (46, 47, 50)
RED: Colour = (176, 22, 26)


@dataclass(frozen=True)
class View:
    """How the camera maps the plane of a vehicle's rear on the picture.

    matrix: 3x3 homography from metres right of and below the middle of the plate to pixels.
    """

    matrix: npt.NDArray[np.float64]

    def at(self, right_m: float, below_m: float) -> Spot:
        """Pixels of a point."""
        x, y, w = self.matrix @ (right_m, below_m, 1.0)
        return float(x / w), float(y / w)

    def enlarged(self, factor: float) -> View:
        """The same view in a picture of so many times the size."""
        return View(np.diag([factor, factor, 1.0]) @ self.matrix)

    def px_per_m(self) -> float:
        """The scale at the middle of the plate."""
        return math.dist(self.at(0, -0.5), self.at(0, 0.5))


class _Sheet:
    """A drawing of a vehicle in metres: x from its middle, y up from the road."""

    def __init__(self, picture: Image.Image, view: View, plate_height_m: float) -> None:
        self.draw = ImageDraw.Draw(picture)
        self.view, self.plate_height_m = view, plate_height_m

    def at(self, x_m: float, y_m: float) -> Spot:
        """Pixels of a point."""
        return self.view.at(x_m, self.plate_height_m - y_m)

    def area(self, points: Sequence[Spot], colour: Colour) -> None:
        self.draw.polygon([self.at(x, y) for x, y in points], fill=colour)

    def mirrored(self, points: Sequence[Spot], colour: Colour) -> None:
        self.area(points, colour)
        self.area([(-x, y) for x, y in points], colour)

    def block(self, x_m: tuple[float, float], y_m: tuple[float, float], colour: Colour, corner_m: float = 0.0) -> None:
        """A rectangle with rounded corners."""
        reach = corner_m * (1 - np.cos(np.linspace(0, np.pi / 2, 5))) if corner_m else np.zeros(1)
        (left, right), (bottom, top) = x_m, y_m
        turn = list(zip(reach, reach[::-1], strict=True))
        back = turn[::-1]
        self.area(
            [
                *((left + x, top - y) for x, y in turn),
                *((right - x, top - y) for x, y in back),
                *((right - x, bottom + y) for x, y in turn),
                *((left + x, bottom + y) for x, y in back),
            ],
            colour,
        )

    def body(self, x_m: tuple[float, float], y_m: tuple[float, float], paint: Colour, corner_m: float) -> None:
        """A painted block that is lighter above and darker below, as under a sky."""
        self.block(x_m, y_m, paint, corner_m)
        strips = np.linspace(y_m[0] + corner_m, y_m[1] - corner_m, 9)
        for i, (bottom, top) in enumerate(pairwise(strips)):
            self.block(x_m, (bottom, top), shade(paint, 0.86 + 0.02 * i))

    def blocks(self, x_m: tuple[float, float], y_m: tuple[float, float], colour: Colour, corner_m: float = 0.0) -> None:
        """A block on the right and its mirror image on the left."""
        self.block(x_m, y_m, colour, corner_m)
        self.block((-x_m[1], -x_m[0]), y_m, colour, corner_m)

    def words(self, x_m: float, y_m: float, text: str, tall_m: float, colour: Colour) -> None:
        """A text whose capitals are tall_m high, around a point; none where it would be a blur."""
        size_px = round(tall_m * self.view.px_per_m() / 0.7)
        if size_px >= 7 * ENLARGED:
            self.draw.text(self.at(x_m, y_m), text, colour, font(size_px), "mm", stroke_width=size_px // 24)


def draw_rear(picture: Image.Image, vehicle_class: str, view: View, rng: np.random.Generator) -> list[Spot]:
    """Draw the rear of a vehicle into a picture, and return where its lamps are: metres right of and below the plate.

    vehicle_class: car, van, truck, bus or motorcycle; any other is drawn as a car.
    """
    plate_height_m, lamps, draw = _CLASSES.get(vehicle_class, _CLASSES["car"])
    sheet = _Sheet(picture, view, plate_height_m)
    shadow_m = 0.25 if vehicle_class == "motorcycle" else 0.92
    sheet.block((-shadow_m, shadow_m), (-0.03, 0.14), (58, 58, 60), 0.04)
    draw(sheet, PAINTS[int(rng.integers(len(PAINTS)))], rng)
    return [(x, plate_height_m - y) for x, y in lamps]


def draw_road(rng: np.random.Generator) -> Image.Image:
    """The empty road by day: houses, asphalt, lane lines and a kerb, softened as what lies behind the focus is."""
    size = WIDTH_PX // 2, HEIGHT_PX // 2
    horizon = int(rng.integers(size[1] // 7, size[1] // 3))
    picture = Image.new("RGB", size)
    _fade(picture, (0, horizon), (150, 180, 210), (206, 212, 214))
    grey = int(rng.integers(84, 112))
    _fade(picture, (horizon, size[1]), (grey + 18, grey + 18, grey + 20), (grey - 12, grey - 12, grey - 10))
    draw = ImageDraw.Draw(picture)
    _houses(draw, horizon, size[0], rng)
    middle = size[0] / 2 + rng.uniform(-60, 60)
    for side in (-1, 1):
        foot = middle + side * 0.8 * size[0]
        verge = 0 if side < 0 else size[0]
        kerb = [(middle + side * 30, horizon), (foot, size[1])]
        draw.polygon([*kerb, (verge, size[1]), (verge, horizon)], (112, 116, 96))
        draw.line(kerb, (196, 196, 190), 3)
        for near in np.arange(0.15, 1.0, 0.28):
            _dash(draw, (middle, horizon), side, size[1] - horizon, float(near))
    return picture.resize((WIDTH_PX, HEIGHT_PX), Image.Resampling.BILINEAR)


def _fade(picture: Image.Image, rows: tuple[int, int], above: Colour, below: Colour) -> None:
    strip = Image.new("RGB", (1, 2))
    strip.putpixel((0, 0), above)
    strip.putpixel((0, 1), below)
    picture.paste(strip.resize((picture.width, rows[1] - rows[0]), Image.Resampling.BILINEAR), (0, rows[0]))


def _houses(draw: ImageDraw.ImageDraw, horizon: int, width_px: int, rng: np.random.Generator) -> None:
    x = -10.0
    while x < width_px:
        width, height = rng.uniform(25, 70), rng.uniform(10, 0.9 * horizon)
        tone = int(rng.integers(96, 160))
        draw.rectangle((x, horizon - height, x + width, horizon), (tone, tone - 6, tone - 14))
        for window_x in np.arange(x + 4, x + width - 5, 9):
            for window_y in np.arange(horizon - height + 4, horizon - 5, 10):
                draw.rectangle((window_x, window_y, window_x + 4, window_y + 5), (tone - 40, tone - 36, tone - 30))
        x += width + rng.uniform(0, 12)


def _dash(draw: ImageDraw.ImageDraw, vanishing: Spot, side: int, depth_px: int, near: float) -> None:
    """One dash of a lane line between the road's middle and its kerb; near: 0 at the horizon, 1 at the lower edge."""
    ends = []
    for part in (near**1.6, (near + 0.12) ** 1.6):
        ends.append((vanishing[0] + side * (9 + 115 * part), 1 + 3 * part, vanishing[1] + part * depth_px))
    corners = [(x - half, y) for x, half, y in ends] + [(x + half, y) for x, half, y in reversed(ends)]
    draw.polygon(corners, (206, 206, 200))


def shade(colour: Colour, factor: float) -> Colour:
    """The colour that much lighter or darker."""
    red, green, blue = (min(255, round(value * factor)) for value in colour)
    return red, green, blue


def _lettering_on(paint: Colour) -> Colour:
    return (30, 34, 60) if sum(paint) > 380 else (232, 232, 226)


def _phone(rng: np.random.Generator) -> str:
    """A New York number from the block kept free for fiction (555-0100 to 0199)."""
    return f"{rng.choice(['212', '718', '646'])}-555-01{rng.integers(100):02d}"


def _car(sheet: _Sheet, paint: Colour, rng: np.random.Generator) -> None:
    roof, tail = rng.uniform(1.42, 1.66), rng.uniform(0.92, 1.04)
    sheet.blocks((0.58, 0.84), (0.0, 0.42), RUBBER, 0.05)
    sheet.area([(-0.74, tail), (-0.54, roof), (0.54, roof), (0.74, tail)], shade(paint, 0.92))
    sheet.area([(-0.64, tail + 0.03), (-0.48, roof - 0.09), (0.48, roof - 0.09), (0.64, tail + 0.03)], GLASS)
    sheet.area([(-0.40, tail + 0.1), (-0.30, roof - 0.12), (-0.1, roof - 0.12), (-0.2, tail + 0.1)], shade(GLASS, 1.5))
    sheet.body((-0.90, 0.90), (0.26, tail), paint, 0.14)
    sheet.block((-0.90, 0.90), (0.2, 0.36), TRIM, 0.06)
    sheet.block((-0.80, 0.80), (tail - 0.04, tail - 0.02), shade(paint, 0.7))
    sheet.mirrored([(0.88, tail - 0.06), (0.50, tail - 0.08), (0.56, tail - 0.22), (0.88, tail - 0.26)], RED)
    sheet.mirrored([(0.68, tail - 0.12), (0.58, tail - 0.12), (0.60, tail - 0.19), (0.68, tail - 0.2)], (226, 200, 170))
    sheet.block((-0.27, 0.27), (0.46, 0.80), shade(paint, 0.62), 0.04)
    brand = str(rng.choice(list(BRANDS)))
    ink = _lettering_on(paint)
    sheet.words(0.0, tail - 0.09, brand, 0.055, ink)
    sheet.words(-0.62, tail - 0.34, str(rng.choice(BRANDS[brand])), 0.045, ink)
    if rng.random() < 0.5:
        sheet.words(0.0, 0.345, str(rng.choice(DEALERS)), 0.028, (210, 210, 206))


def _van(sheet: _Sheet, paint: Colour, rng: np.random.Generator) -> None:
    sheet.blocks((0.66, 0.92), (0.0, 0.45), RUBBER, 0.05)
    sheet.body((-0.98, 0.98), (0.32, 2.30), paint, 0.16)
    sheet.blocks((0.06, 0.82), (1.45, 2.12), GLASS, 0.06)
    sheet.block((-0.012, 0.012), (0.45, 2.25), shade(paint, 0.5))
    sheet.block((-0.98, 0.98), (0.22, 0.42), TRIM, 0.05)
    sheet.blocks((0.84, 0.95), (0.80, 1.32), RED, 0.02)
    ink = _lettering_on(paint)
    sheet.words(0.0, 1.28, str(rng.choice(TRADES)), 0.10, ink)
    sheet.words(0.0, 1.10, _phone(rng), 0.09, ink)
    if rng.random() < 0.4:
        sheet.words(-0.5, 0.94, f"EST {rng.integers(1950, 2015)}", 0.05, ink)


def _truck(sheet: _Sheet, paint: Colour, rng: np.random.Generator) -> None:
    sheet.blocks((0.74, 1.18), (0.0, 0.95), RUBBER, 0.05)
    sheet.body((-1.25, 1.25), (1.05, 3.4), paint, 0.03)
    for x in (-0.55, -0.15, 0.15, 0.55):
        sheet.block((x - 0.02, x + 0.02), (1.1, 3.35), (140, 142, 146))
    for x in np.arange(-1.2, 1.2, 0.4):
        sheet.block((x, x + 0.2), (1.06, 1.11), RED)
        sheet.block((x + 0.2, x + 0.4), (1.06, 1.11), (232, 232, 228))
    sheet.block((-0.34, 0.34), (0.68, 1.05), (58, 60, 64))
    sheet.block((-1.2, 1.2), (0.48, 0.72), (78, 80, 84), 0.02)
    sheet.blocks((0.78, 1.14), (0.53, 0.67), RED, 0.02)
    ink = _lettering_on(paint)
    sheet.words(0.0, 1.75, str(rng.choice(TRADES)), 0.16, ink)
    sheet.words(0.0, 1.42, _phone(rng), 0.12, ink)


def _bus(sheet: _Sheet, paint: Colour, rng: np.random.Generator) -> None:
    sheet.blocks((0.80, 1.15), (0.0, 0.5), RUBBER, 0.05)
    sheet.body((-1.27, 1.27), (0.3, 3.1), (226, 228, 230), 0.12)
    sheet.block((-1.27, 1.27), (0.95, 1.2), (24, 60, 130))
    sheet.block((-1.05, 1.05), (1.9, 2.75), GLASS, 0.08)
    for y in np.arange(1.28, 1.75, 0.07):
        sheet.block((-0.8, 0.8), (y, y + 0.03), shade(paint, 0.4))
    sheet.block((-1.2, 1.2), (0.32, 0.5), TRIM, 0.04)
    sheet.blocks((1.02, 1.2), (0.72, 0.92), RED, 0.09)
    sheet.blocks((1.02, 1.2), (1.3, 1.48), (214, 130, 20), 0.09)
    sheet.words(-0.82, 1.08, f"M{rng.integers(1, 100)}", 0.12, (240, 240, 236))
    sheet.words(0.35, 1.08, f"BUS {rng.integers(1000, 9999)}", 0.06, (240, 240, 236))


def _motorcycle(sheet: _Sheet, paint: Colour, rng: np.random.Generator) -> None:
    sheet.block((-0.09, 0.09), (0.0, 0.62), RUBBER, 0.07)
    sheet.mirrored([(0.1, 0.45), (0.32, 0.52), (0.32, 0.80), (0.1, 0.84)], shade(paint, 0.8))
    sheet.area([(-0.3, 0.80), (-0.34, 1.42), (-0.16, 1.56), (0.16, 1.56), (0.34, 1.42), (0.3, 0.80)], (40, 42, 48))
    sheet.mirrored([(0.30, 1.42), (0.48, 1.08), (0.42, 0.98), (0.26, 1.2)], (34, 36, 42))
    sheet.block((-0.15, 0.15), (1.50, 1.84), shade(paint, 0.7), 0.15)
    sheet.block((-0.2, 0.2), (0.74, 0.92), TRIM, 0.06)
    sheet.block((-0.11, 0.11), (0.78, 0.86), RED, 0.03)
    sheet.words(0.0, 1.30, str(rng.choice(("RIDERS", "TOURING", "NORTH"))), 0.07, (200, 200, 196))


_Draw = Callable[[_Sheet, Colour, np.random.Generator], None]
# The plate's height above the road and the lamps, metres.
_CLASSES: dict[str, tuple[float, tuple[Spot, ...], _Draw]] = {
    "car": (0.62, ((0.72, 0.79), (-0.72, 0.79)), _car),
    "van": (0.66, ((0.90, 1.05), (-0.90, 1.05)), _van),
    "truck": (0.86, ((0.96, 0.60), (-0.96, 0.60)), _truck),
    "bus": (0.71, ((1.11, 0.82), (-1.11, 0.82)), _bus),
    "motorcycle": (0.60, ((0.0, 0.82),), _motorcycle),
}
