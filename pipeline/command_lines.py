"""The command line of each job, without its engine and its clients: whoever asks for help waits for neither."""

from __future__ import annotations

import argparse
import difflib
import os
from collections.abc import Sequence
from typing import NoReturn

from pipeline.declared_options import add_options
from pipeline.deployment.names import add_names
from pipeline.option_values import OptionError

ANY_REASON = "any"


class Parser(argparse.ArgumentParser):
    """A mistake is one line, an OptionError. Names are written out: --y must not be taken for --yes."""

    def __init__(self, prog: str, description: str = "", epilog: str = "", *, add_help: bool = True) -> None:
        super().__init__(prog, description=description, epilog=epilog, add_help=add_help, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print below its usage."""
        raise OptionError(message.removeprefix("argument "))

    def parse(self, argv: Sequence[str]) -> argparse.Namespace:
        """What the options hold, whatever stands between them. Raises OptionError."""
        given, unknown = self.parse_known_intermixed_args(list(argv))
        if unknown:
            raise self.unknown(unknown[0])
        return given

    def unknown(self, found: str) -> OptionError:
        """The mistake of an option that there is not."""
        names = [name for action in self._actions for name in action.option_strings]
        near = difflib.get_close_matches(found.split("=", maxsplit=1)[0], names, 1)
        hint = f"Did you mean {near[0]}?" if near else f"See {self.prog} --help."
        return OptionError(f"{found}: no such option. {hint}")


def section_speed() -> Parser:
    """Our options alone: Beam's own are read together with them, in pipeline/options.py."""
    parser = Parser(
        "python -m pipeline [section-speed]",
        "Sightings in, fines out.",
        "Every option of Apache Beam works too, such as --runner.",
    )
    add_options(parser)
    return parser


def provision() -> Parser:
    """What is made, and whether."""
    parser = Parser(
        "python -m pipeline provision",
        "Provision: make the topics, subscriptions, buckets, dataset, tables and views of a project.",
    )
    parser.add_argument("--dry_run", action="store_true", help="say what would be made and changed, and change nothing")
    parser.add_argument("--roles", action="store_true", help="print the commands that grant the least roles, no more")
    add_names(parser)
    return parser


def deprovision() -> Parser:
    """What is removed."""
    parser = Parser(
        "python -m pipeline deprovision",
        "Deprovision: remove the topics, subscriptions, camera bucket and dataset of a project. Evidence is never "
        "removed.",
    )
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_names(parser)
    return parser


def verify() -> Parser:
    """Which packets are looked at, and by which keys."""
    parser = Parser(
        "python -m pipeline verify",
        "Verify: compute speed, limit and decision of packets again from nothing but themselves, and check hashes, "
        "signature and chain. One line for each; exit status 1 if one of them fails. Needs no service for local files.",
    )
    parser.add_argument("packets", nargs="+", metavar="PACKET", help="packet, folder or bucket of them; local or gs://")
    parser.add_argument(
        "--public_key",
        action="append",
        required=True,
        help="PEM file of a key that may have signed, which came to you by another way than the packets; may be "
        "repeated",
    )
    parser.add_argument("--known_heads", help="file of an earlier --write_heads: no link that it saw may be missing")
    parser.add_argument("--write_heads", help="file for the last link of each chain, if all is well")
    parser.add_argument(
        "--kept_since", help="day, such as 2026-01-31: packets of days before may have been deleted in their time"
    )
    return parser


def review() -> Parser:
    """What is looked at or decided, and by whom."""
    parser = Parser(
        "python -m pipeline review",
        "Review: list the cases that wait for a person, the most urgent first; show one; confirm it, which makes it a "
        "fine, or reject it, after which it never is one; cameras: how often each camera misread, as decisions say.",
    )
    parser.add_argument("action", choices=("list", "show", "confirm", "reject", "cameras"))
    parser.add_argument("fine_id", nargs="?", metavar="FINE_ID", help="of show, confirm, reject: the id of the case")
    parser.add_argument("--project_id", default=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    parser.add_argument("--dataset", default="section_speed", help="dataset of the cases. Default: section_speed")
    parser.add_argument("--policies", help="of list, show, confirm: file of further policies, for their deadlines")
    parser.add_argument("--capacity", help="of list: how many cases are looked at in a day. Default: without bound")
    parser.add_argument(
        "--save", metavar="FOLDER", help="of show: folder for the pictures, and the sheet of its packet"
    )
    deciding = parser.add_argument_group("confirm, reject")
    deciding.add_argument("--reviewer", help="who decides; needed, and recorded")
    deciding.add_argument("--reason", help="why; needed to reject, and recorded")
    deciding.add_argument(
        "--plate",
        action="append",
        help="needed to confirm: the plate as you read it on the first picture that show names, or CAMERA=PLATE of "
        "another, once for each",
    )
    deciding.add_argument("--both_pictures_seen", action="store_true", help="you read this plate on both pictures")
    deciding.add_argument("--after_deadline", action="store_true", help="of confirm: although its deadline has passed")
    deciding.add_argument("--output_topic", help="topic of the fines. Default: fines")
    return parser


def republish() -> Parser:
    """What is sent again, from where to where."""
    parser = Parser(
        "python -m pipeline republish",
        "Republish: send again what was rejected or not delivered, with its original bytes, after the fix that helps "
        "it.",
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
