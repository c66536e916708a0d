"""From a message to located sightings: decode, find the sections of each camera, refuse what cannot be used."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import msgspec
from msgspec.structs import replace

from pipeline.enforcement.identity import is_identified
from pipeline.enforcement.lines import Places, Plain, take
from pipeline.enforcement.messages import MAX_MESSAGE_BYTES, Raw, Refusal, by_place, part, read, split
from pipeline.enforcement.model import Message, Sighting
from pipeline.enforcement.privacy import IN_CLEAR, Pseudonyms
from pipeline.enforcement.records import Rejected
from pipeline.enforcement.sections import Network
from pipeline.enforcement.times import rfc3339

STAGE = "locate"


class Located(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A sighting with its place, and the sections it counts for.

    None, if its camera belongs to no section, or if it does not tell which vehicle it is of.
    """

    sighting: Sighting
    section_ids: tuple[str, ...]


class Batch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The sightings of a message, as one element: an engine's work for each element costs more than ours for each
    sighting. `plain`: those of a file's lines that were read many at once."""

    located: tuple[Located, ...]
    plain: Plain = Plain()


class Intake:
    """Reads messages against one network.

    radar_id: the section of sightings that name neither camera nor section. max_age_us: an older sighting could no
    longer join its session, so it is refused aloud instead of being dropped by the engine; None: any age.
    """

    def __init__(self, network: Network, radar_id: str | None = None, max_age_us: int | None = None) -> None:
        self._network, self._radar_id, self._max_age_us = network, radar_id, max_age_us
        self._places = Places(network)

    def read(self, message: Message, by_us: int, pseudonyms: Pseudonyms = IN_CLEAR) -> tuple[Batch, list[Rejected]]:
        """Each object of the message as a located sighting or as a rejected record; by_us: read at that time."""
        try:
            plain, objects = self._apart(message, pseudonyms)
        except Refusal as refusal:
            return Batch(()), [refusal.record(message)]
        located, refused = [], []
        for number, raw in objects:
            try:
                sighting = read(raw, message, number)
                if self._max_age_us is not None and sighting.time_us < by_us - self._max_age_us:
                    raise self._too_late(sighting, by_us)
                found = self._locate(sighting)
                located.append(found if is_identified(sighting.vehicle_id) else Located(found.sighting, ()))
            except Refusal as refusal:
                refused.append(refusal.record(part(message, raw, number)))
        return Batch(tuple(located), plain), refused

    def _apart(self, message: Message, pseudonyms: Pseudonyms) -> tuple[Plain, Iterable[tuple[int, Raw]]]:
        """The plain lines of a file's block, and the objects of what must be looked at one by one."""
        if message.position is None or len(message.data) > MAX_MESSAGE_BYTES or self._max_age_us is not None:
            return Plain(), split(message)
        plain, others = take(self._places, message, pseudonyms)
        return plain, chain.from_iterable(by_place(line, position) for position, line in others)

    def _too_late(self, sighting: Sighting, by_us: int) -> Refusal:
        return Refusal(
            "too_late",
            f"timestamp: found {rfc3339(sighting.time_us)}, read {rfc3339(by_us)}; allowed: "
            f"at most {(self._max_age_us or 0) / 3.6e9:g} hours late. Raise --allowed_lateness to accept it.",
            "timestamp",
            STAGE,
        )

    def _locate(self, sighting: Sighting) -> Located:
        section_ids = self.section_ids(sighting)
        if sighting.location is None and sighting.camera_id is not None:
            sighting = replace(sighting, location=self._network.cameras[sighting.camera_id])
        return Located(sighting, section_ids)

    def section_ids(self, sighting: Sighting) -> tuple[str, ...]:
        """The sections that a sighting counts for. Raises Refusal where it names a camera or a section that is none."""
        camera = sighting.camera_id
        if camera is None:
            return (self._track_section(sighting),)
        if camera not in self._network.cameras:
            error = f"camera_id: found {camera!r}; allowed: a camera of the section file"
            raise Refusal("unknown_camera", error, "camera_id", STAGE)
        sections = self._network.by_camera.get(camera, ())
        if sighting.radar_id is None:
            return sections
        if sighting.radar_id not in sections:
            allowed = ", ".join(sections) or "none"
            error = f"radar_id: found {sighting.radar_id!r}; allowed for camera {camera!r}: {allowed}"
            raise Refusal("unknown_section", error, "radar_id", STAGE)
        return (sighting.radar_id,)

    def _track_section(self, sighting: Sighting) -> str:
        """The radar track of a sighting that names no camera."""
        radar_id = sighting.radar_id or self._radar_id
        section = self._network.sections.get(radar_id) if radar_id else None
        if section is not None and not section.cameras:
            return section.section_id
        tracks = [name for name, known in self._network.sections.items() if not known.cameras]
        raise Refusal(
            "unknown_section",
            f"radar_id: found {radar_id!r}; allowed for a sighting without camera_id: {', '.join(tracks) or 'none'}",
            "radar_id",
            STAGE,
        )
