"""The driver's sheet as a PDF: the same blocks on A4, the same bytes however often it is printed.

ReportLab's canvas alone, with the fonts that every reader of PDF has: their letters are those of Western Europe, and of
others the bare letter is printed, or a question mark. The page of HTML in the same packet has them all.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from io import BytesIO

from PIL import Image
from reportlab import rl_config
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader, simpleSplit
from reportlab.pdfgen.canvas import Canvas

from pipeline.enforcement.sheet import Block, Code, Facts, Heading, Pictures, Sheet, Shown, Steps, Text, Title

rl_config.useA85 = 0  # pictures as they are: as text they would be a quarter larger, and slow
WIDTH, HEIGHT = A4
MARGIN, GUTTER = 45.0, 12.0
TEXT_WIDTH = WIDTH - 2 * MARGIN
PLAIN, BOLD, TYPED = "Helvetica", "Helvetica-Bold", "Courier"
HIGHEST_PICTURE, LOWEST_PICTURE = 190.0, 60.0
_JPEG = b"\xff\xd8"


class _Jpeg(ImageReader):
    """A picture whose bytes go into the page as they are. The library decodes it only to give it a name, and here it
    has one."""

    def __init__(self, name: str, data: bytes) -> None:
        super().__init__(BytesIO(data))
        self._name, self._dataA = name.encode(), None  # a mask, of which a JPEG has none

    def getRGBData(self) -> bytes:
        return self._name


class _Page:
    """The canvas and how far down it is written."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas, self._y = canvas, HEIGHT - MARGIN

    def room(self, height: float) -> None:
        """Begin another page where there is too little left."""
        if self._y - height < MARGIN:
            self._canvas.showPage()
            self._y = HEIGHT - MARGIN

    def skip(self, height: float) -> None:
        self._y -= height

    def lines(self, text: str, font: str = PLAIN, size: float = 10.0) -> None:
        """A paragraph over the whole width."""
        for line in simpleSplit(_printable(text), font, size, TEXT_WIDTH):
            self.room(size * 1.35)
            self._y -= size * 1.35
            self._write(MARGIN, line, font, size)

    def row(self, cells: Sequence[str], widths: Sequence[float], *, last_right: bool, rule: bool) -> None:
        """Cells side by side; the last one bold."""
        size = 9.5
        fonts = [*(PLAIN for _ in cells[1:]), BOLD]
        found = [
            simpleSplit(_printable(cell), font, size, width - GUTTER)
            for cell, font, width in zip(cells, fonts, widths, strict=True)
        ]
        height = max(map(len, found)) * size * 1.3 + 3.5
        self.room(height)
        left = MARGIN
        for number, (lines, font, width) in enumerate(zip(found, fonts, widths, strict=True)):
            for at, line in enumerate(lines, 1):
                y = self._y - at * size * 1.3
                if last_right and number == len(cells) - 1:
                    self._canvas.setFont(font, size)
                    self._canvas.drawRightString(left + width, y, line)
                else:
                    self._write(left, line, font, size, y)
            left += width
        self._y -= height
        if rule:
            self._canvas.setLineWidth(0.3)
            self._canvas.line(MARGIN, self._y, WIDTH - MARGIN, self._y)

    def pictures(self, shown: Sequence[Shown], parts: dict[str, bytes]) -> None:
        """Side by side, each above its caption."""
        width = (TEXT_WIDTH - GUTTER) / 2
        heights = [_height(parts.get(one.part or ""), width) for one in shown]
        captions = [simpleSplit(_printable(one.caption), PLAIN, 8.5, width) for one in shown]
        picture, caption = max(heights, default=0.0), max(map(len, captions), default=0) * 11.0
        self.room(picture + caption + 6)
        for number, (one, height, lines) in enumerate(zip(shown, heights, captions, strict=True)):
            left, top = MARGIN + number * (width + GUTTER), self._y
            if not self._drawn(one.part or "", parts, left, top - height, width, height):
                self._canvas.rect(left, top - height, width, height)
                said = "no picture" if one.part is None else f"{one.part} cannot be shown"
                self._write(left + 8, said, PLAIN, 9.5, top - height / 2)
            for at, line in enumerate(lines, 1):
                self._write(left, line, PLAIN, 8.5, top - picture - at * 11.0)
        self._y -= picture + caption + 6

    def _drawn(
        self, name: str, parts: dict[str, bytes], left: float, bottom: float, width: float, height: float
    ) -> bool:
        """Draw a picture, unless it is none that a page can hold."""
        try:
            data = parts.get(name, b"")
            image = _Jpeg(name, data) if data.startswith(_JPEG) else ImageReader(BytesIO(data))
            self._canvas.drawImage(image, left, bottom, width, height, preserveAspectRatio=True, anchor="w")
        except Exception:  # noqa: BLE001 (a picture may be broken in any way, and is evidence all the same)
            return False
        return True

    def _write(self, x: float, text: str, font: str, size: float, y: float | None = None) -> None:
        self._canvas.setFont(font, size)
        self._canvas.drawString(x, self._y if y is None else y, text)


def _height(data: bytes | None, width: float) -> float:
    """How high a picture is at this width; one that cannot be opened has a low frame."""
    try:
        with Image.open(BytesIO(data or b"")) as image:
            return float(min(HIGHEST_PICTURE, width * image.height / image.width))
    except (OSError, ValueError, Image.DecompressionBombError):
        return LOWEST_PICTURE


def pdf(sheet: Sheet, parts: dict[str, bytes]) -> bytes:
    """The sheet with its pictures, which are among the parts; a frame for one that cannot be opened."""
    out = BytesIO()
    canvas = Canvas(out, pagesize=A4, invariant=1, pageCompression=0)  # its date and its id are always the same
    canvas.setTitle(_printable(next((block.text for block in sheet if isinstance(block, Title)), "")))
    page = _Page(canvas)
    for block in sheet:
        _print(page, block, parts)
    canvas.save()
    return out.getvalue()


def _print(page: _Page, block: Block, parts: dict[str, bytes]) -> None:
    match block:
        case Title(text):
            page.lines(text, BOLD, 18.0)
            page.skip(6)
        case Heading(text):
            page.skip(8)
            page.lines(text, BOLD, 12.0)
            page.skip(4)
        case Text(text):
            page.lines(text)
            page.skip(5)
        case Code(text):
            page.lines(text, TYPED, 8.5)
            page.skip(5)
        case Pictures(pictures):
            page.skip(6)
            page.pictures(pictures, parts)
        case Facts(facts):
            for fact in facts:
                page.row(fact, (120.0, TEXT_WIDTH - 120.0), last_right=False, rule=False)
        case Steps(steps):
            for step in steps:
                page.row(step, (TEXT_WIDTH - 295.0, 160.0, 135.0), last_right=True, rule=True)


def _printable(text: str) -> str:
    """The text in letters that the fonts have."""
    text = text.replace("−", "–")
    return text if _has(text) else "".join(map(_letter, text))


def _letter(letter: str) -> str:
    if _has(letter):
        return letter
    bare = unicodedata.normalize("NFKD", letter)[0]
    return bare if _has(bare) else "?"


def _has(text: str) -> bool:
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return text.isprintable()
