"""The flex template's description of the options, made from the options themselves.

python -m pipeline.flex_template FILE writes it; a test holds the checked-in file to it. Dataflow checks a launch's
parameters against the expressions (POSIX extended) before it starts anything, and the console makes a form of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.declared_options import DEFAULT_DECIDE_AT, DEFAULT_LATENESS, add_options

_PROJECT = "[a-z][-a-z0-9:.]{4,61}[a-z0-9]"
_NAME = "[A-Za-z][A-Za-z0-9._~+%-]{2,254}"
_DURATION = r"^[0-9]+(\.[0-9]+)? *(s|min|h|d)$"
_SPEED = r"^[0-9]+(\.[0-9]+)? *(km/h|mph)$"
# In a name of a section. Of brackets, which are refused too, not every kind of regex can say so.
_PRINTED = r"[^ /\\#?*]"
_SECTION = rf"^{_PRINTED}(({_PRINTED}| ){{0,126}}{_PRINTED})?$"
_ATTRIBUTE = "^[A-Za-z0-9._-]{1,255}$"
_TOPIC = f"^projects/{_PROJECT}/topics/{_NAME}$"
GCS_FILE = "^gs://[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/.+$"


class Form(NamedTuple):
    """What the options themselves do not say of a parameter. shown_if: another parameter and its value."""

    label: str
    param_type: str = "TEXT"
    regex: str | None = None
    default: str | None = None
    needed: bool = False
    shown_if: tuple[str, str] | None = None


FORMS: Mapping[str, Form] = {
    "project_id": Form("Project", regex=f"^{_PROJECT}$"),
    "input_subscription": Form(
        "Input subscription",
        "PUBSUB_SUBSCRIPTION",
        f"^projects/{_PROJECT}/subscriptions/{_NAME}$",
        needed=True,
    ),
    "output_topic": Form("Output topic", "PUBSUB_TOPIC", _TOPIC, needed=True),
    "rejected_topic": Form("Topic of rejected messages", "PUBSUB_TOPIC", _TOPIC, needed=True),
    "alarms_topic": Form("Topic of alarms", "PUBSUB_TOPIC", _TOPIC),
    "publish_all": Form("Publish all passages", "BOOLEAN", default="false"),
    "timestamp_attribute": Form("Attribute of the time", regex=_ATTRIBUTE),
    "id_attribute": Form("Attribute of the id", regex=_ATTRIBUTE),
    "allowed_lateness": Form("Allowed lateness", regex=_DURATION, default=DEFAULT_LATENESS),
    "decide_at": Form("When a violation is passed on", "ENUM", default=DEFAULT_DECIDE_AT),
    "dataset": Form("BigQuery dataset", regex=f"^({_PROJECT}[.:])?[A-Za-z0-9_]+$"),
    "sections": Form("Section file", regex=f"{GCS_FILE}|^/template/[a-z_]+[.]yaml$"),
    "notices": Form("File of notices", regex=GCS_FILE),
    "radar_id": Form("Section of sightings without camera", regex=_SECTION),
    "speed_limit": Form("Limit without section file", regex=_SPEED),
    "policy": Form("Policy", regex="^[A-Za-z0-9_.-]{1,64}$"),
    "policies": Form("File of policies", regex=GCS_FILE),
    "tolerance": Form("Tolerance", regex=_SPEED),
    "clone_ceiling": Form("Speed nobody drives", regex=_SPEED),
    "session_gap": Form("Session gap", regex=_DURATION),
    "cars_api": Form("Address of the pictures' service", regex="^https?://[^ ]+$"),
    "evidence_bucket": Form("Evidence bucket", regex="^(gs://)?[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]/?$"),
    "signing_key": Form("Key that signs packets of evidence", "GCS_READ_FILE", GCS_FILE),
    "ocr": Form("Reader of plates", "ENUM", default="vision"),
    "privacy": Form("Pseudonyms", "ENUM"),
    "privacy_secret": Form("Secret of the pseudonyms", "GCS_READ_FILE", GCS_FILE, shown_if=("privacy", "on")),
}

LEFT_OUT: Mapping[str, str] = {
    "input": "the template is for a stream; files are run without it",
    "output_dir": "the folder for the results of files",
    "preflight": "looks with the rights of whoever starts the job, and not with the launcher's",
    "camera_bucket": "looked at by preflight only",
}

# Beam's own option, without which workers would lack this package; a tag or digest, so that what runs is known.
IMAGE = {
    "name": "sdk_container_image",
    "label": "Image of the workers",
    "helpText": "the image that the template was built from, with its tag or digest",
    "paramType": "TEXT",
    "isOptional": False,
    "regexes": ["^[a-z0-9.-]+/[a-z0-9._/-]+(:[A-Za-z0-9._-]{1,128}|@sha256:[0-9a-f]{64})$"],
    "groupName": "workers",
}


def metadata() -> dict[str, Any]:
    """The description, in the fields of google.dataflow.v1beta3.TemplateMetadata.

    At-least-once mode is not offered: a case that is judged twice may be a fine once and for a person once.
    """
    return {
        "name": "Section speed",
        "description": "Sightings of vehicles at both ends of a road section in; fines with their evidence out.",
        "streaming": True,
        "supportsAtLeastOnce": False,
        "supportsExactlyOnce": True,
        "parameters": [IMAGE, *_parameters()],
    }


def _parameters() -> Iterator[dict[str, Any]]:
    """Those that are needed first, each group together."""
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser)
    found = [
        _parameter(action, str(group.title))
        for group in parser._action_groups
        for action in group._group_actions
        if action.dest not in LEFT_OUT
    ]
    yield from sorted(found, key=lambda parameter: bool(parameter["isOptional"]))


def _parameter(action: argparse.Action, group: str) -> dict[str, Any]:
    form = FORMS[action.dest]
    default = action.default if form.default is None and form.param_type != "GCS_READ_FILE" else form.default
    found: dict[str, Any] = {
        "name": action.dest,
        "label": form.label,
        "helpText": action.help,
        "paramType": form.param_type,
        "isOptional": not form.needed,
        "groupName": group,
    }
    if form.regex:
        found["regexes"] = [form.regex]
    if default is not None:
        found["defaultValue"] = default
    if action.choices:
        found["enumOptions"] = [{"value": choice, "label": choice} for choice in action.choices]
    if form.shown_if:
        found |= {"parentName": form.shown_if[0], "parentTriggerValues": [form.shown_if[1]]}
    return found


def text() -> str:
    """The description as it is written."""
    return json.dumps(metadata(), indent=2, ensure_ascii=False) + "\n"


def main(argv: Sequence[str]) -> int:
    """Write it to the file that the one argument names."""
    if len(argv) != 1:
        print("usage: python -m pipeline.flex_template FILE", file=sys.stderr)
        return 2
    Path(argv[0]).write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
