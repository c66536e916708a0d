"""Plates of US states: which characters their serials have, which are near twins, and how the plates look.

Layouts are a part of the domain's table (a test compares them). That serials leave out I, O and Q, and in Texas the
vowels, is the states' practice; source: Wikipedia, "United States license plate designs and serial formats" and
"Vehicle registration plates of Texas". Colours and wording follow the states' current plates, simplified: NY
"Excelsior" (2020), NJ "Garden State", PA "visitPA.com", CT "Constitution State", MA "The Spirit of America", CA
"dmv.ca.gov", TX "Classic" (2012), FL "Sunshine State".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from generator.lettering import font, glyph
from pipeline.enforcement.plates import has_layout

Colour = tuple[int, int, int]

LETTERS = "ABCDEFGHJKLMNPRSTUVWXYZ"
LETTERS_OF = {"US-TX": "BCDFGHJKLMNPRSTVWXYZ"}
DIGITS = "0123456789"
# What a reader takes for one another.
LOOKALIKES = {"B": "8", "S": "5", "Z": "2", "G": "6C", "D": "0", "8": "3B", "5": "S", "2": "Z", "6": "G", "0": "D",
              "E": "F", "F": "EP", "M": "N", "N": "M", "V": "Y", "Y": "V", "3": "8", "1": "7", "7": "1"}  # fmt: skip

WHITE: Colour = (240, 241, 240)
BLACK: Colour = (22, 22, 25)
NAVY: Colour = (18, 34, 90)
BLUE: Colour = (40, 70, 150)
# Share of a state's plates among traffic in New York.
SHARES = {
    "US-NY": 0.58,
    "US-NJ": 0.14,
    "US-PA": 0.07,
    "US-CT": 0.07,
    "US-FL": 0.05,
    "US-MA": 0.04,
    "US-TX": 0.03,
    "US-CA": 0.02,
}


@dataclass(frozen=True)
class Design:
    """The look of a plate: colours, the words above and below, the serials and where they are parted, by what."""

    top: Colour
    bottom: Colour
    ink: Colour
    name: str
    name_ink: Colour
    slogan: str
    parted_after: dict[str, int]  # layout issued to cars: after which character (0: not at all)
    mark: str = " "  # between the groups: a space, a hyphen, or "*" for the state's emblem


DESIGNS = {
    "US-NY": Design(WHITE, WHITE, (22, 38, 92), "NEW YORK", (22, 38, 92), "EXCELSIOR", {"LLLDDDD": 3}, "*"),
    "US-NJ": Design((240, 214, 110), (250, 236, 180), BLACK, "NEW JERSEY", BLACK, "GARDEN STATE", {"LDDLLL": 3}, "*"),
    "US-PA": Design(WHITE, WHITE, (20, 40, 110), "PENNSYLVANIA", BLUE, "visitPA.com", {"LLLDDDD": 3}, "-"),
    "US-CT": Design((120, 170, 215), WHITE, NAVY, "CONNECTICUT", NAVY, "CONSTITUTION STATE", {"LLDDDDD": 2}, "*"),
    "US-MA": Design(
        WHITE, WHITE, (170, 28, 40), "MASSACHUSETTS", BLUE, "THE SPIRIT OF AMERICA",
        {"DLLLDD": 4, "DLLDDD": 3, "DDDLLD": 3},
    ),
    "US-CA": Design(WHITE, WHITE, NAVY, "CALIFORNIA", (190, 30, 45), "DMV.CA.GOV", {"DLLLDDD": 0}),
    "US-TX": Design(WHITE, WHITE, BLACK, "TEXAS", BLACK, "THE LONE STAR STATE", {"LLLDDDD": 3}, "*"),
    "US-FL": Design(
        WHITE, WHITE, (30, 92, 60), "FLORIDA", (30, 92, 60), "SUNSHINE STATE", {"LLLLDD": 3, "LDDDLL": 4}, "*"
    ),
}  # fmt: skip


def near_twin(plate: str, region: str, rng: np.random.Generator) -> str:
    """Another plate of the same layout that differs in one character, where possible in one that looks alike."""
    alternatives = [
        plate[:i] + new + plate[i + 1 :]
        for i, old in enumerate(plate)
        for new in LOOKALIKES.get(old, "")
        if new in _alphabet(old, region)
    ]
    if alternatives:
        return alternatives[rng.integers(len(alternatives))]
    i = int(rng.integers(len(plate)))
    others = _alphabet(plate[i], region).replace(plate[i], "")
    return plate[:i] + others[rng.integers(len(others))] + plate[i + 1 :]


def written(plate: str, region: str) -> str:
    """The serial as it stands on the plate, with its parting mark: ABC*1234."""
    design = DESIGNS[region]
    cut = next((cut for layout, cut in design.parted_after.items() if has_layout(plate, [layout])), 0)
    return f"{plate[:cut]}{design.mark}{plate[cut:]}" if cut else plate


def draw_plate(plate: str, region: str, width_px: int) -> Image.Image:
    """The plate seen from straight ahead, twice as wide as high (12 x 6 inches), mode RGB."""
    design = DESIGNS[region]
    height_px = width_px // 2
    shade = Image.new("RGB", (1, 3))
    for y, colour in enumerate((design.top, WHITE, design.bottom)):
        shade.putpixel((0, y), colour)
    face = shade.resize((width_px, height_px), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(face)
    draw.rounded_rectangle(
        (1, 1, width_px - 2, height_px - 2), height_px // 14, outline=design.ink, width=max(1, width_px // 130)
    )
    _draw_words(draw, design, width_px, height_px)
    _draw_serial(face, written(plate, region), design.ink)
    for x in (0.22, 0.78):
        draw.circle((x * width_px, 0.07 * height_px), width_px / 75, fill=(90, 90, 92))
    return face


def _alphabet(like: str, region: str) -> str:
    return DIGITS if like.isdigit() else LETTERS_OF.get(region, LETTERS)


def _draw_words(draw: ImageDraw.ImageDraw, design: Design, width_px: int, height_px: int) -> None:
    name_font, slogan_font = font(round(0.14 * height_px)), font(round(0.095 * height_px))
    draw.text(
        (width_px / 2, 0.13 * height_px), design.name, design.name_ink, name_font, "mm",
        stroke_width=width_px // 220, stroke_fill=design.name_ink,
    )  # fmt: skip
    draw.text((width_px / 2, 0.90 * height_px), design.slogan, design.name_ink, slogan_font, "mm")


def _draw_serial(face: Image.Image, serial: str, ink: Colour) -> None:
    """Characters as large as the plate allows, in the middle of it."""
    width_px, height_px = face.size
    advances = [0.62 if character in " -*" else 1.0 for character in serial]
    pitch = min(0.92 * width_px / sum(advances), 0.135 * width_px)
    tall, wide = round(0.52 * height_px), round(0.80 * pitch)
    x = (width_px - pitch * sum(advances)) / 2
    for character, advance in zip(serial, advances, strict=True):
        middle = x + advance * pitch / 2
        if character == "*":
            emblem = 0.18 * pitch
            box = (middle - emblem, 0.53 * height_px - emblem, middle + emblem, 0.53 * height_px + emblem)
            ImageDraw.Draw(face).ellipse(box, fill=tuple((value + 2 * 200) // 3 for value in ink))
        elif character != " ":
            mask = glyph(character, wide, tall, 0.185 * pitch)
            face.paste(ink, (round(middle - wide / 2), round(0.53 * height_px - tall / 2)), mask)
        x += advance * pitch
