"""What a person decides: who may confirm what, which plates agree, what becomes of the case."""

import itertools

import msgspec
import pytest
from msgspec.structs import replace
from review_samples import EVIDENCE, NOW_US, PLATE, case

from pipeline.enforcement import decisions
from pipeline.enforcement.decisions import DecisionError, Reviewed, Told
from pipeline.enforcement.model import Decision, Reason, Status
from pipeline.enforcement.review import NEEDS, Needs
from pipeline.enforcement.times import rfc3339

LONG_AGO = NOW_US - 1


def told(*plates, both=False, reason="seen", reviewer="a@b"):
    return Told(reviewer, reason, plates or (PLATE, None), both)


def confirm(fine, said=None, *reviews, deadline=None, after_deadline=False):
    said = said or told()
    return decisions.confirm(Reviewed(fine, reviews), said, NOW_US, deadline, after_deadline=after_deadline)


def rejection(fine, revision=1):
    return decisions.reject(Reviewed(replace(fine, revision=revision)), told(), LONG_AGO)


# --- confirming


def test_confirmed_case_is_a_fine_in_its_next_revision():
    fine = case()
    sent = decisions.issued(fine, confirm(fine))
    assert (sent.status, sent.is_Ticketed, sent.revision) == (Status.ISSUED, True, 2)
    assert sent.reasons == (Reason.LOW_CONFIDENCE, Reason.CONFIRMED_BY_PERSON)
    assert (sent.license_plate, sent.amount, sent.evidence) == (PLATE, 50.0, EVIDENCE)
    assert "a@b" not in msgspec.json.encode(sent).decode()


def test_decision_is_recorded_with_who_when_why_and_what_was_read():
    fine = case()
    found = confirm(fine)
    assert (found.fine_id, found.revision, found.decision) == (fine.fine_id, 1, Decision.CONFIRMED)
    assert (found.reviewer, found.reason, found.decided_at) == ("a@b", "seen", rfc3339(NOW_US))
    assert [(one.camera_id, one.camera_right, one.text_right) for one in found.readings] == [("G2", True, True)]


def test_same_decision_has_the_same_id_and_another_one_has_not():
    fine = case()
    ids = {confirm(fine).review_id, confirm(fine).review_id, confirm(fine, told(reviewer="c")).review_id}
    ids |= {confirm(replace(fine, revision=2)).review_id, rejection(fine).review_id}
    assert len(ids) == 4


@pytest.mark.parametrize("reason", [reason for reason in Reason if NEEDS[reason] is Needs.MORE_THAN_PICTURES])
def test_what_pictures_cannot_settle_is_never_confirmed(reason):
    with pytest.raises(DecisionError, match="no person can confirm that"):
        confirm(case(reasons=(Reason.LOW_CONFIDENCE, reason)), told(PLATE, PLATE, both=True), after_deadline=True)


def test_pictures_that_were_not_kept_are_never_confirmed():
    with pytest.raises(DecisionError, match="its pictures were not kept; no person can confirm that"):
        confirm(case(evidence=(replace(EVIDENCE[0], sha256=None),)))


@pytest.mark.parametrize("reason", [reason for reason in Reason if NEEDS[reason] is Needs.BOTH_PICTURES])
def test_doubt_about_two_vehicles_takes_both_pictures(reason):
    fine = case(reasons=(reason,))
    with pytest.raises(DecisionError, match="look at both pictures, and say so with --both_pictures_seen"):
        confirm(fine)
    assert len(confirm(fine, told(PLATE, PLATE, both=True)).readings) == 2


@pytest.mark.parametrize(
    "plates", [("KLM4822", None), (None, "KLM4822"), (PLATE, "KLM4822"), ("KLM4822", PLATE), ("KLM4822", "KLM4822")]
)
def test_plate_that_differs_from_a_camera_at_either_end_is_not_confirmed(plates):
    with pytest.raises(DecisionError, match="not provably one vehicle"):
        confirm(case(), told(*plates, both=None not in plates))


def test_plate_that_only_the_other_camera_read_is_not_confirmed():
    """The picture that was not looked at speaks too: by its camera's own reading."""
    one, other = EVIDENCE
    with pytest.raises(DecisionError, match="camera G1 read KLM4822: not provably one vehicle"):
        confirm(case(evidence=(one, replace(other, plate="KLM4822"))), told(PLATE, None))


def test_plates_without_any_reading_of_a_camera_must_agree_with_each_other():
    unread = case(vehicle_id="track-7", evidence=tuple(replace(one, plate=None) for one in EVIDENCE))
    assert confirm(unread, told(PLATE, PLATE, both=True)).license_plate == PLATE
    with pytest.raises(DecisionError, match="not provably one vehicle"):
        confirm(unread, told(PLATE, "KLM4822", both=True))
    with pytest.raises(DecisionError, match="look at both pictures"):
        confirm(unread)


def test_spelling_of_a_plate_does_not_matter():
    assert confirm(case(), told("klm-4821", None)).license_plate == PLATE


def test_without_a_plate_nothing_is_confirmed():
    with pytest.raises(DecisionError, match="--plate: absent; needed to confirm"):
        confirm(case(), Told("a", None, (None, None), both_pictures_seen=True))


def test_expired_case_is_confirmed_only_where_somebody_says_so():
    fine = case()
    with pytest.raises(DecisionError, match=r"its deadline was .* with --after_deadline"):
        confirm(fine, deadline=NOW_US - 1)
    assert confirm(fine, deadline=NOW_US - 1, after_deadline=True)
    assert confirm(fine, deadline=NOW_US)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"status": Status.WITHDRAWN, "reasons": (Reason.NO_LONGER_OVER_LIMIT,)}, "it was taken back, with a late"),
        ({"status": Status.ISSUED, "reasons": ()}, "it is a fine already, revision 1"),
    ],
)
def test_closed_case_is_not_confirmed(fields, said):
    with pytest.raises(DecisionError, match=said):
        confirm(case(**fields))


@pytest.mark.parametrize("revision", [1, 2, 7])
def test_rejected_case_is_never_confirmed_in_whatever_revision(revision):
    fine = case()
    later = replace(fine, revision=revision)
    with pytest.raises(DecisionError, match=r"rejected by a@b at .*: seen; a rejected case is never a fine"):
        confirm(later, told(PLATE, PLATE, both=True), rejection(fine), after_deadline=True)


# --- rejecting


def test_rejected_case_is_taken_back_without_plate_and_pictures():
    found = decisions.withdrawn(case())
    assert (found.status, found.is_Ticketed, found.revision) == (Status.WITHDRAWN, False, 2)
    assert found.reasons == (Reason.REJECTED_BY_PERSON,)
    assert (found.license_plate, found.image_url, found.evidence, found.amount) == (None, None, (), None)


def test_rejection_takes_a_reason():
    with pytest.raises(DecisionError, match="--reason: absent; needed to reject"):
        decisions.reject(Reviewed(case()), told(reason=None), NOW_US)


def test_what_another_person_confirmed_can_be_rejected_and_a_fine_of_the_pipeline_cannot():
    fine = case()
    confirmed = decisions.issued(fine, confirm(fine))
    assert decisions.reject(Reviewed(confirmed), told(), NOW_US).revision == 2
    with pytest.raises(DecisionError, match="it is a fine that no person was asked about"):
        decisions.reject(Reviewed(replace(confirmed, reasons=())), told(), NOW_US)
    with pytest.raises(DecisionError, match="it was taken back already"):
        decisions.reject(Reviewed(decisions.withdrawn(fine)), told(), NOW_US)


def test_rejection_tells_which_camera_misread():
    found = decisions.reject(Reviewed(case()), told(PLATE, "KLM4822"), NOW_US)
    assert [(one.camera_id, one.camera_right) for one in found.readings] == [("G2", True), ("G1", False)]


def test_rejection_keeps_no_plate_of_anybody():
    found = decisions.reject(Reviewed(case()), told(PLATE, "KLM4822"), NOW_US)
    assert "KLM" not in msgspec.json.encode(found).decode()


@pytest.mark.parametrize(
    ("text", "right"), [(PLATE, True), ("KLM4822", False), ("not recognized", None), ("no texts found", None)]
)
def test_what_the_reader_of_plates_did_not_read_is_no_misreading(text, right):
    fine = case(evidence=(replace(EVIDENCE[0], text=text), EVIDENCE[1]))
    assert decisions.readings(fine, told())[0].text_right is right


# --- what contradicts


def test_decision_of_an_earlier_revision_confirms_no_later_one():
    fine = case()
    later = Reviewed(replace(fine, revision=2), (confirm(fine),))
    assert later.confirmation is None
    assert Reviewed(fine, later.reviews).confirmation == confirm(fine)


@pytest.mark.parametrize("statuses", list(itertools.permutations(Status)))
def test_latest_of_one_revision_is_the_better_one_for_the_driver(statuses):
    fine = case()
    rows = [replace(fine, status=status) for status in statuses]
    assert decisions.latest([*rows, replace(fine, revision=0)]).status is Status.WITHDRAWN
    assert decisions.latest([*rows, replace(fine, revision=2, status=Status.ISSUED)]).revision == 2


# --- plates as they are given


@pytest.mark.parametrize(
    ("words", "both", "read"),
    [
        (["ABC1"], False, ("ABC1", None)),
        (["ABC1"], True, ("ABC1", "ABC1")),
        (["G1=ABC1"], False, (None, "ABC1")),
        (["G1=ABC1", "G2=XYZ9"], False, ("XYZ9", "ABC1")),
        ([], True, (None, None)),
    ],
)
def test_plate_belongs_to_its_picture(words, both, read):
    assert decisions.plates_read(case(), words, both=both) == read


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--"], "found '--'; allowed: a plate, or CAMERA=PLATE"),
        (["G1="], "found 'G1='; allowed: a plate"),
        (["ABCDEFGHIJKLM"], "allowed: a plate"),
        (["G9=ABC1"], "found camera 'G9'; allowed: a camera of this case, G2, G1"),
        (["G1=ABC1", "G1=ABC2"], "found two plates for one picture"),
    ],
)
def test_plate_that_cannot_be_one(words, said):
    with pytest.raises(DecisionError, match=said):
        decisions.plates_read(case(), words, both=False)


def test_plate_of_a_case_without_pictures_is_of_none():
    assert decisions.plates_read(case(evidence=()), ["ABC1"], both=True) == ()
