"""Verdicts, pictures, keys and packets for the tests of the evidence packets."""

import io
import itertools
from functools import cache

from msgspec.structs import replace
from PIL import Image
from signing_samples import KEY

from pipeline import policies
from pipeline.enforcement import applied_limit, evidence, passages, policy
from pipeline.enforcement.limits import SectionNotices
from pipeline.enforcement.manifest import digest
from pipeline.enforcement.model import Case, ErrorBudget, Sighting
from pipeline.enforcement.packet import Rules, Versions
from pipeline.enforcement.plates import TextBox
from pipeline.enforcement.records import Verdict
from pipeline.enforcement.sections import Section
from pipeline.packets import archive
from pipeline.packets.keys import SigningKey

T0_US = 1_776_000_000_123_456
VERSIONS = Versions("0.1.0", "a" * 64, "b" * 64)
PLATE = "KLM4821"
SECTION = Section(
    "G1-G2",
    40.2336,
    name="First <Avenue> & Łódź",
    region="Manhattan",
    cameras=("G1", "G2"),
    length_m=(400.1,),
    errors=ErrorBudget(0.5, 0.12, 0.002),
)
TRACK = Section("edem", 40.2336, name="M30")
POLICIES = policies.shipped()
numbers = itertools.count()


@cache
def jpeg(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 40), (shade, shade, shade)).save(out, "JPEG", quality=30)
    return out.getvalue()


def words(text: str = PLATE, confidence: float | None = 0.9) -> tuple[TextBox, ...]:
    return (TextBox(text, confidence, 200.0, 300.0, 160.0, 40.0), TextBox("12:30:01", 0.99, 5.0, 5.0, 80.0, 12.0))


def rules(section: Section = SECTION, name: str = "edem", tolerance_kmh: float = 0.0) -> Rules:
    return Rules(section, POLICIES[name], tolerance_kmh)


def reads(travel_us: int = 31_500_000, vehicle_id: str = PLATE, **more: object) -> tuple[Sighting, Sighting]:
    both = {"plate": vehicle_id, "plate_region": "US-NY", "plate_confidence": 0.97, **more}
    begin_us = T0_US + 60_000_000 * next(numbers)
    return (
        Sighting("e1", vehicle_id, begin_us, camera_id="G1", image_url="gs://cameras/1.jpg", **both),
        Sighting("e2", vehicle_id, begin_us + travel_us, camera_id="G2", image_url="gs://cameras/2.jpg", **both),
    )


def suspected(sightings: tuple[Sighting, ...], under: Rules, notices: SectionNotices | None = None) -> Case:
    """The case as it is after its pictures were kept, none of them read."""
    (found,) = passages.measure(under.section, sightings[0].vehicle_id, sightings).passages
    limited = applied_limit.with_limit(found, under.section, notices)
    decided = policy.decide(limited, under.policy, under.tolerance_kmh)
    assert policy.is_suspected(decided), decided
    shown = evidence.sightings_to_show(decided)
    pictures = [
        replace(evidence.picture_of(one), image_url=f"gs://evidence/{number}", sha256=digest(jpeg(50 + 100 * number)))
        for number, one in enumerate(shown)
    ]
    return Case(decided, tuple(pictures))


def verdict(
    sightings: tuple[Sighting, ...] | None = None,
    under: Rules | None = None,
    *,
    read: tuple[TextBox, ...] | None = words(),
    notices: SectionNotices | None = None,
) -> Verdict:
    """A fine, unless something speaks against it: the exit's picture was read."""
    case = suspected(sightings or reads(), under or rules(), notices)
    case = evidence.with_failed_reading(case, 0) if read is None else evidence.with_reading(case, 0, read)
    return Verdict(*evidence.judge(case, (under or rules()).section), case.pictures)


def pictures(of: Verdict) -> tuple[bytes | None, ...]:
    return tuple(None if one.sha256 is None else jpeg(50 + 100 * number) for number, one in enumerate(of.pictures))


def packed(of: Verdict | None = None, under: Rules | None = None, key: SigningKey = KEY) -> archive.Packed:
    found = of or verdict()
    return archive.pack(found, under or rules(), VERSIONS, pictures(found), key)
