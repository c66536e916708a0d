"""Section speed: sightings in, fines out. The whole graph.

messages ─▶ decode ─▶ sessions by vehicle ─▶ measure ─▶ compare ─▶ pictures ─▶ plates ─▶ judge ─▶ commit ─▶ seal
              │                                 │                                                          │
           rejected                    clear, unmeasurable                                           fines, reviews
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from operator import attrgetter

import apache_beam as beam

from pipeline import dataflow, preflight
from pipeline import options as command_line
from pipeline.enforcement import sections
from pipeline.options import SectionSpeedOptions, Settings
from pipeline.running import run_pipeline
from pipeline.transforms.commit import Commit
from pipeline.transforms.intake import DecodeSightings
from pipeline.transforms.judge import Judge
from pipeline.transforms.outputs import Outputs, WriteOutputs
from pipeline.transforms.packets import SealWithdrawals
from pipeline.transforms.pictures import KeepPictures, ReadPlates
from pipeline.transforms.sessions import GroupSessions, MeasurePassages
from pipeline.transforms.sources import ReadMessages
from pipeline.transforms.twins import CompareTwins


def build(pipeline: beam.Pipeline, settings: Settings) -> Outputs:
    """Add the graph to the pipeline; every sighting ends in one output, every passage in one outcome."""
    decoded = pipeline | "Read messages" >> ReadMessages(settings) | "Decode sightings" >> DecodeSightings(settings)
    measured = (
        decoded.located | "Group sessions" >> GroupSessions(settings) | "Measure passages" >> MeasurePassages(settings)
    )
    compared = measured | "Compare twins" >> CompareTwins(settings)
    cases = compared.suspected | "Keep pictures" >> KeepPictures(settings.evidence_bucket, settings.cars_api)
    if settings.read_plates:
        cases = cases | "Read plates" >> ReadPlates()
    judged = cases | "Judge cases" >> Judge(settings)
    withdrawn = (
        measured.withdrawn
        | "Commit withdrawals" >> Commit(attrgetter("passage_id"))
        | "Seal withdrawals" >> SealWithdrawals(settings)
    )
    alarms = (measured.alarms, compared.alarms) | "All alarms raised" >> beam.Flatten()
    outputs = Outputs(
        sightings=(decoded.located,),
        passages=(measured.settled, judged.passages),
        fines=(judged.fines, withdrawn),
        alarms=(alarms | "Commit alarms" >> Commit(attrgetter("alarm_id")),),
        rejected=(decoded.rejected,),
    )
    _ = outputs | "Write outputs" >> WriteOutputs(settings)
    return outputs


def run(argv: Sequence[str]) -> int:
    """Check the command line, build the graph and run it; the exit status."""
    options = command_line.parse(argv)
    if dataflow.is_asked_for(options):
        dataflow.check(options)
    settings = command_line.check(options)
    for doubt in sections.doubts(settings.network) + sections.undeclared(settings.network):
        print(f"python -m pipeline: warning: {doubt}", file=sys.stderr)
    if settings.privacy_secret is None:
        print("privacy is off: sightings and passages are stored under the vehicles' own names", file=sys.stderr)
    if settings.streaming and not dataflow.is_only_described(options):
        status = preflight.run(options.view_as(SectionSpeedOptions), settings)
        if status is not None:
            return status
    return run_pipeline(options, settings, lambda pipeline: build(pipeline, settings))
