"""Notices: what a line says, that their order does not matter, and a file of them that is followed."""

import json
import logging
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import notices as notices_file
from pipeline.enforcement import notices
from pipeline.enforcement.limits import Limits, Quarantine, SectionNotices, SignNotice
from pipeline.enforcement.sections import Network, Section
from pipeline.enforcement.times import parse_rfc3339_us
from pipeline.notices import POLL_S, Following
from pipeline.option_values import OptionError

T = "2026-03-02T12:00:00Z"
NETWORK = Network(
    {},
    {
        "a": Section("a", 50.0),
        "b": Section("b", 50.0),
        "sign": Section("sign", 50.0, limits=Limits(variable=True)),
    },
    {},
)


def at(minutes: float) -> int:
    return parse_rfc3339_us(T) + round(minutes * 60_000_000)


def time(minutes: float) -> str:
    return f"2026-03-02T{12 + int(minutes // 60):02}:{int(minutes % 60):02}:00Z"


def line(section_id: str = "a", **fields: object) -> dict[str, object]:
    return {"section_id": section_id} | {name.rstrip("_"): value for name, value in fields.items()}


def limit(minutes: float, text: str | None, section_id: str = "a", **fields: object) -> dict[str, object]:
    return line(section_id, from_=time(minutes), limit=text, **fields)


def quarantine(minutes: float, why: str | None, section_id: str = "a", **fields: object) -> dict[str, object]:
    return line(section_id, from_=time(minutes), quarantine=why, **fields)


def written(*lines: object) -> bytes:
    return b"".join((one if isinstance(one, bytes) else json.dumps(one).encode()) + b"\n" for one in lines)


def said(*lines: object) -> dict[str, SectionNotices]:
    found, problems = notices.read(written(*lines), NETWORK.sections)
    assert problems == []
    return notices.by_section(found)


def test_limits_of_a_sign():
    found = said(limit(5, None), limit(0, "60 km/h"), limit(5, "25 mph", classes=["truck", "bus"]), limit(0, "60 km/h"))
    assert found == {
        "a": SectionNotices(
            "a",
            (SignNotice(at(0), 60.0), SignNotice(at(5), None), SignNotice(at(5), 40.2336, ("bus", "truck"))),
        )
    }


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([quarantine(0, "works")], [(0, None)]),
        ([quarantine(0, "works", until=time(5))], [(0, 5)]),
        ([quarantine(0, "works"), quarantine(7, None)], [(0, 7)]),
        ([quarantine(0, "works", until=time(5)), quarantine(3, None)], [(0, 3)]),
        ([quarantine(0, "works", until=time(5)), quarantine(9, None)], [(0, 5)]),
        ([quarantine(0, None), quarantine(3, "works")], [(3, None)]),
        ([quarantine(3, None), quarantine(3, "works")], [(3, None)]),  # in doubt it goes on
        ([quarantine(0, "x"), quarantine(2, "y"), quarantine(4, None), quarantine(6, None)], [(0, 4), (2, 4)]),
    ],
)
def test_quarantines_end(lines, expected):
    for order in (lines, lines[::-1]):
        found = said(*order)["a"].quarantines
        assert [(one.from_us, one.until_us) for one in found] == [
            (at(begin), None if end is None else at(end)) for begin, end in expected
        ]


def test_signs_are_known_up_to_the_last_time_that_was_confirmed():
    found = said(line(confirmed_until=time(7)), line(confirmed_until=time(3)), line("b", confirmed_until=time(1)))
    assert {name: one.confirmed_until_us for name, one in found.items()} == {"a": at(7), "b": at(1)}


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (b"nonsense", "JSON is malformed"),
        (b"[]", "Expected `object`"),
        (line("c", from_=T, limit="60 km/h"), "section_id: found 'c'; allowed: a section of the section file"),
        (line(from_=T), "found none of limit, quarantine, confirmed_until; allowed: exactly one of them"),
        (limit(0, "60 km/h", quarantine="why"), "found limit and quarantine of"),
        (limit(0, "60"), "limit: found '60'; allowed: a number with its unit"),
        (limit(0, 60), "Expected `str | null`, got `int`"),
        (limit(0, "60 km/h", classes=[]), "classes: found []; allowed: a list of car"),
        (limit(0, "60 km/h", classes=["lorry"]), "classes: found ['lorry']; allowed: a list of car"),
        (limit(0, "60 km/h", until=T), "until: found in a notice of limit, where it means nothing"),
        (limit(0, "60 km/h", clases=["truck"]), "unknown field `clases`"),
        (line(from_="2026-03-02T12:00:00", limit="60 km/h"), "from: found '2026-03-02T12:00:00'; allowed: an RFC 3339"),
        (line(limit="60 km/h"), "from: found None; allowed: an RFC 3339"),
        (quarantine(0, ""), "quarantine: found nothing; allowed: why"),
        (quarantine(5, "why", until=T), "until: found '2026-03-02T12:00:00Z'; allowed: a time after its from"),
        (quarantine(5, None, until=T), "until: found in a notice of quarantine, where it means nothing"),
        (line(confirmed_until=T, from_=T), "from: found in a notice of confirmed_until"),
    ],
)
def test_line_that_is_no_notice(found, says):
    read, problems = notices.read(written(line(confirmed_until=T), b"", found), NETWORK.sections)
    assert len(read) == 1
    (problem,) = problems
    assert problem.text.startswith("line 3: ")
    assert says in problem.text


some_lines = st.one_of(
    st.builds(limit, st.integers(0, 5), st.sampled_from([None, "60 km/h", "80 km/h"]), st.sampled_from("ab")),
    st.builds(quarantine, st.integers(0, 5), st.sampled_from([None, "works", "sun"]), st.sampled_from("ab")),
    st.builds(lambda minutes: line(confirmed_until=time(minutes)), st.integers(0, 9)),
)


@given(st.lists(some_lines, max_size=8), st.randoms())
def test_order_and_repetition_do_not_matter(lines, chance):
    others = [*lines, *chance.choices(lines, k=3)] if lines else []
    chance.shuffle(others)
    assert said(*others) == said(*lines)


# --- at the start


def test_file_is_read_at_the_start(tmp_path):
    (tmp_path / "notices").write_bytes(written(limit(0, "60 km/h")))
    found = notices_file.source(str(tmp_path / "notices"), NETWORK, followed=False)
    assert Following(found).by_section() == said(limit(0, "60 km/h"))
    assert Following(None).by_section() == {}


def test_variable_limit_needs_notices():
    with pytest.raises(
        OptionError, match=r"^--notices: absent; needed for section sign, which has variable_limit: yes"
    ):
        notices_file.source(None, NETWORK, followed=True)


def test_file_that_is_none_is_a_mistake_at_the_start(tmp_path):
    with pytest.raises(OptionError, match=r"^--notices: .*absent cannot be read: .*No such file.*it may be empty"):
        notices_file.source(str(tmp_path / "absent"), NETWORK, followed=True)
    with pytest.raises(OptionError, match=r"^--notices: gs://bucket cannot be read: allowed: a path, or gs://BUCKET/F"):
        notices_file.source("gs://bucket", NETWORK, followed=True)
    (tmp_path / "notices").write_bytes(written(limit(0, "60")))
    with pytest.raises(OptionError, match=r"^--notices .*notices: line 1: limit: found '60'; allowed: "):
        notices_file.source(str(tmp_path / "notices"), NETWORK, followed=True)


# --- while it runs


class Road:
    """A file of notices and a process that follows it, at a time of its own."""

    def __init__(self, path, *lines: object) -> None:
        self.path, self.now_s = path, 0.0
        self.write(*lines)
        self.following = Following(notices_file.source(str(path), NETWORK, followed=True), lambda: self.now_s)

    def write(self, *lines: object, mode: str = "wb") -> None:
        with self.path.open(mode) as out:
            out.write(written(*lines))

    def append(self, *lines: object) -> None:
        self.write(*lines, mode="ab")

    def later(self) -> dict[str, SectionNotices]:
        self.now_s += POLL_S
        return dict(self.following.by_section())

    def unread(self) -> set[str]:
        return {name for name, one in self.later().items() if one.unread}


@pytest.fixture
def road(tmp_path):
    return Road(tmp_path / "notices", limit(0, "60 km/h"))


def test_what_is_appended_is_followed(road):
    assert road.later() == said(limit(0, "60 km/h"))
    road.append(limit(5, "80 km/h"))
    assert road.following.by_section() == said(limit(0, "60 km/h")), "not looked at again so soon"
    assert road.later() == said(limit(0, "60 km/h"), limit(5, "80 km/h"))
    road.append(quarantine(3, "works", "b"))
    assert set(road.later()) == {"a", "b"}


def test_unchanged_file_is_not_read_again(road, monkeypatch):
    road.later()
    monkeypatch.setattr(notices_file, "_read", None)
    assert road.later() == said(limit(0, "60 km/h"))


def test_each_line_is_read_once(road, monkeypatch):
    road.later()
    parsed = []
    read = notices.read
    monkeypatch.setattr(notices, "read", lambda data, *more: parsed.append(data) or read(data, *more))
    road.append(limit(5, "80 km/h"))
    road.later()
    assert b"".join(parsed) == written(limit(5, "80 km/h"))


def test_line_that_cannot_be_read_sends_all_sections_concerned_to_a_person(road, caplog):
    road.append(b'{"section_id": "b", "limit": 3}')
    assert road.unread() == {"a", "b", "sign"}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "line 2: " in caplog.text
    assert road.later()["a"].signs == (SignNotice(at(0), 60.0),), "what is known stays known"
    road.append(limit(7, "70 km/h"))
    assert road.unread() == {"a", "b", "sign"}
    assert road.later()["a"].signs[-1] == SignNotice(at(7), 70.0)
    road.write(limit(0, "60 km/h"), limit(7, "70 km/h"))
    assert road.unread() == set()
    assert caplog.records[-1].message.endswith("can be read again")


def test_last_line_that_is_being_written(road):
    whole = written(limit(5, "80 km/h"))
    with road.path.open("ab") as out:
        out.write(whole[:20])
    assert road.unread() == {"a", "sign"}
    with road.path.open("ab") as out:
        out.write(whole[20:-1])
    assert road.later() == said(limit(0, "60 km/h"), limit(5, "80 km/h")), "without its end of line it is one too"
    road.append(b"", limit(6, "90 km/h"))
    assert road.later() == said(limit(0, "60 km/h"), limit(5, "80 km/h"), limit(6, "90 km/h"))


def test_file_that_is_gone_sends_all_sections_concerned_to_a_person(road, caplog):
    road.path.rename(road.path.with_suffix(".moved"))
    assert road.unread() == {"a", "sign"}
    assert road.unread() == {"a", "sign"}
    assert len(caplog.records) == 1, "told once"
    road.path.with_suffix(".moved").rename(road.path)
    assert road.unread() == set()


def test_notice_that_was_removed_is_not_forgotten(road, caplog):
    road.later()
    road.write(limit(5, "80 km/h"))
    assert road.unread() == {"a", "sign"}
    assert "a notice that was read is no longer in it; put it back" in caplog.text
    assert [sign.limit_kmh for sign in road.later()["a"].signs] == [60.0, 80.0]
    road.write(limit(5, "80 km/h"), limit(0, "60 km/h"))
    assert road.unread() == set()


def test_what_was_there_at_the_start_is_known_before_the_first_look(road):
    road.write(limit(5, "80 km/h"))
    assert road.unread() == {"a", "sign"}


def test_confirmations_may_be_removed(road):
    road.append(line("sign", confirmed_until=time(1)), line("sign", confirmed_until=time(2)))
    assert road.later()["sign"].confirmed_until_us == at(2)
    road.write(limit(0, "60 km/h"), line("sign", confirmed_until=time(3)))
    assert road.unread() == set()
    assert road.later()["sign"].confirmed_until_us == at(3)


def test_file_of_the_same_size_written_in_its_place_is_seen(road):
    road.later()
    beside = road.path.with_suffix(".new")
    beside.write_bytes(written(limit(0, "90 km/h")))
    os.replace(beside, road.path)
    assert road.unread() == {"a", "sign"}


def test_service_that_does_not_answer_is_not_asked_all_the_time(road, monkeypatch):
    def silent(_place):
        road.now_s += 10.0
        raise OSError("no answer")

    monkeypatch.setattr(notices_file, "_stamp", silent)
    assert road.unread() == {"a", "sign"}
    asked_s = road.now_s
    road.now_s += 39.0
    road.following.by_section()
    assert road.now_s == asked_s + 39.0


def test_bounded_run_does_not_look_again(tmp_path):
    path = tmp_path / "notices"
    path.write_bytes(written(limit(0, "60 km/h")))
    following = Following(notices_file.source(str(path), NETWORK, followed=False), lambda: random.random() * 1e9)
    path.write_bytes(b"nonsense")
    assert following.by_section() == said(limit(0, "60 km/h"))


def test_object_of_cloud_storage_is_followed(storage):
    blob = storage.bucket("archive-camera").blob("notices.ndjson")
    blob.upload_from_string(written(limit(0, "60 km/h")))
    now = [0.0]
    found = notices_file.source("gs://archive-camera/notices.ndjson", NETWORK, followed=True)
    following = Following(found, lambda: now[0])
    assert following.by_section() == said(limit(0, "60 km/h"))
    blob.upload_from_string(written(limit(0, "60 km/h"), quarantine(1, "works", "b")))
    now[0] += 100 * POLL_S
    assert following.by_section() == said(limit(0, "60 km/h"), quarantine(1, "works", "b"))
    blob.delete()
    now[0] += 1000 * POLL_S
    assert {name for name, one in following.by_section().items() if one.unread} == {"a", "b", "sign"}


def test_quarantine_keeps_its_reason():
    assert said(quarantine(0, "camera moved"))["a"].quarantines == (Quarantine(at(0), None, "camera moved"),)
