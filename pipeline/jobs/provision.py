"""Provision: make the topics, subscriptions, buckets, dataset, tables and views of a project."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline import command_lines, endpoints
from pipeline.deployment import roles
from pipeline.deployment.names import names_and_plan
from pipeline.deployment.plan import Plan
from pipeline.deployment.steps import Step
from pipeline.provision import provision


def run(argv: Sequence[str]) -> int:
    """Make what does not exist yet, change what safely can be, and say so, a line for each; then the roles it needs."""
    args = command_lines.provision().parse(argv)
    names, plan = names_and_plan(args)
    if not args.roles:
        _provision(plan, dry_run=args.dry_run)
    if args.roles or not (args.dry_run or endpoints.is_local("storage")):
        print("# The least roles, as commands. The same alone: python -m pipeline provision --roles")
        print(*roles.lines(names), sep="\n")
    return 0


def _provision(plan: Plan, *, dry_run: bool) -> None:
    steps = []
    for step in provision(plan, dry_run=dry_run):
        steps.append(step)
        if not dry_run:
            print(step, flush=True)
    if dry_run:
        print(table(steps))


def table(steps: Sequence[Step]) -> str:
    """The steps as a table with a heading."""
    rows = [("now", "kind", "name", "settings, or what differs"), *steps]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    )
