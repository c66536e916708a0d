"""What the policies of many sections make of many speeds at once: the same, to the last bit, as policy.py of each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.enforcement.policy import MARGIN_KMH, Policy

Numbers = npt.NDArray[np.int64]
Speeds = npt.NDArray[np.float64]
Truths = npt.NDArray[np.bool_]


class Policies:
    """Policies and limits in km/h, tolerance included, of sections (m) that are told by their numbers."""

    def __init__(self, policies: Sequence[Policy], limits_kmh: Sequence[float]) -> None:
        found: dict[Policy, int] = {}
        self._policy_of = np.array([found.setdefault(policy, len(found)) for policy in policies], np.int64)
        self._policies = list(found)
        self._limit_kmh, self._more_than_kmh, self._least_over_kmh = np.array([
            (
                limit_kmh if policy.fixed_limit_kmh is None else policy.fixed_limit_kmh,
                policy.more_than_kmh + MARGIN_KMH,
                -np.inf if (least_kmh := policy.least_over_kmh(limit_kmh)) is None else least_kmh,
            )
            for policy, limit_kmh in zip(policies, limits_kmh, strict=True)
        ]).reshape(-1, 3).T  # fmt: skip

    def counted_kmh(self, sections: Numbers, speeds_kmh: Speeds) -> Speeds:
        """The speeds that count (n) of speeds (n) in these sections (n)."""
        if len(self._policies) == 1:
            return _counted_kmh(self._policies[0], speeds_kmh)
        policy_of, counted_kmh = self._policy_of[sections], np.empty_like(speeds_kmh)
        for number, policy in enumerate(self._policies):
            chosen = policy_of == number
            counted_kmh[chosen] = _counted_kmh(policy, speeds_kmh[chosen])
        return counted_kmh

    def are_over(self, sections: Numbers, counted_kmh: Speeds) -> Truths:
        """Which counted speeds (n) are as far over the limits of these sections (n) as the policies ask."""
        over_kmh = counted_kmh - self._limit_kmh[sections]
        over: Truths = (over_kmh > self._more_than_kmh[sections]) & (over_kmh >= self._least_over_kmh[sections])
        return over


def _counted_kmh(policy: Policy, speeds_kmh: Speeds) -> Speeds:
    speeds_kmh = np.floor(speeds_kmh) if policy.rounds_first else speeds_kmh
    counted_kmh, left = speeds_kmh.copy(), np.ones(len(speeds_kmh), np.bool_)
    for deduction in policy.deductions:
        chosen = left & (speeds_kmh <= deduction.up_to_kmh)
        counted_kmh[chosen] = deduction.taken_off(speeds_kmh[chosen])
        left &= ~chosen
    return np.floor(counted_kmh) if policy.rounds else counted_kmh
