"""The command line of each job, without its engine and its clients: whoever asks for help waits for neither."""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from pipeline.declared_options import add_options
from pipeline.deployment.names import add_names
from pipeline.option_values import OptionError

ANY_REASON = "any"
YES = "yes"
# Options of the section-speed job that what-if hands on to it.
ALSO_OF_RUN = {
    "sections": "section file (YAML), local or gs://",
    "radar_id": "section of sightings that name neither a camera nor a section",
    "speed_limit": "limit without --sections",
    "session_gap": "a vehicle not seen for so long has left",
    "privacy_secret": "file with the secret of the pseudonyms",
}


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


def agreed(what: str) -> bool:
    """Whether whoever sits there types yes to what will be done."""
    print(f"Type {YES} to {what}: ", end="", flush=True)
    return sys.stdin.readline().strip() == YES


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


def selftest() -> Parser:
    """What is tested, and where its records go."""
    parser = Parser(
        "python -m pipeline selftest",
        "Self-test: test cameras by the traffic that they see: clocks, lanes, readings, speeds. A line and a signed "
        "record for each section and day; exit status 1 if a section fails.",
    )
    parser.add_argument("--sections", required=True, help="the section file")
    parser.add_argument("--passages", help="file or pattern of passages of a run from files")
    parser.add_argument("--sightings", help="file or pattern of its sightings")
    parser.add_argument("--project_id", default=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    parser.add_argument("--dataset", help="dataset with passages and sightings, instead of files")
    parser.add_argument("--day", help="the UTC day, such as 2026-01-31; default with files: each day that they hold")
    parser.add_argument("--output", required=True, help="folder, local or gs://, of selftest-DAY.ndjson and its .sig")
    parser.add_argument("--baseline", help="file, local or gs://, of what is kept of days that passed; written anew")
    parser.add_argument("--notices", help="file of notices, local or gs://: a section that fails gets a line")
    parser.add_argument("--signing_key", help="key of the signature, as of section-speed; default: none")
    parser.add_argument("--thresholds", help="JSON file of thresholds other than the defaults")
    return parser


def review() -> Parser:
    """What is looked at or decided, and by whom."""
    parser = Parser(
        "python -m pipeline review",
        "Review: list the cases that wait for a person, the most urgent first; show one; confirm it, which makes it a "
        "fine, or reject it, after which it never is one; alarms: possible pairs, near twins and plates at two places; "
        "cameras: how often each camera misread, as decisions say.",
    )
    parser.add_argument("action", choices=("list", "show", "confirm", "reject", "alarms", "cameras"))
    parser.add_argument("fine_id", nargs="?", metavar="FINE_ID", help="of show, confirm, reject: the id of the case")
    parser.add_argument("--project_id", default=os.environ.get("GOOGLE_CLOUD_PROJECT"))
    parser.add_argument("--dataset", default="section_speed", help="dataset of the cases. Default: section_speed")
    parser.add_argument("--policies", help="of list, show, confirm: file of further policies, for their deadlines")
    parser.add_argument("--capacity", help="of list: how many cases are looked at in a day. Default: without bound")
    parser.add_argument(
        "--save", metavar="FOLDER", help="of show: folder for the pictures, and the sheet of its packet"
    )
    parser.add_argument(
        "--kind", choices=("clone", "near_twin", "possible_pair"), help="of alarms: this kind alone. Default: all"
    )
    parser.add_argument("--days", help="of alarms: those of so many days. Default: 7")
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


def recall() -> Parser:
    """What was wrong, where and when, and where the fines of that time are."""
    parser = Parser(
        "python -m pipeline recall",
        "Recall: given what was true of a section for a time, list which past fines fall, change or stand. Nothing is "
        "changed unless withdrawals are asked for, and no fine is ever raised.",
    )
    parser.add_argument("--section", required=True, help="id of the section")
    parser.add_argument("--from", dest="start", required=True, help="vehicles that entered since: a day, or RFC 3339")
    parser.add_argument("--to", dest="end", required=True, help="and before this: a day (its beginning), or RFC 3339")
    truth = parser.add_argument_group("what was true, at least one of")
    truth.add_argument("--limit", help='the limit, such as "60 km/h"')
    truth.add_argument(
        "--clock_offset",
        action="append",
        metavar="CAMERA=+1.8s",
        help="its clock was fast by so much, or slow: -1.8s; may be repeated; needs --sections",
    )
    truth.add_argument("--clock_error_s", help="by how much the clocks of entry and exit together may be off")
    truth.add_argument("--resolution_s", help="the steps of the clocks of entry and exit, together")
    truth.add_argument("--length_m", help="the section's length from its first camera to its last; needs --sections")
    truth.add_argument("--length_error_m", help="by how much that length may be off")
    parser.add_argument("--sections", help="section file (YAML), local or gs://, which names the cameras")
    _add_decided_by(parser, "as in the runs")
    _add_stored(parser)
    parser.add_argument("--output", help="file for the list as JSON lines")
    withdrawals = parser.add_argument_group("withdrawals")
    withdrawals.add_argument(
        "--publish_withdrawals", action="store_true", help="publish, and store in --dataset, one for each that falls"
    )
    withdrawals.add_argument("--output_topic", help="topic to publish them to")
    withdrawals.add_argument("--yes", action="store_true", help="do not ask")
    return parser


def what_if() -> Parser:
    """Which policy, and which day of which sightings or passages."""
    parser = Parser(
        "python -m pipeline what-if",
        "What-if: replay sightings or stored passages under another policy, and print the difference. Changes nothing.",
    )
    parser.add_argument("--policy", required=True, help="the other policy")
    _add_decided_by(parser, "of the replay")
    group = parser.add_argument_group("sightings, on which the section-speed job is run twice")
    group.add_argument("--input", help="file or pattern, local or gs://, of JSON lines, .gz or not, or of Parquet")
    group.add_argument("--instead_of", help="policy before, of sections that name none. Default: edem")
    for name, what in ALSO_OF_RUN.items():
        group.add_argument(f"--{name}", help=what)
    _add_stored(parser, fines=False)
    parser.add_argument("--day", help="only vehicles that entered on this day, UTC, such as 2026-03-02")
    parser.add_argument("--section", help="only this section")
    parser.add_argument("--output", help="file for what differs, as JSON lines")
    return parser


def _add_decided_by(parser: Parser, whose: str) -> None:
    parser.add_argument("--policies", help="file (YAML) with further policies, local or gs://")
    parser.add_argument("--tolerance", default="0 km/h", help=f"{whose}, which no record holds. Default: 0 km/h")


def _add_stored(parser: Parser, *, fines: bool = True) -> None:
    group = parser.add_argument_group("what runs have stored: in files, or in the warehouse")
    if fines:
        group.add_argument("--fines", help="file or pattern, local or gs://, of fines")
    group.add_argument("--passages", help="file or pattern, local or gs://, of passages")
    group.add_argument("--dataset", help="BigQuery dataset instead, NAME or PROJECT.NAME")
    group.add_argument("--project_id", default=os.environ.get("GOOGLE_CLOUD_PROJECT"))
