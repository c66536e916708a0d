"""Reading the text in a picture with the PP-OCR models that ship inside the rapidocr wheel: offline, on one core."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from omegaconf import flag_override
from PIL import Image
from rapidocr import RapidOCR

from localcloud import models

Pixels = npt.NDArray[np.uint8]
Polygon = npt.NDArray[np.float64]

# Text is found in a picture of this size and read from the full one: enough for plates 110 px wide in 960, at a third
# of the time of the full size.
LONGEST_SIDE_PX = 512
LARGER_SIDE_PX = 960  # for the few pictures in which nothing like a plate was found
MIN_CONFIDENCE = 0.3
# A second look widens the box by this share of its height: detectors draw tight boxes that clip the end characters.
MARGIN_X = 0.45
MARGIN_Y = 0.15
CROP_HEIGHT_PX = 64

_local = threading.local()


@dataclass(frozen=True)
class TextBox:
    """One line of text: what it says, how sure the recogniser is (0-1), and its corners.

    ``polygon`` is 4x2 in pixels of the picture given, clockwise from the text's own top left corner.
    """

    text: str
    confidence: float
    polygon: Polygon


def read(image: Image.Image | Pixels, *, second_look: bool = True) -> list[TextBox]:
    """Return the lines of text in a picture, top to bottom, left to right within a line.

    image: a Pillow image of any mode, or an array of height x width x 3 in RGB (height x width: grey).
    second_look: recognise again from a wider crop what may be a plate, and keep the better of both; +25 ms a line.
    """
    bgr = _bgr(image)
    boxes = _lines(_engine(LONGEST_SIDE_PX), bgr, second_look=second_look)
    if any(may_be_plate(box.text) for box in boxes):
        return boxes
    larger = _lines(_engine(LARGER_SIDE_PX), bgr, second_look=second_look)
    return larger if len(larger) >= len(boxes) else boxes


def _lines(engine: Any, bgr: Pixels, *, second_look: bool) -> list[TextBox]:  # noqa: ANN401
    result = engine(bgr)
    if result.boxes is None:
        return []
    boxes = [
        TextBox(str(text), float(score), np.asarray(corners, dtype=np.float64))
        for text, score, corners in zip(result.txts, result.scores, result.boxes, strict=True)
    ]
    return _look_again(engine, bgr, boxes) if second_look else boxes


def warm_up() -> None:
    """Load the models into this thread's engine, by reading a picture without text."""
    read(np.full((64, 64, 3), 255, dtype=np.uint8))


def _engine(longest_side_px: int) -> Any:  # noqa: ANN401 (rapidocr's call returns a union that its parameters decide)
    """This thread's engine for a size: rapidocr keeps state between its steps and is not safe to share."""
    name = f"engine_{longest_side_px}"
    if not hasattr(_local, name):
        engine = RapidOCR(
            params={
                "Global.use_cls": False,
                "Global.log_level": "critical",
                "Global.text_score": MIN_CONFIDENCE,
                "Det.limit_type": "max",
                "Det.limit_side_len": longest_side_px,
                # One line at a time and no wider than it is: in a batch the longest line pads every other one.
                "Rec.rec_batch_num": 1,
                "Rec.rec_img_shape": [3, 48, 160],
            }
        )
        with flag_override(engine.cfg, "allow_objects", True):
            engine.cfg.Det.session = models.session(models.FINDER)
            engine.cfg.Rec.session = models.session(models.READER)
        setattr(_local, name, engine)
    return getattr(_local, name)


def _bgr(image: Image.Image | Pixels) -> Pixels:
    rgb = np.asarray(image.convert("RGB")) if isinstance(image, Image.Image) else image
    conversion = cv2.COLOR_GRAY2BGR if rgb.ndim == 2 else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.cvtColor(rgb, conversion), dtype=np.uint8)


def _look_again(engine: Any, bgr: Pixels, boxes: Sequence[TextBox]) -> list[TextBox]:  # noqa: ANN401
    """The lines, those that may be a plate read a second time: few in a picture, so this costs little."""
    again = [i for i, box in enumerate(boxes) if may_be_plate(box.text)]
    if not again:
        return list(boxes)
    wider = engine.recognize_txt([wide_crop(bgr, boxes[i].polygon) for i in again])
    read_again = dict(zip(again, zip(wider.txts, wider.scores, strict=True), strict=True))
    return [better(box, *read_again[i]) if i in read_again else box for i, box in enumerate(boxes)]


def may_be_plate(text: str) -> bool:
    """Whether a line has a digit and the length of a plate: 5-10 letters and digits."""
    characters = [character for character in text if character.isalnum()]
    return 5 <= len(characters) <= 10 and any(character.isdigit() for character in characters)


def wide_crop(bgr: Pixels, polygon: Polygon) -> Pixels:
    """The picture around a box, widened by the margins above, straightened and enlarged to CROP_HEIGHT_PX or more."""
    top_left, top_right, bottom_right, bottom_left = polygon
    along, down = (top_right - top_left), (bottom_left - top_left)
    height = max(float(np.linalg.norm(down)), 1.0)
    width = max(float(np.linalg.norm(along)), 1.0)
    aside, above = along / width * height * MARGIN_X, down * MARGIN_Y
    corners = np.array(
        [
            top_left - aside - above,
            top_right + aside - above,
            bottom_right + aside + above,
            bottom_left - aside + above,
        ],
        dtype=np.float32,
    )
    tall = max(CROP_HEIGHT_PX, round(height * (1 + 2 * MARGIN_Y)))
    wide = max(1, round(tall * (width + 2 * MARGIN_X * height) / (height * (1 + 2 * MARGIN_Y))))
    target = np.array([[0, 0], [wide, 0], [wide, tall], [0, tall]], dtype=np.float32)
    transform = cv2.getPerspectiveTransform(corners, target)
    straight = cv2.warpPerspective(bgr, transform, (wide, tall), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(straight, dtype=np.uint8)


def better(box: TextBox, wider_text: str, wider_confidence: float) -> TextBox:
    """The reading to keep: the wider one if it only adds characters at the ends, else the surer of the two."""
    completes = len(wider_text) > len(box.text) and box.text in wider_text and wider_confidence >= MIN_CONFIDENCE
    if completes or (len(wider_text) >= len(box.text) and wider_confidence > box.confidence):
        return TextBox(wider_text, wider_confidence, box.polygon)
    return box
