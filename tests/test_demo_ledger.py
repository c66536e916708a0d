"""The verdict of a run: what is lost, what is wrong, and the exit status that says so."""

from dataclasses import replace

import msgspec
import pytest
from demo_samples import NO_FINES, STORED, issued, review, truth_of, violation, withdrawn

from demo import ledger
from demo.inbox import latest
from demo.ledger import Published, Times
from demo.warehouse import Stored
from generator.truth import TruthSummary
from pipeline.enforcement.records import Fine

PUBLISHED = Published(sightings_in=10, sent_twice=1, vehicles=4)
TIMES = Times(services_up=5.04, first_fine=61.26, total=150.0)


def summarised(truth: list, received: list[Fine], stored: Stored, lost: list[str] | None = None) -> ledger.Summary:
    result = ledger.scored(truth, received)
    return ledger.summarise(3, PUBLISHED, stored, latest(received), result, TIMES, lost or [])


def test_published_counts_each_sighting_once_and_every_malformed_object() -> None:
    published = Published.of(truth_of())
    assert (published.sightings_in, published.sent_twice, published.vehicles) == (10, 1, 4)


def test_truth_without_summary_is_refused() -> None:
    with pytest.raises(ValueError, match="no summary"):
        Published.of([violation()])


def test_nothing_is_missing_when_everything_arrived() -> None:
    assert ledger.missing(PUBLISHED, STORED, 0, [issued(), review()]) == []


@pytest.mark.parametrize(
    ("stored", "undecided", "received", "told"),
    [
        (
            replace(STORED, sightings=7),
            0,
            [issued(), review()],
            "1 sightings lost: 10 published, 7 stored + 2 rejected",
        ),
        (replace(STORED, rejected=3), 0, [issued(), review()], "1 sightings too many"),
        (STORED, 2, [issued(), review()], "2 stored sightings are in no decided passage"),
        (replace(STORED, passages=7), 0, [issued(), review()], "7 passages, but 6 with an outcome"),
        (STORED, 0, [review()], "issued: 1 passages, 1 fines stored, 0 received from the topic"),
        (replace(STORED, issued=2), 0, [issued(), review()], "issued: 1 passages, 2 fines stored, 1 received"),
        (STORED, 0, [issued()], "review: 1 passages, 1 fines stored, 0 received"),
    ],
)
def test_each_loss_is_named(stored: Stored, undecided: int, received: list[Fine], told: str) -> None:
    (found,) = ledger.missing(PUBLISHED, stored, undecided, received)
    assert found.startswith(told)


def test_lost_sighting_fails_the_run() -> None:
    stored = replace(STORED, sightings=7)
    lost = ledger.missing(PUBLISHED, stored, 0, [issued(), review()])
    summary = summarised(truth_of(violation()), [issued(), review()], stored, lost)
    assert summary.exit_status == 1
    assert "≠" in summary.sightings_line


def test_wrong_fine_fails_the_run() -> None:
    innocent = msgspec.structs.replace(violation(), over=False, avg_speed_kmh=39.0)
    summary = summarised(truth_of(innocent), [issued(), review()], STORED)
    assert (summary.wrong, summary.exit_status) == (1, 1)
    assert summary.failures == ("1 wrong fines",)


def test_missed_violation_is_told_and_fails_nothing() -> None:
    summary = summarised(truth_of(violation()), [], NO_FINES)
    assert (summary.missed, summary.right, summary.exit_status) == (1, 0, 0)


def test_sound_run_passes_and_its_books_balance() -> None:
    summary = summarised(truth_of(violation()), [issued(), review()], STORED)
    assert summary.passed
    assert summary.exit_status == 0
    assert summary.sightings_line == "10 in = 8 stored + 2 rejected (1 came twice and count once)"
    assert summary.passages_line == "6 = 3 clear + 1 fined + 1 review + 1 unmeasurable"


def test_summary_has_the_agreed_names() -> None:
    found = summarised(truth_of(violation()), [issued(), review()], STORED).as_json()
    agreed = {"sightings_in": 10, "sightings_stored": 8, "rejected": 2, "passages": 6, "fines": 1, "reviews": 1}
    agreed |= {"wrong": 0, "missed": 0, "seconds_to_first_fine": 61.3}
    assert agreed.items() <= found.items()


def test_withdrawn_case_without_speed_can_be_scored() -> None:
    taken_back = msgspec.structs.replace(withdrawn(), avg_speed=None)
    summary = summarised(truth_of(), [issued(), taken_back], NO_FINES)
    assert (summary.withdrawn, summary.wrong) == (1, 0)


def test_last_word_on_a_fine_counts_whatever_the_order_of_arrival() -> None:
    assert [fine.status for fine in latest([withdrawn(), issued()])] == ["withdrawn"]


def test_interrupted_truth_counts_what_was_published() -> None:
    stopped = TruthSummary("sighting", 1, False, 2, 5, 0, 1, 0, 0, {})
    assert Published.of([stopped]).sightings_in == 6
