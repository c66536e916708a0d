"""Seal verdicts: a signed packet in the evidence bucket for each, and its place in the chain of its section."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING

import apache_beam as beam
from apache_beam.metrics import Metrics

from pipeline import endpoints
from pipeline.enforcement import evidence
from pipeline.enforcement.packet import Rules
from pipeline.enforcement.records import Fine, Verdict
from pipeline.options import Settings
from pipeline.packets import keys
from pipeline.packets.versions import versions
from pipeline.transforms.commit import Commit

if TYPE_CHECKING:
    from pipeline.packets.archive import PacketArchive


class SealVerdicts(beam.PTransform):
    """The same verdicts; each fine, and each case for a person, has the address of its packet, or is for a person.

    Only what is committed may come here: a packet cannot be taken back. What leaves is committed once more: done again,
    what could not be written may be, and of a fine and a case for a person only one may be stored or published. At
    worst the packet of a fine stays behind that was never sent.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, verdicts: beam.PCollection[Verdict]) -> beam.PCollection[Verdict]:
        """As they were, where no key is given."""
        if self._settings.signing_key is None:
            return verdicts
        sealed = verdicts | "Seal" >> beam.ParDo(_SealVerdict(self._settings)).with_output_types(Verdict)
        return sealed | "Commit sealed" >> Commit(attrgetter("passage.passage_id"))


class SealWithdrawals(beam.PTransform):
    """The same of cases that are taken back: that, too, is part of the record. They go out with a packet or without."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self._settings = settings

    def expand(self, withdrawn: beam.PCollection[Fine]) -> beam.PCollection[Fine]:
        """As they were, where no key is given."""
        if self._settings.signing_key is None:
            return withdrawn
        return withdrawn | "Seal" >> beam.ParDo(_SealWithdrawal(self._settings)).with_output_types(Fine)


class _Sealing(beam.DoFn):
    """The key is read where it is used: it is no part of the graph."""

    def __init__(self, settings: Settings) -> None:
        self._bucket, self._key = settings.evidence_bucket, settings.signing_key
        self._sections, self._policies = settings.network.sections, settings.policies
        self._tolerance_kmh = settings.tolerance_kmh
        self._versions = versions(settings.network, settings.policies, settings.tolerance_kmh, settings.session_gap_s)
        self._sealed, self._failed = Metrics.counter("packets", "sealed"), Metrics.counter("packets", "failed")

    def setup(self) -> None:
        self._archive = _archive(self._bucket, self._key)

    def _rules(self, section_id: str) -> Rules:
        return Rules(self._sections[section_id], self._policies[section_id], self._tolerance_kmh)

    def _count(self, fine: Fine) -> Fine:
        (self._sealed if fine.packet_url else self._failed).inc()
        return fine


class _SealVerdict(_Sealing):
    def process(self, verdict: Verdict) -> Iterator[Verdict]:
        fine = self._count(self._archive.seal(verdict, self._rules(verdict.passage.section_id), self._versions))
        sealed = Verdict(verdict.passage, fine, verdict.pictures)
        yield sealed if fine.packet_url else evidence.without_packet(sealed)


class _SealWithdrawal(_Sealing):
    def process(self, fine: Fine) -> Iterator[Fine]:
        yield self._count(self._archive.seal_withdrawal(fine, self._versions))


@cache
def _archive(bucket_name: str, source: keys.Source) -> PacketArchive:
    """One for each process: it remembers where the chains end. What prints is imported here, for who makes packets: it
    takes a third of a second."""
    made: PacketArchive = importlib.import_module("pipeline.packets.archive").PacketArchive.of(
        endpoints.storage_client().bucket(bucket_name), keys.agreed(source)
    )
    return made
