"""The command line of each job, without its engine and its clients: whoever asks for help waits for neither."""

from __future__ import annotations

import argparse
import os

from pipeline.declared_options import add_options
from pipeline.deployment.names import add_names

ANY_REASON = "any"


def section_speed() -> argparse.ArgumentParser:
    """Our options alone: Beam's own are read together with them, in pipeline/options.py."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline [section-speed]",
        description="Sightings in, fines out.",
        epilog="Every option of Apache Beam works too, such as --runner.",
    )
    add_options(parser)
    return parser


def provision() -> argparse.ArgumentParser:
    """What is made, and whether."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline provision",
        description="Provision: make the topics, subscriptions, buckets, dataset, tables and views of a project.",
    )
    parser.add_argument("--dry_run", action="store_true", help="say what would be made and changed, and change nothing")
    parser.add_argument("--roles", action="store_true", help="print the commands that grant the least roles, no more")
    add_names(parser)
    return parser


def deprovision() -> argparse.ArgumentParser:
    """What is removed."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline deprovision",
        description="Deprovision: remove the topics, subscriptions, camera bucket and dataset of a project. Evidence "
        "is never removed.",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_names(parser)
    return parser


def republish() -> argparse.ArgumentParser:
    """What is sent again, from where to where."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline republish",
        description="Republish: send again what was rejected or not delivered, with its original bytes, after the fix "
        "that helps it.",
    )
    parser.add_argument("--project_id", default=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    parser.add_argument(
        "--rejected_subscription", help="subscription of the rejected topic; sent ones are acknowledged"
    )
    parser.add_argument(
        "--undelivered_subscription", help="subscription of the dead-letter topic; sent ones are acknowledged"
    )
    parser.add_argument("--input", help="file or pattern with rejected records, instead of a subscription")
    parser.add_argument("--input_topic", default="sightings", help="topic to send to. Default: sightings")
    parser.add_argument("--dataset", help="dataset, for rows that BigQuery refused")
    parser.add_argument("--reason", default=ANY_REASON, help="only those rejected for this reason, e.g. unknown_camera")
    return parser
