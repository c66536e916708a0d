"""python -m pipeline review through the local services: BigQuery, Pub/Sub and Cloud Storage."""

import itertools
import os
import shlex
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from google.api_core.exceptions import ServiceUnavailable
from msgspec.structs import replace
from packet_samples import jpeg, packed, verdict
from review_samples import PLATE, case

from pipeline import command_lines, endpoints, review_desk
from pipeline.deployment.plan import Resources, plan
from pipeline.enforcement import manifest
from pipeline.enforcement.alarms import Alarm, SeenAt
from pipeline.enforcement.manifest import digest
from pipeline.enforcement.model import AlarmKind, Reason, Status
from pipeline.enforcement.records import Evidence, Fine
from pipeline.enforcement.times import rfc3339
from pipeline.jobs import main
from pipeline.provision import provision
from pipeline.review_desk import Desk
from pipeline.warehouse import tables

numbers = itertools.count()
PROJECT = "local-project"
BUCKET = "review-evidence"


def recent(**fields):
    """A case of today, whose deadline has not passed."""
    exit_us = time.time_ns() // 1000 - 86_400_000_000
    return case(**({"entry_time": rfc3339(exit_us - 31_500_000), "exit_time": rfc3339(exit_us)} | fields))


class Office:
    """Resources of their own, and the command as a person gives it."""

    def __init__(self, names, capfd, subscriber):
        self.names, self._capfd, self._subscriber = names, capfd, subscriber
        self.client = endpoints.bigquery_client(PROJECT)

    def store(self, *fines: Fine) -> None:
        name = f"{PROJECT}.{self.names.dataset}.fines"
        assert self.client.insert_rows_json(name, [tables.row(fine) for fine in fines]) == []

    def run(self, *words: str):
        """Exit status, what was printed, what was said as an error."""
        options = [f"--project_id={PROJECT}", f"--dataset={self.names.dataset}"]
        if words[0] in ("confirm", "reject"):
            options.append(f"--output_topic={self.names.output_topic}")
        self._capfd.readouterr()
        status = main(["review", *words, *options])
        said = self._capfd.readouterr()
        assert "Traceback" not in said.err
        return status, said.out, said.err

    def confirm(self, fine, *words, reviewer="anna"):
        return self.run("confirm", fine.fine_id, f"--reviewer={reviewer}", f"--plate={PLATE}", *words)

    def reject(self, fine, *words, reviewer="bert"):
        return self.run("reject", fine.fine_id, f"--reviewer={reviewer}", "--reason=another car", *words)

    def rows(self, table, order="1"):
        sql = f"SELECT * FROM `{PROJECT}.{self.names.dataset}.{table}` ORDER BY {order}"
        return [dict(row.items()) for row in self.client.query(sql).result()]

    def latest(self):
        (row,) = self.rows("latest_fines")
        return row["revision"], row["status"], row["is_Ticketed"]

    def published(self, wanted, of=""):
        """The messages about fines; at least so many."""
        name = f"projects/{PROJECT}/subscriptions/{of or self.names.output_subscription}"
        found, deadline = [], time.monotonic() + 5
        while time.monotonic() < deadline and len(found) < max(wanted, 1):
            answer = self._subscriber.pull(subscription=name, max_messages=100, timeout=5)
            found += [one.message for one in answer.received_messages]
            if found:
                ids = [one.ack_id for one in answer.received_messages]
                self._subscriber.acknowledge(subscription=name, ack_ids=ids)
            elif not wanted:
                break
        return [(msgspec.json.decode(one.data, type=Fine), dict(one.attributes)) for one in found]


@pytest.fixture
def office(cloud, monkeypatch, capfd, subscriber):
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)
    mark = f"review{next(numbers)}"
    defaults = Resources.named_after(PROJECT)
    own = {
        name: f"{mark}-{value}"
        for name, value in defaults._asdict().items()
        if name.endswith(("topic", "scription", "_bucket"))
    }
    names = defaults._replace(**own, dataset=mark)
    for _ in provision(plan(names)):
        pass
    return Office(names, capfd, subscriber)


# --- list


def test_list_orders_marks_and_counts(office):
    mild, grave = recent(counted_speed=41.0), recent(counted_speed=70.0, reasons=(Reason.AMBIGUOUS_PAIRING,))
    hopeless, old = recent(reasons=(Reason.PICTURE_MISSING,)), case(exit_time="2026-01-01T00:00:00.000000Z")
    office.store(mild, hopeless, old, grave, recent(status=Status.ISSUED, reasons=()))
    status, out, err = office.run("list", "--capacity=1")
    assert (status, err) == (0, "")
    *listed, last = out.splitlines()
    assert [one.split()[0] for one in listed] == [one.fine_id for one in (grave, mild, hopeless, old)]
    assert "70.00 km/h, limit 40.2336 km/h (25 mph), First Avenue: its sightings can be paired" in listed[0]
    assert "[can only be rejected]" in listed[2]
    assert "[expired]" in listed[3]
    assert last == "4 cases: 2 to look at (1 a day), 1 can only be rejected, 1 expired"


def test_list_of_nothing(office):
    assert office.run("list") == (0, "0 cases: 0 to look at\n", "")


def test_policy_that_is_not_known_is_told_and_its_file_is_read(office, tmp_path):
    fine = recent(policy="ours")
    office.store(fine)
    status, out, err = office.run("list")
    assert status == 0
    assert "no deadline" in out
    assert (
        err == "python -m pipeline review: policy 'ours' is unknown, and so are its deadlines; name its file with "
        "--policies\n"
    )
    assert office.confirm(fine)[0] == 2
    (tmp_path / "ours.yaml").write_text("ours: {days_to_notice: 3}")
    assert "47 h left" in office.run("list", f"--policies={tmp_path}/ours.yaml")[1]
    assert office.confirm(fine, f"--policies={tmp_path}/ours.yaml")[0] == 0


def test_case_of_a_later_release_is_told_and_does_not_hide_the_others(office):
    fine, later = recent(), tables.row(recent()) | {"reasons": ["a_reason_to_come"]}
    office.store(fine)
    assert office.client.insert_rows_json(f"{PROJECT}.{office.names.dataset}.fines", [later]) == []
    status, out, err = office.run("list")
    assert status == 0
    assert out.splitlines()[0].startswith(fine.fine_id)
    assert "1 more cases were written by a later release" in err
    status, _, err = office.run("show", later["fine_id"])
    assert status == 2
    assert "written by a later release" in err


# --- alarms


def alarm(kind=AlarmKind.POSSIBLE_PAIR, hours_ago=1.0, passages=("p1", "p2"), **fields):
    seen_us = time.time_ns() // 1000 - round(hours_ago * 3_600_000_000)
    seen = (
        SeenAt("e1", rfc3339(seen_us), "G1", (40.7, -74.0), "gs://cameras/1.jpg"),
        SeenAt("e2", rfc3339(seen_us + 30_000_000)),
    )
    told = Alarm(f"{kind}-{hours_ago}", kind, "pseudonym", rfc3339(seen_us), 400.04, 30.0, 47.5, seen, passages)
    return replace(told, **fields)


def raise_alarms(office, *alarms):
    name = f"{PROJECT}.{office.names.dataset}.alarms"
    assert office.client.insert_rows_json(name, [tables.row(one) for one in alarms]) == []


def test_alarms_are_listed_once_the_newest_first(office):
    again = alarm(passages=("p1",))
    clone = alarm(AlarmKind.CLONE, hours_ago=2, passages=())
    raise_alarms(office, again, alarm(), clone, alarm(AlarmKind.NEAR_TWIN, hours_ago=24 * 8))
    status, out, err = office.run("alarms")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == (
        "possible_pair-1.0  possible_pair: an entry and an exit that may be one vehicle's, never fined: 400 m in "
        "30.000 s, 47.50 km/h at least"
    )
    assert lines[1].startswith("    G1, ")
    assert lines[1].endswith(", e1, gs://cameras/1.jpg")
    assert lines[2].startswith("    no camera, ")
    assert lines[2].endswith(", e2, no picture")
    assert lines[3] == "    passages p1, p2"
    assert "400 m apart in a straight line, 30.000 s between: 47.50 km/h at least" in lines[4]
    assert lines[-1] == "alarms of 7 days: 1 clone, 0 near_twin, 1 possible_pair"
    assert "near_twin-192" in office.run("alarms", "--kind=near_twin", "--days=9")[1]
    assert office.run("alarms", "--kind=near_twin")[1] == "alarms of 7 days: 0 near_twin\n"


def test_alarm_of_a_later_release_is_told_and_does_not_hide_the_others(office):
    later = tables.row(alarm()) | {"kind": "a_kind_to_come"}
    raise_alarms(office, alarm(hours_ago=2))
    assert office.client.insert_rows_json(f"{PROJECT}.{office.names.dataset}.alarms", [later]) == []
    status, out, err = office.run("alarms")
    assert (status, out.splitlines()[-1]) == (0, "alarms of 7 days: 0 clone, 0 near_twin, 1 possible_pair")
    assert "1 more alarms were written by a later release" in err


def test_every_kind_of_alarm_can_be_asked_for_and_has_words(office):
    for kind in AlarmKind:
        raise_alarms(office, alarm(kind))
        assert f"{kind}: " in office.run("alarms", f"--kind={kind}")[1]


@pytest.mark.parametrize("days", ["0", "-1", "week", "3651"])
def test_days_must_be_a_number_of_days(office, days):
    status, _, err = office.run("alarms", f"--days={days}")
    assert status == 2
    assert f"--days: found {days!r}; allowed: so many days back, 1 to 3650" in err


# --- show


def test_show_tells_everything_in_words(office):
    fine = recent(reasons=(Reason.LOW_CONFIDENCE, Reason.POLICY_REVIEW), packet_url="gs://e/packets/1.zip")
    office.store(fine)
    status, out, _ = office.run("show", fine.fine_id)
    assert status == 0
    for text in (
        f"{fine.fine_id}, revision 1, review",
        "First Avenue (G1-G2)",
        "400.1 m, wrong by 0.5 m at most",
        "31.500 s, wrong by 0.122 s at most",
        "average 45.73 km/h, at least 45.50 km/h, counted 45.50 km/h",
        "40.2336 km/h (25 mph)",
        "nyc, 50.00 USD",
        "12 d left",
        "the plate was read with too little confidence",
        "the policy has a person look at every case",
        "a look at one picture may settle it",
        "camera G2: gs://evidence/s/day/p/2-exit; camera read KLM4821 (US-NY); reader of plates: KLM4821, 40 % sure",
        "camera G1: gs://evidence/s/day/p/1-entry; camera read KLM4821 (US-NY); not read again",
        "gs://e/packets/1.zip",
    ):
        assert text in out
    assert office.reject(fine)[0] == 0
    assert "revision 1 rejected by bert at" in office.run("show", fine.fine_id)[1]


def test_what_somebody_wrote_into_a_name_does_not_reach_the_terminal(office):
    fine = recent(section="First\x1b[2J\nAvenue")
    office.store(fine)
    assert "\x1b" not in office.run("list")[1] + office.run("show", fine.fine_id)[1]


@pytest.fixture
def evidence(office):
    """A case whose pictures and packet lie in a bucket of its own."""
    bucket = endpoints.storage_client(PROJECT).bucket(office.names.evidence_bucket)
    shown = []
    for number, end in enumerate(("exit", "entry")):
        bucket.blob(f"s/day/p/{number}-{end}").upload_from_string(jpeg(number))
        url = f"gs://{bucket.name}/s/day/p/{number}-{end}"
        shown.append(Evidence(f"G{number}", url, digest(jpeg(number)), None, None, PLATE))
    made = packed(verdict())
    bucket.blob(manifest.packet_name(made.manifest)).upload_from_string(made.data)
    return recent(evidence=tuple(shown), packet_url=f"gs://{bucket.name}/{manifest.packet_name(made.manifest)}")


def test_pictures_and_sheet_are_saved_for_their_reader_alone(office, evidence, tmp_path):
    office.store(evidence)
    folder = tmp_path / "case"
    status, out, _ = office.run("show", evidence.fine_id, f"--save={folder}")
    assert status == 0
    assert {path.name for path in folder.iterdir()} == {"exit.jpg", "entry.jpg", "sheet.html", "sheet.pdf"}
    assert (folder / "exit.jpg").read_bytes() == jpeg(0)
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert f"saved     {folder}/entry.jpg, camera G1" in out


def test_picture_that_was_not_judged_or_is_gone_is_told(office, evidence, tmp_path):
    changed = replace(evidence.evidence[0], sha256="0" * 64)
    gone = replace(evidence.evidence[1], image_url=evidence.evidence[1].image_url + "-not")
    fine = replace(evidence, evidence=(changed, gone, replace(gone, image_url=None)), packet_url="gs://b/none.zip")
    office.store(fine)
    status, out, _ = office.run("show", fine.fine_id, f"--save={tmp_path}")
    assert status == 1
    failed = [text for text in out.splitlines() if text.startswith("FAILED")]
    assert len(failed) == 4
    assert "exit.jpg: not the picture that was judged; do not confirm by it" in failed[0]
    assert "does not exist" in failed[1]
    assert "there is none" in failed[2]


# --- confirm


def test_confirmed_case_becomes_a_fine_in_the_table_and_on_the_topic(office):
    fine = recent()
    office.store(fine)
    status, out, err = office.confirm(fine)
    assert (status, err) == (0, "")
    assert "confirmed by anna at" in out
    assert out.endswith(f"sent as revision 2, issued, plate {PLATE}\n")
    ((sent, attributes),) = office.published(1)
    assert attributes == {"fine_id": fine.fine_id, "status": "issued", "radar_id": "G1-G2"}
    assert (sent.status, sent.is_Ticketed, sent.revision, sent.license_plate) == (Status.ISSUED, True, 2, PLATE)
    assert office.latest() == (2, "issued", True)
    assert Desk(f"{PROJECT}.{office.names.dataset}").case(fine.fine_id).fine == sent
    (decision,) = office.rows("reviews")
    assert (decision["decision"], decision["reviewer"], decision["revision"]) == ("confirmed", "anna", 1)
    assert office.rows("review_queue") == []


def test_second_time_nothing_is_changed(office):
    fine = recent()
    office.store(fine)
    office.confirm(fine)
    office.published(1)
    status, out, _ = office.confirm(fine)
    assert status == 0
    assert "confirmed already, and its fine sent as revision 2; nothing was changed" in out
    assert office.confirm(fine, reviewer="carla")[0] == 0
    assert office.published(0) == []
    assert (len(office.rows("reviews")), len(office.rows("fines"))) == (1, 2)


def test_fine_that_could_not_be_sent_is_told_listed_and_sent_by_the_same_command(office, monkeypatch):
    fine = recent()
    office.store(fine)
    with monkeypatch.context() as patch:
        patch.setattr(Desk, "send", lambda *_: (_ for _ in ()).throw(ServiceUnavailable("down")))
        status, out, err = office.confirm(fine)
    assert (status, out) == (1, "")
    assert "the decision is stored, but not sent: 503 down" in err
    assert office.latest() == (1, "review", False)
    assert f"{fine.fine_id} is confirmed and its fine was not sent" in office.run("list")[2]
    assert office.confirm(fine, reviewer="carla")[0] == 0
    assert [sent.revision for sent, _ in office.published(1)] == [2]
    assert (office.latest(), len(office.rows("reviews"))) == ((2, "issued", True), 1)
    assert office.run("list")[2] == ""


def test_decision_that_is_not_stored_has_no_effect(office, monkeypatch):
    fine = recent()
    office.store(fine)
    office.client.delete_table(f"{PROJECT}.{office.names.dataset}.reviews")
    monkeypatch.setattr(Desk, "case", lambda *_: review_desk.Reviewed(fine))
    status, out, err = office.confirm(fine)
    assert (status, out) == (2, "")
    assert "Make it: python -m pipeline provision --project_id local-project --dataset" in err
    assert office.published(0) == []


def test_late_sighting_asks_for_another_look(office):
    """What was confirmed is not what is known now: the pipeline's next revision has the number of the fine."""
    fine = recent()
    office.store(fine)
    office.confirm(fine)
    office.store(replace(fine, revision=2, reasons=(Reason.LOW_CONFIDENCE, Reason.REVISED)))
    assert office.latest() == (2, "review", False)
    assert office.run("list")[1].startswith(fine.fine_id)
    status, _, err = office.confirm(fine)
    assert status == 2
    assert "look at both pictures" in err
    assert office.confirm(fine, "--both_pictures_seen")[0] == 0
    assert office.latest() == (3, "issued", True)


def test_revision_that_comes_while_a_person_decides_keeps_the_case_open(office, monkeypatch):
    fine = recent()
    office.store(fine)
    add = Desk.add

    def add_late(desk, review):
        add(desk, review)
        office.store(replace(fine, revision=2, status=Status.WITHDRAWN))

    monkeypatch.setattr(Desk, "add", add_late)
    status, out, err = office.confirm(fine)
    assert (status, out) == (1, "")
    assert "revision 2, withdrawn, came while you decided. Look at it again; no fine was sent" in err
    assert office.published(0) == []


# --- reject


def test_rejected_case_is_taken_back_and_never_a_fine(office):
    fine = recent()
    office.store(fine)
    status, out, _ = office.reject(fine)
    assert status == 0
    assert "rejected by bert at" in out
    assert out.endswith(": another car; sent as revision 2, withdrawn\n")
    ((sent, attributes),) = office.published(1)
    assert (sent.status, attributes["status"], sent.license_plate) == (Status.WITHDRAWN, "withdrawn", None)
    for later in (replace(fine, revision=2), replace(fine, revision=3), replace(fine, revision=4, reasons=())):
        office.store(later)
        status, _, err = office.confirm(fine, "--both_pictures_seen")
        assert status == 2
        assert "a rejected case is never a fine" in err
        assert office.latest()[1:] == ("withdrawn", False)
        assert office.rows("review_queue") == []
    assert office.published(0) == []


def test_second_rejection_changes_nothing_and_a_later_revision_is_taken_back_too(office):
    fine = recent()
    office.store(fine)
    office.reject(fine)
    status, out, _ = office.reject(fine, reviewer="carla")
    assert status == 0
    assert "rejected by bert" in out
    assert "nothing was changed" in out
    office.store(replace(fine, revision=3))
    assert office.reject(fine)[1].endswith("sent as revision 4, withdrawn\n")
    assert len(office.rows("reviews")) == 1


def test_rejection_of_what_another_confirmed_takes_the_fine_back(office):
    fine = recent()
    office.store(fine)
    office.confirm(fine)
    assert office.reject(fine)[0] == 0
    assert office.latest()[1:] == ("withdrawn", False)
    assert [sent.status for sent, _ in office.published(2)] == [Status.ISSUED, Status.WITHDRAWN]
    assert office.confirm(fine)[0] == 2


@pytest.mark.parametrize("first", ["confirm", "reject"])
def test_of_two_people_at_the_same_time_the_rejection_counts(office, monkeypatch, first):
    """Both have looked at the case before either decision was stored."""
    fine = recent()
    office.store(fine)
    second = {"confirm": office.reject, "reject": office.confirm}[first]
    add, nested = Desk.add, []

    def add_after_the_other(desk, review):
        if not nested:
            nested.append(True)
            with monkeypatch.context() as patch:
                seen = desk.case(fine.fine_id)
                cases = iter([seen])
                case_of = Desk.case
                patch.setattr(Desk, "case", lambda own, fine_id: next(cases, None) or case_of(own, fine_id))
                assert second(fine)[0] == 0
        add(desk, review)

    monkeypatch.setattr(Desk, "add", add_after_the_other)
    status, _, err = (office.confirm if first == "confirm" else office.reject)(fine)
    if first == "confirm":
        assert status == 1
        assert "a rejection counts more; no fine was sent" in err
    else:
        assert status == 0
    assert office.latest()[1:] == ("withdrawn", False)
    assert len(office.rows("reviews")) == 2
    assert office.published(1)[-1][0].status is Status.WITHDRAWN


def test_many_people_at_once_end_with_one_state(office, cloud):
    """As processes of their own: whatever comes first, a rejected case is no fine."""
    fine = recent()
    office.store(fine)
    common = [f"--project_id={PROJECT}", f"--dataset={office.names.dataset}"]
    common += [f"--output_topic={office.names.output_topic}"]

    def decide(number: int) -> int:
        words = ["reject", "--reason=no"] if number % 2 else ["confirm", f"--plate={PLATE}"]
        command = [sys.executable, "-m", "pipeline", "review", *words, fine.fine_id, f"--reviewer=person-{number}"]
        done = subprocess.run(
            [*command, *common], env=os.environ | cloud.env, capture_output=True, text=True, check=False
        )
        assert "Traceback" not in done.stderr
        return done.returncode

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(decide, range(4)))
    assert 0 in statuses
    assert office.latest()[1:] == ("withdrawn", False)
    assert Desk(f"{PROJECT}.{office.names.dataset}").case(fine.fine_id).fine.status is Status.WITHDRAWN


# --- cameras, the topic, mistakes


def test_cameras_tell_how_often_they_misread(office):
    right, wrong = recent(), recent()
    office.store(right, wrong)
    office.confirm(right, "--both_pictures_seen")
    office.reject(wrong, f"--plate=G2={PLATE}", "--plate=G1=KLM4822")
    status, out, _ = office.run("cameras")
    assert status == 0
    assert [text.split() for text in out.splitlines()[1:]] == [
        ["G1", "1", "2", "50.0%", "0", "of", "0"],
        ["G2", "0", "2", "0.0%", "0", "of", "2"],
    ]


def test_subscription_of_reviews_gets_them_alone(office):
    fine = recent()
    desk = Desk(f"{PROJECT}.{office.names.dataset}", f"projects/{PROJECT}/topics/{office.names.output_topic}")
    for status in Status:
        desk.send(replace(fine, status=status))
    assert [sent.status for sent, _ in office.published(1, office.names.review_subscription)] == [Status.REVIEW]
    assert office.published(0, office.names.review_subscription) == []


UNKNOWN = "00000000-0000-5000-8000-000000000000"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show"], "FINE_ID: found ''; allowed: the id of a case"),
        (["show", "x' OR TRUE --"], 'FINE_ID: found "x\' OR TRUE --"; allowed'),
        (["show", UNKNOWN], f"{UNKNOWN}: no case in local-project."),
        (["list", UNKNOWN], "FINE_ID: found with list; allowed: with show, confirm, reject. Leave it out"),
        (["list", "--save=x"], "--save: found with list; allowed: with show. Leave it out"),
        (["reject", UNKNOWN, "--after_deadline"], "--after_deadline: found with reject; allowed: with confirm"),
        (["list", "--capacity=0"], "--capacity: found '0'; allowed: how many cases are looked at in a day"),
        (["list", "--capacity=many"], "--capacity: found 'many'"),
        (["list", "--policies=/nowhere.yaml"], "--policies: /nowhere.yaml cannot be read"),
        (["confirm", UNKNOWN, "--plate=A1"], "--reviewer: found ''; allowed: who decides"),
        (["confirm", UNKNOWN, "--reviewer=a\nb"], "--reviewer: found 'a\\nb'; allowed"),
        (["weigh"], "action: invalid choice: 'weigh'"),
        (["list", "--capcity=3"], "--capcity=3: no such option. Did you mean --capacity?"),
    ],
)
def test_mistake_is_one_line(office, words, said):
    status, _, err = office.run(*words)
    assert status == 2
    assert said in err
    assert err.count("\n") == 1


def test_topic_that_does_not_exist_is_told_and_the_decision_waits(office):
    fine = recent()
    office.store(fine)
    endpoints.publisher().delete_topic(topic=f"projects/{PROJECT}/topics/{office.names.output_topic}")
    status, _, err = office.confirm(fine)
    assert status == 1
    assert "the decision is stored, but not sent: " in err


def test_dataset_that_does_not_exist_is_one_line(office):
    status = main(["review", "list", f"--project_id={PROJECT}", "--dataset=nobody_made_it"])
    assert status == 2
    err = office._capfd.readouterr().err
    assert "Make it: python -m pipeline provision --project_id local-project --dataset nobody_made_it" in err


def test_commands_of_the_page_are_taken():
    text = (Path(__file__).parents[1] / "docs/review.md").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if "-m pipeline review " in line and line.startswith("    ")]
    found = [command_lines.review().parse(shlex.split(line, comments=True)[4:]) for line in lines]
    assert [args.action for args in found] == ["list", "show", "confirm", "reject", "alarms", "cameras"]
    assert found[3].plate == ["G1=KLM4821", "G2=KLM4822"]


def test_command_imports_no_engine():
    code = "import sys, pipeline.jobs.review; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "apache_beam" not in found.stdout.split()


def test_folder_that_cannot_be_written_is_one_line(office, evidence, tmp_path):
    office.store(evidence)
    Path(tmp_path / "file").write_text("")
    status, _, err = office.run("show", evidence.fine_id, f"--save={tmp_path}/file")
    assert status == 2
    assert f"--save: {tmp_path}/file cannot be written" in err
