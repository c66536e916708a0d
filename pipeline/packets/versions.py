"""Which code and which configuration judged: both stand in each packet."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import resources

from pipeline import __version__
from pipeline.enforcement.manifest import digest
from pipeline.enforcement.packet import Versions
from pipeline.enforcement.plain_json import canonical, named
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.sections import Network


def versions(network: Network, policies: Mapping[str, Policy], tolerance_kmh: float, gap_s: float) -> Versions:
    """The release, its rules, and what a run was configured with, each as a digest."""
    configured = {"network": network, "policies": policies, "tolerance_kmh": tolerance_kmh, "session_gap_s": gap_s}
    return Versions(__version__, rules_sha256(), digest(canonical(named(configured))))


@cache
def rules_sha256() -> str:
    """Of the modules that measure and decide, name and text, in the order of their names."""
    found = hashlib.sha256()
    folder = resources.files("pipeline.enforcement")
    for file in sorted(folder.iterdir(), key=lambda one: one.name):
        if file.name.endswith(".py"):
            text = file.read_bytes()
            found.update(f"{file.name} {len(text)}\n".encode() + text)
    return found.hexdigest()
