"""The step that seals verdicts: what has its packet goes on as it is, what could get none is for a person."""

import itertools
from types import SimpleNamespace

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from google.api_core.exceptions import ServiceUnavailable
from google.cloud.storage import Blob
from msgspec.structs import replace
from packet_samples import SECTION, jpeg, rules, verdict

from pipeline.enforcement import decisions, evidence
from pipeline.enforcement.decisions import DecisionError, Reviewed, Told
from pipeline.enforcement.model import Case, Outcome, Passages, Reason, Status
from pipeline.enforcement.records import Fine, Verdict
from pipeline.enforcement.sections import Network
from pipeline.packets import keys
from pipeline.transforms.judge import Part
from pipeline.transforms.packets import SealVerdicts, SealWithdrawals

BUCKET = "archive-evidence"
numbers = itertools.count()


@pytest.fixture
def section():
    """Each test's own, with a chain of its own."""
    return replace(SECTION, section_id=f"sealed {next(numbers)}")


@pytest.fixture
def settings(storage, tmp_path, section):
    """What sealing asks of a run's."""
    return SimpleNamespace(
        network=Network({}, {section.section_id: section}, {}),
        policies={section.section_id: rules().policy},
        tolerance_kmh=0.0,
        session_gap_s=30.0,
        evidence_bucket=BUCKET,
        signing_key=keys.source(str(tmp_path / "signing.key")),
    )


@pytest.fixture
def case(storage, section):
    """Makes verdicts of the section whose pictures are in the bucket; with a reason they are for a person."""

    def make(*reasons: Reason) -> Verdict:
        found, kept = verdict(under=rules(section)), []
        for number, picture in enumerate(found.pictures):
            name = f"pictures/{found.passage.passage_id}/{number}"
            storage.bucket(BUCKET).blob(name).upload_from_string(jpeg(50 + 100 * number))
            kept.append(replace(picture, image_url=f"gs://{BUCKET}/{name}"))
        undecided = Case(replace(found.passage, outcome=None, reasons=reasons), tuple(kept))
        return Verdict(*evidence.judge(undecided, section), tuple(kept))

    return make


@pytest.fixture
def failing(monkeypatch):
    """Makes the store refuse whatever is written under this beginning of a name."""
    upload = Blob.upload_from_string

    def refuse(beginning: str) -> None:
        def instead(blob, *args, **options):
            if blob.name.startswith(beginning):
                raise ServiceUnavailable("no")
            upload(blob, *args, **options)

        monkeypatch.setattr(Blob, "upload_from_string", instead)

    return refuse


def counted(result, namespace):
    found = result.metrics().query(beam.metrics.MetricsFilter().with_namespace(namespace))["counters"]
    return {one.key.metric.name: one.committed for one in found if one.committed}


FOUND: dict[str, list] = {}  # of the run in hand: what is checked inside it is a copy


def keep_passages(found):
    FOUND["passages"] = [one for all_ in found for one in all_.passages]


def keep_fines(found):
    FOUND["fines"] = list(found)


def run(settings, verdicts):
    """What goes on: the passages and the messages, in no order, and what the engine counted."""
    FOUND.clear()
    pipeline = beam.Pipeline(runner=FnApiRunner())
    made = pipeline | beam.Create(verdicts, reshuffle=False).with_output_types(Verdict)
    parted = made | SealVerdicts(settings) | beam.ParDo(Part()).with_outputs("fines", main="passages")
    parted.passages.element_type, parted.fines.element_type = Passages, Fine
    assert_that(parted.passages, keep_passages, label="passages")
    assert_that(parted.fines, keep_fines, label="fines")
    result = pipeline.run()
    result.wait_until_finish()
    return FOUND["passages"], FOUND["fines"], counted(result, "packets"), counted(result, "fines")


def test_what_has_its_packet_goes_on_as_it_is(settings, case):
    verdicts = [case(), case(Reason.POLICY_REVIEW)]
    passages, fines, packets, statuses = run(settings, verdicts)
    assert {one.passage_id: one for one in passages} == {one.passage.passage_id: one.passage for one in verdicts}
    bare = {fine.fine_id: replace(fine, packet_url=None) for fine in fines}
    assert bare == {one.fine.fine_id: one.fine for one in verdicts}
    assert all(fine.packet_url for fine in fines)
    assert (packets, statuses) == ({"sealed": 2}, {"issued": 1, "review": 1})


@pytest.mark.parametrize("what", ["packets/", "chain/"])
def test_fine_whose_packet_cannot_be_written_is_for_a_person(settings, case, failing, what):
    """Neither is one whose packet has no place in the chain. Passage and message say the same, and so do the sums."""
    verdicts = [case(), case(Reason.LOW_CONFIDENCE)]
    assert [one.fine.status for one in verdicts] == [Status.ISSUED, Status.REVIEW]
    failing(what)
    passages, fines, packets, statuses = run(settings, verdicts)
    expected = {one.fine.fine_id: (*one.fine.reasons, Reason.PACKET_MISSING) for one in verdicts}
    assert {fine.fine_id: fine.reasons for fine in fines} == expected
    assert {(fine.status, fine.is_Ticketed, fine.packet_url) for fine in fines} == {(Status.REVIEW, False, None)}
    assert {one.outcome for one in passages} == {Outcome.REVIEW}
    by_passage = {fine.passage_id: fine.reasons for fine in fines}
    assert {one.passage_id: one.reasons for one in passages} == by_passage
    assert {fine.revision for fine in fines} == {1}
    assert (packets, statuses) == ({"failed": 2}, {"review": 2})


def test_no_person_can_make_a_fine_without_a_packet(settings, case, failing):
    failing("packets/")
    _, (fine,), _, _ = run(settings, [case(Reason.LOW_CONFIDENCE)])
    told = Told("anna", "why", (fine.vehicle_id, fine.vehicle_id), both_pictures_seen=True)
    with pytest.raises(DecisionError, match=r"its packet of evidence could not be written.*Reject it"):
        decisions.confirm(Reviewed(fine), told, 0, None, after_deadline=False)
    assert decisions.reject(Reviewed(fine), told, 0).fine_id == fine.fine_id


def test_run_without_a_key_changes_nothing(settings, case, failing):
    failing("packets/")
    verdicts = [case()]
    settings.signing_key = None
    passages, fines, packets, statuses = run(settings, verdicts)
    assert (passages, fines) == ([verdicts[0].passage], [verdicts[0].fine])
    assert (packets, statuses) == ({}, {"issued": 1})


def test_withdrawal_waits_for_no_packet(settings, section, case, failing):
    """It is for the driver."""
    failing("packets/")
    fine = evidence.withdraw(case().passage, section)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        made = pipeline | beam.Create([fine], reshuffle=False).with_output_types(Fine)
        assert_that(made | SealWithdrawals(settings), equal_to([fine]))


def test_verdict_of_two_tries_is_the_better_one_for_the_driver(case):
    """Should both of one revision be stored after all: as the view latest_fines has it."""
    found = case()
    both = [replace(found.fine, packet_url="gs://e/p.zip"), evidence.without_packet(found).fine]
    assert decisions.latest(both) == decisions.latest(both[::-1]) == both[1]
