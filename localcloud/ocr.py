"""Reading the text in a picture with the PP-OCR models that ship inside the rapidocr wheel: offline, on one core."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from PIL import Image

from localcloud import models
from localcloud.finding import Pixels, Polygon, as_input, find

# Text is found in a picture of this size and read from the full one: enough for plates 110 px wide in 960, at a quarter
# of the time of the full size.
LONGEST_SIDE_PX = 512
LARGER_SIDE_PX = 960  # for the few pictures in which nothing like a plate was found
MIN_CONFIDENCE = 0.3
# A first reading this sure stands: of 890 drawn plates, by day and night, a second look mended none above 0.93.
SURE = 0.97
# A second look widens the box by this share of its height: detectors draw tight boxes that clip the end characters.
MARGIN_X = 0.45
MARGIN_Y = 0.15
CROP_HEIGHT_PX = 64

READER_HEIGHT_PX = 48
# Short lines are read better with room after them. Long ones, which no plate is, are as readable a quarter narrower.
ROOM_PX = 160
LONG_PX = 400
LONG_SHARE = 0.75
UPRIGHT = 1.5  # a box this much taller than wide holds text that runs upwards


@dataclass(frozen=True)
class TextBox:
    """One line of text: what it says, how sure the recogniser is (0-1), and its corners.

    ``polygon`` is 4x2 in pixels of the picture given, clockwise from the text's own top left corner.
    """

    text: str
    confidence: float
    polygon: Polygon


def read(image: Image.Image | Pixels) -> list[TextBox]:
    """Return the lines of text in a picture, top to bottom, left to right within a line; any thread may call it.

    image: a Pillow image of any mode, or an array of height x width x 3 in RGB (height x width: grey).
    """
    bgr = _bgr(image)
    boxes = _lines(bgr, LONGEST_SIDE_PX)
    if any(may_be_plate(box.text) for box in boxes):
        return boxes
    larger = _lines(bgr, LARGER_SIDE_PX)
    return larger if len(larger) >= len(boxes) else boxes


def warm_up() -> None:
    """Load the models, by reading a picture without text."""
    read(np.full((64, 64, 3), 255, dtype=np.uint8))
    _characters()


def _bgr(image: Image.Image | Pixels) -> Pixels:
    rgb = np.asarray(image.convert("RGB")) if isinstance(image, Image.Image) else image
    conversion = cv2.COLOR_GRAY2BGR if rgb.ndim == 2 else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.cvtColor(rgb, conversion), dtype=np.uint8)


def _lines(bgr: Pixels, longest_side_px: int) -> list[TextBox]:
    looks = ((polygon, *_read_line(crop(bgr, polygon))) for polygon in find(bgr, longest_side_px))
    boxes = [
        TextBox(text, confidence, polygon)
        for polygon, text, confidence in looks
        if text.strip() and confidence >= MIN_CONFIDENCE
    ]
    return [_look_again(bgr, box) if may_be_plate(box.text) else box for box in boxes]


def _look_again(bgr: Pixels, box: TextBox) -> TextBox:
    """The line, read from a wider crop too unless it is sure, and the better of both."""
    if box.confidence >= SURE:
        return box
    return better(box, *_read_line(crop(bgr, box.polygon, (MARGIN_X, MARGIN_Y), CROP_HEIGHT_PX)))


def may_be_plate(text: str) -> bool:
    """Whether a line has a digit and the length of a plate: 5-10 letters and digits."""
    characters = [character for character in text if character.isalnum()]
    return 5 <= len(characters) <= 10 and any(character.isdigit() for character in characters)


def crop(
    bgr: Pixels, polygon: Polygon, margins: tuple[float, float] = (0.0, 0.0), height_px: int = READER_HEIGHT_PX
) -> Pixels:
    """The picture in a box, widened by margins (shares of its height), straightened, in the height given."""
    top_left, top_right, bottom_right, bottom_left = _along_the_text(polygon)
    along, down = top_right - top_left, bottom_left - top_left
    width, height = (max(float(np.linalg.norm(side)), 1.0) for side in (along, down))
    aside, above = along / width * height * margins[0], down * margins[1]
    corners = (
        top_left - aside - above,
        top_right + aside - above,
        bottom_right + aside + above,
        bottom_left - aside + above,
    )
    wide = max(1, round(height_px * (width + 2 * margins[0] * height) / (height * (1 + 2 * margins[1]))))
    if wide > LONG_PX:
        wide = round(wide * LONG_SHARE)
    target = np.array([[0, 0], [wide, 0], [wide, height_px], [0, height_px]], dtype=np.float32)
    transform = cv2.getPerspectiveTransform(np.array(corners, dtype=np.float32), target)
    straight = cv2.warpPerspective(
        bgr, transform, (wide, height_px), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(straight, dtype=np.uint8)


def _along_the_text(polygon: Polygon) -> Polygon:
    """The corners from the one where the text begins on."""
    width, height = (np.linalg.norm(polygon[i] - polygon[0]) for i in (1, 3))
    return np.roll(polygon, -1, axis=0) if height >= UPRIGHT * width else polygon


def _read_line(line: Pixels) -> tuple[str, float]:
    """What a straightened line says, and how sure that is."""
    wide = max(1, round(line.shape[1] * READER_HEIGHT_PX / line.shape[0]))
    given = as_input(cv2.resize(line, (wide, READER_HEIGHT_PX)))
    given = np.pad(given, ((0, 0), (0, 0), (0, 0), (0, max(0, ROOM_PX - wide))))
    likely = models.session(models.READER).run(None, {"x": given})[0][0]
    best = likely.argmax(axis=1)
    # One character spans several steps; class 0 parts it from an equal one.
    begins = np.flatnonzero((best != 0) & (best != np.concatenate([[0], best[:-1]])))
    if not begins.size:
        return "", 0.0
    return "".join(_characters()[i] for i in best[begins]), float(likely[begins, best[begins]].mean())


@cache
def _characters() -> Sequence[str]:
    """What each class of the reader's answer stands for."""
    listed = models.session(models.READER).get_modelmeta().custom_metadata_map["character"]
    return ("", *listed.splitlines(), " ")


def better(box: TextBox, wider_text: str, wider_confidence: float) -> TextBox:
    """The reading to keep: the wider one if it only adds characters at the ends, else the surer of the two."""
    completes = len(wider_text) > len(box.text) and box.text in wider_text and wider_confidence >= MIN_CONFIDENCE
    if completes or (len(wider_text) >= len(box.text) and wider_confidence > box.confidence):
        return replace(box, text=wider_text, confidence=wider_confidence)
    return box
