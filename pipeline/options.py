"""The command line of the section-speed job, checked before anything starts."""

from __future__ import annotations

import argparse
import difflib
import os
import re
import time
from collections.abc import Sequence
from typing import NamedTuple, NoReturn
from urllib.parse import urlsplit

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions

from pipeline import secret
from pipeline.enforcement import sections
from pipeline.enforcement.intake import Intake
from pipeline.enforcement.sections import KMH_PER_MPH, Network, SectionError

LOCAL_RUNNERS = ("DirectRunner", "BundleBasedDirectRunner", "FnApiRunner", "PrismRunner")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|min|h|d)")
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
_PROJECT = re.compile(r"[a-z][-a-z0-9:.]{4,61}[a-z0-9]")  # as Beam takes it for Pub/Sub
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
_SPEED = re.compile(r"(\d+(?:\.\d+)?)\s*(mph|km/h)", re.IGNORECASE)


class OptionError(ValueError):
    """A mistake on the command line: which option, what was found, what is allowed, what to do."""


class SectionSpeedOptions(PipelineOptions):
    """Options of the section-speed job. Names of topics, subscriptions and datasets may be short or full."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        pubsub = parser.add_argument_group("Pub/Sub")
        pubsub.add_argument("--project_id", help="Google Cloud project; default: --project or GOOGLE_CLOUD_PROJECT")
        pubsub.add_argument("--input_subscription", help="subscription with the cameras' sightings")
        pubsub.add_argument("--output_topic", help="topic for fines, cases for review and withdrawals")
        pubsub.add_argument("--rejected_topic", help="topic for what could not be processed, with its original bytes")
        pubsub.add_argument("--publish_all", action="store_true", help="publish passages without a fine too")
        pubsub.add_argument(
            "--timestamp_attribute",
            default="timestamp",
            help="attribute with the time of a message's first sighting; empty: its publish time. Default: timestamp",
        )
        files = parser.add_argument_group("files instead of Pub/Sub")
        files.add_argument("--input", help="file or pattern, local or gs://, of JSON lines, .gz or not")
        files.add_argument("--output_dir", help="folder for sightings, passages, fines, rejected and summary.json")
        roads = parser.add_argument_group("roads")
        roads.add_argument("--sections", help="section file (YAML), local or gs://")
        roads.add_argument("--radar_id", help="section of sightings that name neither a camera nor a section")
        roads.add_argument("--speed_limit", default="25 mph", help="limit without --sections. Default: 25 mph")
        roads.add_argument(
            "--tolerance", default="0 km/h", help="no suspicion up to the limit plus this. Default: 0 km/h"
        )
        roads.add_argument(
            "--session_gap", help="a vehicle not seen for so long has left, e.g. 30s; default: longest leg at 10 km/h"
        )
        roads.add_argument("--allowed_lateness", default="24h", help="how late a sighting may arrive. Default: 24h")
        proof = parser.add_argument_group("pictures and plates")
        proof.add_argument("--cars_api", help="http(s) address asked for the picture of a sighting that names none")
        proof.add_argument(
            "--evidence_bucket", help="bucket for pictures of suspected violations; default: PROJECT-evidence"
        )
        proof.add_argument(
            "--ocr",
            choices=("vision", "none"),
            help="none: every suspected violation goes to a person. Default: vision with Pub/Sub, none with files",
        )
        store = parser.add_argument_group("warehouse and privacy")
        store.add_argument("--dataset", help="BigQuery dataset for every event, NAME or PROJECT.NAME")
        store.add_argument(
            "--privacy",
            choices=("on", "off"),
            default="on",
            help="on: vehicles are stored under pseudonyms that change daily. off: under their own names",
        )
        store.add_argument(
            "--privacy_secret",
            default=secret.DEFAULT_FILE,
            help=f"file with the secret of the pseudonyms, local or gs://; {secret.VARIABLE} goes before it",
        )


class Settings(NamedTuple):
    """What the graph is built from: checked, complete, and free of secrets."""

    network: Network
    intake: Intake
    session_gap_s: float
    allowed_lateness_s: float
    tolerance_kmh: float
    streaming: bool
    local: bool
    input: str
    received_us: int
    output_dir: str | None
    output_topic: str | None
    rejected_topic: str | None
    publish_all: bool
    timestamp_attribute: str | None
    dataset: str | None
    evidence_bucket: str | None
    cars_api: str | None
    read_plates: bool
    privacy_secret: str | None


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise OptionError(message.removeprefix("argument "))


def _print_help() -> NoReturn:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline [section-speed]",
        description="Sightings in, fines out.",
        epilog="Every option of Apache Beam works too, such as --runner.",
    )
    SectionSpeedOptions._add_argparse_args(parser)
    parser.parse_args(["--help"])
    raise SystemExit(0)


def parse(argv: Sequence[str]) -> PipelineOptions:
    """The options of a command line. Raises OptionError for an option that neither we nor Beam know."""
    if {"-h", "--help"} & set(argv):
        _print_help()
    parser = _Parser(add_help=False, allow_abbrev=False)
    for known in PipelineOptions.__subclasses__():
        known._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(list(argv))
    if unknown:
        names = [name for action in parser._actions for name in action.option_strings]
        near = difflib.get_close_matches(unknown[0].split("=")[0], names, 1)
        hint = f"Did you mean {near[0]}?" if near else "See python -m pipeline --help."
        raise OptionError(f"{unknown[0]}: no such option. {hint}")
    return PipelineOptions(list(argv))


def check(options: PipelineOptions) -> Settings:
    """The settings of a run. Raises OptionError, SectionError or SecretError with one line for a person."""
    own = options.view_as(SectionSpeedOptions)
    streaming = _is_streaming(own)
    project = own.project_id or options.view_as(GoogleCloudOptions).project or os.environ.get("GOOGLE_CLOUD_PROJECT")
    if project and not _PROJECT.fullmatch(project):
        raise OptionError(
            f"--project_id: found {project!r}; allowed: a project id of 6 to 63 characters, a-z 0-9 - : ."
        )
    network = _network(own)
    gap_s = network.session_gap_s() if own.session_gap is None else duration_s(own.session_gap, "--session_gap")
    lateness_s = duration_s(own.allowed_lateness, "--allowed_lateness")
    local = (options.view_as(StandardOptions).runner or "DirectRunner").split(".")[-1] in LOCAL_RUNNERS
    read_plates = (own.ocr or ("vision" if streaming or own.evidence_bucket else "none")) == "vision"
    bucket = own.evidence_bucket or (f"{project}-evidence" if project and read_plates else None)
    if read_plates and not bucket:
        raise OptionError(
            "--evidence_bucket: absent; needed to read plates. Give a bucket, --project_id, or --ocr none"
        )
    if own.privacy == "on":
        secret.load(own.privacy_secret)
    return Settings(
        network=network,
        intake=Intake(network, own.radar_id, round(lateness_s * 1e6) if streaming else None),
        session_gap_s=gap_s,
        allowed_lateness_s=lateness_s,
        tolerance_kmh=_speed_kmh(own.tolerance, "--tolerance"),
        streaming=streaming,
        local=local,
        input=_input(own, project, streaming=streaming),
        received_us=time.time_ns() // 1000,
        output_dir=None if streaming else _output_dir(own.output_dir),
        output_topic=resource_name(own.output_topic, "topics", "--output_topic", project) if streaming else None,
        rejected_topic=resource_name(own.rejected_topic, "topics", "--rejected_topic", project)
        if own.rejected_topic
        else None,
        publish_all=own.publish_all,
        timestamp_attribute=None if local else own.timestamp_attribute or None,
        dataset=dataset_name(own.dataset, project),
        evidence_bucket=_bucket(bucket),
        cars_api=_cars_api(own.cars_api),
        read_plates=read_plates,
        privacy_secret=own.privacy_secret if own.privacy == "on" else None,
    )


def duration_s(text: str, option: str) -> float:
    """Seconds of a duration such as 30s, 5min, 24h or 2d."""
    match = _DURATION.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise OptionError(
            f"{option}: found {text!r}; allowed: a positive number with its unit: s, min, h or d, e.g. 30s"
        )
    return float(match[1]) * _SECONDS[match[2]]


def _speed_kmh(text: str, option: str) -> float:
    match = _SPEED.fullmatch(text.strip())
    if match is None:
        raise OptionError(f"{option}: found {text!r}; allowed: a number with its unit, mph or km/h, e.g. 3 km/h")
    return float(match[1]) * (KMH_PER_MPH if match[2].lower() == "mph" else 1.0)


def _is_streaming(own: SectionSpeedOptions) -> bool:
    if bool(own.input) == bool(own.input_subscription):
        found = "both" if own.input else "neither"
        raise OptionError(f"--input_subscription, --input: found {found}; allowed: exactly one of them")
    if own.input and not own.output_dir:
        raise OptionError("--output_dir: absent; needed with --input. Name the folder for the results")
    if own.input_subscription and not own.output_topic:
        raise OptionError("--output_topic: absent; needed with --input_subscription. Name the topic for the fines")
    if own.input_subscription and own.output_dir:
        raise OptionError("--output_dir: found with --input_subscription; allowed: only with --input")
    return bool(own.input_subscription)


def _network(own: SectionSpeedOptions) -> Network:
    if own.sections is None:
        if not own.radar_id:
            raise OptionError(
                "--sections, --radar_id: found neither; allowed: a section file, or the name of one radar track"
            )
        return sections.single_track(own.radar_id, own.speed_limit)
    network = _read_network(own.sections)
    if own.radar_id and own.radar_id not in network.sections:
        raise OptionError(
            f"--radar_id: found {own.radar_id!r}; allowed: a section of {own.sections}: {', '.join(network.sections)}"
        )
    if own.radar_id and network.sections[own.radar_id].cameras:
        raise OptionError(
            f"--radar_id: found {own.radar_id!r}, a section with cameras; allowed: a section with a line, for "
            "sightings that name no camera. Leave it out where all sightings name theirs"
        )
    return network


def _read_network(path: str) -> Network:
    try:
        with FileSystems.open(path) as file:
            text = file.read().decode("utf-8")
    except (OSError, BeamIOError, ValueError) as error:
        raise OptionError(f"--sections: {path} cannot be read: {error}. Name an existing YAML file in UTF-8") from error
    try:
        return sections.parse_network(text)
    except SectionError as error:
        raise SectionError(f"--sections {path}: {error}") from error


def _input(own: SectionSpeedOptions, project: str | None, *, streaming: bool) -> str:
    if streaming:
        return resource_name(own.input_subscription, "subscriptions", "--input_subscription", project)
    pattern = str(own.input)
    if "://" not in pattern:
        pattern = os.path.abspath(pattern)  # Beam finds no pattern that is relative to this folder
    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except (OSError, BeamIOError, ValueError) as error:
        raise OptionError(f"--input: {pattern} cannot be read: {error}") from error
    if not found or os.path.isdir(pattern):
        raise OptionError(f"--input: found no file at {pattern}; allowed: existing files, local or gs://")
    return pattern


def _output_dir(path: str) -> str:
    if "://" in path:
        return path
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise OptionError(
            f"--output_dir: {path} cannot be made: {error.strerror}. Name a folder you may write to"
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise OptionError(f"--output_dir: {path} cannot be written to. Name a folder you may write to")
    return path


def resource_name(name: str, kind: str, option: str, project: str | None) -> str:
    """The full name of a topic or subscription given by its short or full name. Raises OptionError."""
    full = re.fullmatch(rf"projects/{_PROJECT.pattern}/{kind}/{_NAME.pattern}", name)
    short = name if _NAME.fullmatch(name) else None
    if full:
        return name
    if short is None:
        raise OptionError(f"{option}: found {name!r}; allowed: NAME or projects/PROJECT/{kind}/NAME")
    if not project:
        raise OptionError(f"--project_id: absent; needed for {option} {name}. Give it, or write the full name")
    return f"projects/{project}/{kind}/{short}"


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


def _bucket(name: str | None) -> str | None:
    if name is None:
        return None
    bucket = name.removeprefix("gs://").rstrip("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", bucket):
        raise OptionError(f"--evidence_bucket: found {name!r}; allowed: BUCKET or gs://BUCKET, without a folder")
    return bucket


def _cars_api(url: str | None) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid:
        raise OptionError(f"--cars_api: found {url!r}; allowed: an address that begins with http:// or https://")
    return url
