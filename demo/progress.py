"""What is seen while the demo runs: lines that stay, and below them one that changes."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, field
from typing import TextIO

from pipeline.enforcement.model import Status
from pipeline.enforcement.records import Fine

QUIET_EVERY_S = 5.0  # without a terminal the changing line becomes one line every so often


@dataclass(frozen=True)
class Live:
    """What has happened so far."""

    vehicles: int = 0
    sightings: int = 0
    stored: int = 0
    passages: int = 0
    fines: int = 0
    reviews: int = 0

    def line(self) -> str:
        """For people."""
        return (
            f"{self.vehicles:,} vehicles, {self.sightings:,} sightings sent, {self.stored:,} stored, "
            f"{self.passages:,} passages, {self.fines:,} fines, {self.reviews:,} reviews"
        )


@dataclass
class Screen:
    """Writes to a terminal, or to a file or pipe."""

    out: TextIO
    began_s: float = field(default_factory=time.monotonic)
    _shown: str = ""
    _next_s: float = 0.0

    def say(self, line: str) -> None:
        """A line that stays."""
        self._wipe()
        self.out.write(line + "\n")
        self._draw()

    def item(self, name: str, text: str) -> None:
        """A line that stays, of something with a name."""
        self.say(f"{name:<10} {text}")

    def status(self, live: Live, doing: str) -> None:
        """The line that changes."""
        self._shown = f"{self.clock()}  {live.line()} · {doing}"
        if self.out.isatty():
            self._wipe()
            self._draw()
        elif time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + QUIET_EVERY_S
            self.out.write(self._shown + "\n")
            self.out.flush()

    def end_status(self) -> None:
        """No changing line any more."""
        self._wipe()
        self._shown = ""
        self.out.flush()

    def clock(self) -> str:
        """Minutes and seconds since the start."""
        minutes, seconds = divmod(int(time.monotonic() - self.began_s), 60)
        return f"{minutes}:{seconds:02d}"

    def _wipe(self) -> None:
        if self._shown and self.out.isatty():
            self.out.write("\r\x1b[2K")

    def _draw(self) -> None:
        if self._shown and self.out.isatty():
            self.out.write(self._shown[: shutil.get_terminal_size().columns - 1])
        self.out.flush()


def fine_line(fine: Fine) -> str:
    """One line about a fine: all of it for one that is issued, less for the others."""
    plate = fine.license_plate or fine.vehicle_id
    if fine.status is Status.WITHDRAWN:
        return f"withdrawn  {plate:<9} {fine.section}: {_reasons(fine)}"
    speed = "" if fine.avg_speed is None else f"{fine.avg_speed:5.1f} km/h, limit {fine.limit_kmh:.1f}, "
    if fine.status is Status.REVIEW:
        return f"review     {fine.vehicle_id:<9} {speed}{fine.section}: {_reasons(fine)}"
    return f"fine       {plate:<9} {speed}{fine.section}, {fine.image_url}"


def _reasons(fine: Fine) -> str:
    return ", ".join(reason.replace("_", " ") for reason in fine.reasons)
