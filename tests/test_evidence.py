"""From a suspicion to its end: a fine only where everything agrees."""

import itertools

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from pipeline.enforcement import evidence, plates
from pipeline.enforcement.model import Case, Outcome, Passage, Picture, Reason, Sighting, Status, fine_id
from pipeline.enforcement.plates import TextBox
from pipeline.enforcement.sections import Section

T0_US = 1_776_000_000_000_000
SECTION = Section("s", 40.0, name="First Avenue")
PLATE, OTHER = "KLM4821", "RTS9035"
EXIT, ENTRY = 0, 1
PROBLEMS = (Reason.PICTURE_MISSING, Reason.PICTURE_UNAVAILABLE, Reason.PICTURE_INVALID, Reason.EVIDENCE_DIFFERS)


def suspected(*reasons: Reason, **fields: object) -> Passage:
    return Passage("p", "s", "A", 40.0, T0_US, T0_US + 1, 2, avg_speed_kmh=60.0, reasons=reasons, **fields)


def kept(camera_id: str, **fields: object) -> Picture:
    return Picture(
        **{"camera_id": camera_id, "image_url": f"gs://evidence/{camera_id}.jpg", "sha256": f"sha256 of {camera_id}"}
        | {"claimed": PLATE, "claimed_confidence": 0.97, "region": "US-NY"}
        | fields
    )


def case(*pictures: Picture, passage: Passage | None = None) -> Case:
    return Case(passage or suspected(), pictures)


def words(*texts: str, confidence: float | None = 0.99) -> tuple[TextBox, ...]:
    return tuple(TextBox(text, confidence, 0, 100 * number, 200, 50) for number, text in enumerate(texts))


def read(found: Case, *answers: tuple[TextBox, ...] | None) -> tuple[Case, int]:
    """Two rounds of reading as the pipeline does them: `answers` of exit and entry, None where the reader fails.

    The case after them, and how many pictures were read."""
    for number_read in range(2):
        index = evidence.next_to_read(found)
        if index is None:
            return found, number_read
        answer = answers[index]
        found = (
            evidence.with_failed_reading(found, index)
            if answer is None
            else evidence.with_reading(found, index, answer)
        )
    return found, 2


def verdict(found: Case) -> tuple[Status, tuple[Reason, ...]]:
    passage, fine = evidence.judge(found, SECTION)
    assert fine.reasons == passage.reasons
    assert fine.is_Ticketed == (fine.status is Status.ISSUED) == (passage.outcome is Outcome.FINED)
    assert passage.outcome in (Outcome.FINED, Outcome.REVIEW)
    return fine.status, fine.reasons


# --- which pictures


def ends(**fields: object) -> tuple[Sighting, Sighting]:
    return (
        Sighting("e1", "A", T0_US, camera_id="G0", image_url="gs://c/0.jpg", plate=PLATE, **fields),
        Sighting("e2", "A", T0_US + 1, camera_id="G1", image_url="gs://c/1.jpg", plate=PLATE, **fields),
    )


def test_camera_section_shows_exit_then_entry():
    entry, leaving = ends()
    assert evidence.sightings_to_show(suspected(entry=entry, exit=leaving)) == (leaving, entry)


@pytest.mark.parametrize("where", ["entry", "exit", "both"])
def test_radar_track_shows_one_picture_that_it_has(where):
    entry, leaving = (
        Sighting(name, "A", T0_US, location=(1.0, 2.0), image_url="gs://c/x.jpg" if where in (name, "both") else None)
        for name in ("entry", "exit")
    )
    (shown,) = evidence.sightings_to_show(suspected(entry=entry, exit=leaving))
    assert shown.event_id == ("exit" if where == "both" else where)


def test_radar_track_without_pictures_asks_for_one():
    entry, leaving = (Sighting(name, "A", T0_US, location=(1.0, 2.0)) for name in ("entry", "exit"))
    assert evidence.sightings_to_show(suspected(entry=entry, exit=leaving)) == (leaving,)


def test_case_names_pictures_and_claims():
    entry, leaving = ends(plate_region="US-NY", plate_confidence=0.7)
    found = evidence.case_of(suspected(entry=entry, exit=leaving))
    assert [picture.image_url for picture in found.pictures] == ["gs://c/1.jpg", "gs://c/0.jpg"]
    assert {(picture.claimed, picture.region, picture.claimed_confidence) for picture in found.pictures} == {
        (PLATE, "US-NY", 0.7)
    }


# --- what is read


def test_clean_path_reads_one_picture():
    found, number_read = read(case(kept("G1"), kept("G0")), words(PLATE), words(PLATE))
    assert number_read == 1
    assert verdict(found) == (Status.ISSUED, ())


def test_least_sure_camera_is_read_first():
    assert (
        evidence.next_to_read(case(kept("G1", claimed_confidence=0.99), kept("G0", claimed_confidence=0.95))) == ENTRY
    )
    assert evidence.next_to_read(case(kept("G1", claimed_confidence=0.95), kept("G0", claimed_confidence=0.99))) == EXIT


@pytest.mark.parametrize(
    "first",
    [words(OTHER), words("hello"), (), None, words(PLATE, confidence=0.1)],
    ids=["other", "no plate", "no text", "failed", "unsure"],
)
def test_doubtful_reading_reads_the_other_picture(first):
    _, number_read = read(case(kept("G1"), kept("G0")), first, words(PLATE))
    assert number_read == 2


def test_unsure_camera_is_read_even_after_an_agreement():
    both = case(kept("G1", claimed_confidence=0.5), kept("G0", claimed_confidence=0.6))
    _, number_read = read(both, words(PLATE), words(PLATE))
    assert number_read == 2


@pytest.mark.parametrize("first", [0.5, None])
def test_sure_camera_is_not_read_after_an_agreement(first):
    both = case(kept("G1", claimed_confidence=first), kept("G0", claimed_confidence=evidence.SURE_CAMERA))
    _, number_read = read(both, words(PLATE), words(PLATE))
    assert number_read == 1


def test_camera_that_does_not_say_how_sure_it_is_is_not_sure():
    """A misread at the end that is read second is found."""
    both = case(kept("G1", claimed_confidence=None), kept("G0", claimed_confidence=None))
    found, number_read = read(both, words(PLATE), words(PLATE))
    assert (number_read, verdict(found)) == (2, (Status.ISSUED, ()))
    found, _ = read(both, words(PLATE), words(OTHER))
    assert verdict(found)[0] is Status.REVIEW
    half = evidence.with_reading(both, EXIT, words(PLATE))
    assert verdict(half) == (Status.REVIEW, (Reason.PLATES_NOT_READ,))


@pytest.mark.parametrize(("exit_sure", "entry_sure"), [(None, 0.97), (0.97, None)])
def test_only_the_camera_that_does_not_say_is_read(exit_sure, entry_sure):
    both = case(kept("G1", claimed_confidence=exit_sure), kept("G0", claimed_confidence=entry_sure))
    assert evidence.next_to_read(both) == (EXIT if exit_sure is None else ENTRY)
    found, number_read = read(both, words(PLATE), words(PLATE))
    assert (number_read, verdict(found)) == (1, (Status.ISSUED, ()))


def test_picture_with_a_problem_is_not_read():
    assert evidence.next_to_read(case(kept("G1", problem=Reason.PICTURE_MISSING), kept("G0"))) == ENTRY
    assert evidence.next_to_read(case(kept("G1", problem=Reason.PICTURE_MISSING))) is None


def test_nothing_is_read_a_third_time():
    found, _ = read(case(kept("G1"), kept("G0")), (), ())
    assert evidence.next_to_read(found) is None


# --- what is issued


def test_second_picture_confirms_where_the_first_is_unreadable():
    found, _ = read(case(kept("G1"), kept("G0")), (), words(PLATE))
    assert verdict(found) == (Status.ISSUED, ())


def test_second_picture_does_not_undo_a_disagreement():
    found, _ = read(case(kept("G1"), kept("G0")), words(OTHER), words(PLATE))
    assert verdict(found) == (Status.REVIEW, (Reason.PLATE_DISAGREES,))


def test_unread_case_is_reviewed():
    assert verdict(case(kept("G1"), kept("G0"))) == (Status.REVIEW, (Reason.PLATES_NOT_READ,))


def test_case_without_pictures_is_reviewed():
    status, reasons = verdict(case())
    assert (status, bool(reasons)) == (Status.REVIEW, True)


def test_open_question_is_reviewed():
    """One picture agrees, but the camera at the other end was unsure and its picture was not looked at."""
    half = case(kept("G1", claimed_confidence=0.3), kept("G0", claimed_confidence=0.4))
    half = evidence.with_reading(half, EXIT, words(PLATE))
    assert evidence.next_to_read(half) == ENTRY
    status, reasons = verdict(half)
    assert (status, bool(reasons)) == (Status.REVIEW, True)


def test_plates_that_differ_in_one_character_are_reviewed():
    """Two vans whose plates differ in one character, each confirmed by its own picture."""
    near = PLATE[:-1] + "7"
    found, _ = read(
        case(kept("G1", claimed_confidence=0.5), kept("G0", claimed=near, claimed_confidence=0.5)),
        words(PLATE),
        words(near),
    )
    status, reasons = verdict(found)
    assert status is Status.REVIEW
    assert {Reason.CAMERA_PLATES_DIFFER, Reason.PLATES_DIFFER} <= set(reasons)


def test_claims_in_two_spellings_are_one_plate():
    found, _ = read(case(kept("G1"), kept("G0", claimed="klm-4821")), words(PLATE), words(PLATE))
    assert verdict(found) == (Status.ISSUED, ())


def test_reading_without_a_claim_is_the_plate():
    """Feeds whose vehicle_id is no plate."""
    found, _ = read(case(kept(None, claimed=None, region=None)), words(PLATE))
    _, fine = evidence.judge(found, SECTION)
    assert (fine.status, fine.license_plate) == (Status.ISSUED, PLATE)


def test_fine_carries_its_evidence():
    found, _ = read(case(kept("G1"), kept("G0")), words(PLATE), words(PLATE))
    _, fine = evidence.judge(found, SECTION)
    assert (fine.radar_id, fine.section, fine.fine_id, fine.license_plate) == ("s", "First Avenue", fine_id("p"), PLATE)
    assert fine.image_url == "gs://evidence/G1.jpg"
    assert [(item.camera_id, item.image_url, item.sha256, item.text) for item in fine.evidence] == [
        ("G1", "gs://evidence/G1.jpg", "sha256 of G1", PLATE),
        ("G0", "gs://evidence/G0.jpg", "sha256 of G0", None),
    ]


@pytest.mark.parametrize(
    ("answer", "text"), [((), plates.NO_TEXTS), (words("hello"), plates.NOT_RECOGNIZED), (None, plates.NOT_RECOGNIZED)]
)
def test_unreadable_plate_keeps_the_classic_words(answer, text):
    found, _ = read(case(kept("G1"), kept("G0")), answer, answer)
    _, fine = evidence.judge(found, SECTION)
    assert (fine.license_plate, fine.is_Ticketed) == (text, False)


def test_withdrawal_says_why():
    cleared = replace(suspected(), outcome=Outcome.CLEAR, avg_speed_kmh=30.0, revision=2)
    fine = evidence.withdraw(cleared, SECTION)
    assert (fine.status, fine.is_Ticketed, fine.reasons) == (Status.WITHDRAWN, False, (Reason.NO_LONGER_OVER_LIMIT,))
    assert (fine.fine_id, fine.revision) == (fine_id("p"), 2)


READINGS = {
    "agrees": words(PLATE),
    "disagrees": words(OTHER),
    "no plate": words("hello"),
    "no text": (),
    "failed": None,
    "low confidence": words(PLATE, confidence=0.2),
}
CLAIMS = {"same": (PLATE, PLATE), "different": (PLATE, OTHER), "none": (None, None), "one": (PLATE, None)}
COMBINATIONS = list(
    itertools.product(
        READINGS, READINGS, CLAIMS, (None, *PROBLEMS), (None, EXIT, ENTRY), (None, 0.5, 0.99), (False, True)
    )
)


def must_issue(one: str, other: str, claims: str, problem: Reason | None, doubted: bool, unsure: bool) -> bool:
    """The rule in words: no doubt, both pictures kept, claims agree, a picture agrees, none that is read disagrees."""
    if doubted or problem or claims == "different":
        return False
    if claims == "none":  # one reading has nothing to agree with but the other
        return one == other and one in ("agrees", "disagrees")
    if claims == "one" or unsure:  # both are read
        return "agrees" in (one, other) and "disagrees" not in (one, other)
    if one == "agrees":  # the exit's picture, read first
        return True
    return one != "disagrees" and other == "agrees"


def test_every_combination_is_issued_only_when_it_must():
    wrong = []
    for one, other, claims, problem, at, sure, doubted in COMBINATIONS:
        if (problem is None) != (at is None):
            continue
        pictures = [
            kept(f"G{number}", claimed=claim, claimed_confidence=sure, problem=problem if number == at else None)
            for number, claim in enumerate(CLAIMS[claims])
        ]
        passage = suspected(Reason.AMBIGUOUS_PAIRING) if doubted else suspected()
        found, _ = read(case(*pictures, passage=passage), READINGS[one], READINGS[other])
        issued = verdict(found)[0] is Status.ISSUED
        expected = must_issue(one, other, claims, problem, doubted, sure in (None, 0.5))
        if issued != expected or (issued and (problem or doubted)):
            wrong.append((one, other, claims, problem, at, sure, doubted))
    assert wrong == []


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.builds(
            Picture,
            camera_id=st.sampled_from(["G0", "G1", None]),
            image_url=st.sampled_from(["gs://e/x.jpg", "gs://e/y.jpg"]),
            claimed=st.sampled_from([PLATE, OTHER, None, "klm 4821"]),
            claimed_confidence=st.sampled_from([None, 0.1, 0.95]),
            problem=st.sampled_from([None, None, *PROBLEMS]),
            text=st.sampled_from([None, PLATE, OTHER, plates.NOT_RECOGNIZED, plates.NO_TEXTS]),
            doubt=st.sampled_from(
                [None, Reason.PLATE_DISAGREES, Reason.NO_TEXT, Reason.LOW_CONFIDENCE, Reason.OCR_FAILED]
            ),
        ),
        max_size=2,
    ),
    st.lists(st.sampled_from([Reason.AMBIGUOUS_PAIRING, Reason.REVISED, Reason.IMPLAUSIBLE_SPEED]), max_size=2),
)
def test_nothing_with_a_doubt_is_ever_issued(pictures, reasons):
    found = case(*pictures, passage=suspected(*reasons))
    status, given_reasons = verdict(found)
    assert (status is Status.ISSUED) == (not given_reasons)
    if status is Status.ISSUED:
        assert not reasons
        assert not any(picture.problem for picture in pictures)
        confirmed = {picture.text for picture in pictures if picture.text is not None and picture.doubt is None}
        assert len(confirmed) == 1
        assert evidence.next_to_read(found) is None
        assert not any(picture.doubt is Reason.PLATE_DISAGREES for picture in pictures)


def test_every_verdict_on_a_plate_has_its_reason():
    """What the plate reader may say must be known here, or the case is lost on the way."""
    shapes = [
        (),
        words("hello"),
        words(PLATE),
        words(PLATE, OTHER),
        words("KLM4821", confidence=0.3),
        words("A1B2C3D4"),
        words("OIQ1234"),
    ]
    for boxes, claimed, region in itertools.product(shapes, (None, PLATE, OTHER, "--"), (None, "US-NY", "XX")):
        found = evidence.with_reading(case(kept("G1", claimed=claimed, region=region)), EXIT, boxes)
        assert found.pictures[EXIT].text is not None


# --- what no camera claimed


def test_identity_that_is_a_plate_is_a_claim():
    sighting = Sighting("e", "KLM4821", T0_US, camera_id="G1", plate_region="US-NY")
    assert evidence.picture_of(sighting).claimed == "KLM4821"
    assert evidence.picture_of(replace(sighting, vehicle_id="v-17")).claimed is None


@pytest.mark.parametrize("plate", ["-", "???", " "])
def test_plate_without_a_letter_or_digit_is_no_claim(plate):
    sighting = Sighting("e", "v-17", T0_US, camera_id="G1", plate=plate)
    assert evidence.picture_of(sighting).claimed is None


def test_two_vehicles_under_one_placeholder_are_never_fined():
    """Nobody's plate at the entry, somebody's at the exit: nothing says that it is one vehicle."""
    found, number_read = read(case(kept("G1", claimed=None), kept("G0", claimed=None)), words(PLATE), ())
    assert number_read == 2
    assert verdict(found)[0] is Status.REVIEW


def test_plate_claimed_at_one_end_must_be_on_both_pictures_or_none():
    found, number_read = read(case(kept("G1", claimed=None), kept("G0")), words(OTHER), words(PLATE))
    assert number_read == 2
    assert verdict(found)[0] is Status.REVIEW


# --- one picture at both ends


def by_url(claimed: str | None = PLATE, **fields: object) -> Case:
    """Both cameras named one address; what lay there changed between the two copies, so that the bytes differ."""
    entry, leaving = (replace(sighting, image_url="gs://c/x.jpg") for sighting in ends())
    pictures = (kept(name, claimed=claimed, **fields) for name in ("G1", "G0"))
    return case(*pictures, passage=suspected(entry=entry, exit=leaving))


def by_evidence_url(claimed: str | None = PLATE, **fields: object) -> Case:
    return case(*(kept(name, claimed=claimed, image_url="gs://e/x.jpg", **fields) for name in ("G1", "G0")))


def by_bytes(claimed: str | None = PLATE, **fields: object) -> Case:
    return case(*(kept(name, claimed=claimed, sha256="00", **fields) for name in ("G1", "G0")))


@pytest.mark.parametrize("same", [by_url, by_evidence_url, by_bytes])
@pytest.mark.parametrize("claimed", [PLATE, None])
@pytest.mark.parametrize("sure", [None, 0.5, 0.99])
def test_one_picture_at_both_ends_is_one_proof(same, claimed, sure):
    """One end has no proof of its own: where two are needed there is one, and one is not enough for two cameras."""
    found, _ = read(same(claimed, claimed_confidence=sure), words(PLATE), words(PLATE))
    assert verdict(found) == (Status.REVIEW, (Reason.SAME_PICTURE,))


def test_one_picture_at_both_ends_is_read_once():
    _, number_read = read(by_bytes(claimed_confidence=0.5), None, words(PLATE))
    assert number_read == 1


def test_two_pictures_that_are_missing_are_not_the_same_one():
    both = case(*(kept(name, image_url=None, sha256=None, problem=Reason.PICTURE_MISSING) for name in ("G1", "G0")))
    assert Reason.SAME_PICTURE not in verdict(both)[1]


def test_radar_track_needs_one_picture_in_all():
    """One instrument: a feed that has one picture of each vehicle, under whatever names, is fined by it."""
    track = {"claimed": None, "region": None, "sha256": "00"}
    found, _ = read(case(kept(None, **track), kept(None, **track)), words(PLATE), words(PLATE))
    assert verdict(found) == (Status.ISSUED, ())


# --- issued only if nothing speaks against it

THIRD = "HJT7305"
SHOWN = {  # what stands on a picture: the plates that it shows
    "plate": (PLATE,),
    "other": (OTHER,),
    "near": (PLATE[:-1] + "7",),
    "both": (PLATE, OTHER),
    "two strangers": (OTHER, THIRD),
    "no plate": (),
    "nothing": (),
    "fails": (),
}


def mostly(usual: object, *others: object) -> st.SearchStrategy:
    """Nearly always the usual: one thing out of ten must be wrong, not ten at once, for a fine to be in question."""
    return st.sampled_from([usual] * 3 * len(others) + list(others))


def boxes_of(shown: str, confidence: float | None) -> tuple[TextBox, ...] | None:
    if shown == "fails":
        return None
    return words("hello", confidence=confidence) if shown == "no plate" else words(*SHOWN[shown], confidence=confidence)


ENDS = st.fixed_dictionaries(
    {
        "claimed": mostly(PLATE, "klm 4821", OTHER, PLATE[:-1] + "7", None),
        "region": mostly("US-NY", "US-PA", None),
        "claimed_confidence": st.sampled_from([None, 0.5, 0.99]),
        "problem": mostly(None, *PROBLEMS),
    }
)
READ = st.tuples(mostly("plate", *SHOWN), mostly(0.99, None, 0.2, 0.6))


def enough(picture: Picture) -> float:
    return plates.MIN_CONFIDENCE_CLAIMED if picture.claimed else plates.MIN_CONFIDENCE_ALONE


@settings(max_examples=800, deadline=None)
@given(
    st.tuples(ENDS, ENDS),
    st.tuples(READ, READ),
    mostly("two", "one address", "one picture"),
    mostly(False, True),
    mostly((), (Reason.REVISED,), (Reason.IMPLAUSIBLE_SPEED,)),
)
def test_a_fine_is_issued_only_if_everything_agrees(sides, readings, pictures, ambiguous, reasons):
    sha256 = {"sha256": "00"} if pictures == "one picture" else {}
    urls = ("gs://c/1.jpg", "gs://c/1.jpg" if pictures == "one address" else "gs://c/0.jpg")
    leaving, entry = (Sighting("e", "A", T0_US, camera_id="G", image_url=url) for url in urls)
    passage = suspected(*reasons, ambiguous=ambiguous, entry=entry, exit=leaving)
    before = case(*(kept(f"G{end}", **side, **sha256) for end, side in enumerate(sides)), passage=passage)
    found, _ = read(before, *(boxes_of(*reading) for reading in readings))
    _, fine = evidence.judge(found, SECTION)
    event(fine.status)
    if fine.status is not Status.ISSUED:
        return
    plate = fine.license_plate
    claims = [plates.normalise(side["claimed"]) for side in sides if side["claimed"]]
    looked_at = [(*reading, one) for reading, one in zip(readings, found.pictures, strict=True) if one.text is not None]
    sure = [SHOWN[shown] for shown, confidence, one in looked_at if (confidence or 1.0) >= enough(one)]
    assert (plate,) in sure, "no picture shows this plate alone, and surely"
    assert all(plate in SHOWN[shown] for shown, *_ in looked_at if SHOWN[shown]), "a picture shows another plate"
    assert set(claims) <= {plate}, "a camera read another plate"
    taken_at_their_word = [one for one in found.pictures if one.text is None]
    assert all((one.claimed_confidence or 0.0) >= evidence.SURE_CAMERA for one in taken_at_their_word)
    assert len({side["region"] for side in sides} - {None}) <= 1, "plates of two states"
    assert claims or len(sure) == len(sides), "nobody says that it is one vehicle"
    assert not any(side["problem"] for side in sides)
    assert pictures == "two"
    assert not ambiguous
    assert not reasons


@pytest.mark.parametrize("shown", [words(OTHER, confidence=0.6), words("A1B2C3D4"), words("OIQ1234")])
def test_unsure_reading_of_another_plate_speaks_against_the_claim_of_the_other_end(shown):
    """It does not stand alone, and still it is no picture of the claimed plate."""
    found, _ = read(case(kept("G1", claimed=None), kept("G0")), shown, words(PLATE))
    assert verdict(found) == (Status.REVIEW, (Reason.PLATE_DISAGREES,))


@pytest.mark.parametrize("claimed", [PLATE, None])
def test_picture_of_two_strangers_speaks_against_the_claim(claimed):
    found, _ = read(case(kept("G1", claimed=claimed), kept("G0")), words(OTHER, THIRD), words(PLATE))
    assert verdict(found) == (Status.REVIEW, (Reason.PLATE_DISAGREES,))


def test_picture_of_the_vehicle_and_a_stranger_speaks_neither_for_nor_against():
    found, number_read = read(case(kept("G1"), kept("G0")), words(PLATE, OTHER), words(PLATE))
    assert (verdict(found), number_read) == ((Status.ISSUED, ()), 2)


def test_one_plate_of_two_states_is_two_plates():
    found, _ = read(case(kept("G1"), kept("G0", region="US-PA")), words(PLATE), words(PLATE))
    assert verdict(found) == (Status.REVIEW, (Reason.CAMERA_PLATES_DIFFER,))


def test_ambiguous_passage_is_reviewed_whatever_its_reasons_say():
    found, _ = read(case(kept("G1"), kept("G0"), passage=suspected(ambiguous=True)), words(PLATE), words(PLATE))
    assert verdict(found) == (Status.REVIEW, (Reason.AMBIGUOUS_PAIRING,))


def test_fine_names_the_plate_that_was_agreed_on():
    """A frame of another state's name hides the layout that sets I and 1 right; the camera's reading has it."""
    frame = TextBox("CALIFORNIA", 0.99, 0, 60, 200, 30)
    plate = TextBox("KLM482I", 0.99, 0, 0, 200, 50)
    found, _ = read(case(kept("G1", region=None), kept("G0", region=None)), (plate, frame))
    _, fine = evidence.judge(found, SECTION)
    assert (fine.status, fine.evidence[0].text, fine.license_plate) == (Status.ISSUED, "KLM482I", PLATE)


@pytest.mark.parametrize(("plate", "region"), [("ABC12O4", "US-NY"), ("BOB1S23", "US-NY"), ("ABC12O4", None)])
def test_plate_that_both_spell_and_no_state_issues_is_for_a_person(plate, region):
    """Either a personal plate, whose repair would be another car's, or camera and reader err alike."""
    pictures = (kept("G1", claimed=plate, region=region), kept("G0", claimed=plate, region=region))
    found, _ = read(case(*pictures), words(plate), words(plate))
    assert verdict(found) == (Status.REVIEW, (Reason.UNKNOWN_LAYOUT,))


def test_plate_that_camera_and_picture_spell_alike_is_never_changed():
    """Under another state's name the reading is not repaired, and the fine names what both have said."""
    state = TextBox("CALIFORNIA", 0.99, 0, 60, 200, 30)
    pictures = (kept("G1", claimed="ABC12O4", region=None), kept("G0", claimed="ABC12O4", region=None))
    found, _ = read(case(*pictures), (TextBox("ABC12O4", 0.99, 0, 0, 200, 50), state))
    _, fine = evidence.judge(found, SECTION)
    assert fine.license_plate == "ABC12O4"
