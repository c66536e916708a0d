"""A packet as one file: a plain .zip without compression, of which there is one spelling only.

One object is written whole or not at all, and a person opens it with what every computer has. What is read must be what
writing its parts again would give: so no byte of it can be changed that is in no part.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from io import BytesIO

from pipeline.enforcement.plain_json import PacketError

SUFFIX = ".zip"
MAX_PACKET_BYTES = 128 * 1024 * 1024
_DATE = (1980, 1, 1, 0, 0, 0)  # the first that there is: when it was packed is in no packet
_READABLE = 0o644 << 16
_UNIX = 3


def packed(parts: Mapping[str, bytes]) -> bytes:
    """The file of parts by their names, in their order."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as file:
        for name, data in parts.items():
            info = zipfile.ZipInfo(name, _DATE)
            info.create_system, info.external_attr = _UNIX, _READABLE
            file.writestr(info, data)
    return out.getvalue()


def unpacked(data: bytes) -> dict[str, bytes]:
    """The parts of a file. Raises PacketError for what is none, or was written by something else."""
    try:
        with zipfile.ZipFile(BytesIO(data)) as file:
            entries = file.infolist()
            plain = all(one.compress_type == zipfile.ZIP_STORED for one in entries)
            # No more than there is: a file that says otherwise would fill the memory.
            parts = {one.filename: file.read(one) for one in entries} if plain and _size(entries) <= len(data) else {}
    except Exception as error:  # a damaged file may fail in any way
        raise PacketError(f"no packet, or a damaged one: {error}") from error
    if packed(parts) != data:
        raise PacketError("no packet as it is written: bytes outside its parts were changed")
    return parts


def _size(entries: list[zipfile.ZipInfo]) -> int:
    return sum(one.file_size for one in entries)
