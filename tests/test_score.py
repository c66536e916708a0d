"""The score: what counts as right, wrong, missed or under review."""

import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from generator.cli import main
from generator.score import AlarmMessage, FineMessage, SeenAt, TripLeg, Verdict, score, table
from generator.truth import TruePassage, TruthSummary, write_truth

ROOT = Path(__file__).parent.parent
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


def passage(
    plate="ABC1234", *, start_s=0.0, speed=60.0, over=True, section="G1-G2", faults=(), basis="distance_time", **other
):
    travel_s = 500 * 3.6 / speed
    entry = NOON + timedelta(seconds=start_s)
    fields = {
        "section_id": section,
        "vehicle_id": plate,
        "plate": plate,
        "plate_region": "US-NY",
        "vehicle_class": "car",
        "entry_time": entry.isoformat(),
        "exit_time": (entry + timedelta(seconds=travel_s)).isoformat(),
        "distance_m": 500.0,
        "travel_time_s": travel_s,
        "avg_speed_kmh": speed,
        "limit_kmh": 40.0,
        "over": over,
        "basis": basis,
        "faults": tuple(faults),
    }
    return TruePassage(**(fields | other))


def fine_of(true, *, fine_id="1", status="issued", shift_s=0.0, **other):
    fields = {
        "fine_id": fine_id,
        "status": status,
        "vehicle_id": true.vehicle_id,
        "entry_time": datetime.fromisoformat(true.entry_time) + timedelta(seconds=shift_s),
        "exit_time": datetime.fromisoformat(true.exit_time) + timedelta(seconds=shift_s),
        "avg_speed": true.avg_speed_kmh,
        "license_plate": true.plate,
        "radar_id": true.section_id,
    }
    return FineMessage(**(fields | other))


def only(result, verdict):
    assert [finding.verdict for finding in result.findings] == [verdict]
    return result.findings[0]


def test_a_fine_for_a_true_violation_is_right():
    true = passage()
    only(score([true], [fine_of(true)]), Verdict.RIGHT)


def test_spelling_of_the_plate_does_not_matter():
    true = passage()
    only(score([true], [fine_of(true, license_plate="abc 1234")]), Verdict.RIGHT)


def test_an_innocent_fined_is_wrong_and_both_speeds_and_faults_are_told():
    true = passage(speed=39.9, over=False, faults=["clock_jitter"])
    found = only(score([true], [fine_of(true, avg_speed=40.2)]), Verdict.WRONG)
    assert "40.20" in found.explanation
    assert "39.90" in found.explanation
    assert "clock_jitter" in found.explanation


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"license_plate": "ABC1235"}, "plate"),
        ({"license_plate": None}, "plate"),
        ({"shift_s": 2.0}, "2.0 s off"),
        ({"avg_speed": 61.0}, "speed"),
        ({"shift_s": 3600.0}, "none then and there"),
        ({"radar_id": "G2-G3"}, "none then and there"),
        ({"vehicle_id": "XYZ9999"}, "no such vehicle"),
    ],
)
def test_a_fine_that_differs_from_the_violation_is_wrong_and_the_violation_missed(change, reason):
    true = passage()
    result = score([true], [fine_of(true, **change)])
    assert [finding.verdict for finding in result.findings] == [Verdict.WRONG, Verdict.MISSED]
    assert reason in result.findings[0].explanation


def test_a_clock_a_little_off_is_still_the_same_passage():
    true = passage()
    only(score([true], [fine_of(true, shift_s=0.9)]), Verdict.RIGHT)


def test_a_fined_near_twin_is_wrong():
    guilty, twin = passage("ABC1234"), passage("ABC1284", start_s=2, speed=38, over=False)
    result = score([guilty, twin], [fine_of(guilty, vehicle_id="ABC1284", license_plate="ABC1284")])
    assert result.wrong == 1
    assert result.missed == 1


def test_two_fines_for_one_passage_are_one_right_and_one_wrong():
    true = passage()
    result = score([true], [fine_of(true), fine_of(true, fine_id="2")])
    assert (result.right, result.wrong, result.missed) == (1, 1, 0)
    assert "twice" in result.of(Verdict.WRONG)[0].explanation


def test_two_passages_of_one_vehicle_are_told_apart_by_time():
    first, second = passage(), passage(start_s=300)
    result = score([first, second], [fine_of(second)])
    assert (result.right, result.wrong, result.missed) == (1, 0, 1)


def test_a_violation_without_a_fine_is_missed_with_its_faults():
    found = only(score([passage(faults=["misreads"])], []), Verdict.MISSED)
    assert "misreads" in found.explanation
    assert "60.00" in found.explanation


def test_a_missed_violation_says_that_its_vehicle_had_turned_off_there_before():
    (finding,) = score([passage(turned_off_s=271.4)], []).findings
    assert "; 271 s before, it had been seen there and turned off; no fault touched it" in finding.explanation


def test_a_missed_violation_names_the_faults_of_the_nearest_other_passage_there():
    true = passage(plate="A", event_ids=("1", "2"))
    others = [
        passage(plate="A", start_s=at_s, over=False, faults=[fault], section=section)
        for at_s, fault, section in ((372, "misreads", "G1-G2"), (-900, "lateness", "G1-G2"), (60, "disorder", "G3-G4"))
    ]
    (finding,) = score([true, *others, passage(plate="B", faults=["disorder"], over=False)], []).findings
    assert finding.explanation.endswith("; it passed there 372 s later too, with faults: misreads; no fault touched it")


def test_what_shares_a_sighting_with_a_fined_passage_is_of_its_trip_and_another_one_is_missed():
    whole = passage(section="A-C", event_ids=("1", "2", "3"))
    leg = passage(section="A-B", event_ids=("1", "2"), faults=["misreads"])
    later = passage(section="A-B", start_s=3600, event_ids=("7", "8"), faults=["misreads"])
    result = score([leg, whole, later], [fine_of(whole)])
    assert (result.right, result.same_trip, result.missed) == (1, 1, 1)
    assert (result.of(Verdict.SAME_TRIP)[0].section_id, len(result.findings)) == ("A-B", 3)
    # What no fault touched should be named.
    bare = msgspec.structs.replace(leg, faults=())
    assert score([bare, whole], [fine_of(whole)]).missed == 1
    assert score([bare, whole], [fine_of(whole, trip=(TripLeg("A-B", *times_of(bare)),))]).same_trip == 1
    # Without a fine nothing stands for any of them.
    assert score([leg, whole, later], []).missed == 3
    assert score([leg, whole], [fine_of(whole, status="withdrawn")]).missed == 2


def test_two_fines_for_one_trip_are_one_right_and_one_wrong():
    whole, leg = passage(section="A-C", event_ids=("1", "2", "3")), passage(section="A-B", event_ids=("1", "2"))
    result = score([leg, whole], [fine_of(leg, fine_id="1"), fine_of(whole, fine_id="2")])
    assert (result.right, result.wrong) == (1, 1)
    assert "fined twice for one trip" in result.of(Verdict.WRONG)[0].explanation


def times_of(true):
    return datetime.fromisoformat(true.entry_time), datetime.fromisoformat(true.exit_time)


def pair(*event_ids, kind="possible_pair"):
    return AlarmMessage(kind, tuple(map(SeenAt, event_ids)))


def test_a_violation_whose_two_ends_are_told_as_a_possible_pair_is_offered():
    whole = passage(section="A-C", event_ids=("1", "2", "3"), faults=["misreads"])
    leg = passage(section="B-C", event_ids=("2", "3"), faults=["misreads"])
    offered = only(score([whole], [], [pair("1", "3")]), Verdict.OFFERED)
    assert (offered.section_id, offered.vehicle_id) == ("A-C", "ABC1234")
    assert [one.verdict for one in score([whole, leg], [], [pair("1", "3")]).findings] == [
        "offered as a possible pair",
        "missed",
    ]
    assert score([whole], [], [pair("1", "4")]).missed == 1
    assert score([whole], [], [pair("1", "3", kind="near_twin")]).missed == 1
    # What is fined is not counted again.
    only(score([whole], [fine_of(whole)], [pair("1", "3")]), Verdict.RIGHT)
    assert not score([passage(over=False, event_ids=("1", "3"))], [], [pair("1", "3")]).findings


def test_an_innocent_without_a_fine_is_nothing():
    assert score([passage(speed=30, over=False)], []).findings == ()


def test_reviews_of_violations_and_of_innocents_are_counted_apart():
    guilty, innocent = passage(), passage("XYZ9876", speed=30, over=False)
    result = score(
        [guilty, innocent], [fine_of(guilty, status="review"), fine_of(innocent, fine_id="2", status="review")]
    )
    assert len(result.of(Verdict.REVIEW_OF_VIOLATION)) == 1
    assert len(result.of(Verdict.REVIEW_OF_INNOCENT)) == 1
    assert (result.reviews, result.wrong, result.missed) == (2, 0, 0)


def test_the_highest_revision_counts_wherever_it_stands():
    true = passage()
    withdrawn = fine_of(true, status="withdrawn", revision=2)
    for messages in ([fine_of(true), withdrawn], [withdrawn, fine_of(true)]):
        result = score([true], messages)
        assert (result.right, result.missed, len(result.of(Verdict.WITHDRAWN))) == (0, 1, 1)
        assert "withdrawn" in result.of(Verdict.MISSED)[0].explanation


def test_a_withdrawn_fine_of_an_innocent_harms_nobody():
    true = passage(speed=39, over=False)
    only(score([true], [fine_of(true), fine_of(true, status="withdrawn", revision=2)]), Verdict.WITHDRAWN)


def test_a_withdrawn_fine_without_a_speed_is_withdrawn():
    true = passage(speed=39, over=False)
    result = score([true], [fine_of(true), fine_of(true, status="withdrawn", revision=2, avg_speed=None)])
    only(result, Verdict.WITHDRAWN)


def test_an_issued_fine_without_a_speed_is_wrong():
    guilty, innocent = passage(), passage("XYZ9876", speed=30, over=False)
    fines = [fine_of(guilty, avg_speed=None), fine_of(innocent, fine_id="2", avg_speed=None)]
    result = score([guilty, innocent], fines)
    assert (result.wrong, result.missed) == (2, 1)
    assert all("without a speed" in finding.explanation for finding in result.of(Verdict.WRONG))


def test_without_times_the_vehicle_identifies_and_the_speed_must_agree():
    true = passage(basis="point_speeds", section="", vehicle_id="v-1", plate=None)
    only(score([true], [fine_of(true, shift_s=9999, radar_id="any", license_plate="ABC1234")]), Verdict.RIGHT)
    mean_of_speeds = fine_of(true, radar_id="any", license_plate="ABC1234", avg_speed=64.0)
    assert score([true], [mean_of_speeds]).wrong == 1


def test_without_times_the_plate_must_be_the_picture_s_if_it_is_known():
    true = passage("KLM4567", basis="point_speeds", section="", vehicle_id="v-1")
    assert score([true], [fine_of(true, license_plate="KLM4567")]).right == 1
    assert score([true], [fine_of(true, license_plate="KLM4568")]).wrong == 1


def test_right_missed_and_reviewed_add_up_to_the_violations():
    passages = [passage(f"AAA{number:04d}", start_s=number) for number in range(30)]
    messages = [fine_of(p, fine_id=p.plate) for p in passages[:10]]
    messages += [fine_of(p, fine_id=p.plate, status="review") for p in passages[10:15]]
    result = score(passages, messages)
    assert (result.right, result.reviews, result.missed, result.violations) == (10, 5, 15, 30)


def test_the_table_explains_each_wrong_fine_and_each_missed_violation():
    true, innocent = passage(faults=["lateness"]), passage("XYZ9876", speed=30, over=False)
    text = table(score([true, innocent], [fine_of(innocent)]))
    assert "1 violations in 2 passages" in text
    assert "wrong: XYZ9876 in G1-G2" in text
    assert "missed: ABC1234 in G1-G2" in text


def write(tmp_path, passages, fines):
    summary = TruthSummary("sighting", 1, True, len(passages), 0, 0, 0, len(passages), 0, {})
    write_truth(tmp_path / "truth.ndjson", [*passages, summary])
    (tmp_path / "fines.ndjson").write_bytes(b"\n".join(msgspec.json.encode(fine) for fine in fines))
    return ["score", "--truth", str(tmp_path / "truth.ndjson"), "--fines", str(tmp_path / "fines.ndjson")]


def test_alarms_are_read_too(tmp_path, capsys):
    write(tmp_path, [passage(event_ids=("1", "2"))], [])
    (tmp_path / "alarms.ndjson").write_bytes(msgspec.json.encode(pair("1", "2")) + b"\n")
    files = [f"--{name}={tmp_path / name}.ndjson" for name in ("truth", "fines", "alarms")]
    assert main(["score", *files]) == 0
    assert re.search("offered as a possible pair +1\n", capsys.readouterr().out)


def test_exit_code_is_1_if_any_fine_is_wrong(tmp_path, capsys):
    true = passage()
    assert main(write(tmp_path, [true], [fine_of(true)])) == 0
    assert main(write(tmp_path, [true], [])) == 0
    assert main(write(tmp_path, [true], [fine_of(true, vehicle_id="XYZ9999")])) == 1
    assert "no such vehicle" in capsys.readouterr().out


def test_a_file_with_a_withdrawn_fine_without_a_speed_is_read(tmp_path, capsys):
    true = passage(speed=39, over=False)
    assert main(write(tmp_path, [true], [fine_of(true, status="withdrawn", avg_speed=None)])) == 0
    assert "withdrawn" in capsys.readouterr().out


@pytest.mark.skipif(sys.platform == "win32", reason="has no SIGPIPE")
def test_a_reader_that_has_enough_ends_it_without_a_traceback(tmp_path):
    missed = [passage(f"AAA{number:04d}", start_s=number) for number in range(2000)]  # more than a pipe holds
    command = [sys.executable, "-m", "generator", *write(tmp_path, missed, [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as run:
        assert b"2,000 violations" in run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == -signal.SIGPIPE


@pytest.mark.parametrize("line", [b'{"kind": "passage"}', b"no JSON", b'{"kind": "\xff"}', b"[" * 20_000])
@pytest.mark.parametrize("option", ["truth", "fines"])
def test_a_file_of_something_else_is_one_line_and_exit_code_2(option, line, tmp_path, capsys):
    words = write(tmp_path, [passage()], [fine_of(passage())])
    with (tmp_path / f"{option}.ndjson").open("r+b") as file:
        file.write(line + b"\n")
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"generator: --{option} {tmp_path}/{option}.ndjson, line 1: ")
    assert error.count("\n") == 1


def test_a_missing_file_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert main(["score", "--truth", str(tmp_path / "no"), "--fines", str(tmp_path / "no")]) == 2
    assert capsys.readouterr().err.count("\n") == 1
