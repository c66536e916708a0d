"""What it costs: the document shows what is computed, and the arithmetic follows its inputs."""

from pathlib import Path

import pytest

from bench import cost, sizes
from bench.cost import Model

COUNTRY = cost.SCALES["country"]
INPUTS = cost.inputs()


def test_document_shows_the_tables():
    document = Path("docs/cost.md").read_text(encoding="utf-8")
    for table in cost.tables(INPUTS).split("\n\n"):
        assert table in document, "run python -m bench --only cost and put its tables into docs/cost.md"


def test_measured_sizes_are_those_of_the_traffic(tmp_path):
    found = sizes.measure(tmp_path, repeats=1)
    for name in found.keys() - {"insert_cpu_us"}:
        assert INPUTS["measured"][name].value == pytest.approx(found[name], rel=0.03), name


def test_every_price_and_quota_names_its_source():
    figures = [figure for group in ("prices", "quotas") for figure in INPUTS[group].values()]
    assert all(figure.source and figure.of and figure.unit for figure in figures)


def test_bill_of_vision_by_hand():
    """7.67 million cases a day, 1.2 pictures each: 276.12 million a month, the first 5 million at 1.50."""
    model = Model(INPUTS, violations=0.01, images_per_case=1.2)
    month = 5_000 * 1.5 + (276_120 - 5_000) * 0.6
    assert model.dollars(model.load(COUNTRY))["Vision"] == pytest.approx(month / 30)


def test_images_of_the_first_tier_alone():
    model = Model(INPUTS, violations=0.01, images_per_case=1.2)
    assert model.dollars(model.load(1e6))["Vision"] == pytest.approx(1e6 * 0.767 * 0.01 * 1.2 * 1.5 / 1000)


def test_small_requests_to_pubsub_are_billed_as_a_kilobyte(monkeypatch):
    model = Model(INPUTS, violations=0)
    load = model.load(COUNTRY)
    in_hundreds = model.dollars(load)["Pub/Sub"]
    monkeypatch.setattr(cost, "BATCH", 1)
    assert model.dollars(load)["Pub/Sub"] / in_hundreds == pytest.approx(1000 / 320)


def test_workers_carry_the_peak_at_the_allowed_use():
    model = Model(INPUTS, peak_factor=3, used=0.6, vcpus=2)
    load = model.load(COUNTRY)
    needed = 1e9 / 86_400 * 3 * model.cpu_s() / 0.6 / 2
    assert needed <= model.workers(load) < needed + 1


def test_one_worker_is_always_there():
    model = Model(INPUTS)
    nothing = model.dollars(model.load(1.0))["Dataflow"]
    assert nothing == pytest.approx(24 * (2 * 0.069 + 7.5 * 0.003557 + 30 * 0.000054), rel=1e-3)


def test_vision_binds_first_of_what_must_be_asked_for():
    model = Model(INPUTS)
    for sightings, bound in ((1e6, []), (1e9, ["Vision, texts"]), (1e10, ["Vision, texts"])):
        asked = [one for one in model.quotas(model.load(sightings)) if one.more == cost.ASK]
        assert [one.name for one in asked if one.needed > one.allowed] == bound


def test_row_counts_as_bigquery_counts_it():
    schema = sizes.tables.schema(sizes.SightingRecord)
    row = {
        "event_id": "abc",
        "timed": True,
        "location": [40.0, -73.0],
        "section_ids": ["a", "bc"],
        "lane": 1,
        "extra": None,
    }
    assert sizes.row_bytes(row, schema) == (2 + 3) + 1 + 16 + (2 + 1) + (2 + 2) + 8
