"""The options that name what is deployed, the same for making and removing it."""

from __future__ import annotations

import argparse
import os
import re

from pipeline import option_values as values
from pipeline.deployment import plan as planning
from pipeline.deployment.plan import Plan, Resources
from pipeline.option_values import OptionError

MAX_KEPT_DAYS = 36_500  # a hundred years; Cloud Storage allows no more
_PLACE = r"[A-Za-z]+(-[A-Za-z]+\d+)?"
# Names that are no paths and belong to no other project: their form, in an expression and in words.
_PLAIN = {
    "image_repository": (r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", "up to 63 of a-z 0-9 -, a letter first and no - last"),
    "region": (_PLACE, "a region of Google Cloud, e.g. europe-west1"),
}


def add_names(parser: argparse.ArgumentParser) -> None:
    """Options for the names of resources, for their place, and for how long evidence is kept."""
    parser.add_argument("--project_id", default=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    defaults = Resources.named_after("PROJECT")
    for name in Resources._fields[1:]:
        parser.add_argument(f"--{name}", help=f"default: {getattr(defaults, name)}")
    parser.add_argument(
        "--location",
        default=planning.LOCATION,
        help=f"where buckets and tables are; they cannot move later. Default: {planning.LOCATION}",
    )
    parser.add_argument(
        "--evidence_kept_days",
        default=str(planning.EVIDENCE_KEPT_DAYS),
        help="for so long nobody can delete a picture in the evidence bucket: as long as your law lets a fine be "
        f"disputed. Default: {planning.EVIDENCE_KEPT_DAYS}",
    )


def names_and_plan(args: argparse.Namespace) -> tuple[Resources, Plan]:
    """What the options name, checked. Raises OptionError."""
    if not args.project_id:
        raise OptionError("--project_id: absent; needed. Give it, or set GOOGLE_CLOUD_PROJECT")
    project = values.project_id(args.project_id)
    chosen = {name: _name(name, found, project) for name in Resources._fields[1:] if (found := getattr(args, name))}
    names = Resources.named_after(project)._replace(**chosen)
    _check_buckets(names)
    _check_distinct(names, "_topic")
    _check_distinct(names, "_subscription")
    if not re.fullmatch(_PLACE, args.location):
        raise OptionError(
            f"--location: found {args.location!r}; allowed: a place of Google Cloud, e.g. EU, europe-west1"
        )
    return names, planning.plan(names, args.location.upper(), _days(args.evidence_kept_days))


def _check_buckets(names: Resources) -> None:
    if names.camera_bucket == names.evidence_bucket:
        raise OptionError(
            f"--evidence_bucket: found {names.evidence_bucket!r}, the camera bucket, which is emptied every day; "
            "allowed: another bucket"
        )
    if names.dataflow_bucket in (names.camera_bucket, names.evidence_bucket):
        raise OptionError(
            f"--dataflow_bucket: found {names.dataflow_bucket!r}, which holds pictures, and the worker may delete what "
            "is in Dataflow's; allowed: another bucket"
        )


def _check_distinct(names: Resources, kind: str) -> None:
    """What is sent as a fine must not come back as a sighting, nor wait among what was rejected."""
    options: dict[str, str] = {}
    for option, name in names._asdict().items():
        if option.endswith(kind) and (other := options.setdefault(name, option)) != option:
            raise OptionError(f"--{option}: found {name!r}, the --{other}; allowed: another {kind.removeprefix('_')}")


def _name(option: str, found: str, project: str) -> str:
    """The short name; a full one must be in this project."""
    if option in _PLAIN:
        return _plain(option, found)
    if option.endswith("_bucket"):
        return values.bucket_name(found, f"--{option}") or found
    if option == "dataset":
        full = values.dataset_name(found, project) or found
        own, _, short = full.rpartition(".")
    else:
        full = values.resource_name(found, "topics" if "topic" in option else "subscriptions", f"--{option}", project)
        own, short = full.split("/")[1], full.split("/")[3]
    if own != project:
        raise OptionError(f"--{option}: found {found!r}, in {own}; allowed: a name in {project}, the --project_id")
    return short


def _plain(option: str, found: str) -> str:
    form, allowed = _PLAIN[option]
    if not re.fullmatch(form, found):
        raise OptionError(f"--{option}: found {found!r}; allowed: {allowed}")
    return found


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_KEPT_DAYS):
        raise OptionError(f"--evidence_kept_days: found {text!r}; allowed: a whole number from 1 to {MAX_KEPT_DAYS}")
    return int(text)
