"""Fines and passages as a run stores them, made by the code that a run is made of."""

import msgspec
from msgspec.structs import replace
from single_records import passage_record

from pipeline import policies
from pipeline.enforcement import evidence, passages, policy
from pipeline.enforcement.model import ErrorBudget, Outcome, Passage, Sighting, Status
from pipeline.enforcement.privacy import Pseudonyms
from pipeline.enforcement.records import Fine, PassageRecord
from pipeline.enforcement.sections import Section

SHIPPED = policies.shipped()
T0_US = 1_776_000_000_000_000  # 2026-04-12T13:20:00Z
EXACT = ErrorBudget()
ENTRY, EXIT = "G1", "G3"


def section(distance_m: float = 1000.0, limit_kmh: float = 50.0, errors: ErrorBudget = EXACT) -> Section:
    """Three cameras, the one in the middle at 400 m."""
    legs = (min(400.0, distance_m / 2), distance_m - min(400.0, distance_m / 2))
    return Section("s", limit_kmh, name="Street", cameras=(ENTRY, "G2", EXIT), length_m=legs, errors=errors)


def passage(road: Section, travel_us: int, rule: str = "edem", start_us: int = T0_US, vehicle: str = "A") -> Passage:
    """A passage that is decided; without outcome if a violation is suspected."""
    ends = [
        Sighting("e", vehicle, start_us, camera_id=ENTRY),
        Sighting("x", vehicle, start_us + travel_us, camera_id=EXIT),
    ]
    (found,) = passages.measure(road, vehicle, ends).passages
    return policy.decide(found, SHIPPED[rule])


def fine(road: Section, travel_us: int, rule: str = "edem", status: Status = Status.ISSUED, **where: object) -> Fine:
    """A fine of a suspected violation."""
    suspected = passage(road, travel_us, rule, **where)
    assert policy.is_suspected(suspected)
    found = evidence.judge(evidence.case_of(suspected), road)[1]
    issued = status is Status.ISSUED
    plate = found.vehicle_id if issued else None
    return replace(
        found, status=status, is_Ticketed=issued, license_plate=plate, reasons=() if issued else found.reasons
    )


def record(road: Section, travel_us: int, rule: str = "edem", **where: object) -> PassageRecord:
    """A passage as it is stored."""
    found = passage(road, travel_us, rule, **where)
    return passage_record(replace(found, outcome=found.outcome or Outcome.REVIEW), Pseudonyms(b"0123456789abcdef"))


def as_text(*found: Fine | PassageRecord) -> bytes:
    """Lines as a bounded run writes them."""
    return msgspec.json.Encoder().encode_lines(found)
