"""What Dataflow needs that no other runner does: checked before, submitted without waiting.

A flex template's launcher runs this program to get the job's graph, and starts the job when the program has ended:
whoever waits here for a streaming job waits for ever.
"""

from __future__ import annotations

import os
import re
import sys

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    DebugOptions,
    GoogleCloudOptions,
    PipelineOptions,
    SetupOptions,
    StandardOptions,
    WorkerOptions,
)

from pipeline import secret
from pipeline.option_values import OptionError
from pipeline.options import SectionSpeedOptions, project_of
from pipeline.packets import keys

AT_LEAST_ONCE = "streaming_mode_at_least_once"
NAMES = ("dataflowrunner", "dataflow")  # as Beam knows it
_MISSING = re.compile(r"Missing required option: (\w+)")
_JOB = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_FOLDER = re.compile(r"gs://[a-z0-9][-_a-z0-9.]+[a-z0-9]/.*")


def is_only_described(options: PipelineOptions) -> bool:
    """Whether the job's graph is to be written down and not started, as a template's launcher asks."""
    return bool(options.view_as(GoogleCloudOptions).template_location)


def is_asked_for(options: PipelineOptions) -> bool:
    """Whether the run is for Dataflow."""
    return (options.view_as(StandardOptions).runner or "").split(".")[-1].lower() in NAMES


def check(options: PipelineOptions) -> None:
    """Refuse what would fail on workers only, again and again, hours after the launch. Raises OptionError."""
    own = options.view_as(SectionSpeedOptions)
    _check_cloud(options)
    _check_code(options)
    _check_mode(options)
    for option, place in (("--input", own.input), ("--output_dir", own.output_dir), ("--notices", own.notices)):
        if place and not place.startswith("gs://"):
            raise OptionError(
                f"{option}: found {place}; allowed with --runner=DataflowRunner: gs://BUCKET/..., since the files of "
                "this machine are not on the workers"
            )
    if own.input_subscription and not own.rejected_topic:
        raise OptionError(
            "--rejected_topic: absent; needed with --runner=DataflowRunner, since what is rejected, or refused by "
            "BigQuery for longer than is waited, would only be told in a worker's log. Name a topic"
        )
    if own.privacy != "off":
        _check_secret(own.privacy_secret)
    if own.signing_key is not None:
        _check_signing_key(own.signing_key)


def _check_cloud(options: PipelineOptions) -> None:
    """Beam's own options: it would ask the cloud first, and without a good folder make a bucket of its own."""
    cloud = options.view_as(GoogleCloudOptions)
    cloud.project = cloud.project or project_of(options)
    if not cloud.project:
        raise OptionError(
            "--project_id: absent; needed with --runner=DataflowRunner. Give it, --project or GOOGLE_CLOUD_PROJECT"
        )
    if cloud.job_name and not _JOB.fullmatch(cloud.job_name):
        raise OptionError(f"--job_name: found {cloud.job_name!r}; allowed: a-z 0-9 -, a letter first and no - last")
    if not (cloud.temp_location or cloud.staging_location):
        raise OptionError("--temp_location: absent; needed with --runner=DataflowRunner. Give gs://BUCKET/FOLDER")
    for option, place in (("--temp_location", cloud.temp_location), ("--staging_location", cloud.staging_location)):
        if place and not _FOLDER.fullmatch(place):
            raise OptionError(f"{option}: found {place!r}; allowed with --runner=DataflowRunner: gs://BUCKET/FOLDER")


def _check_code(options: PipelineOptions) -> None:
    """Workers have this package from the image, or from a source package made of --setup_file."""
    if not (options.view_as(WorkerOptions).sdk_container_image or options.view_as(SetupOptions).setup_file):
        raise OptionError(
            "--sdk_container_image: absent; needed with --runner=DataflowRunner, or workers would be without this "
            "package. Name the image that was built from the Dockerfile"
        )


def _check_mode(options: PipelineOptions) -> None:
    """At least once, one case could be published as a fine and also for a person, under one id."""
    service = options.view_as(GoogleCloudOptions).dataflow_service_options or []
    for found in [*service, *(options.view_as(DebugOptions).experiments or [])]:
        if AT_LEAST_ONCE in found:
            raise OptionError(
                f"--dataflow_service_options, --experiments: found {found}; allowed: exactly once, which is Dataflow's "
                "own mode. Leave it out"
            )


def _check_secret(place: str) -> None:
    """A file of this machine is not on the workers: each would make a secret, and ids, of its own."""
    if not place.startswith("gs://"):
        raise OptionError(
            f"--privacy_secret: found {place}; allowed with --runner=DataflowRunner: gs://BUCKET/FILE, which all "
            f"workers read ({secret.VARIABLE} does not reach them). Or turn pseudonyms off with --privacy off"
        )
    if os.environ.get(secret.VARIABLE):
        raise OptionError(
            f"{secret.VARIABLE}: set; allowed with --runner=DataflowRunner: --privacy_secret alone, since the variable "
            f"does not reach the workers, which read {place}. Unset it"
        )


def _check_signing_key(place: str) -> None:
    """The same of the key: each worker would make one of its own, and nobody would have the public ones."""
    if not place.startswith("gs://") or os.environ.get(keys.VARIABLE):
        raise OptionError(
            f"--signing_key: found {place}{' and ' + keys.VARIABLE if os.environ.get(keys.VARIABLE) else ''}; allowed "
            "with --runner=DataflowRunner: gs://BUCKET/FILE alone, which all workers read. Put the key there, unset "
            "the variable, or leave --signing_key out"
        )


def new_pipeline(options: PipelineOptions) -> beam.Pipeline:
    """An empty pipeline for Dataflow. Raises OptionError for what Beam finds wrong with its own options."""
    try:
        return beam.Pipeline(options=options)
    except ValueError as error:
        told = _line(error).removeprefix("Pipeline has validations errors: ")
        told = _MISSING.sub(r"--\1: absent; needed, give it", told)
        raise OptionError(f"--runner=DataflowRunner: {told}") from error


def run(pipeline: beam.Pipeline, options: PipelineOptions) -> int:
    """Submit, or write the graph of a template, and return at once; the exit status. Raises OptionError."""
    try:
        result = pipeline.run()
    except OSError as error:
        raise OptionError(f"--staging_location, --temp_location: cannot be written to: {_line(error)}") from error
    cloud = options.view_as(GoogleCloudOptions)
    if result.has_job:
        place = f"https://console.cloud.google.com/dataflow/jobs/{cloud.region}/{result.job_id()}"
        _say(f"submitted to Dataflow as {result.job_id()}: {place}?project={cloud.project}")
    else:
        _say(f"the graph of the job is in {cloud.template_location}")
    return 0


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _say(text: str) -> None:
    print(f"python -m pipeline: {text}", file=sys.stderr)
