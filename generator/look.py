"""What the pictures of a run have in common: each vehicle's look, and the light of the day as it goes by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

DAY_US = 86_400_000_000


class Light(StrEnum):
    """The light of the scene."""

    DAYLIGHT = "daylight"
    DUSK = "dusk"
    NIGHT = "night"


# A day from sunrise on; its evening and its morning are one share of the mix.
MIX = {Light.DAYLIGHT: 0.60, Light.DUSK: 0.15, Light.NIGHT: 0.25}
NIGHTFALL = MIX[Light.DAYLIGHT] + MIX[Light.DUSK] / 2
DAWN = NIGHTFALL + MIX[Light.NIGHT]
# Streams of a run's seed, apart from those of the pictures, whose keys are (seed, row).
LIGHT_STREAM, LOOK_STREAM = (7, 2), (7, 1)


@dataclass(frozen=True)
class Look:
    """What is the same in every picture of a vehicle.

    seed: decides body, paint, brand and lettering, and where the dirt lies. dirt: of the plate, 0 (clean) to 1.
    wear: of the plate's coating, 0 (new) to 1.
    """

    seed: int
    dirt: float = 0.0
    wear: float = 0.0

    @staticmethod
    def draw(rng: np.random.Generator) -> Look:
        """Any vehicle; a quarter have dirty plates."""
        return Look(int(rng.integers(2**32)), draw_dirt(rng), rng.random())

    @staticmethod
    def of(run_seed: int, vehicle: int) -> Look:
        """The look of a vehicle, by its number in a run."""
        return Look.draw(np.random.default_rng((run_seed, *LOOK_STREAM, vehicle)))


def draw_dirt(rng: np.random.Generator) -> float:
    """A quarter of all plates are dirty."""
    return rng.uniform(0.2, 1.0) if rng.random() < 0.25 else 0.0


def draw_light(rng: np.random.Generator) -> Light:
    """The mix of a year on a road: 60 % day, 15 % dusk, 25 % night."""
    return Light(rng.choice(list(MIX), p=list(MIX.values())))


def light_at(run_seed: int, time_us: int) -> Light:
    """The light of a run at microseconds after its start.

    A run begins at an hour that its seed draws, not at that of its dates, so that any hour gives the same pictures.
    """
    begins = np.random.default_rng((run_seed, *LIGHT_STREAM)).random()
    hour = (begins + time_us / DAY_US) % 1.0
    if hour < MIX[Light.DAYLIGHT]:
        return Light.DAYLIGHT
    return Light.NIGHT if NIGHTFALL <= hour < DAWN else Light.DUSK
