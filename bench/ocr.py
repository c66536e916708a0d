"""The local reader of plates on drawn pictures: how many a core reads in a second, and how many of them exactly."""

from __future__ import annotations

import time

import numpy as np

from generator.fleet import draw_plates
from generator.pictures import Conditions, render
from localcloud import ocr, vision
from pipeline.enforcement.plates import TextBox, read_plate

SEED = 2026
OVERLAY = "CAM G1 2026-04-13 16:30:38.690"
CLASSES = ("car", "car", "van", "truck", "bus", "motorcycle")


def measure(pictures: int) -> dict[str, float]:
    """Read the mix of a year on a road, from JPEG to plate; drawing the pictures is not counted."""
    shots = [_draw(number) for number in range(pictures)]
    ocr.warm_up()
    start = time.process_time()
    exact = sum(_plate(jpeg, region) == plate for plate, region, jpeg in shots)
    cpu = time.process_time() - start
    return {
        "pictures": pictures,
        "cpu_s": round(cpu, 1),
        "pictures_per_cpu_s": round(pictures / cpu, 2),
        "read_exactly": round(exact / pictures, 3),
    }


def _draw(number: int) -> tuple[str, str, bytes]:
    """A plate, its region and its picture."""
    rng = np.random.default_rng((SEED, number))
    (plate,), (region,) = ([str(text) for text in column] for column in draw_plates(1, rng))
    vehicle_class = CLASSES[number % len(CLASSES)]
    conditions = Conditions.draw(rng)
    jpeg = render(plate, region, rng=rng, conditions=conditions, overlay=OVERLAY, vehicle_class=vehicle_class)
    return plate, region, jpeg


def _plate(jpeg: bytes, region: str) -> str:
    boxes = ocr.read(vision.decoded(jpeg))
    return read_plate([TextBox.of_polygon(box.text, box.confidence, box.polygon) for box in boxes], region=region).text
