"""Pictures made small enough to be part of a page."""

from __future__ import annotations

import base64
import io

from PIL import Image

WIDTH_PX = 600
JPEG_QUALITY = 74
# A page of about five megabytes still opens at once; pictures take a third more as text.
BUDGET_BYTES = 4_500_000


class Thumbnails:
    """data: addresses of reduced pictures, until the page is full."""

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        self._left_bytes = budget_bytes

    def address(self, picture: bytes | None) -> str | None:
        """None for a picture that is not there, cannot be opened, or no longer fits."""
        small = None if picture is None else _reduced(picture)
        if small is None or len(small) > self._left_bytes:
            return None
        self._left_bytes -= len(small)
        return small


def _reduced(picture: bytes) -> str | None:
    out = io.BytesIO()
    try:
        with Image.open(io.BytesIO(picture)) as image:
            image.thumbnail((WIDTH_PX, WIDTH_PX))
            image.convert("RGB").save(out, "JPEG", quality=JPEG_QUALITY, optimize=True)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")
