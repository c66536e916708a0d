"""What a finished run says of its sums, with the counters of different engines."""

import json

import pytest
from apache_beam.metrics.execution import MetricKey, MetricResult
from apache_beam.metrics.metricbase import MetricName

from pipeline.conservation import account

WRITTEN = {
    "sightings_in": 10,
    "sightings_stored": 10,
    "rejected": 0,
    "passages": 4,
    "passages_clear": 3,
    "passages_fined": 0,
    "passages_review": 1,
    "passages_unmeasurable": 0,
    "fines_issued": 0,
    "fines_review": 1,
    "fines_withdrawn": 0,
    "alarms_clone": 0,
    "alarms_near_twin": 0,
    "alarms_possible_pair": 0,
}


class Finished:
    """An engine's result: for each counter what was committed and what was attempted."""

    def __init__(self, **counters: tuple[int | None, int | None]) -> None:
        self._counters = counters

    def metrics(self):
        return self

    def query(self, wanted):
        (namespace,) = wanted.namespaces
        return {
            "counters": [
                MetricResult(MetricKey("step", MetricName(namespace, name.split("_")[-1])), *values)
                for name, values in self._counters.items()
                if name.startswith(namespace)
            ]
        }


@pytest.fixture
def said(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps(WRITTEN))
    return lambda finished: account(finished, str(tmp_path))


def test_committed_counts_that_agree(said):
    line, agree = said(Finished(sightings=(10, 10), passages=(4, 4), lines=(15, 15)))
    assert agree
    assert line.startswith("10 sightings = 10 stored + 0 rejected; 4 passages = 3 clear, 0 fined, 1 review, 0 unmeas")


def test_counter_committed_at_zero_and_never_attempted(said):
    """Portable engines say what was committed and nothing of what was attempted."""
    line, agree = said(
        Finished(sightings=(10, None), sightings_rejected=(0, None), passages=(4, None), lines=(15, None))
    )
    assert agree
    assert line.startswith("10 sightings = 10 stored")


def test_sightings_of_no_known_vehicle_are_told_and_are_a_part_of_the_stored_ones(said):
    parts = {"sightings": (10, 10), "sightings_rejected": (0, 0), "passages": (4, 4), "lines": (15, 15)}
    line, agree = said(Finished(**parts, sightings_unidentified=(3, 3)))
    assert agree
    assert line.startswith("10 sightings = 10 stored (3 of no known vehicle) + 0 rejected; ")
    line, agree = said(Finished(**parts, sightings_unidentified=(0, 0)))
    assert agree
    assert line.startswith("10 sightings = 10 stored + 0 rejected; ")


@pytest.mark.parametrize(
    ("sightings", "passages", "lines"),
    [(11, 4, 15), (10, 5, 15), (9, 4, 15), (10, 3, 15), (10, 4, 14), (10, 4, 16)],
)
def test_committed_counts_that_do_not_agree(said, sightings, passages, lines):
    line, agree = said(Finished(sightings=(sightings, sightings), passages=(passages, passages), lines=(lines, lines)))
    assert not agree
    assert line.startswith("the sums do not agree, something was lost")


def test_committed_counts_though_work_was_done_again(said):
    line, agree = said(Finished(sightings=(10, 20), passages=(4, 4), lines=(15, 15)))
    assert agree
    assert line.startswith("10 sightings")


def test_attempted_counts_of_work_done_again_do_not_fail_a_sound_run(said):
    line, agree = said(Finished(sightings=(None, 15), passages=(None, 4), lines=(None, 15)))
    assert agree
    assert line.startswith("not compared, this engine also counts what it did again")


def test_attempted_counts_below_what_was_written(said):
    line, agree = said(Finished(sightings=(None, 9), passages=(None, 4), lines=(None, 15)))
    assert not agree
    assert line.startswith("the sums do not agree")


def test_attempted_counts_that_agree(said):
    line, agree = said(Finished(sightings=(None, 10), passages=(None, 4), lines=(None, 15)))
    assert agree
    assert line.startswith("10 sightings")


def test_engine_without_counters(said):
    line, agree = said(Finished())
    assert agree
    assert line.startswith("not compared, this engine counts nothing")


def test_engine_that_knows_no_metrics(said):
    class Unknowing:
        def metrics(self):
            raise NotImplementedError

    line, agree = said(Unknowing())
    assert agree
    assert line.startswith("not compared, this engine counts nothing")


def test_empty_run_of_an_engine_without_counters(tmp_path):
    (tmp_path / "summary.json").write_text(json.dumps(dict.fromkeys(WRITTEN, 0)))
    line, agree = account(Finished(), str(tmp_path))
    assert agree
    assert line.startswith("0 sightings = 0 stored")
