"""How soon a self-test finds a clock that goes wrong, and how often it cries wolf, on simulated traffic.

Of each case: seven days that passed, a day of 7,000 vehicles on which nothing is wrong, the same with 90 minutes of
congestion, tested as a timer does it, time and again; and the same with each shift after 1,500 passages, tested once
500 passages later. In the simulator's traffic a wave of congestion comes every ten minutes.
"""

from __future__ import annotations

import numpy as np

from generator.fleet import draw_fleet
from generator.roads import Route
from generator.traffic import FLOW_PER_ROUTE, simulate
from pipeline.enforcement import clock_checks
from pipeline.enforcement.free_flow import FreeFlow, points_of
from pipeline.enforcement.selftest import reached
from pipeline.enforcement.selftest_records import Passages, Thresholds
from pipeline.enforcement.sequential import Floats
from pipeline.enforcement.times import parse_rfc3339_us

SECTIONS = ((500.0, 40.2336), (776.0, 48.3), (1462.0, 64.4), (3000.0, 100.0))  # metres, km/h
SHIFTS_S = (-0.5, -1.0, -2.0, -5.0, 0.5, 1.0, 2.0, 5.0)
DAYS, VEHICLES_OF_A_DAY, VEHICLES = 7, 6000, 7000
SHIFTED_AFTER, WITHIN, TESTED_EVERY = 1500, 500, 1000
DECLARED_S = 0.12
SPEEDERS = 0.12
Times = tuple[Floats, Floats]  # seconds at entry and exit (n)
Found = tuple[int, bool]  # passages from the shift to its finding, and whether every shifted one is in quarantine


def measure(cases: int) -> list[dict[str, object]]:
    """A row for each section."""
    return [_section(length_m, limit_kmh, cases) for length_m, limit_kmh in SECTIONS]


def _section(length_m: float, limit_kmh: float, cases: int) -> dict[str, object]:
    drawn = [_case(length_m, limit_kmh, 1000 * (500 + number)) for number in range(cases)]
    shifts = {f"{shift_s:+g} s": _summed([found[shift_s] for _, found in drawn]) for shift_s in SHIFTS_S}
    alarms = [_summed_alarms([alarms[number] for alarms, _ in drawn]) for number in range(2)]
    return {"length_m": length_m, "cases": cases, "alarms": alarms[0], "in_congestion": alarms[1], "shifts": shifts}


def _summed(found: list[Found | None]) -> dict[str, object]:
    vehicles = [one[0] for one in found if one is not None and one[0] >= 0]
    return {
        "found": len(vehicles),
        "median": float(np.median(vehicles)) if vehicles else None,
        "of_ten_nine_by": float(np.quantile(vehicles, 0.9)) if vehicles else None,
        "all_in_quarantine": sum(one[1] for one in found if one is not None and one[0] >= 0),
    }


def _summed_alarms(alarms: list[str]) -> dict[str, int]:
    return {which: alarms.count(which) for which in ("faster", "slower")}


def _case(length_m: float, limit_kmh: float, seed: int) -> tuple[tuple[str, str], dict[float, Found | None]]:
    flow, peaks = _past([_drive(length_m, limit_kmh, VEHICLES_OF_A_DAY, seed + day) for day in range(DAYS)])
    entry_s, exit_s = _drive(length_m, limit_kmh, VEHICLES, seed + 77)
    slower = 1 + 0.8 * np.exp(-0.5 * ((entry_s - 9000) / 2700) ** 8)
    alarms = tuple(_alarm(entry_s, left_s, flow, peaks) for left_s in (exit_s, entry_s + (exit_s - entry_s) * slower))
    found = {shift_s: _found(entry_s, exit_s, shift_s, flow, peaks) for shift_s in SHIFTS_S}
    return (alarms[0], alarms[1]), found


def _drive(length_m: float, limit_kmh: float, vehicles: int, seed: int) -> Times:
    rng = np.random.default_rng(seed)
    fleet = draw_fleet(vehicles, SPEEDERS, rng)
    route = Route(("A", "B"), (length_m,), (limit_kmh,), ())
    trips = simulate(route, fleet, np.arange(vehicles), FLOW_PER_ROUTE, rng)
    entry_s, exit_s = trips.crossed_s[~np.isnan(trips.crossed_s).any(axis=1)].T
    order = np.argsort(entry_s)
    return entry_s[order], exit_s[order]


def _past(days: list[Times]) -> tuple[FreeFlow, dict[str, float]]:
    """Each day is measured by those before it, the first by itself, as the job keeps them."""
    points, passages, peaks = list[float](), 0, list[dict[str, float]]()
    for entry_s, exit_s in days:
        times_s = (exit_s - entry_s)[np.argsort(exit_s)]
        own = points_of(times_s)
        by = FreeFlow(points or own, passages or len(times_s))
        peaks.append(clock_checks.clock_peaks(times_s, by, Thresholds()))
        points, passages = [*points, *own], passages + len(times_s)
    return FreeFlow(points, passages), reached(peaks)


def _passages(entry_s: Floats, exit_s: Floats) -> Passages:
    order = np.argsort(exit_s, kind="stable")
    first_us, last_us = (np.rint(times_s[order] * 1e6).astype(np.int64) for times_s in (entry_s, exit_s))
    times_s, none = (exit_s - entry_s)[order], np.zeros(len(order), bool)
    return Passages(first_us, last_us, times_s, times_s, none, none, none, none, np.zeros(len(order), str))


def _alarm(entry_s: Floats, exit_s: Floats, flow: FreeFlow, peaks: dict[str, float]) -> str:
    """Which way a clock seems to have shifted where none has; empty: none."""
    passages = _passages(entry_s, exit_s)
    for until in range(TESTED_EVERY, len(entry_s) + 1, TESTED_EVERY):
        check = clock_checks.clock(passages.select(slice(0, until)), flow, peaks, DECLARED_S, Thresholds())
        if check.begun is not None:
            return "faster" if (check.measured or 0.0) < 0 else "slower"
    return ""


def _found(entry_s: Floats, exit_s: Floats, shift_s: float, flow: FreeFlow, peaks: dict[str, float]) -> Found | None:
    at_s = np.sort(exit_s)[SHIFTED_AFTER]
    passages = _passages(entry_s, np.where(exit_s >= at_s, exit_s + shift_s, exit_s))
    seen = passages.select(slice(0, SHIFTED_AFTER + WITHIN))
    check = clock_checks.clock(seen, flow, peaks, DECLARED_S, Thresholds())
    if check.begun is None or check.found is None:
        return None
    vehicles = int((passages.last_us <= parse_rfc3339_us(check.found)).sum()) - SHIFTED_AFTER
    first_us = round(float(entry_s[exit_s >= at_s].min()) * 1e6)
    return vehicles, parse_rfc3339_us(check.begun) <= first_us
