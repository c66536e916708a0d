"""Sightings handed out to shares of the vehicles: none is lost, a vehicle is in one share, and pieces are not small."""

from collections import Counter, defaultdict
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from pipeline import options
from pipeline.bounded_runner import BoundedRunner
from pipeline.enforcement import shares
from pipeline.enforcement.intake import Batch, Intake
from pipeline.enforcement.model import Message
from pipeline.enforcement.sections import parse_network
from pipeline.enforcement.shares import SHARES, Gathering, Share, shares_for
from pipeline.transforms.sharing import ShareOut, sightings_at_most

SECTIONS = """
cameras:
  G1: {location: [40.7400, -73.9900]}
  G2: {location: [40.7431, -73.9877]}
sections:
  - {id: G1-G2, cameras: [G1, G2], length_m: [400], limit: 40 km/h}
"""
INTAKE = Intake(parse_network(SECTIONS))
LINE = '{{"event_id": "e{0}", "vehicle_id": "V{1}", "camera_id": "G1", "timestamp": "2026-03-02T13:00:04.120Z"{2}}}'
NOW_US = 1_772_500_000_000_000


def batch(first: int, n: int, vehicles: int) -> Batch:
    """Plain lines, and every fifth with an unknown field."""
    lines = [
        LINE.format(number, number % vehicles, "" if number % 5 else ', "mood": 1')
        for number in range(first, first + n)
    ]
    found, refused = INTAKE.read(Message("\n".join(lines).encode(), "m", NOW_US, position=0), NOW_US)
    assert refused == []
    return found


def handed_out(batches: list[Batch], n_shares: int) -> list[tuple[int, Share]]:
    gathering = Gathering(n_shares)
    return [piece for one in batches for piece in gathering.add(one)] + list(gathering.rest())


def vehicles_of(share: Share) -> list[str]:
    return share.vehicle_ids + [one.sighting.vehicle_id for one in share.located]


@given(sizes=st.lists(st.integers(1, 40), max_size=6), vehicles=st.integers(1, 30), n_shares=st.integers(1, 300))
def test_every_sighting_is_in_the_one_share_of_its_vehicle(sizes, vehicles, n_shares):
    batches = [batch(sum(sizes[:number]), n, vehicles) for number, n in enumerate(sizes)]
    shares_of, seen = defaultdict(set), Counter()
    for number, share in handed_out(batches, n_shares):
        assert 0 <= number < n_shares
        seen.update(vehicles_of(share))
        for vehicle_id in vehicles_of(share):
            shares_of[vehicle_id].add(number)
    assert seen == Counter(f"V{number % vehicles}" for number in range(sum(sizes)))
    assert all(len(numbers) == 1 for numbers in shares_of.values())


def test_pieces_of_many_shares_are_as_large_as_those_of_few():
    batches = [batch(number * 500, 500, 100_000) for number in range(64)]
    few, many = (len(handed_out(batches, n_shares)) / 32_000 for n_shares in (16, 256))
    assert many == pytest.approx(1 / shares.PIECE_SIGHTINGS, rel=0.25)
    assert few <= many


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(shares, "GATHERED_SIGHTINGS", 1000)
    gathering = Gathering(100_000)
    given_out = [len(list(gathering.add(batch(number * 400, 400, 10_000)))) > 0 for number in range(6)]
    assert given_out == [False, False, True] * 2


@pytest.mark.parametrize(
    ("sightings", "n_shares"), [(0, SHARES), (10_240_000, SHARES), (10_240_001, SHARES + 1), (10**8, 1250)]
)
def test_share_holds_no_more_than_memory_takes(sightings, n_shares):
    assert shares_for(sightings) == n_shares


def test_bundle_gives_all_that_it_took():
    batches = [batch(number * 50, 50, 70) for number in range(7)]
    with beam.Pipeline(BoundedRunner(), PipelineOptions([])) as pipeline:
        pieces = pipeline | beam.Create(batches, reshuffle=False) | beam.ParDo(ShareOut(10_000))
        taken = pieces | beam.Map(lambda piece: len(vehicles_of(piece[1]))) | beam.CombineGlobally(sum)
        assert_that(taken, equal_to([350]))


@pytest.mark.parametrize(
    ("name", "n_bytes", "most"), [("a.ndjson", 2000, 10), ("a.ndjson.gz", 2000, 100), ("a.parquet", 2000, 100)]
)
def test_sightings_are_judged_by_the_size_of_the_files(tmp_path, name, n_bytes, most):
    (tmp_path / name).write_bytes(bytes(n_bytes))
    assert sightings_at_most(str(tmp_path / "*")) == most


def test_shares_follow_the_input(tmp_path, monkeypatch):
    (tmp_path / "sections.yaml").write_text(SECTIONS)
    source = Path(tmp_path / "in.ndjson")
    with source.open("wb") as file:
        file.truncate(200 * 80_000 * 200)
    argv = [f"--input={source}", f"--output_dir={tmp_path}", f"--sections={tmp_path}/sections.yaml", "--privacy=off"]
    assert options.check(options.parse(argv)).shares == 200
