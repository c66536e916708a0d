"""Boxes of text -> Vision's two descriptions of them: text_annotations and full_text_annotation.

The OCR engine knows lines; words and symbols are cut from a line in proportion to their
characters, and carry its confidence.
"""

import re
from collections.abc import Iterator, Sequence

import numpy as np
from google.cloud.vision_v1 import types

from localcloud.finding import Polygon
from localcloud.ocr import TextBox
from localcloud.proto import Proto

ImageResponse = types.AnnotateImageResponse.pb()
Break = types.TextAnnotation.DetectedBreak.BreakType


def annotate(lines: Sequence[TextBox], width_px: int, height_px: int) -> Proto:
    """The AnnotateImageResponse for a picture of this size; a picture without text gives an empty one."""
    response = ImageResponse()
    if not lines:
        return response
    text = "\n".join(line.text for line in lines)
    whole = np.concatenate([line.polygon for line in lines])
    (left, top), (right, bottom) = whole.min(axis=0), whole.max(axis=0)
    overall = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    response.text_annotations.add(description=text, bounding_poly=_poly(overall))
    page = response.full_text_annotation.pages.add(width=width_px, height=height_px)
    page.confidence = float(np.mean([line.confidence for line in lines]))
    for line in lines:
        for word, polygon in words(line):
            response.text_annotations.add(description=word, bounding_poly=_poly(polygon))
        _add_block(page, line)
    response.full_text_annotation.text = text
    return response


def words(line: TextBox) -> Iterator[tuple[str, Polygon]]:
    """The words of a line and the part of its box that each takes."""
    for match in re.finditer(r"\S+", line.text):
        yield match.group(), _part(line, match.start(), match.end())


def _part(line: TextBox, start: int, end: int) -> Polygon:
    top_left, top_right, bottom_right, bottom_left = line.polygon
    begin, finish = start / len(line.text), end / len(line.text)
    above, below = top_right - top_left, bottom_right - bottom_left
    return np.array(
        [top_left + begin * above, top_left + finish * above, bottom_left + finish * below, bottom_left + begin * below]
    )


def _poly(polygon: Polygon) -> dict[str, list[dict[str, int]]]:
    return {"vertices": [{"x": round(float(x)), "y": round(float(y))} for x, y in polygon]}


def _add_block(page: Proto, line: TextBox) -> None:
    box = _poly(line.polygon)
    block = page.blocks.add(bounding_box=box, confidence=line.confidence, block_type=types.Block.BlockType.TEXT)
    paragraph = block.paragraphs.add(bounding_box=box, confidence=line.confidence)
    for match in re.finditer(r"\S+", line.text):
        polygon = _poly(_part(line, match.start(), match.end()))
        word = paragraph.words.add(bounding_box=polygon, confidence=line.confidence)
        for at in range(match.start(), match.end()):
            symbol_box = _poly(_part(line, at, at + 1))
            word.symbols.add(text=line.text[at], bounding_box=symbol_box, confidence=line.confidence)
        last = match.end() == len(line.text.rstrip())
        word.symbols[-1].property.detected_break.type_ = Break.LINE_BREAK if last else Break.SPACE
