"""A packet's record: all that a verdict rests on, and the same verdict computed again from nothing else.

What is computed again: distance, time and speeds from the reads and the section, the limit, what the policy counts and
asks, what the words on the pictures say of the plate, and with all that the message that was published, field by field.
The same code computes it, so numbers must be equal; those of a camera section, which are sums, products and quotients
alone, are so in every bit on any machine. Some things are taken as they are told, since the rest of the session is not
in the packet: the passage's id, which is made of a pseudonym; that a pairing was in doubt, that the plate was seen at
two places or a near twin of it in the section, that the case was revised; what else of the trip it stands for. A doubt
can only keep a verdict from being a fine, and what it stands for is not fined.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from pipeline.enforcement import applied_limit, evidence, passages, policy
from pipeline.enforcement.limits import SectionNotices, Step
from pipeline.enforcement.model import Case, ErrorBudget, Leg, Passage, Picture, Reason, Sighting, Status
from pipeline.enforcement.plain_json import PacketError, canonical, decoded, named, record
from pipeline.enforcement.policy import Policy
from pipeline.enforcement.records import Fine, Verdict
from pipeline.enforcement.sections import Section
from pipeline.enforcement.times import rfc3339

WHAT, FORMAT = "section speed packet", 1
NAME, HTML, PDF = "case.json", "sheet.html", "sheet.pdf"
OF_OTHER_SIGHTINGS = (Reason.SEEN_ELSEWHERE, Reason.REVISED, Reason.NEAR_TWIN)  # in the order in which they are found
SAME = 1e-12  # of a number: some thousand times its last bit
_OF_READS = ("entry", "exit", "points")  # what of a passage is in the reads
_PNG = b"\x89PNG"


class Rules(msgspec.Struct, frozen=True):
    """What a passage was judged by."""

    section: Section
    policy: Policy
    tolerance_kmh: float = 0.0


class Versions(msgspec.Struct, frozen=True):
    """Which code and which configuration: the release, and the digests of its rules and of all that was configured."""

    release: str
    rules_sha256: str
    configuration_sha256: str


class Grounds(NamedTuple):
    """What a verdict rests on."""

    passage: Passage
    pictures: tuple[Picture, ...]
    rules: Rules


class Told(NamedTuple):
    """What a packet says, after all that it can prove was proven. A case that was taken back has no grounds."""

    fine: Fine
    grounds: Grounds | None
    versions: Versions


def parts(verdict: Verdict, rules: Rules, versions: Versions, pictures: Sequence[bytes | None]) -> dict[str, bytes]:
    """The record of a verdict, and its pictures under their names.

    pictures: the bytes of each picture of the verdict, None where none was kept.
    """
    passage, own_names = verdict.passage, names(verdict.passage, pictures)
    grounds = {
        "passage": {name: value for name, value in named(passage).items() if name not in _OF_READS},
        "reads": [named(read) | {"time": rfc3339(read.time_us)} for read in reads(passage)],
        "pictures": [
            named(picture) | {"part": name} for name, picture in zip(own_names, verdict.pictures, strict=True)
        ],
        "limits": _limits(passage),
        "rules": named(rules),
    }
    told = canonical({"what": WHAT, "format": FORMAT, "grounds": grounds} | _told(verdict.fine, versions))
    kept = zip(own_names, pictures, strict=True)
    return {NAME: told} | {name: data for name, data in kept if name is not None and data is not None}


def names(passage: Passage, pictures: Sequence[bytes | None]) -> tuple[str | None, ...]:
    """The names of its pictures' parts, None for one that was not kept."""
    ends = ["exit" if sighting is passage.exit else "entry" for sighting in evidence.sightings_to_show(passage)]
    return tuple(
        None if data is None else f"{end}.{'png' if data.startswith(_PNG) else 'jpg'}"
        for end, data in zip(ends, pictures, strict=True)
    )


def withdrawal(fine: Fine, versions: Versions) -> dict[str, bytes]:
    """The record of a case that was taken back: nothing speaks against the driver, so there is nothing to prove."""
    return {NAME: canonical({"what": WHAT, "format": FORMAT, "grounds": None} | _told(fine, versions))}


def _told(fine: Fine, versions: Versions) -> dict[str, Any]:
    return {"fine": named(replace(fine, packet_url=None)), "versions": named(versions)}


def reads(passage: Passage) -> tuple[Sighting, ...]:
    """The sightings that a measurement rests on, in order of time."""
    return passage.points or tuple(read for read in (passage.entry, passage.exit) if read is not None)


def _limits(passage: Passage) -> list[dict[str, Any]]:
    """Those that were in force, one after the other; the highest is the one that applies."""
    found = passage.limits
    if found is None:
        return [_limit(passage.first_us, passage.last_us, passage.limit_kmh)]
    ends = (*(step.from_us for step in found.steps[1:]), found.to_us)
    return [
        _limit(step.from_us, end_us, step.limit_kmh) | {"of": _origin(step)}
        for step, end_us in zip(found.steps, ends, strict=True)
    ]


def _limit(from_us: int, to_us: int, limit_kmh: float) -> dict[str, Any]:
    return {"from": rfc3339(from_us), "to": rfc3339(to_us), "limit_kmh": limit_kmh}


def _origin(step: Step) -> str:
    if step.notice_us is not None:
        return f"notice from {rfc3339(step.notice_us)}"
    return f"rule {step.rule}" if step.rule else "section"


def recheck(data: bytes, pictures: Mapping[str, bytes]) -> Told:
    """Compute the verdict again from the record and the pictures' parts. Raises PacketError with all that differs."""
    found = decoded(data, NAME)
    if (found.get("what"), found.get("format")) != (WHAT, FORMAT):
        raise PacketError(f"{NAME}: no record of format {FORMAT}; a later release wrote it, or it is something else")
    _object(found, {"what", "format", "grounds", "fine", "versions"}, NAME)
    fine = record(Fine, found["fine"], "fine")
    versions = record(Versions, found["versions"], "versions")
    if found["grounds"] is None:
        if fine.status is not Status.WITHDRAWN or pictures:
            raise PacketError("grounds: none, which only a case that was taken back has, and it has no pictures")
        return Told(fine, None, versions)
    return Told(fine, _grounds(found["grounds"], fine, pictures), versions)


def _grounds(found: object, fine: Fine, parts: Mapping[str, bytes]) -> Grounds:
    grounds = _object(found, {"passage", "reads", "pictures", "limits", "rules"}, "grounds")
    rules, told = _rules(grounds["rules"]), _passage(grounds["passage"])
    seen = tuple(_read(read, number) for number, read in enumerate(_list(grounds["reads"], "reads")))
    is_other = told.limits is None and told.limit_kmh != rules.section.limit_kmh
    if is_other or grounds["limits"] != _limits(told):
        raise PacketError("limits: not the section's limit at the time of the passage")
    decided = _decided(told, seen, rules)
    pictures = _pictures(grounds["pictures"], decided, parts)
    passage, again = evidence.judge(Case(decided, pictures), rules.section)
    without_reads = replace(passage, entry=None, exit=None, points=())
    again = _as_far_as_told(again, fine)
    _refuse([*_differences(without_reads, told, "passage"), *_differences(again, fine, "fine")])
    return Grounds(passage, pictures, rules)


def _as_far_as_told(again: Fine, told: Fine) -> Fine:
    """Earlier releases did not tell in the message what the cameras had read; in the pictures they did."""
    if any(one.plate or one.plate_region for one in told.evidence):
        return again
    return replace(again, evidence=tuple(replace(one, plate=None, plate_region=None) for one in again.evidence))


def _decided(told: Passage, seen: tuple[Sighting, ...], rules: Rules) -> Passage:
    """The passage measured from the reads and decided by the policy, as far as the reads can tell."""
    if not seen:
        raise PacketError("reads: none")
    cameras = rules.section.cameras
    if {read.vehicle_id for read in seen} != {told.vehicle_id}:
        raise PacketError("reads: of another vehicle")
    if cameras and not {read.camera_id for read in seen} <= {*cameras}:
        raise PacketError(f"reads: of another camera than those of the section, {', '.join(cameras)}")
    measured = passages.measure(rules.section, told.vehicle_id, seen).passages
    if len(measured) != 1:
        raise PacketError(f"reads: they are of {len(measured)} passages")
    passage = replace(
        measured[0],
        passage_id=told.passage_id,
        revision=told.revision,
        n_sightings=told.n_sightings,
        ambiguous=measured[0].ambiguous or told.ambiguous,
        trip=told.trip,
    )
    passage = applied_limit.with_limit(passage, rules.section, _notices(told))
    decided = policy.decide(passage, rules.policy, rules.tolerance_kmh)
    if not policy.is_suspected(decided):
        raise PacketError(f"by these reads no violation is suspected: the passage is {decided.outcome}")
    told_alone = [reason for reason in OF_OTHER_SIGHTINGS if reason in told.reasons]
    return replace(decided, reasons=(*decided.reasons, *told_alone))


def _notices(told: Passage) -> SectionNotices | None:
    """What was known of the section beside its rules."""
    return None if told.limits is None else told.limits.notices


def _pictures(found: object, passage: Passage, parts: Mapping[str, bytes]) -> tuple[Picture, ...]:
    """The pictures with what their words say, computed again, and their bytes."""
    told = [_picture(picture) for picture in _list(found, "pictures")]
    shown = evidence.sightings_to_show(passage)
    if len(told) != len(shown):
        raise PacketError(f"pictures: {len(told)} of {len(shown)}")
    kept = [
        replace(
            evidence.picture_of(sighting), image_url=picture.image_url, sha256=picture.sha256, problem=picture.problem
        )
        for sighting, (_, picture) in zip(shown, told, strict=True)
    ]
    case = Case(passage, tuple(kept))
    for index, (_, picture) in enumerate(told):
        if picture.words is not None:
            case = evidence.with_reading(case, index, picture.words)
        elif picture.text is not None:
            case = evidence.with_failed_reading(case, index)
    pairs = zip(told, case.pictures, strict=True)
    _refuse([found for (name, picture), again in pairs for found in _differences(again, picture, f"pictures.{name}")])
    if {name for name, _ in told if name} != parts.keys():
        raise PacketError("pictures: not those that are in the packet")
    _refuse(
        [
            f"{name}: another picture than the one that was judged"
            for name, picture in told
            if name and sha256(parts[name]).hexdigest() != picture.sha256
        ]
    )
    return case.pictures


def _differences(again: msgspec.Struct, told: msgspec.Struct, where: str) -> list[str]:
    """Each field that is not what was computed."""
    pairs = ((name, getattr(again, name), getattr(told, name)) for name in again.__struct_fields__)
    return [f"{where}.{name}: computed {now}, told {then}" for name, now, then in pairs if not _equal(now, then)]


def _equal(now: object, then: object) -> bool:
    """Two numbers but for what processors differ in: cosines and roots may have another last bit on the next one."""
    if isinstance(now, float) and isinstance(then, float):
        return math.isclose(now, then, rel_tol=SAME)
    return now == then


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise PacketError("; ".join(problems))


def _rules(found: object) -> Rules:
    told = _object(found, {"section", "policy", "tolerance_kmh"}, "rules")
    section = told["section"]
    if isinstance(section, dict) and "errors" in section:
        section = section | {"errors": _by_place(ErrorBudget, section["errors"])}
    return record(Rules, told | {"section": section}, "rules")


def _read(found: object, number: int) -> Sighting:
    where = f"reads.{number}"
    if not isinstance(found, dict):
        raise PacketError(f"{where}: no object")
    read = record(Sighting, {name: value for name, value in found.items() if name != "time"}, where)
    if found.get("time") != rfc3339(read.time_us):
        raise PacketError(f"{where}: time and time_us differ")
    return read


def _passage(found: object) -> Passage:
    if isinstance(found, dict) and found.get("errors") is not None:
        found = found | {"errors": _by_place(ErrorBudget, found["errors"])}
    if isinstance(found, dict) and "trip" in found:
        found = found | {"trip": [_by_place(Leg, leg) for leg in _list(found["trip"], "trip")]}
    return record(Passage, found, "passage", without=_OF_READS)


def _picture(found: object) -> tuple[str | None, Picture]:
    if not isinstance(found, dict):
        raise PacketError("pictures: no object")
    name, own = found.get("part"), {field: value for field, value in found.items() if field != "part"}
    picture = record(Picture, own, f"pictures.{name}")
    if not isinstance(name, str | None) or (name is None) != (picture.sha256 is None):
        raise PacketError(f"pictures.{name}: a part and its hash belong together")
    return name, picture


def _by_place(kind: type[msgspec.Struct], found: object) -> list[Any]:
    return list(msgspec.structs.astuple(record(kind, found, "errors")))


def _object(found: object, names: set[str], where: str) -> dict[str, Any]:
    if not isinstance(found, dict) or found.keys() != names:
        raise PacketError(f"{where}: allowed: an object of {', '.join(sorted(names))}")
    return found


def _list(found: object, where: str) -> list[Any]:
    if not isinstance(found, list):
        raise PacketError(f"{where}: no list")
    return found
