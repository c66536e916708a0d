"""Deprovision: remove the topics, subscriptions, camera bucket and dataset of a project. Evidence is never removed."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline import command_lines
from pipeline.deployment.names import names_and_plan
from pipeline.provision import remove, standing


def run(argv: Sequence[str]) -> int:
    """Show what goes, ask, and remove it. Exit status 1 if nothing was removed since nobody said yes."""
    args = command_lines.deprovision().parse(argv)
    _, plan = names_and_plan(args)
    found, evidence = standing(plan)
    for resource in found:
        print(f"will be removed, with all it holds: {resource.kind} {resource.name}")
    for resource in evidence:
        print(f"stays: {resource.kind} {resource.name}: evidence is never removed here")
    if not found:
        print("nothing to remove")
        return 0
    if not (args.yes or command_lines.agreed("remove them for good")):
        print("nothing was removed", file=sys.stderr)
        return 1
    for resource in found:
        remove(resource)
        print(f"removed {resource.kind} {resource.name}", flush=True)
    return 0
