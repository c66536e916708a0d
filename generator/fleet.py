"""The vehicles: their class, plate and driver, drawn for all at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from generator.plates import DESIGNS, DIGITS, LETTERS, LETTERS_OF, SHARES

Floats = npt.NDArray[np.float64]

CLASSES = ("car", "van", "truck", "bus", "motorcycle")
CLASS_SHARES = (0.74, 0.12, 0.06, 0.04, 0.04)
# Free-flow speed of law-abiding drivers as a share of the limit, and its spread, by class.
PACE_MEAN = np.array([0.88, 0.86, 0.80, 0.76, 0.90])
PACE_SPREAD = np.array([0.07, 0.07, 0.07, 0.05, 0.08])
LAWFUL_PACE = 0.96  # a driver who means to keep the limit keeps clear of it
HEADWAY_S = np.array([1.0, 1.1, 1.6, 1.6, 0.8])
BRAKING_SHARE = 0.3


@dataclass(frozen=True)
class Fleet:
    """Vehicles (n): plate and region as true, class by its number in CLASSES, wanted speed as a share of the limit,
    least time to the vehicle in front in seconds, and whether a driver brakes at cameras."""

    plate: npt.NDArray[np.str_]
    region: npt.NDArray[np.str_]
    vehicle_class: npt.NDArray[np.int64]
    pace: Floats
    headway_s: Floats
    brakes: npt.NDArray[np.bool_]


def draw_fleet(count: int, speeders: float, rng: np.random.Generator) -> Fleet:
    """`count` vehicles with different plates; `speeders` is the share of drivers who want to exceed the limit."""
    vehicle_class = rng.choice(len(CLASSES), size=count, p=CLASS_SHARES)
    lawful = np.minimum(rng.normal(PACE_MEAN[vehicle_class], PACE_SPREAD[vehicle_class]), LAWFUL_PACE)
    speeding = rng.random(count) < speeders
    hurried = np.minimum(1.06 + rng.gamma(2.0, 0.12, count), 2.2)
    plate, region = draw_plates(count, rng)
    return Fleet(
        plate=plate,
        region=region,
        vehicle_class=vehicle_class,
        pace=np.where(speeding, hurried, np.maximum(lawful, 0.5)),
        headway_s=HEADWAY_S[vehicle_class] * rng.uniform(0.9, 1.6, count),
        brakes=speeding & (rng.random(count) < BRAKING_SHARE),
    )


def draw_plates(count: int, rng: np.random.Generator) -> tuple[npt.NDArray[np.str_], npt.NDArray[np.str_]]:
    """`count` different plates and their regions (ISO 3166-2), states by their share of the traffic."""
    region = rng.choice(list(SHARES), size=count, p=list(SHARES.values()))
    plate = np.empty(count, dtype="U8")
    wanting = np.arange(count)
    while len(wanting):
        plate[wanting] = _serials(region[wanting], rng)
        first = np.unique(plate, return_index=True)[1]
        wanting = np.setdiff1d(np.arange(count), first)
    return plate, region


def _serials(region: npt.NDArray[np.str_], rng: np.random.Generator) -> npt.NDArray[np.str_]:
    plate = np.empty(len(region), dtype="U8")
    for state in np.unique(region):
        chosen = np.flatnonzero(region == state)
        layouts = tuple(DESIGNS[str(state)].parted_after)
        which = rng.integers(len(layouts), size=len(chosen))
        for number, layout in enumerate(layouts):
            plate[chosen[which == number]] = _drawn(layout, str(state), int((which == number).sum()), rng)
    return plate


def _drawn(layout: str, state: str, count: int, rng: np.random.Generator) -> npt.NDArray[np.str_]:
    alphabets = [DIGITS if kind == "D" else LETTERS_OF.get(state, LETTERS) for kind in layout]
    columns = [np.array(list(letters))[rng.integers(len(letters), size=count)] for letters in alphabets]
    return np.ascontiguousarray(np.column_stack(columns)).view(f"U{len(layout)}").ravel()
