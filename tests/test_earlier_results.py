"""Results of an earlier run: those of this run are alone in their folder, and nothing else is touched."""

import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from pipeline import earlier_results
from pipeline.option_values import OptionError


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("in.ndjson").touch()


def left(*names: str, written: tuple[str, ...] = ()) -> set[str]:
    """What is in the folder after a run that found `names` there and wrote `written`."""
    for name in names:
        (Path("out") / name).touch()
        os.utime(Path("out") / name, (1, 1))
    earlier = earlier_results.look("out", str(Path("in.ndjson").absolute()))
    for name in written:
        (Path("out") / name).write_text("new")
    earlier_results.remove("out", earlier)
    return {path.name for path in Path("out").iterdir()}


def test_results_of_more_files_are_removed():
    files = ("passages-00000-of-00002.ndjson", "passages-00001-of-00002.ndjson", "fines-00000-of-00001.ndjson")
    new = ("passages-00000-of-00001.ndjson", "fines-00000-of-00001.ndjson")
    assert left(*files, written=new) == set(new)


@pytest.mark.parametrize(
    "name",
    ["summary.json", "passages.ndjson", "my-fines-00000-of-00001.ndjson", "fines-00000-of-00001.ndjson.gz", "a.ndjson"],
)
def test_what_is_no_result_stays(name):
    assert left(name) == {name}


def test_folder_without_results_is_fine():
    assert left() == set()


def test_file_that_is_gone_meanwhile_is_fine():
    Path("out/fines-00000-of-00001.ndjson").touch()
    earlier = earlier_results.look("out", str(Path("in.ndjson").absolute()))
    Path("out/fines-00000-of-00001.ndjson").unlink()
    earlier_results.remove("out", earlier)


@pytest.mark.parametrize("read", ["out/rejected-00000-of-00001.ndjson", "out/rejected-*", "../{}/out/*"])
def test_results_that_are_read_are_refused(read):
    for name in ("rejected-00000-of-00001.ndjson", "passages-00000-of-00001.ndjson"):
        (Path("out") / name).touch()
    with pytest.raises(OptionError, match=r"--output_dir: out holds .*-of-00001.ndjson, which is read as --input"):
        earlier_results.look("out", str(Path(read.format(Path.cwd().name)).absolute()))


def test_link_to_a_result_is_refused_too():
    Path("out/fines-00000-of-00001.ndjson").touch()
    Path("link.ndjson").symlink_to("out/fines-00000-of-00001.ndjson")
    with pytest.raises(OptionError):
        earlier_results.look("out", str(Path("link.ndjson").absolute()))


def test_link_is_removed_and_what_it_points_to_stays():
    Path("kept").mkdir()
    Path("kept/fines-00000-of-00001.ndjson").write_text("kept")
    Path("out/fines-00000-of-00001.ndjson").symlink_to(Path("kept/fines-00000-of-00001.ndjson").absolute())
    Path("out/latest.ndjson").symlink_to(Path("kept/fines-00000-of-00001.ndjson").absolute())
    assert left() == {"latest.ndjson"}
    assert Path("kept/fines-00000-of-00001.ndjson").read_text() == "kept"


@pytest.mark.parametrize("name", ["out[1]", "out?", "out*"])
def test_name_of_a_folder_is_no_pattern(name):
    other = Path("out1/fines-00000-of-00001.ndjson")
    for path in (Path(name) / "fines-00000-of-00002.ndjson", other):
        path.parent.mkdir()
        path.touch()
    earlier_results.remove(name, earlier_results.look(name, str(Path("in.ndjson").absolute())))
    assert other.exists()
    assert not list(Path(name).iterdir())


def test_pattern_in_a_remote_place_is_refused():
    with pytest.raises(OptionError, match=r"--output_dir: found gs://b/x\*; allowed: a place without"):
        earlier_results.look("gs://b/x*", str(Path("in.ndjson").absolute()))


def test_results_that_cannot_be_removed_are_told(monkeypatch):
    Path("out/fines-00000-of-00001.ndjson").touch()
    earlier = earlier_results.look("out", str(Path("in.ndjson").absolute()))
    monkeypatch.setattr(os, "remove", Mock(side_effect=PermissionError("not yours")))
    with pytest.raises(OptionError, match=r"out holds 1 results of an earlier run .*: not yours. Remove them"):
        earlier_results.remove("out", earlier)
