"""The options that name what is deployed, the same for making and removing it."""

from __future__ import annotations

import argparse
import os
import re

from pipeline.deployment import plan as planning
from pipeline.deployment.plan import Plan, Resources
from pipeline.option_values import OptionError

MAX_KEPT_DAYS = 36_500  # a hundred years; Cloud Storage allows no more


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
    chosen = {name: found for name in Resources._fields[1:] if (found := getattr(args, name))}
    names = Resources.named_after(args.project_id)._replace(**chosen)
    if names.camera_bucket == names.evidence_bucket:
        raise OptionError(
            f"--evidence_bucket: found {names.evidence_bucket!r}, the camera bucket, which is emptied every day; "
            "allowed: another bucket"
        )
    if not re.fullmatch(r"[A-Za-z]+(-[A-Za-z]+\d+)?", args.location):
        raise OptionError(
            f"--location: found {args.location!r}; allowed: a place of Google Cloud, e.g. EU, europe-west1"
        )
    return names, planning.plan(names, args.location.upper(), _days(args.evidence_kept_days))


def _days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_KEPT_DAYS):
        raise OptionError(f"--evidence_kept_days: found {text!r}; allowed: a whole number from 1 to {MAX_KEPT_DAYS}")
    return int(text)
