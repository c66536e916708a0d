"""What leaves the generator: messages, and the pictures that must lie in place before a message goes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

import msgspec
import numpy as np
import numpy.typing as npt

from generator.config import Config
from generator.look import Light, Look
from generator.truth import TruthRecord


@dataclass(frozen=True)
class PictureOrder:
    """A picture to draw: where it goes in the bucket or folder, what it shows, and the seed of how it is taken.

    look, light: what this vehicle's pictures and those of the same hour have in common.
    """

    name: str
    plate: str
    region: str
    vehicle_class: str
    overlay: str
    look: Look
    light: Light
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Outgoing:
    """One message: its bytes (newline-delimited JSON), when it is due and the earliest sighting in it, microseconds
    since 1970 (None: messages of this form say nothing of time), and what it adds to the counts."""

    payload: bytes
    due_us: int
    earliest_us: int | None
    items: int
    malformed: int
    new_vehicles: int
    pictures: tuple[PictureOrder, ...] = ()


class Scenario(Protocol):
    """All that one run will publish, fixed before it starts.

    Times run on the road's clock from config.start_us; published, it runs `haste` times faster than the wall's.
    """

    @property
    def config(self) -> Config:
        """What it was drawn from."""

    @property
    def haste(self) -> float:
        """How much faster than the road's clock it is published; infinite: as fast as possible."""

    @property
    def span_us(self) -> int:
        """From the start to the last item that is sent, on the road's clock."""

    def dated(self, config: Config) -> Self:
        """The same traffic under a config that differs in its start only."""

    @property
    def items(self) -> int:
        """How many objects will be published: sightings, their duplicates and malformed objects."""

    def messages(self) -> Iterator[Outgoing]:
        """The messages in the order in which they are due."""

    def truth(self, published: int | None = None) -> Iterator[TruthRecord]:
        """The true passages that lie within the first `published` items (None: all), then one summary."""


def cuts(due_us: npt.NDArray[np.int64], batch: int, within_us: float) -> Iterator[tuple[int, int]]:
    """Runs (first, end) of at most `batch` items that are due within `within_us` of the first of them."""
    first, count, window_us = 0, len(due_us), int(min(within_us, 2.0**61))
    while first < count:
        end = min(first + batch, int(np.searchsorted(due_us, due_us[first] + window_us, side="right")))
        yield first, max(end, first + 1)
        first = max(end, first + 1)


def lines(items: list[msgspec.Struct | msgspec.Raw]) -> bytes:
    """Newline-delimited JSON."""
    return msgspec.json.Encoder().encode_lines(items)
