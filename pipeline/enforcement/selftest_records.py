"""What a self-test reads, what it keeps of days that passed, and what it finds.

Nothing here knows a vehicle: times, lanes, confidences and reasons are enough, so pseudonyms do no harm.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from pipeline.enforcement.free_flow import FREE_FLOW_NEEDS
from pipeline.enforcement.records import Time
from pipeline.enforcement.sequential import Flags, Floats

Ints = npt.NDArray[np.int64]
WHAT, FORMAT = "self-test of a section", 1
NO_LANE = -1

# Bounds of thresholds. What is above the upper ones never happens on a road.
_Count = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
_Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Factor = Annotated[float, msgspec.Meta(ge=1, le=1000)]
_Positive = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
_NotNegative = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
_Shift = Annotated[float, msgspec.Meta(gt=0, le=3600)]


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When a check fails.

    least_evidence: of a sequential check, in natural logarithms: e^12 is 160,000 vehicles. margin: over the most that
    the past has reached by itself. slack: how much less likely than the likeliest a begin may be, and lead: how many
    vehicles earlier still, since the first ones need not show it. shifts_s: what a clock is asked for, both ways.
    congested_share: of passages that are slower than the slowest tenth of the past, shift included: above it, drivers
    who look slower are in congestion.
    gap_chance: of a silence among as many independent vehicles; gap_margin: over the longest of the past; least_gap: at
    least so many, since vehicles come in platoons and the last ones leave alone. least_lane_share: a lane that fewer
    take is not looked at. rate_*: what a share must rise to, as a factor and by itself. fall: of a mean, in spreads.
    drift_s, drift_errors: over the time that was looked at, and in standard errors; two_way_* likewise. asymmetry: by
    how much of the travel time the two directions of a road may differ where no past tells.

    Decoding refuses what is outside of the bounds (msgspec.ValidationError). reference_passages: below FREE_FLOW_NEEDS,
    a day without a past could never be judged.
    """

    least_evidence: _Positive = 12.0
    margin: _Factor = 1.3
    slack: _NotNegative = 12.0
    lead: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 200
    shifts_s: Annotated[tuple[_Shift, ...], msgspec.Meta(min_length=1)] = (0.5, 1.0, 2.0, 5.0)
    congested_share: _Fraction = 0.2
    reference_passages: Annotated[int, msgspec.Meta(ge=FREE_FLOW_NEEDS, le=1_000_000)] = 1000
    least_passages: _Count = 200
    days: _Count = 28
    gap_chance: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 1e-9
    gap_margin: _Factor = 2.0
    least_gap: _Count = 100
    least_lane_share: _Fraction = 0.02
    rate_factor: _Factor = 3.0
    rate_rise: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.05
    impossible_rate: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.02
    fall: _Positive = 0.5
    drift_s: _NotNegative = 1.0
    drift_errors: _NotNegative = 6.0
    drift_window: _Count = 250
    two_way_s: _NotNegative = 0.5
    two_way_errors: _NotNegative = 5.0
    asymmetry: _Fraction = 0.025


class Passages(NamedTuple):
    """A section's passages (n) in order of their last time, each in its last revision.

    first_us, last_us: microseconds since 1970. travel_time_s, speed_kmh: NaN where not measured or the pairing is in
    doubt. impossible: faster than any vehicle, or in no time at all. is_fined, ids: for the list of cases issued.
    """

    first_us: Ints
    last_us: Ints
    travel_time_s: Floats
    speed_kmh: Floats
    entry_missing: Flags
    exit_missing: Flags
    impossible: Flags
    is_fined: Flags
    ids: npt.NDArray[np.str_]

    def select(self, chosen: Flags | Ints | slice) -> Passages:
        """The chosen ones only."""
        chosen_columns: list[Any] = [column[chosen] for column in self]
        return Passages(*chosen_columns)


class Sightings(NamedTuple):
    """The sightings (n) of a section's cameras in order of time: microseconds since 1970, the camera's number in the
    section, lane (NO_LANE: not told), confidence of the camera's own reading (NaN: not told)."""

    time_us: Ints
    camera: Ints
    lane: Ints
    confidence: Floats

    def select(self, chosen: Flags | Ints | slice) -> Sightings:
        """The chosen ones only."""
        chosen_columns: list[Any] = [column[chosen] for column in self]
        return Sightings(*chosen_columns)


class Traffic(NamedTuple):
    """All that was seen of a section on a day."""

    passages: Passages
    sightings: Sightings

    def within(self, from_us: int, until_us: int | None) -> Traffic:
        """What was seen from this time on, and before until_us (None: up to the end)."""
        before_us = np.iinfo(np.int64).max if until_us is None else until_us
        passages, sightings = self.passages, self.sightings
        return Traffic(
            passages.select((passages.first_us >= from_us) & (passages.last_us < before_us)),
            sightings.select((sightings.time_us >= from_us) & (sightings.time_us < before_us)),
        )


class Share(NamedTuple):
    """How many of how many."""

    hits: int
    of: int


class Level(NamedTuple):
    """Mean and spread of so many values."""

    mean: float
    spread: float
    of: int


class Day(msgspec.Struct, frozen=True):
    """What is kept of a day that passed. travel_time_s: points of its distribution. Others by name of what was watched:
    how high each cumulative sum went, shares, levels of confidence, longest silences."""

    day: str
    passages: int
    travel_time_s: tuple[float, ...]
    peaks: dict[str, float]
    shares: dict[str, Share]
    levels: dict[str, Level]
    gaps: dict[str, int]


class Verdict(StrEnum):
    """How a check ends."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_JUDGED = "not_judged"


class Check(msgspec.Struct, frozen=True):
    """One check: what was measured, its uncertainty and the threshold, in `unit`; a sentence for people.

    begun: when the change began at the earliest; found: with which vehicle it was found, so many after its likeliest
    begin. name: what was watched.
    """

    name: str
    verdict: Verdict
    measured: float | None
    uncertainty: float | None
    threshold: float | None
    unit: str
    said: str
    begun: Time | None = None
    found: Time | None = None
    vehicles: int | None = None


class SelfTest(msgspec.Struct, frozen=True):
    """The self-test of a section and a day, from what had been seen until `until`.

    found_within: after how many passages a shift of so many seconds is found on average, as far as the past tells;
    null: never. past_days: with how many days it was compared; 0: with the day's own first passages. issued_since: ids
    of fines issued since the change began, to be recalled. thresholds, version, rules_sha256, key_id: by what and with
    what it was done.
    """

    what: str
    format: int
    section_id: str
    day: str
    until: Time | None
    verdict: Verdict
    passages: int
    sightings: int
    past_days: int
    checks: tuple[Check, ...]
    quarantined_from: Time | None
    issued_since: tuple[str, ...]
    found_within: dict[str, int | None]
    thresholds: Thresholds
    version: str
    rules_sha256: str
    key_id: str | None
