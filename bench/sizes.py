"""How large messages and rows are for the simulator's traffic, and what making a row costs: what a bill is made of.

The sizes are the same at each run, since the traffic has a seed. How BigQuery counts a value:
https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#data_type_sizes
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

import msgspec
from google.cloud import bigquery

from bench import traffic
from pipeline.enforcement.records import SightingRecord
from pipeline.jobs import main
from pipeline.warehouse import tables

SIGHTINGS = 5_000
SECRET = "the same at each run, and no secret"  # noqa: S105 (it guards simulated plates)
FIXED_BYTES = {"BOOL": 1, "FLOAT64": 8, "INT64": 8, "TIMESTAMP": 8}
TEXT_BYTES = 2  # and those of its letters
KINDS = ("sightings", "passages", "fines")


def measure(folder: Path, repeats: int) -> dict[str, float]:
    """Bytes of a sighting in a message and of rows, passages of a sighting, and the CPU time of preparing a row.

    NAME_row_bytes: as BigQuery counts it. NAME_json_bytes: as it is sent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sent = traffic.traffic(SIGHTINGS).messages
    rows = _rows(folder, b"\n".join(message.data for message in sent))
    n = len(rows["sightings"])
    found = {
        "message_bytes": sum(len(message.data) for message in sent) / n,
        "passages": len(rows["passages"]) / n,
        "insert_cpu_us": median(_insert_cpu_us(rows["sightings"]) for _ in range(repeats)),
    }
    for kind in KINDS:
        schema = tables.schema(tables.TABLES[kind].record_type)
        found[f"{kind}_row_bytes"] = fmean(row_bytes(row, schema) for row in rows[kind])
        found[f"{kind}_json_bytes"] = fmean(map(_json_bytes, rows[kind]))
    return found


def _rows(folder: Path, lines: bytes) -> dict[str, list[dict[str, Any]]]:
    """The rows that the job makes of these lines."""
    (folder / "in.ndjson").write_bytes(lines)
    secret = folder / "secret"
    secret.write_text(SECRET, encoding="utf-8")
    secret.chmod(0o600)
    argv = [f"--input={folder / 'in.ndjson'}", f"--output_dir={folder}", f"--sections={traffic.SECTIONS}"]
    if main([*argv, f"--privacy_secret={secret}"]):
        raise RuntimeError("the job failed; see above")
    return {
        kind: [
            json.loads(line)
            for path in sorted(folder.glob(f"{kind}-*.ndjson"))
            for line in path.read_bytes().splitlines()
        ]
        for kind in KINDS
    }


def row_bytes(row: Mapping[str, Any], schema: Iterable[bigquery.SchemaField]) -> int:
    """The size of a row as BigQuery counts it; what is null counts nothing."""
    return sum(
        _value_bytes(value, field)
        for field in schema
        if (found := row.get(field.name)) is not None
        for value in (found if field.mode == "REPEATED" else [found])
    )


def _value_bytes(value: Any, field: bigquery.SchemaField) -> int:  # noqa: ANN401 (any value of a row)
    if field.field_type == "RECORD":
        return row_bytes(value, field.fields)
    return FIXED_BYTES.get(field.field_type) or TEXT_BYTES + len(str(value).encode())


def _json_bytes(row: Mapping[str, Any]) -> int:
    """As insertAll takes it: without what is unknown."""
    return len(json.dumps({name: value for name, value in row.items() if value is not None}))


def _insert_cpu_us(rows: Sequence[dict[str, Any]]) -> float:
    """Of what the job and Google's client do with a record until it is the text of a request; sending is not in it."""
    found = [msgspec.convert(row, SightingRecord) for row in rows]
    start = time.process_time()
    json.dumps([{"json": tables.row(one), "size": len(msgspec.json.encode(one))} for one in found])
    return (time.process_time() - start) / len(rows) * 1e6


def table(found: Mapping[str, float]) -> str:
    """One line for each figure."""
    return "\n".join(f"{name:<22}{value:>10.3f}" for name, value in found.items())
