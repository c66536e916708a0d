"""What went in against what came out: the conservation of sightings and passages, and the verdict of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass

import msgspec

from demo.warehouse import Stored
from generator.score import AlarmMessage, FineMessage, Score, score
from generator.truth import TruthRecord, TruthSummary
from pipeline.enforcement.model import Status
from pipeline.enforcement.records import Fine


@dataclass(frozen=True)
class Published:
    """What the cameras sent: distinct sightings and malformed objects, and how many sightings came a second time."""

    sightings_in: int
    sent_twice: int
    vehicles: int

    @staticmethod
    def of(truth: Iterable[TruthRecord]) -> Published:
        """As the truth file's summary says. Raises ValueError where it has none."""
        for record in truth:
            if isinstance(record, TruthSummary):
                distinct = record.sightings - record.duplicates
                return Published(distinct + record.malformed, record.duplicates, record.vehicles)
        raise ValueError("the truth has no summary")


@dataclass(frozen=True)
class Times:
    """Seconds: until the services were up, from then to the first fine (None: there was none), in all."""

    services_up: float
    first_fine: float | None
    total: float


@dataclass(frozen=True)
class Summary:
    """The figures of summary.json. sightings_in counts each sighting once, however often it was sent."""

    vehicles: int
    seed: int
    sightings_in: int
    sightings_sent_twice: int
    sightings_stored: int
    rejected: int
    passages: int
    passages_clear: int
    passages_fined: int
    passages_review: int
    passages_unmeasurable: int
    fines: int
    reviews: int
    withdrawn: int
    violations: int
    right: int
    wrong: int
    missed: int
    unprovable: int
    same_trip: int
    offered: int
    seconds_to_services_up: float
    seconds_to_first_fine: float | None
    seconds: float
    failures: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was lost and no fine is wrong."""
        return not self.failures

    @property
    def exit_status(self) -> int:
        """Of the demo."""
        return 0 if self.passed else 1

    @property
    def sightings_line(self) -> str:
        """The first line of conservation."""
        sign = "=" if self.sightings_in == self.sightings_stored + self.rejected else "≠"
        again = f" ({self.sightings_sent_twice:,} came twice and count once)" if self.sightings_sent_twice else ""
        return f"{self.sightings_in:,} in {sign} {self.sightings_stored:,} stored + {self.rejected:,} rejected{again}"

    @property
    def passages_line(self) -> str:
        """The second line of conservation."""
        outcomes = {
            "clear": self.passages_clear,
            "fined": self.passages_fined,
            "review": self.passages_review,
            "unmeasurable": self.passages_unmeasurable,
        }
        sign = "=" if self.passages == sum(outcomes.values()) else "≠"
        return f"{self.passages:,} {sign} " + " + ".join(f"{count:,} {name}" for name, count in outcomes.items())

    def as_json(self) -> dict[str, object]:
        """The summary as it is written."""
        return asdict(self) | {"failures": list(self.failures)}


def missing(published: Published, stored: Stored, undecided: int, received: Sequence[Fine]) -> list[str]:
    """What has not arrived where it must be, in words; empty when every sighting and passage is accounted for.

    undecided: stored sightings without a passage. received: the last word on each fine from the topic.
    """
    return list(_missing(published, stored, undecided, received))


def _missing(published: Published, stored: Stored, undecided: int, received: Sequence[Fine]) -> Iterator[str]:
    lost = published.sightings_in - stored.sightings - stored.rejected
    if lost:
        kept = f"{published.sightings_in} published, {stored.sightings} stored + {stored.rejected} rejected"
        yield f"{abs(lost)} sightings {'lost' if lost > 0 else 'too many'}: {kept}"
    if undecided:
        yield f"{undecided} stored sightings are in no decided passage"
    ends = stored.clear + stored.fined + stored.review + stored.unmeasurable
    if ends != stored.passages:
        yield f"{stored.passages} passages, but {ends} with an outcome"
    for status, passages, fines in (
        (Status.ISSUED, stored.fined, stored.issued),
        (Status.REVIEW, stored.review, stored.for_a_person),
    ):
        published_fines = sum(fine.status is status for fine in received)
        if not passages == fines == published_fines:
            yield f"{status}: {passages} passages, {fines} fines stored, {published_fines} received from the topic"


def scored(truth: Iterable[TruthRecord], fines: Iterable[Fine], alarms: Iterable[AlarmMessage] = ()) -> Score:
    """The fines and the possible pairs compared with the truth."""
    return score(truth, [_scorable(fine) for fine in fines], alarms)


def _scorable(fine: Fine) -> FineMessage:
    # A withdrawn case may have lost its speed; the score does not look at it then.
    return msgspec.convert(msgspec.to_builtins(fine) | {"avg_speed": fine.avg_speed or 0.0}, FineMessage)


def summarise(
    seed: int,
    published: Published,
    stored: Stored,
    received: Sequence[Fine],
    result: Score,
    times: Times,
    lost: Sequence[str],
) -> Summary:
    """All figures of a run. lost: what `missing` named."""
    wrong = [f"{result.wrong} wrong fines"] if result.wrong else []
    return Summary(
        vehicles=published.vehicles,
        seed=seed,
        sightings_in=published.sightings_in,
        sightings_sent_twice=published.sent_twice,
        sightings_stored=stored.sightings,
        rejected=stored.rejected,
        passages=stored.passages,
        passages_clear=stored.clear,
        passages_fined=stored.fined,
        passages_review=stored.review,
        passages_unmeasurable=stored.unmeasurable,
        fines=stored.issued,
        reviews=stored.for_a_person,
        withdrawn=sum(fine.status is Status.WITHDRAWN for fine in received),
        violations=result.violations,
        right=result.right,
        wrong=result.wrong,
        missed=result.missed,
        unprovable=result.unprovable,
        same_trip=result.same_trip,
        offered=result.offered,
        seconds_to_services_up=round(times.services_up, 1),
        seconds_to_first_fine=None if times.first_fine is None else round(times.first_fine, 1),
        seconds=round(times.total, 1),
        failures=(*lost, *wrong),
    )
