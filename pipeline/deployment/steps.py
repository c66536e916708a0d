"""One resource at a time: find it, make it, or compare it with the plan and change what is safe to change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import NamedTuple

from pipeline.deployment.plan import ROLE

Value = object
Found = Mapping[str, Value]


class RoleError(ValueError):
    """A name of the plan that belongs to something with another role, worded for the person who gave it."""


class Step(NamedTuple):
    """What was done with a resource, or in a dry run would be; the details are for a person."""

    outcome: str
    kind: str
    name: str
    details: str = ""

    def __str__(self) -> str:
        return f"{self.outcome:<7} {self.kind} {self.name}" + (f": {self.details}" if self.details else "")


class Resource(ABC):
    """Something that a deployment needs. `wanted`: its settings by name, as the plan has them."""

    service: str  # as pipeline/endpoints.py knows it
    kind: str
    name: str
    wanted: Mapping[str, Value]

    @abstractmethod
    def find(self) -> Found | None:
        """The settings it has, by the names of `wanted`; None if it does not exist."""

    @abstractmethod
    def make(self) -> None:
        """Make it as planned."""

    @abstractmethod
    def change(self, names: Collection[str], found: Found) -> None:
        """Give these settings their planned values."""

    @abstractmethod
    def remove(self) -> None:
        """Remove it with all it holds."""

    def may_change(self, name: str, found: Value) -> bool:
        """Whether this setting can go from what was found to the plan without a loss."""
        raise NotImplementedError


def refuse_another_role(resource: Resource) -> None:
    """Raise RoleError if its own label says that it is there for something else: two names may have been swapped.

    A bucket of evidence would else be emptied every day, and each setting of that is safe by itself.
    """
    found, wanted = role(resource.find() or {}), role(resource.wanted)
    if found not in (None, wanted):
        raise RoleError(
            f"{resource.kind} {resource.name}: found its label {ROLE}={found}; allowed: {ROLE}={wanted}, or none. Give "
            f"each {resource.kind} its own name, or relabel it by hand; nothing was changed"
        )


def role(settings: Found) -> Value:
    """What a resource of these settings is for, by its own label; None if it does not say."""
    labels = settings.get("labels")
    return labels.get(ROLE) if isinstance(labels, Mapping) else None


def reconcile(resource: Resource, *, dry_run: bool) -> Step:
    """Make it, or change what differs and may be changed; what may not is left, and told."""
    found = resource.find()
    if found is None:
        if not dry_run:
            resource.make()
        return Step(
            "missing" if dry_run else "made", resource.kind, resource.name, _planned(resource) if dry_run else ""
        )
    differing = _differing(resource, found)
    safe = [name for name in differing if resource.may_change(name, found[name])]
    if safe and not dry_run:
        resource.change(safe, found)
        after = resource.find() or found
        return _changed(resource, found, after, differing)
    return _compared(resource, found, differing, safe)


def _planned(resource: Resource) -> str:
    return "; ".join(f"{name} {_shown(value)}" for name, value in resource.wanted.items() if value is not None)


def _differing(resource: Resource, found: Found) -> list[str]:
    return [name for name, value in resource.wanted.items() if name in found and not _fits(found[name], value)]


def _fits(found: Value, wanted: Value) -> bool:
    """Labels and other mappings may hold more than is planned."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return wanted.items() <= found.items()
    return found == wanted


def _changed(resource: Resource, before: Found, after: Found, differing: Collection[str]) -> Step:
    left = _differing(resource, after)
    changed = [name for name in differing if name not in left]
    not_kept = [name for name in left if resource.may_change(name, after[name])]
    refused = [name for name in left if name not in not_kept]
    details = [f"{name} was {_shown(before[name])}, is {_shown(after[name])}" for name in changed]
    if not_kept:
        details.append(f"the service keeps no {', '.join(not_kept)}")
    details += _as_found(resource, after, refused)
    outcome = "changed" if changed else "differs" if refused else "exists"
    return Step(outcome, resource.kind, resource.name, "; ".join(details))


def _compared(resource: Resource, found: Found, differing: Collection[str], safe: Collection[str]) -> Step:
    details = [f"{name} is {_shown(found[name])}, would be {_shown(resource.wanted[name])}" for name in safe]
    details += _as_found(resource, found, [name for name in differing if name not in safe])
    outcome = "differs" if differing else "exists"
    return Step(outcome, resource.kind, resource.name, "; ".join(details))


def _as_found(resource: Resource, found: Found, names: Collection[str]) -> list[str]:
    return [
        f"{name} is {_shown(found[name])}, planned {_shown(resource.wanted[name])}: left as it is, change it by hand"
        for name in names
    ]


def _shown(value: Value) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={item}" for name, item in sorted(value.items())) or "none"
    return "none" if value is None else str(value)
