"""A short demo, whole: real services, pipeline and cameras in their own processes. Takes about a minute and a half."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from demo.packets import sheet_name
from demo.stages import PROJECT_FOLDER
from generator.score import read_fines
from pipeline.enforcement.records import Fine

VEHICLES = 8


@pytest.mark.timeout(280)
def test_short_demo_loses_nothing_and_fines_nobody_wrongly(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "demo", "--vehicles", str(VEHICLES), "--seed", "5", "--out", str(out)]
    done = subprocess.run(command, cwd=PROJECT_FOLDER, capture_output=True, text=True, timeout=260, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads((out / "summary.json").read_text())
    assert summary["failures"] == []
    assert summary["vehicles"] == VEHICLES
    assert summary["sightings_in"] == summary["sightings_stored"] + summary["rejected"] > 0
    assert summary["wrong"] == 0
    fines = [msgspec.json.decode(line, type=Fine) for line in (out / "fines.ndjson").read_bytes().splitlines()]
    assert len(read_fines([out / "fines.ndjson"])) == len(fines) > 0
    assert summary["fines"] > 0
    assert summary["seconds_to_first_fine"] < 180
    page = (out / "report.html").read_text()
    assert "data:image/jpeg;base64," in page
    assert all(fine.fine_id in page for fine in fines)
    assert all((out / "sheets" / sheet_name(fine)).read_bytes().startswith(b"%PDF-") for fine in fines)
    assert len(list((out / "evidence").rglob("*.zip"))) == len(fines)
    assert "passed     nothing lost, no wrong fine" in done.stdout
