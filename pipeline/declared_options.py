"""What the command line of the section-speed job may hold; pipeline/options.py checks what it does hold."""

from __future__ import annotations

import argparse

PRIVACY_VARIABLE, DEFAULT_PRIVACY_FILE = "SECTION_SPEED_PRIVACY_SECRET", "~/.config/section-speed/privacy.secret"
SIGNING_VARIABLE = "SECTION_SPEED_SIGNING_KEY"
# Options that one kind of input ignores have no default here: only so is it known that somebody gave them.
DEFAULT_LATENESS, DEFAULT_LIMIT, DEFAULT_PREFLIGHT, DEFAULT_DECIDE_AT = "24h", "25 mph", "on", "end"
ONLY_PUBSUB = (
    "output_topic",
    "rejected_topic",
    "alarms_topic",
    "publish_all",
    "timestamp_attribute",
    "id_attribute",
    "dataset",
    "allowed_lateness",
    "decide_at",
    "preflight",
    "camera_bucket",
)
ONLY_FILES = ("output_dir",)
ONLY_DATAFLOW = ("timestamp_attribute", "id_attribute")
_SWITCH = {"true": True, "false": False}


def add_options(parser: argparse.ArgumentParser) -> None:
    """All of them, in their groups. Names of topics, subscriptions and datasets may be short or full."""
    for add in (_add_pubsub, _add_files, _add_roads, _add_proof, _add_privacy, _add_preflight):
        add(parser)


def switch(text: str) -> bool:
    """True or false, as a template's parameters spell it. Raises ArgumentTypeError."""
    if text.lower() not in _SWITCH:
        raise argparse.ArgumentTypeError(f"found {text!r}; allowed: true, false, or the option alone")
    return _SWITCH[text.lower()]


def _add_pubsub(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("Pub/Sub")
    group.add_argument("--project_id", help="Google Cloud project; default: --project or GOOGLE_CLOUD_PROJECT")
    group.add_argument("--input_subscription", help="subscription with the cameras' sightings")
    group.add_argument("--output_topic", help="topic for fines, cases for review and withdrawals")
    group.add_argument("--rejected_topic", help="topic for what could not be processed, with its original bytes")
    group.add_argument("--alarms_topic", help="topic for alarms, such as a plate that is seen at two places at once")
    group.add_argument(
        "--publish_all",
        nargs="?",
        const=True,
        default=False,
        type=switch,
        metavar="true|false",
        help="publish passages without a fine too",
    )
    _add_attributes(group)
    group.add_argument("--allowed_lateness", help=f"how late a sighting may arrive. Default: {DEFAULT_LATENESS}")
    group.add_argument(
        "--decide_at",
        choices=("end", "exit"),
        help="exit: a suspected violation goes on once its exit is seen, where its policy allows; what comes later may "
        f"take it back. end: one session gap after its vehicle was last seen. Default: {DEFAULT_DECIDE_AT}",
    )
    group.add_argument("--dataset", help="BigQuery dataset for every event, NAME or PROJECT.NAME")


def _add_attributes(group: argparse._ArgumentGroup) -> None:
    """Beam's own source fails on a message without the attribute of the time: nobody gets that one unasked."""
    group.add_argument(
        "--timestamp_attribute",
        help="Dataflow only: attribute with the time of a message's first sighting, which every message must have. "
        "Default: the publish time",
    )
    group.add_argument(
        "--id_attribute",
        help="Dataflow only: attribute that a message published twice has twice and no other has; the second one is "
        "dropped. Default: Pub/Sub's own message id",
    )


def _add_files(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("files instead of Pub/Sub")
    group.add_argument("--input", help="file or pattern, local or gs://, of JSON lines, .gz or not, or of Parquet")
    group.add_argument("--output_dir", help="folder for sightings, passages, fines, rejected and summary.json")


def _add_roads(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("roads")
    group.add_argument("--sections", help="section file (YAML), local or gs://")
    group.add_argument(
        "--notices",
        help="file (JSON lines), local or gs://, with what variable signs show, and sections whose cases are for a "
        "person; followed while the job runs",
    )
    group.add_argument("--radar_id", help="section of sightings that name neither a camera nor a section")
    group.add_argument("--speed_limit", help=f"limit without --sections. Default: {DEFAULT_LIMIT}")
    group.add_argument("--policy", help="policy of sections that name none: edem (default), nyc, nl, ch, at, it, ...")
    group.add_argument("--policies", help="file (YAML) with further policies, local or gs://")
    group.add_argument("--tolerance", default="0 km/h", help="no suspicion up to the limit plus this. Default: 0 km/h")
    group.add_argument(
        "--clone_ceiling",
        default="250 km/h",
        help="fines of a plate that is seen at two places faster than this are for a person. Default: 250 km/h",
    )
    group.add_argument(
        "--session_gap", help="a vehicle not seen for so long has left, e.g. 30s; default: longest leg at 10 km/h"
    )


def _add_proof(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("pictures and plates")
    group.add_argument("--cars_api", help="http(s) address asked for the picture of a sighting that names none")
    group.add_argument(
        "--evidence_bucket", help="bucket for pictures of suspected violations; default: PROJECT-evidence"
    )
    group.add_argument(
        "--signing_key",
        help="file with the Ed25519 key (PEM) that signs a packet of evidence for each case, local or gs://; "
        f"{SIGNING_VARIABLE} goes before it. Default: no packets",
    )
    group.add_argument(
        "--ocr",
        choices=("vision", "none"),
        help="none: every suspected violation goes to a person. Default: vision with Pub/Sub, none with files",
    )


def _add_privacy(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("privacy")
    group.add_argument(
        "--privacy",
        choices=("on", "off"),
        default="on",
        help="on: vehicles are stored under pseudonyms that change daily. off: under their own names",
    )
    group.add_argument(
        "--privacy_secret",
        default=DEFAULT_PRIVACY_FILE,
        help=f"file with the secret of the pseudonyms, local or gs://; {PRIVACY_VARIABLE} goes before it",
    )


def _add_preflight(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("preflight, with Pub/Sub")
    group.add_argument(
        "--preflight",
        choices=("on", "off", "only"),
        help="on: look before the start whether all that the run needs is there; only: look, and do not start. "
        f"Default: {DEFAULT_PREFLIGHT}",
    )
    group.add_argument("--camera_bucket", help="bucket of the cameras' pictures; preflight tries to read it")
