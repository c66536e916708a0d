"""Traffic of a section for self-tests: free-flowing, of known clocks, lanes and readings."""

import numpy as np

from pipeline.enforcement.sections import parse_network
from pipeline.enforcement.selftest_records import NO_LANE, Passages, Sightings, Traffic

FIRST_US = 1_772_456_400_000_000  # 2026-03-02T13:00:00Z
YAML = """
cameras:
  A: {location: [40.735180, -73.980110], clock_error_s: 0.06}
  B: {location: [40.739110, -73.977240], clock_error_s: 0.06}
sections:
  - {id: a-b, cameras: [A, B], length_m: [500.5], limit: 25 mph}
  - {id: b-a, cameras: [B, A], length_m: [500.5], limit: 25 mph}
  - {id: track, line: [[40.74, -73.99], [40.75, -73.98]], limit: 40 km/h}
"""
NETWORK = parse_network(YAML)
SECTION = NETWORK.sections["a-b"]


def traffic(
    count=3000, seed=0, *, shift_s=0.0, after=0, drift_s=0.0, slowed=(), silent_lane=None, silent_camera=None, **rates
):
    """`count` vehicles, one every 3 s. From vehicle `after` on: shift_s on the exit's clock, a silent lane or camera,
    and the rates `unsure` (how much less sure each camera is), `lost` (share of missing exits), `impossible`.
    drift_s: over all of them. slowed: (first, end, factor) of congestion."""
    rng = np.random.default_rng(seed)
    first_us = FIRST_US + (np.arange(count) * 3_000_000)
    times_s = 50.0 * np.exp(rng.normal(0, 0.08, count))
    behind = np.arange(count) >= after
    for first, end, factor in [slowed] if slowed else []:
        times_s[first:end] *= factor
    off_s = shift_s * behind + drift_s * np.arange(count) / count
    last_us = first_us + np.rint((times_s + off_s) * 1e6).astype(np.int64)
    lost = rng.random(count) < np.where(behind, rates.get("lost", 0.03), 0.03)
    impossible = rng.random(count) < np.where(behind, rates.get("impossible", 0.0), 0.0)
    times_s = np.where(lost, np.nan, (last_us - first_us) / 1e6)
    passages = Passages(
        first_us,
        last_us,
        times_s,
        SECTION.distance_m * 3.6 / times_s,
        np.zeros(count, bool),
        lost,
        impossible,
        rng.random(count) < 0.01,
        np.array([f"p{number}" for number in range(count)]),
    )
    return Traffic(
        passages.select(np.argsort(last_us, kind="stable")),
        _sightings(passages, behind, rng, rates, silent_lane, silent_camera),
    )


def _sightings(passages, behind, rng, rates, silent_lane, silent_camera):
    count = len(behind)
    lane = rng.choice(3, count, p=(0.4, 0.45, 0.15))
    confidence = 1 - rng.beta(2, 40, 2 * count) - np.tile(behind, 2) * rates.get("unsure", 0.0)
    columns = Sightings(
        np.concatenate([passages.first_us, passages.last_us]),
        np.repeat([0, 1], count),
        np.tile(lane, 2),
        confidence,
    )
    kept = ~np.concatenate([np.zeros(count, bool), passages.exit_missing])
    if silent_lane is not None:
        kept &= ~(np.tile(behind, 2) & (columns.camera == 1) & (columns.lane == silent_lane))
    if silent_camera is not None:
        kept &= ~(np.tile(behind, 2) & (columns.camera == silent_camera))
    order = np.argsort(columns.time_us, kind="stable")
    return columns.select(order[kept[order]])


def without_lanes(found):
    """The same of cameras that tell no lanes."""
    sightings = found.sightings
    return found._replace(sightings=sightings._replace(lane=np.full_like(sightings.lane, NO_LANE)))
