"""What a city, a country and ten countries need and pay, from what was measured and what is published.

All that is computed with stands in bench/cost.yaml, each figure with its unit and its source. docs/cost.md shows the
tables that are made here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from pipeline.enforcement import plain_yaml
from pipeline.transforms.commit import SHARES
from pipeline.transforms.sinks import MAX_ROWS

INPUTS = Path(__file__).with_suffix(".yaml")
SCALES = {"city": 1e6, "country": 1e9, "ten countries": 1e10}
SHARES_OF_VIOLATIONS = (0.0001, 0.001, 0.01, 0.05, 0.1)
GIB, TIB, KIB, MB = 2.0**30, 2.0**40, 2.0**10, 1e6
BATCH, LEAST_REQUEST_BYTES = 100, 1000  # sightings of a message; a request to Pub/Sub is billed as so much at least
DAYS_OF_MONTH, HOURS, DAY_S = 30, 24, 86_400
FIRST_IMAGES = 5e6  # of a month
ASK = "ask for more in the console"
MORE_SHARES = "raise SHARES in pipeline/transforms/commit.py"
SERVICES = ("Dataflow", "Pub/Sub", "BigQuery", "Vision", "Storage, cameras", "Storage, evidence")


class Figure(msgspec.Struct):
    """A figure to compute with. of: what measured it, or when it was read; source: empty for what is measured."""

    value: float
    unit: str
    of: str = ""
    source: str = ""


Inputs = Mapping[str, Mapping[str, Figure]]


class Load(NamedTuple):
    """What there is of each at a scale, a day, and how much of it in a second at the peak."""

    sightings: float
    passages: float
    cases: float
    images: float
    fines: float
    peak_per_s: float  # sightings


class Quota(NamedTuple):
    """How much is needed at the peak and how much there is; more: how to get more."""

    name: str
    needed: float
    allowed: float
    unit: str
    more: str


COUNTS: Mapping[str, Callable[[Load], float]] = {
    "sightings a day": lambda load: load.sightings,
    "sightings a second, peak": lambda load: load.peak_per_s,
    "cases a day": lambda load: load.cases,
    "fines a day": lambda load: load.fines,
}


def inputs() -> Inputs:
    """bench/cost.yaml."""
    document = plain_yaml.load(INPUTS.read_text(encoding="utf-8"), "groups of figures")
    return msgspec.convert(document, dict[str, dict[str, Figure]], strict=False)


class Model:
    """The arithmetic, with other values for some of the inputs where they are given."""

    def __init__(self, found: Inputs, **others: float) -> None:
        values = {group: {name: figure.value for name, figure in of.items()} for group, of in found.items()}
        self._measured, self._price, self._quota = values["measured"], values["prices"], values["quotas"]
        self._assumed = values["assumed"] | others

    def load(self, sightings: float) -> Load:
        """Of so many sightings a day."""
        passages = sightings * self._measured["passages"]
        cases = passages * self._assumed["violations"]
        images, fines = cases * self._assumed["images_per_case"], cases * self._assumed["fined"]
        return Load(sightings, passages, cases, images, fines, sightings / DAY_S * self._assumed["peak_factor"])

    def cpu_s(self) -> float:
        """Of a worker for a sighting, with its row and those of its passages."""
        rows = 1 + self._measured["passages"]
        python_us = self._measured["job_cpu_us"] + rows * self._measured["insert_cpu_us"]
        return python_us * self._assumed["engine_factor"] / 1e6

    def workers(self, load: Load) -> int:
        """At the peak."""
        return math.ceil(load.peak_per_s * self.cpu_s() / self._assumed["used"] / self._assumed["vcpus"])

    def dollars(self, load: Load) -> dict[str, float]:
        """Of a day, for each service."""
        ways = (self._dataflow, self._pubsub, self._bigquery, self._vision, self._cameras, self._evidence)
        return {name: way(load) for name, way in zip(SERVICES, ways, strict=True)}

    def _dataflow(self, load: Load) -> float:
        """Workers come and go with the traffic, and one is always there."""
        of = self._assumed
        hours = load.sightings * self.cpu_s() / 3600 / of["used"] / of["vcpus"]
        price = of["vcpus"] * self._price["worker_vcpu"] + of["memory_gib"] * self._price["worker_memory"]
        price += of["disk_gib"] * self._price["worker_disk"]
        a_sighting = self._measured["message_bytes"] + self._measured["shuffle_bytes"]
        n_bytes = load.sightings * a_sighting + 2 * load.passages * self._measured["state_bytes"]  # read and written
        return max(hours, HOURS) * price + n_bytes / GIB * self._price["streaming_engine"]

    def _pubsub(self, load: Load) -> float:
        n_bytes = self._message_bytes(load)
        fines_bytes = load.cases * max(self._measured["fines_json_bytes"], LEAST_REQUEST_BYTES)
        kept = self._price["pubsub_kept"] / DAYS_OF_MONTH * self._assumed["replayable_days"]
        return (n_bytes + fines_bytes) * (2 * self._price["pubsub"] / TIB + kept / GIB)

    def _bigquery(self, load: Load) -> float:
        rows = {"sightings": load.sightings, "passages": load.passages, "fines": load.cases}
        bytes_of = {name: self._measured[f"{name}_row_bytes"] for name in rows}
        streamed = sum(n * max(bytes_of[name], KIB) for name, n in rows.items()) / GIB
        kept = sum(n * bytes_of[name] for name, n in rows.items()) / GIB * self._assumed["rows_kept_days"]
        return streamed * self._price["insert"] + kept * self._price["rows_kept"] / DAYS_OF_MONTH

    def _vision(self, load: Load) -> float:
        images = load.images * DAYS_OF_MONTH
        first = min(images, FIRST_IMAGES)
        month = first * self._price["image_first"] + (images - first) * self._price["image_more"]
        return month / 1000 / DAYS_OF_MONTH

    def _cameras(self, load: Load) -> float:
        """Each picture is written once and kept for a day; those of cases are read."""
        pictures = self._pictures(load)
        kept = pictures * self._assumed["picture_bytes"] / GIB * self._price["object_kept"] / DAYS_OF_MONTH
        return pictures * self._price["object_written"] / 1000 + kept

    def _evidence(self, load: Load) -> float:
        """Of a case two pictures are copied, a packet that holds both again and its link are written, and four objects
        are looked at."""
        operations = 4 * (self._price["object_written"] + self._price["object_read"]) / 1000
        gib_days = 4 * self._assumed["picture_bytes"] / GIB * self._assumed["evidence_kept_days"]
        return load.cases * (operations + gib_days * self._price["object_kept"] / DAYS_OF_MONTH)

    def quotas(self, load: Load) -> list[Quota]:
        """At the peak; the last two are limits of this program, not of Google's."""
        a_second = load.peak_per_s / load.sightings
        rows = {"sightings": load.sightings, "passages": load.passages, "fines": load.cases}
        row_bytes = math.fsum(n * self._measured[f"{name}_json_bytes"] for name, n in rows.items())
        needed = (
            ("Vision, texts", load.images * a_second * 60, self._quota["images"], "/min", ASK),
            ("Pub/Sub, published", self._message_bytes(load) * a_second / MB, self._quota["publish"], "MB/s", ASK),
            ("BigQuery, streamed in", row_bytes * a_second / MB, self._quota["insert"], "MB/s", ASK),
            ("Dataflow, workers of a job", self.workers(load), self._quota["workers"], "", "a job for each region"),
            ("Storage, pictures", self._pictures(load) * a_second, self._quota["uploads"], "/s", "it grows by itself"),
            ("this program, packets", load.cases * a_second, SHARES / self._assumed["seal_s"], "/s", MORE_SHARES),
            ("this program, passages", load.passages * a_second, self._inserts_per_s(), "/s", MORE_SHARES),
        )
        return [Quota(*one) for one in needed]

    def _message_bytes(self, load: Load) -> float:
        return load.sightings / BATCH * max(BATCH * self._measured["message_bytes"], LEAST_REQUEST_BYTES)

    def _pictures(self, load: Load) -> float:
        return load.sightings * self._assumed["pictures_sent"]

    def _inserts_per_s(self) -> float:
        return SHARES * MAX_ROWS / self._assumed["insert_s"]


def tables(found: Inputs) -> str:
    """What docs/cost.md shows."""
    return "\n\n".join([_needs(found), _quotas(found), _shares(found), *map(_inputs, found.items())])


def _needs(found: Inputs) -> str:
    model = Model(found)
    loads = [model.load(sightings) for sightings in SCALES.values()]
    bills = [model.dollars(load) for load in loads]
    totals = [math.fsum(bill.values()) for bill in bills]
    without = [total - bill["Storage, cameras"] for total, bill in zip(totals, bills, strict=True)]
    rows: list[Sequence[str]] = [
        *((title, *(f"{of(load):,.0f}" for load in loads)) for title, of in COUNTS.items()),
        ("workers at the peak", *(f"{model.workers(load):,}" for load in loads)),
        *((f"{name}, $ a day", *(_dollars(bill[name]) for bill in bills)) for name in SERVICES),
        ("**all, $ a day**", *map(_dollars, totals)),
        ("**$ for a million sightings**", *_per_million(totals, loads)),
        ("**$ for a fine**", *_per_fine(totals, loads)),
        ("without pictures of everybody: $ for a million", *_per_million(without, loads)),
        ("without them: $ for a fine", *_per_fine(without, loads)),
    ]
    return _table(["", *SCALES], rows)


def _per_million(dollars: Sequence[float], loads: Sequence[Load]) -> list[str]:
    return [_dollars(one / load.sightings * 1e6) for one, load in zip(dollars, loads, strict=True)]


def _per_fine(dollars: Sequence[float], loads: Sequence[Load]) -> list[str]:
    return [_dollars(one / load.fines) for one, load in zip(dollars, loads, strict=True)]


def _quotas(found: Inputs) -> str:
    model = Model(found)
    by_scale = [model.quotas(model.load(sightings)) for sightings in SCALES.values()]
    rows = [
        (one[0].name, f"{one[0].allowed:,.0f} {one[0].unit}".strip(), *map(_needed, one), one[0].more)
        for one in zip(*by_scale, strict=True)
    ]
    return _table(["At the peak", "there is", *SCALES, "where it is not enough"], rows)


def _needed(quota: Quota) -> str:
    told = f"{quota.needed:,.0f}" if quota.needed >= 10 else f"{quota.needed:,.1f}"
    return f"**{told}**" if quota.needed > quota.allowed else told


def _shares(found: Inputs) -> str:
    """Vision's share of a country's bill."""
    rows = []
    for violations in SHARES_OF_VIOLATIONS:
        cells = [f"{violations:.2%}"]
        for pictures_sent in (1, 0):
            model = Model(found, violations=violations, pictures_sent=pictures_sent)
            load = model.load(SCALES["country"])
            bill = model.dollars(load)
            total = math.fsum(bill.values())
            cells += [*_per_million([total], [load]), *_per_fine([total], [load]), f"{bill['Vision'] / total:.1%}"]
        cells.append(f"{bill['Vision'] / math.fsum(bill[name] for name in SERVICES[:4]):.1%}")
        rows.append(cells)
    bills = ["$ a million", "$ a fine", "Vision's share"]
    without = ["without pictures of everybody: $ a million", *bills[1:]]
    return _table(["violations", *bills, *without, "of Dataflow, Pub/Sub, BigQuery, Vision alone"], rows)


def _inputs(group: tuple[str, Mapping[str, Figure]]) -> str:
    name, figures = group
    rows = [(one, f"{figure.value:g}", figure.unit, figure.source, figure.of) for one, figure in figures.items()]
    return _table([name, "", "unit", "source", "of"], rows)


def _dollars(amount: float) -> str:
    return f"{amount:,.0f}" if amount >= 100 else f"{amount:,.2f}" if amount >= 0.1 else f"{amount:.2g}"


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
