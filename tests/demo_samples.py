"""Small fixed data for the demo's tests: one violation on one section and what is made of it."""

import msgspec

from demo.warehouse import Stored
from generator.truth import TruePassage, TruthRecord, TruthSummary
from pipeline.enforcement.model import Basis, Reason, Status
from pipeline.enforcement.records import Evidence, Fine
from pipeline.enforcement.sections import Section

SECTION = Section("s1", 40.2336, "First <Avenue> & Side", "Manhattan", ("A1", "A2"), (104.6,))
STORED = Stored(8, 2, 6, clear=3, fined=1, review=1, unmeasurable=1, issued=1, for_a_person=1)
NO_FINES = Stored(8, 2, 4, clear=3, unmeasurable=1)


def violation() -> TruePassage:
    """104.6 m in 7 s: 53.79 km/h where 40.23 are allowed."""
    return TruePassage(
        section_id="s1",
        vehicle_id="ABC1234",
        plate="ABC1234",
        plate_region="US-NY",
        vehicle_class="car",
        entry_time="2026-03-02T13:00:00.000000Z",
        exit_time="2026-03-02T13:00:07.000000Z",
        distance_m=104.6,
        travel_time_s=7.0,
        avg_speed_kmh=104.6 * 3.6 / 7,
        limit_kmh=40.2336,
        over=True,
        basis="distance_time",
    )


def truth_of(*passages: TruePassage) -> list[TruthRecord]:
    """These passages, and a summary of nine sightings, one of them sent twice, and two malformed objects."""
    summary = TruthSummary("sighting", 3, True, 4, 9, 1, 2, len(passages), len(passages), {})
    return [*passages, summary]


def issued() -> Fine:
    """The fine for the violation."""
    return Fine(
        radar_id="s1",
        vehicle_id="ABC1234",
        avg_speed=104.6 * 3.6 / 7,
        coordinates=(40.74, -73.97),
        is_Ticketed=True,
        license_plate="ABC1234",
        image_url="gs://evidence/exit.jpg",
        fine_id="fine-1",
        passage_id="passage-1",
        revision=1,
        status=Status.ISSUED,
        reasons=(),
        section="First <Avenue> & Side",
        entry_time="2026-03-02T13:00:00.000000Z",
        exit_time="2026-03-02T13:00:07.000000Z",
        distance_m=104.6,
        travel_time_s=7.0,
        limit_kmh=40.2336,
        basis=Basis.DISTANCE_TIME,
        evidence=(
            Evidence("A2", "gs://evidence/exit.jpg", "a" * 64, "ABC1234", 0.97),
            Evidence("A1", "gs://evidence/entry.jpg", "b" * 64, None, None),
        ),
    )


def review() -> Fine:
    """Another vehicle's case, which is in doubt."""
    return msgspec.structs.replace(
        issued(),
        vehicle_id="XYZ9876",
        license_plate="no texts found",
        is_Ticketed=False,
        fine_id="fine-2",
        passage_id="passage-2",
        status=Status.REVIEW,
        reasons=(Reason.NO_TEXT, Reason.PICTURE_MISSING),
        evidence=(
            Evidence("A2", None, None, None, None),
            Evidence("A1", "gs://evidence/gone.jpg", "c" * 64, None, None),
        ),
    )


def withdrawn() -> Fine:
    """The fine for the violation, taken back."""
    return msgspec.structs.replace(
        issued(), revision=2, status=Status.WITHDRAWN, is_Ticketed=False, reasons=(Reason.NO_LONGER_OVER_LIMIT,)
    )
