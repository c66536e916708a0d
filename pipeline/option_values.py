"""What the text of one option may be: names of resources, durations, addresses. Each mistake is one line."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PROJECT = re.compile(r"[a-z][-a-z0-9:.]{4,61}[a-z0-9]")  # as Beam takes it for Pub/Sub
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._~+%-]{2,254}")


class OptionError(ValueError):
    """A mistake on the command line: which option, what was found, what is allowed, what to do."""


def duration_s(text: str, option: str, longest_h: float = 366 * 24) -> float:
    """Seconds of a duration such as 30s, 5min, 24h or 2d, a millisecond at least."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or not 0.001 <= (found_s := float(match[1]) * _SECONDS[match[2]]) <= longest_h * 3600:
        raise OptionError(
            f"{option}: found {text!r}; allowed: a number with its unit, s, min, h or d, e.g. 30s, "
            f"from 0.001 s to {longest_h:g} h"
        )
    return found_s


def number(text: str, option: str, lowest: float, highest: float) -> float:
    """A plain number within its bounds. Raises OptionError."""
    if not re.fullmatch(r"\d+(\.\d+)?", text) or not lowest <= float(text) <= highest:
        raise OptionError(f"{option}: found {text!r}; allowed: a number from {lowest:g} to {highest:g}")
    return float(text)


def project_id(project: str) -> str:
    """The id of a project, as Beam takes it. Raises OptionError."""
    if not _PROJECT.fullmatch(project):
        raise OptionError(
            f"--project_id: found {project!r}; allowed: a project id of 6 to 63 characters, a-z 0-9 - : ."
        )
    return project


def resource_name(name: str, kind: str, option: str, project: str | None) -> str:
    """The full name of a topic or subscription given by its short or full name. Raises OptionError."""
    full = re.fullmatch(rf"projects/{_PROJECT.pattern}/{kind}/{_NAME.pattern}", name)
    short = name if _NAME.fullmatch(name) else None
    if full:
        return name
    if short is None:
        raise OptionError(
            f"{option}: found {name!r}; allowed: NAME or projects/PROJECT/{kind}/NAME, NAME of 3 to 255 characters: "
            "a letter, then letters, digits and - . _ ~ + %"
        )
    if not project:
        raise OptionError(f"--project_id: absent; needed for {option} {name}. Give it, or write the full name")
    return f"projects/{project}/{kind}/{short}"


def topic_name(name: str | None, option: str, project: str | None) -> str | None:
    """The full name of a topic, if it is given. Raises OptionError."""
    return resource_name(name, "topics", option, project) if name else None


def dataset_name(name: str | None, project: str | None) -> str | None:
    """PROJECT.NAME of a dataset given as NAME, PROJECT.NAME or PROJECT:NAME. Raises OptionError."""
    if name is None:
        return None
    match = re.fullmatch(r"(?:([a-z0-9:.-]+)[.:])?(\w{1,1024})", name)
    if match is None:
        raise OptionError(f"--dataset: found {name!r}; allowed: NAME or PROJECT.NAME, NAME of letters, digits and _")
    if not (match[1] or project):
        raise OptionError(f"--project_id: absent; needed for --dataset {name}. Give it, or write PROJECT.{name}")
    return f"{match[1] or project}.{match[2]}"


def bucket_name(name: str | None, option: str) -> str | None:
    """The bucket given as BUCKET or gs://BUCKET. Raises OptionError."""
    if name is None:
        return None
    bucket = name.removeprefix("gs://").rstrip("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", bucket):
        raise OptionError(f"{option}: found {name!r}; allowed: BUCKET or gs://BUCKET, without a folder")
    return bucket


def cars_api(url: str | None, bucket: str | None) -> str | None:
    """The address of a pictures' API; its pictures need a bucket. Raises OptionError."""
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise OptionError(f"--cars_api: found {url!r}; allowed: an address that begins with http:// or https://")
    if bucket is None:
        raise OptionError(
            "--cars_api: found without a bucket for its pictures; allowed: with --evidence_bucket. Give it, or leave "
            "--cars_api out"
        )
    return url
