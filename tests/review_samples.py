"""Cases for a person, as they lie in the warehouse."""

import itertools

from pipeline.enforcement import model
from pipeline.enforcement.model import Basis, Reason, Status
from pipeline.enforcement.records import Evidence, Fine

DAY_US = 86_400_000_000
NOW_US = 1_776_000_000_000_000
SECTION_LIMIT_KMH = 40.2336
PLATE = "KLM4821"
EVIDENCE = (
    Evidence("G2", "gs://evidence/s/day/p/2-exit", "b" * 64, "KLM4821", 0.4, PLATE, "US-NY"),
    Evidence("G1", "gs://evidence/s/day/p/1-entry", "a" * 64, None, None, PLATE, "US-NY"),
)
_numbers = itertools.count()


def case(**fields: object) -> Fine:
    """A case that waits for a person, another one each time."""
    passage_id = f"passage-{next(_numbers)}"
    known = {
        "radar_id": "G1-G2",
        "vehicle_id": PLATE,
        "avg_speed": 45.73,
        "coordinates": (40.75, -73.98),
        "is_Ticketed": False,
        "license_plate": "KLM4821",
        "image_url": EVIDENCE[0].image_url,
        "fine_id": model.fine_id(passage_id),
        "passage_id": passage_id,
        "revision": 1,
        "status": Status.REVIEW,
        "reasons": (Reason.LOW_CONFIDENCE,),
        "section": "First Avenue",
        "entry_time": "2026-04-12T13:00:00.000000Z",
        "exit_time": "2026-04-12T13:00:31.500000Z",
        "distance_m": 400.1,
        "travel_time_s": 31.5,
        "limit_kmh": SECTION_LIMIT_KMH,
        "basis": Basis.DISTANCE_TIME,
        "evidence": EVIDENCE,
        "min_speed": 45.5,
        "length_error_m": 0.5,
        "clock_error_s": 0.12,
        "resolution_s": 0.002,
        "policy": "nyc",
        "counted_speed": 45.5,
        "amount": 50.0,
        "currency": "USD",
        "packet_url": None,
    }
    return Fine(**(known | fields))
