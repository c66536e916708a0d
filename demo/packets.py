"""The packets of a run: fetched from the evidence bucket as an auditor would, checked, and their sheets laid out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path

from pipeline import endpoints
from pipeline.enforcement.manifest import CHAIN, PACKETS
from pipeline.enforcement.packet import PDF
from pipeline.enforcement.records import Fine
from pipeline.jobs import verify

TIMEOUT_S = 30.0


def fetch(project: str, bucket: str, folder: Path) -> None:
    """All packets and links of a bucket into a folder, under their names."""
    client = endpoints.storage_client(project)
    for prefix in (PACKETS, CHAIN):
        for blob in client.list_blobs(bucket, prefix=f"{prefix}/", timeout=TIMEOUT_S):
            path = folder / blob.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(blob.download_as_bytes(timeout=TIMEOUT_S))


def problems(folder: Path, public_key: Path, received: Sequence[Fine]) -> list[str]:
    """What `python -m pipeline verify` finds wrong, and which messages have no packet."""
    found = [f"fine {fine.fine_id}, revision {fine.revision}: no packet" for fine in received if not fine.packet_url]
    if not any(folder.rglob("*.zip")):
        return found
    lines = io.StringIO()
    with redirect_stdout(lines):
        verify.run([f"--public_key={public_key}", str(folder)])
    return found + [line for line in lines.getvalue().splitlines() if not line.startswith("ok ")]


def lay_out_sheets(folder: Path, sheets: Path, fines: Sequence[Fine]) -> None:
    """The printed sheet of each fine, under the name that the report links to."""
    sheets.mkdir(exist_ok=True)
    for fine in fines:
        if fine.packet_url:
            name = fine.packet_url.removeprefix("gs://").partition("/")[2]
            with zipfile.ZipFile(folder / name) as packet:
                (sheets / sheet_name(fine)).write_bytes(packet.read(PDF))


def sheet_name(fine: Fine) -> str:
    """The file of a fine's sheet."""
    return f"{fine.fine_id}-{fine.revision}-{fine.status}.pdf"
