"""The whole chain, measured on seeded samples: a drawn picture, its JPEG, the local OCR, the plate, the agreement.

The numbers hold for drawn pictures and the local reader; they say nothing about Google Vision or a real road.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from generator.fleet import draw_plates
from generator.pictures import Conditions, render
from generator.plates import LOOKALIKES
from localcloud import ocr
from pipeline.enforcement.plates import Agreement, TextBox, agree, read_plate

CLASSES = ("car", "car", "van", "truck", "bus", "motorcycle")
OVERLAY = "CAM G1 2026-04-13 16:30:38.690"
CLEAR_PICTURES, MIXED_PICTURES = 40, 50


@dataclass(frozen=True)
class Shot:
    """A picture's true plate and state, and the texts that were read in it."""

    plate: str
    region: str
    boxes: tuple[TextBox, ...]

    def read(self, *, region_known=True):
        return read_plate(self.boxes, region=self.region if region_known else None)


def texts_of(jpeg):
    with Image.open(io.BytesIO(jpeg)) as image:
        return tuple(TextBox.of_polygon(box.text, box.confidence, box.polygon) for box in ocr.read(image))


def take(i, draw_conditions):
    rng = np.random.default_rng((2026, i))
    (plate,), (region,) = ([str(text) for text in column] for column in draw_plates(1, rng))
    vehicle_class = CLASSES[i % len(CLASSES)]
    conditions = draw_conditions(rng)
    jpeg = render(plate, region, rng=rng, conditions=conditions, overlay=OVERLAY, vehicle_class=vehicle_class)
    return Shot(plate, region, texts_of(jpeg))


@pytest.fixture(scope="module")
def clear():
    return [take(i, Conditions.clear_daylight) for i in range(CLEAR_PICTURES)]


@pytest.fixture(scope="module")
def mixed():
    return [take(1000 + i, Conditions.draw) for i in range(MIXED_PICTURES)]


def exact(shots, *, region_known=True):
    return sum(shot.read(region_known=region_known).text == shot.plate for shot in shots) / len(shots)


def lookalikes(plate):
    """Plates of the same layout, one confusable character away."""
    for i, character in enumerate(plate):
        others = [other for other in LOOKALIKES.get(character, "") if other.isdigit() == character.isdigit()]
        yield from (plate[:i] + other + plate[i + 1 :] for other in others)


@pytest.mark.parametrize("region_known", [True, False])
def test_clear_daylight_is_read_exactly(clear, region_known):
    assert exact(clear, region_known=region_known) >= 0.95


@pytest.mark.parametrize("region_known", [True, False])
def test_the_mix_of_conditions_is_read_exactly(mixed, region_known):
    assert exact(mixed, region_known=region_known) >= 0.85


def test_most_readings_agree_with_the_true_claim(clear, mixed):
    agreed = [agree(shot.read(), shot.plate, shot.region).agreement == Agreement.AGREES for shot in clear + mixed]
    assert sum(agreed) / len(agreed) >= 0.9


def test_no_picture_confirms_another_plate_that_looks_alike(clear, mixed):
    for shot in clear + mixed:
        for claimed in lookalikes(shot.plate):
            assert agree(shot.read(), claimed, shot.region).agreement != Agreement.AGREES


@pytest.mark.parametrize("region_known", [True, False])
def test_no_wrong_reading_stands_alone(clear, mixed, region_known):
    for shot in clear + mixed:
        read = shot.read(region_known=region_known)
        verdict = agree(read, None, shot.region if region_known else None)
        assert verdict.agreement != Agreement.AGREES or read.text == shot.plate


def test_a_picture_without_text_has_no_texts():
    blank = io.BytesIO()
    Image.new("RGB", (640, 480), (120, 120, 120)).save(blank, "JPEG")
    assert read_plate(texts_of(blank.getvalue()), region="US-NY").text == "no texts found"
