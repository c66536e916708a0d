"""The record of one sighting or passage: the domain makes them of many."""

from collections.abc import Sequence

from pipeline.enforcement import records
from pipeline.enforcement.model import Passage, Sighting
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.records import PassageRecord, SightingRecord


def sighting_record(sighting: Sighting, section_ids: Sequence[str], pseudonyms: Pseudonyms) -> SightingRecord:
    (found,) = records.sighting_records([sighting], [tuple(section_ids)], pseudonyms)
    return found


def passage_record(passage: Passage, pseudonyms: Pseudonyms) -> PassageRecord:
    (found,) = records.passage_records([passage], pseudonyms)
    return found
