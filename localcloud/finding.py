"""Where the lines of text in a picture are: the network marks the pixels of text, each blob of them is one line.

After Liao et al., Real-time Scene Text Detection with Differentiable Binarization, AAAI 2020, with PP-OCR's thresholds.
"""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from localcloud import models

Pixels = npt.NDArray[np.uint8]
Polygon = npt.NDArray[np.float64]
Levels = npt.NDArray[np.float32]
OpenCVArray = npt.NDArray[Any]  # OpenCV does not say of what its answers are

STRIDE_PX = 32  # the network takes multiples of it
TEXT = 0.3  # a pixel's probability from which on it is text
MIN_MEAN = 0.5  # of the probabilities in a box
MIN_THICKNESS_PX = 3  # of a blob, in the picture that the network sees
# The network marks the core of a line: its box grows by this times area over circumference.
GROWTH = 1.6
LINE_STEP_PX = 10  # boxes that begin within so many pixels of height are read from left to right


def find(bgr: Pixels, longest_side_px: int) -> list[Polygon]:
    """The boxes of the lines, in reading order: 4x2 pixels of the picture, clockwise from the top left corner.

    longest_side_px: text is sought in a picture of this size; a smaller one keeps its own.
    """
    height, width = bgr.shape[:2]
    scale = min(1.0, longest_side_px / max(height, width)) / STRIDE_PX
    seen = [max(1, round(side * scale)) * STRIDE_PX for side in (width, height)]
    marked = models.session(models.FINDER).run(None, {"x": as_input(cv2.resize(bgr, seen))})[0][0, 0]
    text = cv2.dilate((marked > TEXT).astype(np.uint8), np.ones((2, 2), np.uint8))
    blobs, _ = cv2.findContours(text, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    found = [box for blob in blobs if (box := _box(marked, blob)) is not None]
    enlarged = np.array([width / seen[0], height / seen[1]])
    return _in_reading_order([np.clip(box * enlarged, 0, (width - 1, height - 1)) for box in found])


def as_input(bgr: OpenCVArray) -> Levels:
    """The picture as the networks take it: 1 x 3 x height x width, from -1 to 1."""
    return np.asarray(cv2.dnn.blobFromImage(bgr, 1 / 127.5, mean=(127.5, 127.5, 127.5)), dtype=np.float32)


def _box(marked: Levels, blob: OpenCVArray) -> Polygon | None:
    """The slanted box around a line, or None where the network marks too little of it."""
    middle, (along, across), angle = cv2.minAreaRect(blob)
    core = cv2.boxPoints((middle, (along, across), angle))
    if min(along, across) < MIN_THICKNESS_PX or _mean(marked, core) < MIN_MEAN:
        return None
    growth = GROWTH * along * across / (along + across)
    return _clockwise(cv2.boxPoints((middle, (along + growth, across + growth), angle)))


def _mean(marked: Levels, corners: OpenCVArray) -> float:
    """The mean probability inside a box."""
    left, top = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    part = marked[top:bottom, left:right]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(inside, [(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(part, inside)[0])


def _clockwise(corners: OpenCVArray) -> Polygon:
    """The corners from the top left one on."""
    from_left = corners[np.argsort(corners[:, 0], kind="stable")].astype(np.float64)
    (top_left, bottom_left), (top_right, bottom_right) = (
        pair[np.argsort(pair[:, 1], kind="stable")] for pair in (from_left[:2], from_left[2:])
    )
    return np.array([top_left, top_right, bottom_right, bottom_left])


def _in_reading_order(boxes: list[Polygon]) -> list[Polygon]:
    if not boxes:
        return []
    down = sorted(boxes, key=lambda box: float(box[0, 1]))
    lefts, tops = np.array([box[0] for box in down]).T
    line = np.cumsum(np.diff(tops, prepend=tops[0]) >= LINE_STEP_PX)
    return [down[i] for i in np.lexsort((lefts, line))]
