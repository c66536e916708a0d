"""The command line of the section-speed job, checked before anything starts."""

from __future__ import annotations

import argparse
import logging
import math
import os
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
from google.api_core.exceptions import GoogleAPIError

from pipeline import command_lines, notices, policies, secret
from pipeline import option_values as values
from pipeline.declared_options import (
    DEFAULT_LATENESS,
    DEFAULT_LIMIT,
    ONLY_DATAFLOW,
    ONLY_FILES,
    ONLY_PUBSUB,
    add_options,
)
from pipeline.enforcement import early, sections
from pipeline.enforcement.intake import Intake
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.sections import Network
from pipeline.enforcement.shares import SHARES, shares_for
from pipeline.enforcement.survey import SectionError
from pipeline.option_values import OptionError
from pipeline.packets import keys
from pipeline.transforms import parquet
from pipeline.transforms.sharing import sightings_at_most

_log = logging.getLogger(__name__)
LOCAL_RUNNERS = ("DirectRunner", "BundleBasedDirectRunner", "FnApiRunner", "PrismRunner")
MAX_SESSION_GAP_H = 24
MAX_TOLERANCE_KMH = 300
CLONE_CEILINGS_KMH = (150, 1000)  # nobody drives on roads as a slower one would have to, or as a faster one


class SectionSpeedOptions(PipelineOptions):
    """The declared options, as Beam keeps them with its own."""

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        add_options(parser)


class Settings(NamedTuple):
    """What the graph is built from: checked, complete, and free of secrets."""

    network: Network
    intake: Intake
    session_gap_s: float
    allowed_lateness_s: float
    policies: Mapping[str, Policy]
    tolerance_kmh: float
    clone_ceiling_kmh: float
    streaming: bool
    input: str
    received_us: int
    output_dir: str | None
    output_topic: str | None
    rejected_topic: str | None
    alarms_topic: str | None
    publish_all: bool
    timestamp_attribute: str | None
    id_attribute: str | None
    dataset: str | None
    evidence_bucket: str | None
    cars_api: str | None
    read_plates: bool
    privacy_secret: secret.Source | None
    signing_key: keys.Source | None = None
    shares: int = SHARES
    notices: notices.Source | None = None
    early_sections: frozenset[str] = frozenset()  # whose suspected violations go on as soon as the exit is seen


def parse(argv: Sequence[str]) -> PipelineOptions:
    """The options of a command line. Raises OptionError for an option that neither we nor Beam know.

    A template's launcher may add options of its own, which must not end the launch; those of people were checked
    against the template before.
    """
    parser = command_lines.Parser("python -m pipeline", add_help=False)
    for known in PipelineOptions.__subclasses__():
        known._add_argparse_args(parser)
    given, unknown = parser.parse_known_args(list(argv))
    if unknown and given.template_location:
        _log.warning("not known here, and left to the runner: %s", " ".join(unknown))
    elif unknown:
        raise parser.unknown(unknown[0])
    return PipelineOptions(list(argv))


def check(options: PipelineOptions) -> Settings:
    """The settings of a run. Raises OptionError, SectionError or SecretError with one line for a person."""
    own = options.view_as(SectionSpeedOptions)
    streaming = _is_streaming(own)
    _check_runner(own, options.view_as(StandardOptions).runner or "DirectRunner")
    project = project_of(options)
    network = _network(own)
    lateness_s = values.duration_s(
        DEFAULT_LATENESS if own.allowed_lateness is None else own.allowed_lateness, "--allowed_lateness"
    )
    read_plates, bucket = _proof(own, project, streaming=streaming)
    topics, source = _topics(own, project), _input(own, project, streaming=streaming)
    of_sections = policies.of_network(network, own.policy, own.policies)
    return Settings(
        network=network,
        intake=Intake(network, own.radar_id, round(lateness_s * 1e6) if streaming else None),
        session_gap_s=_session_gap_s(own, network),
        allowed_lateness_s=lateness_s,
        policies=of_sections,
        tolerance_kmh=sections.parse_speed_kmh(own.tolerance, "--tolerance", 0, MAX_TOLERANCE_KMH),
        clone_ceiling_kmh=sections.parse_speed_kmh(own.clone_ceiling, "--clone_ceiling", *CLONE_CEILINGS_KMH),
        streaming=streaming,
        input=source,
        received_us=time.time_ns() // 1000,
        output_dir=None if streaming else _output_dir(own.output_dir),
        **topics,
        publish_all=own.publish_all,
        timestamp_attribute=own.timestamp_attribute or None,
        id_attribute=own.id_attribute or None,
        dataset=values.dataset_name(own.dataset, project),
        evidence_bucket=bucket,
        cars_api=values.cars_api(own.cars_api, bucket),
        read_plates=read_plates,
        privacy_secret=_privacy_secret(own),
        signing_key=_signing_key(own, bucket),
        shares=SHARES if streaming else shares_for(sightings_at_most(source)),
        notices=notices.source(own.notices, network, followed=streaming),
        early_sections=_early_sections(own, network, of_sections),
    )


def project_of(options: PipelineOptions) -> str | None:
    """The project in which short names are. Raises OptionError."""
    own, cloud = options.view_as(SectionSpeedOptions), options.view_as(GoogleCloudOptions)
    project = own.project_id or cloud.project or os.environ.get("GOOGLE_CLOUD_PROJECT")
    return values.project_id(project) if project else None


def _is_streaming(own: SectionSpeedOptions) -> bool:
    if bool(own.input) == bool(own.input_subscription):
        found = "both" if own.input else "neither"
        raise OptionError(f"--input_subscription, --input: found {found}; allowed: exactly one of them")
    streaming = bool(own.input_subscription)
    if streaming:
        _refuse_ignored(own, ONLY_FILES, "--input_subscription", "--input")
    else:
        _refuse_ignored(own, ONLY_PUBSUB, "--input", "--input_subscription")
    if own.input and not own.output_dir:
        raise OptionError("--output_dir: absent; needed with --input. Name the folder for the results")
    if own.input_subscription and not own.output_topic:
        raise OptionError("--output_topic: absent; needed with --input_subscription. Name the topic for the fines")
    return streaming


def _check_runner(own: SectionSpeedOptions, runner: str) -> None:
    if runner.rsplit(".", maxsplit=1)[-1] in LOCAL_RUNNERS:
        _refuse_ignored(own, ONLY_DATAFLOW, f"--runner={runner}", "--runner=DataflowRunner")


def _refuse_ignored(own: SectionSpeedOptions, names: Sequence[str], found: str, allowed: str) -> None:
    """Whoever gives an option expects it to do something."""
    for name in names:
        if getattr(own, name) not in (None, False):
            raise OptionError(f"--{name}: found with {found}; allowed: only with {allowed}. Leave it out")


def _session_gap_s(own: SectionSpeedOptions, network: Network) -> float:
    if own.session_gap is None:
        return network.session_gap_s()
    gap_s = values.duration_s(own.session_gap, "--session_gap", MAX_SESSION_GAP_H)
    _refuse_short_gap(str(own.session_gap), gap_s, network)
    return gap_s


def _refuse_short_gap(found: str, gap_s: float, network: Network) -> None:
    """A vehicle that is unseen for a gap has left: no leg may take so long for one that is too fast."""
    legs = []
    for section in network.sections.values():
        limit_kmh = min((rule.limit_kmh for rule in section.limits.rules), default=section.limit_kmh)
        for ends, leg_m in zip(pairwise(section.cameras), section.length_m, strict=True):
            legs.append(
                (math.ceil(round(leg_m * 3600 / limit_kmh, 3)) / 1000, leg_m, limit_kmh, ends, section.section_id)
            )
    if legs and gap_s < max(legs)[0]:
        needed_s, leg_m, limit_kmh, (entry, leaving), section_id = max(legs)
        raise OptionError(
            f"--session_gap: found {found!r}; allowed: at least {needed_s:.9g} s, since the leg from {entry} to "
            f"{leaving} of section {section_id} takes so long at its limit, {leg_m:g} m x 3.6 / {limit_kmh:g} km/h, "
            "and a vehicle just over it would never be measured. Give a longer one, or leave it out"
        )


def _early_sections(own: SectionSpeedOptions, network: Network, of_sections: Mapping[str, Policy]) -> frozenset[str]:
    if own.decide_at != "exit":
        return frozenset()
    found = early.may_decide(network.sections, of_sections)
    if not found:
        raise OptionError(
            "--decide_at: found 'exit', where no section allows it; allowed: with a section of cameras whose policy "
            "does not ask for a person always, and without a policy with one_fine_per_trip. Leave it out"
        )
    return found


def _proof(own: SectionSpeedOptions, project: str | None, *, streaming: bool) -> tuple[bool, str | None]:
    """Whether plates are read, and the bucket in which pictures are kept."""
    read_plates = (own.ocr or ("vision" if streaming or own.evidence_bucket else "none")) == "vision"
    bucket = own.evidence_bucket or (f"{project}-evidence" if project and read_plates else None)
    if read_plates and not bucket:
        raise OptionError(
            "--evidence_bucket: absent; needed to read plates. Give a bucket, --project_id, or --ocr none"
        )
    return read_plates, values.bucket_name(bucket, "--evidence_bucket")


def _topics(own: SectionSpeedOptions, project: str | None) -> dict[str, str | None]:
    """The full names of the topics by their options: whoever reads fines must get nothing else."""
    found: dict[str, str | None] = {}
    for option in ("output_topic", "rejected_topic", "alarms_topic"):
        given = getattr(own, option)
        name = values.topic_name(given, f"--{option}", project)
        other = next((known for known, taken in found.items() if name and taken == name), None)
        if other:
            raise OptionError(f"--{option}: found {given!r}, the --{other}; allowed: another topic")
        found[option] = name
    return found


def _privacy_secret(own: SectionSpeedOptions) -> secret.Source | None:
    """Where the secret is, and which: the run reads it when it has begun."""
    return None if own.privacy == "off" else secret.source(str(own.privacy_secret))


def _signing_key(own: SectionSpeedOptions, bucket: str | None) -> keys.Source | None:
    """Where the key of the packets is, and which; none: there are no packets. Those without pictures prove nothing."""
    if own.signing_key is None:
        return None
    if bucket is None:
        raise OptionError(
            "--signing_key: found without a bucket for its packets; allowed: with --evidence_bucket. Give it, or leave "
            "--signing_key out"
        )
    return keys.source(str(own.signing_key))


def _network(own: SectionSpeedOptions) -> Network:
    if own.sections is None:
        if not own.radar_id:
            raise OptionError(
                "--sections, --radar_id: found neither; allowed: a section file, or the name of one radar track"
            )
        return sections.single_track(own.radar_id, DEFAULT_LIMIT if own.speed_limit is None else own.speed_limit)
    if own.speed_limit is not None:
        raise OptionError(
            f"--speed_limit: found with --sections; allowed: only without. The sections of {own.sections} have limits "
            "of their own: change them there"
        )
    network = read_network(own.sections)
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


def read_network(path: str) -> Network:
    """The network of a section file, local or gs://. Raises OptionError or SectionError."""
    try:
        with FileSystems.open(path) as file:
            text = file.read().decode("utf-8")
    except (OSError, BeamIOError, ValueError, GoogleAPIError) as error:
        raise OptionError(f"--sections: {path} cannot be read: {error}. Name an existing YAML file in UTF-8") from error
    try:
        return sections.parse_network(text)
    except SectionError as error:
        raise SectionError(f"--sections {path}: {error}") from error


def _input(own: SectionSpeedOptions, project: str | None, *, streaming: bool) -> str:
    if streaming:
        return values.resource_name(own.input_subscription, "subscriptions", "--input_subscription", project)
    pattern = str(own.input)
    if "://" not in pattern:
        pattern = os.path.abspath(pattern)  # Beam finds no pattern that is relative to this folder
    try:
        found = FileSystems.match([pattern])[0].metadata_list
    except (OSError, BeamIOError, ValueError) as error:
        raise OptionError(f"--input: {pattern} cannot be read: {error}") from error
    if not found or os.path.isdir(pattern):
        raise OptionError(f"--input: found no file at {pattern}; allowed: existing files, local or gs://")
    if pattern.endswith(parquet.SUFFIX) and (mistake := parquet.mistake([file.path for file in found])):
        raise OptionError(f"--input: {mistake}")
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
