"""What is seen while the demo runs, on a terminal and without one."""

import io
from pathlib import Path

import msgspec
import pytest
from demo_samples import issued, review, withdrawn

from demo.command import parse
from demo.progress import Live, Screen, fine_line


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_fine_line_has_plate_speed_limit_section_and_picture() -> None:
    line = fine_line(issued())
    for part in ("ABC1234", "53.8 km/h", "limit 40.2", "First <Avenue> & Side", "gs://evidence/exit.jpg"):
        assert part in line


def test_review_line_says_why() -> None:
    assert fine_line(review()).endswith("no text, picture missing")


def test_withdrawn_case_without_plate_has_its_vehicle() -> None:
    line = fine_line(msgspec.structs.replace(withdrawn(), license_plate=None, avg_speed=None))
    assert "ABC1234" in line
    assert "no longer over the limit" in line


def test_without_terminal_status_lines_are_rare_and_plain() -> None:
    out = io.StringIO()
    screen = Screen(out)
    for _ in range(5):
        screen.status(Live(vehicles=3), "cameras running")
    screen.say("a line")
    assert out.getvalue().count("3 vehicles") == 1
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().endswith("a line\n")


def test_on_a_terminal_a_line_that_stays_goes_above_the_one_that_changes() -> None:
    out = Terminal()
    screen = Screen(out)
    screen.status(Live(), "cameras running")
    screen.say("a fine")
    screen.end_status()
    shown = [text.split("\x1b[2K")[-1] for text in out.getvalue().split("\n")]
    assert shown[0] == "a fine"
    assert out.getvalue().endswith("\x1b[2K")


def test_status_line_is_cut_to_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    Screen(out).status(Live(), "cameras running")
    assert len(out.getvalue().removeprefix("\r\x1b[2K")) == 39


@pytest.mark.parametrize("argv", [["--vehicles", "0"], ["--vehicles", "many"], ["--seed", "-1"], ["--nonsense"]])
def test_mistake_on_the_command_line_is_one_line_and_status_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(argv)
    told = capsys.readouterr().err
    assert caught.value.code == 2
    assert told.startswith("python -m demo: ")
    assert told.count("\n") == 1


def test_command_line_gives_the_plan() -> None:
    plan = parse(["--vehicles", "7", "--seed", "5", "--out", "here"])
    assert (plan.vehicles, plan.seed, plan.out) == (7, 5, Path("here"))
