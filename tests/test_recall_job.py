"""The recall job: from files of a bounded run and from the warehouse; what it prints, writes, publishes and refuses."""

import io
import itertools
import json
import re
import time
from pathlib import Path

import msgspec
import pytest
import requests
from msgspec.structs import replace
from stored_samples import T0_US, as_text, fine, record, section

from pipeline import endpoints, secret, withdrawals
from pipeline.enforcement.model import Status
from pipeline.enforcement.records import Fine
from pipeline.jobs import main
from pipeline.warehouse import tables

ROAD = section(1000.0, 50.0)
DAY = ("--from=2026-04-12", "--to=2026-04-13")
S = ("--section=s", *DAY)
SECTIONS = """
cameras:
  G1: {location: [40.7400, -73.9900]}
  G2: {location: [40.7431, -73.9877]}
  G3: {location: [40.7480, -73.9840]}
sections:
  - {id: s, cameras: [G1, G2, G3], length_m: [400, 600], limit: 50 km/h}
  - {id: line, line: [[40.74, -73.99], [40.75, -73.98]], limit: 50 km/h}
"""
FILES = ("--fines=fines-*", "--passages=passages-*")


def numbered(number: int) -> dict[str, object]:
    """Another vehicle, a second later."""
    return {"vehicle": f"PLATE{number}", "start_us": T0_US + number * 1_000_000}


def travel_us(kmh: float) -> int:
    return round(3.6e9 / kmh)


AT_55, AT_65, AT_75 = (fine(ROAD, travel_us(kmh), **numbered(at)) for at, kmh in enumerate((55, 65, 75)))
CASE_AT_58 = fine(ROAD, travel_us(58), "edem", Status.REVIEW, **numbered(3))
TAKEN_BACK = replace(fine(ROAD, travel_us(57), **numbered(4)), revision=2, status=Status.WITHDRAWN)
ELSEWHERE = replace(fine(ROAD, travel_us(55), **numbered(5)), radar_id="other")
LATER = fine(ROAD, travel_us(55), start_us=T0_US + 86_400_000_000)
REVISED = replace(AT_65, revision=0)
FINES = (AT_55, REVISED, AT_65, AT_75, CASE_AT_58, replace(TAKEN_BACK, revision=1, status=Status.ISSUED), TAKEN_BACK)
OTHERS = (ELSEWHERE, LATER)
PASSAGES = tuple(record(ROAD, travel_us(kmh), **numbered(at)) for at, kmh in enumerate((55, 65, 75, 58, 40, 48, 49)))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(secret.VARIABLE, "0123456789abcdef")
    Path("sections.yaml").write_text(SECTIONS)
    Path("fines-00000-of-00001.ndjson").write_bytes(as_text(*FINES, *OTHERS))
    Path("passages-00000-of-00001.ndjson").write_bytes(as_text(*PASSAGES))


@pytest.fixture
def run(capfd):
    """Recalls; gives the exit status, the lines that were printed and those of mistakes."""

    def recall(*argv: str) -> tuple[int, list[str], list[str]]:
        status = main(["recall", *argv])
        said = capfd.readouterr()
        assert "Traceback" not in said.err
        return status, said.out.splitlines(), said.err.splitlines()

    return recall


def effects(lines: list[str]) -> dict[str, str]:
    """The effect by fine, of the lines of the table."""
    found = {}
    for text in lines:
        if match := re.search(r"^(falls|changes|stands|cannot be told) .* ([0-9a-f-]{36})  ", text):
            found[match[2]] = match[1]
    return found


def sums(lines: list[str], name: str) -> list[int]:
    """The numbers of the line that begins so."""
    (text,) = [text for text in lines if text.strip().startswith(name)]
    return [int(number) for number in re.findall(r"\d+", text)]


# --- the list


def test_list_of_a_corrected_limit(run):
    status, lines, _ = run(*S, "--limit=60 km/h", *FILES)
    assert status == 0
    assert effects(lines) == {
        AT_55.fine_id: "falls",
        CASE_AT_58.fine_id: "falls",
        AT_65.fine_id: "changes",
        AT_75.fine_id: "changes",
    }
    assert sums(lines, "looked at") == [4, 2, 2, 0, 0]
    assert sums(lines, "issued") == [3, 1, 2, 0, 0]
    assert sums(lines, "review") == [1, 1, 0, 0, 0]
    assert sums(lines, "withdrawn") == [1]
    assert sums(lines, "clear") == [3, 0]


def test_lower_limit_raises_nothing_and_fines_nobody_after_the_fact(run):
    status, lines, _ = run(*S, "--limit=45 km/h", *FILES)
    assert status == 0
    assert set(effects(lines).values()) == {"stands"}
    assert sum("worse for the driver" in text for text in lines) == 4
    assert sums(lines, "clear") == [3, 2]
    assert "nobody is fined after the fact" in lines[-1]


@pytest.mark.parametrize(("argv", "effect"), [
    (("--clock_offset=G1=+20s",), "falls"), (("--clock_offset=G3=-20000ms",), "falls"),
    (("--clock_offset=G2=+20s",), "stands"), (("--clock_offset=G1=-1s",), "stands"),
    (("--clock_offset=G1=+1s", "--clock_offset=G3=+1s"), "stands"),
    (("--length_m=700",), "falls"), (("--length_m=1100",), "stands"),
    (("--length_error_m=300",), "falls"), (("--clock_error_s=20",), "falls"), (("--resolution_s=20",), "falls"),
])  # fmt: skip
def test_each_correction(run, argv, effect):
    status, lines, _ = run(*S, *argv, "--sections=sections.yaml", "--fines=fines-*")
    assert (status, effects(lines)[AT_55.fine_id]) == (0, effect)
    assert lines[-1] == "clear       not looked at: no --passages"


def test_first_line_says_what_is_corrected(run):
    words = ("--limit=25 mph", "--length_m=999.5", "--length_error_m=0", "--clock_offset=G1=+1.8s")
    _, lines, _ = run(*S, *words, "--sections=sections.yaml", "--fines=fines-*")
    assert lines[0].endswith(": limit 40.2336 km/h, length 999.5 m, error of the length 0 m, clock of G1 +1.8s")


PERIODS = [(0, 1, [AT_55]), (1, 3, [AT_65, AT_75])]


def of_period(run, start: int, end: int, source: str) -> set[str]:
    """The fines of the vehicles that entered from one second to another."""
    second = "2026-04-12T13:20:0{}Z".format
    words = ("--section=s", f"--from={second(start)}", f"--to={second(end)}", "--limit=50 km/h")
    return set(effects(run(*words, source)[1]))


@pytest.mark.parametrize(("start", "end", "wanted"), PERIODS)
def test_period_begins_with_its_first_moment_and_ends_before_its_last(run, start, end, wanted):
    assert of_period(run, start, end, "--fines=fines-*") == {one.fine_id for one in wanted}


def test_output_is_one_record_for_each_that_was_looked_at_and_names_no_vehicle(run):
    status, lines, _ = run(*S, "--limit=60 km/h", *FILES, "--output=list.ndjson")
    text = Path("list.ndjson").read_text()
    found = {one["fine_id"]: one for one in map(json.loads, text.splitlines())}
    assert status == 0
    assert {name: one["effect"] for name, one in found.items()} == effects(lines)
    assert (found[AT_65.fine_id]["before"]["limit_kmh"], found[AT_65.fine_id]["after"]["limit_kmh"]) == (50.0, 60.0)
    assert "PLATE" not in text + "".join(lines)


def test_what_cannot_be_told_is_in_the_sums(run):
    Path("fines-1").write_bytes(as_text(AT_55, replace(AT_65, policy="gone")))
    status, lines, _ = run(*S, "--limit=60 km/h", "--fines=fines-1")
    assert status == 0
    assert effects(lines)[AT_65.fine_id] == "cannot be told"
    assert sums(lines, "looked at") == [2, 1, 0, 1, 0]


def test_money_of_issued_fines(run):
    Path("own.yaml").write_text("own:\n  currency: EUR\n  amounts: [{more_than: 0 km/h, amount: 30.5}]\n")
    own = [
        replace(one, policy="own", amount=30.5, currency="EUR")
        for one in (AT_55, AT_65, replace(CASE_AT_58, revision=7))
    ]
    Path("fines-1").write_bytes(as_text(*own))
    _, lines, _ = run(*S, "--limit=60 km/h", "--fines=fines-1", "--policies=own.yaml")
    assert "money       EUR 61.00 -> 30.50, of issued ones" in lines


def test_files_of_a_bounded_run(run, capfd):
    lines = [
        json.dumps({"vehicle_id": vehicle, "camera_id": camera, "timestamp": T0_US / 1e6 + at_s})
        for vehicle, at_s_exit in (("FAST", 60), ("SLOW", 80))
        for camera, at_s in (("G1", 0), ("G2", 20), ("G3", at_s_exit))
    ]
    Path("day.ndjson").write_text("\n".join(lines))
    assert main(["--input=day.ndjson", "--sections=sections.yaml", "--output_dir=out"]) == 0
    capfd.readouterr()
    status, said, _ = run(
        *S, "--clock_offset=G1=+13s", "--sections=sections.yaml", "--fines=out/fines-*", "--passages=out/passages-*"
    )
    assert status == 0
    assert list(effects(said).values()) == ["falls"]
    assert sums(said, "clear") == [1, 0]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ((*S, *FILES), "found none; needed: at least one"),
        ((*S, "--limit=60", *FILES), "--limit: found '60'; allowed: a number with its unit"),
        ((*S, "--limit=60 km/h"), "files of a run, --dataset: found neither; allowed: exactly one"),
        ((*S, "--limit=60 km/h", "--passages=passages-*"), "--fines: absent"),
        ((*S, "--limit=60 km/h", *FILES, "--dataset=p-1.d"), "found both; allowed: exactly one"),
        ((*S, "--limit=60 km/h", "--fines=no*"), "--fines: found no file at "),
        ((*S, "--limit=60 km/h", "--fines=passages-*"), "passages-00000-of-00001.ndjson, line 1: no record of fines"),
        ((*S, "--clock_offset=G1=+1s", *FILES), "--sections: absent; needed with --clock_offset"),
        ((*S, "--length_m=900", *FILES), "--sections: absent; needed with --length_m"),
        ((*S, "--clock_offset=G1=1s", "--sections=sections.yaml", *FILES), "--clock_offset: found 'G1=1s'; allowed: "),
        ((*S, "--clock_offset=G9=+1s", "--sections=sections.yaml", *FILES), "found 'G9'; allowed: a camera of"),
        ((*S, *["--clock_offset=G1=+1s"] * 2, "--sections=sections.yaml", *FILES), "found G1 twice"),
        ((*S, "--clock_error_s=nan", *FILES), "--clock_error_s: found 'nan'; allowed: a number from 0 to 120"),
        (("--section=x", *DAY, "--length_m=9", "--sections=sections.yaml", *FILES), "--section: found 'x'; allowed"),
        (("--section=line", *DAY, "--length_m=9", "--sections=sections.yaml", *FILES), "a line without cameras"),
        (("--section=s", "--from=2026-04-12", "--to=2026-04-12", "--limit=60 km/h", *FILES), "allowed: a time after"),
        (("--section=s", "--from=12 April", "--to=2026-04-13", "--limit=60 km/h", *FILES), "--from: found '12 April'"),
        (("--section=s", "--from=2026-04-12T13:00", "--to=2026-04-13", "--limit=60 km/h", *FILES), "--from: found "),
        ((*S, "--limit=60 km/h", *FILES, "--yes"), "--yes: found without --publish_withdrawals"),
        ((*S, "--limit=60 km/h", *FILES, "--publish_withdrawals"), "--output_topic: absent; needed with"),
        ((*S, "--limit=60 km/h", *FILES, "--output=no/such/folder"), "--output: no/such/folder cannot be written"),
        ((*S, "--limit=60 km/h", *FILES, "--policies=none.yaml"), "--policies: none.yaml cannot be read"),
    ],
)  # fmt: skip
def test_mistake_is_one_line(run, argv, says):
    status, _, errors = run(*argv)
    assert (status, len(errors)) == (2, 1)
    assert errors[0].startswith("python -m pipeline: ")
    assert says in errors[0]


def test_line_that_cannot_be_read_ends_it(run):
    """It might be the fine that falls."""
    with Path("fines-00000-of-00001.ndjson").open("ab") as file:
        file.write(b'{"radar_id": "s"\n')
    status, lines, errors = run(*S, "--limit=60 km/h", *FILES)
    assert (status, lines) == (2, [])
    assert "fines-00000-of-00001.ndjson, line 10: no record of fines: " in errors[0]


# --- withdrawals, and the warehouse

numbers = itertools.count()


@pytest.fixture
def services(cloud, monkeypatch):
    for name, value in cloud.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def dataset(services):
    """A new dataset with the fines and passages of the files."""
    name, client = f"local-project.recall_{next(numbers)}", endpoints.bigquery_client("local-project")
    client.create_dataset(name)
    for table, rows in (("fines", (*FINES, *OTHERS)), ("passages", (*PASSAGES, *PASSAGES))):
        client.create_table(tables.table(name, table))
        assert client.insert_rows_json(f"{name}.{table}", [tables.row(row) for row in rows]) == []
    client.create_table(tables.table(name, "reviews"))
    client.create_table(tables.view(name, "latest_fines"))
    return name


def published(subscriber, inbox: str, wanted: int) -> list[Fine]:
    found, deadline = [], time.monotonic() + 10
    while len(found) < wanted and time.monotonic() < deadline:
        answer = subscriber.pull(subscription=inbox, max_messages=100, timeout=5)
        found += answer.received_messages
        if answer.received_messages:
            subscriber.acknowledge(subscription=inbox, ack_ids=[one.ack_id for one in answer.received_messages])
    fines = [msgspec.json.decode(one.message.data, type=Fine) for one in found]
    for fine_, one in zip(fines, found, strict=True):
        attributes = {"fine_id": fine_.fine_id, "status": "withdrawn", "radar_id": "s"}
        assert dict(one.message.attributes) == attributes
    return fines


def latest_statuses(dataset: str) -> dict[str, str]:
    rows = endpoints.bigquery_client("local-project").query_and_wait(f"SELECT * FROM `{dataset}.latest_fines`")
    return {row["fine_id"]: row["status"] for row in rows}


def test_warehouse_gives_the_same_list_as_files(run, dataset):
    for words in (("--limit=60 km/h",), ("--clock_offset=G1=+5s", "--sections=sections.yaml")):
        of_files, of_warehouse = (run(*S, *words, *source) for source in (FILES, (f"--dataset={dataset}",)))
        assert of_files == of_warehouse
        assert len(effects(of_files[1])) == 4


@pytest.mark.parametrize(("start", "end", "wanted"), PERIODS)
def test_period_is_the_same_one_in_the_warehouse(run, dataset, start, end, wanted):
    assert of_period(run, start, end, f"--dataset={dataset}") == {one.fine_id for one in wanted}


def test_section_is_a_value_and_no_part_of_the_question(run, dataset):
    status, lines, _ = run("--section=s' OR '1'='1", *DAY, "--limit=60 km/h", f"--dataset={dataset}")
    assert (status, sums(lines, "looked at")) == (0, [0, 0, 0, 0, 0])


def test_withdrawals_are_published_and_stored_for_those_that_fall_and_once(run, dataset, topic, subscribe, subscriber):
    inbox, words = subscribe(), (*S, "--limit=60 km/h", f"--dataset={dataset}")
    send = ("--publish_withdrawals", f"--output_topic={topic}", "--yes")
    before = latest_statuses(dataset)
    status, lines, errors = run(*words, *send)
    assert (status, errors) == (0, [])
    assert lines[-1] == f"withdrawals 2 published to {topic}, 2 stored in {dataset}"
    sent = {one.fine_id: one for one in published(subscriber, inbox, 2)}
    assert sent.keys() == {AT_55.fine_id, CASE_AT_58.fine_id}
    assert (sent[AT_55.fine_id].revision, sent[AT_55.fine_id].status) == (2, Status.WITHDRAWN)
    after = latest_statuses(dataset)
    assert {name for name in after if after[name] != before[name]} == sent.keys()
    assert all(after[name] == "withdrawn" for name in sent)

    status, lines, _ = run(*words, *send)
    assert (status, lines[-1], sums(lines, "withdrawn")) == (0, "nothing to withdraw", [3])
    assert sums(lines, "looked at") == [2, 0, 2, 0, 0]
    assert latest_statuses(dataset) == after
    assert published(subscriber, inbox, 0) == []


def test_withdrawal_of_the_same_files_is_the_same_message(run, services, topic, subscribe, subscriber):
    inbox = subscribe()
    words = (*S, "--limit=60 km/h", *FILES, "--publish_withdrawals", f"--output_topic={topic}", "--yes")
    assert [run(*words)[0] for _ in range(2)] == [0, 0]
    sent = published(subscriber, inbox, 4)
    assert len(sent) == 4
    assert len({msgspec.json.encode(one) for one in sent}) == 2


@pytest.mark.parametrize(("typed", "status", "count"), [("yes\n", 0, 2), ("no\n", 1, 0), ("", 1, 0)])
def test_somebody_is_asked(run, services, topic, subscribe, subscriber, monkeypatch, typed, status, count):
    monkeypatch.setattr("sys.stdin", io.StringIO(typed))
    inbox = subscribe()
    found, lines, errors = run(*S, "--limit=60 km/h", *FILES, "--publish_withdrawals", f"--output_topic={topic}")
    assert f"Type yes to publish 2 withdrawals to {topic}: " in "\n".join(lines)
    assert (found, errors) == (status, [] if count else ["nothing was withdrawn"])
    assert len(published(subscriber, inbox, count)) == count


def test_without_the_option_nothing_is_published_or_stored(run, dataset, topic, subscribe, subscriber):
    inbox, before = subscribe(), latest_statuses(dataset)
    assert run(*S, "--limit=60 km/h", f"--dataset={dataset}")[0] == 0
    assert latest_statuses(dataset) == before
    assert published(subscriber, inbox, 0) == []


def test_what_is_not_published_is_not_stored_and_is_told(run, dataset):
    """Stored alone, it would count as withdrawn, and nobody would ever hear of it."""
    before = latest_statuses(dataset)
    status, lines, errors = run(
        *S, "--limit=60 km/h", f"--dataset={dataset}", "--publish_withdrawals", "--yes",
        "--output_topic=projects/local-project/topics/no-such-topic",
    )  # fmt: skip
    assert status == 1
    assert len(errors) == 2
    assert all(" is not published to projects/local-project/topics/no-such-topic: NotFound" in text for text in errors)
    assert lines[-1].startswith("withdrawals 0 published to ")
    assert latest_statuses(dataset) == before


@pytest.mark.parametrize("answer", [requests.ConnectionError("down"), [{"index": 0, "errors": [{"message": "bad"}]}]])
def test_what_is_not_stored_is_told_and_sent_again_by_the_next_run(
    run, dataset, topic, subscribe, subscriber, monkeypatch, answer
):
    inbox, words = subscribe(), (*S, "--limit=60 km/h", f"--dataset={dataset}", "--publish_withdrawals", "--yes")
    client = endpoints.bigquery_client("local-project")

    def insert(*_: object, **__: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(client, "insert_rows_json", insert)
        status, lines, errors = run(*words, f"--output_topic={topic}")
    stored = 0 if isinstance(answer, Exception) else 1
    assert (status, len(errors)) == (1, 2 - stored)
    assert lines[-1] == f"withdrawals 2 published to {topic}, {stored} stored in {dataset}"
    assert " is published, and " in errors[0]
    assert run(*words, f"--output_topic={topic}")[0] == 0
    assert len(published(subscriber, inbox, 4)) == 4
    assert latest_statuses(dataset)[AT_55.fine_id] == "withdrawn"


def test_dataset_that_does_not_exist_is_one_line(run, services):
    status, _, errors = run(*S, "--limit=60 km/h", "--dataset=local-project.none")
    assert (status, len(errors)) == (2, 1)
    assert "a Google service cannot be used: NotFound" in errors[0]


def test_rows_are_stored_in_batches(monkeypatch, services, topic):
    calls = []

    class Client:
        def insert_rows_json(self, table: str, rows: list, row_ids: list, **_: object) -> list:
            calls.append((table, len(rows), len(set(row_ids))))
            return []

    monkeypatch.setattr(endpoints, "bigquery_client", lambda _: Client())
    many = [replace(TAKEN_BACK, fine_id=str(number)) for number in range(501)]
    assert withdrawals.send(many, topic, "example.com:p.d") == (501, 501, [])
    assert calls == [("example.com:p.d.fines", 500, 500), ("example.com:p.d.fines", 1, 1)]
