"""Results of an earlier run: those of this run are alone in their folder, and nothing else is touched."""

from pathlib import Path

import pytest

from pipeline import earlier_results
from pipeline.option_values import OptionError


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("out").mkdir()
    Path("in.ndjson").touch()


def left(*names: str, read: str = "in.ndjson") -> set[str]:
    for name in names:
        (Path("out") / name).touch()
    earlier_results.remove("out", str(Path(read).absolute()))
    return {path.name for path in Path("out").iterdir()}


def test_results_of_more_files_are_removed():
    assert (
        left("passages-00000-of-00002.ndjson", "passages-00001-of-00002.ndjson", "fines-00000-of-00001.ndjson") == set()
    )


@pytest.mark.parametrize(
    "name",
    [
        "summary.json",
        "passages.ndjson",
        "my-passages-00000-of-00001.ndjson",
        "passages-00000-of-00001.ndjson.gz",
        "a.ndjson",
    ],
)
def test_what_is_no_result_stays(name):
    assert left(name) == {name}


def test_folder_without_results_is_fine():
    assert left() == set()


@pytest.mark.parametrize("read", ["out/rejected-00000-of-00001.ndjson", "out/rejected-*", "../{}/out/*"])
def test_results_that_are_read_are_refused_and_kept(read):
    names = {"rejected-00000-of-00001.ndjson", "passages-00000-of-00001.ndjson"}
    with pytest.raises(
        OptionError, match=r"--output_dir: out holds .*-00000-of-00001.ndjson, which is read as --input"
    ):
        left(*names, read=read.format(Path.cwd().name))
    assert {path.name for path in Path("out").iterdir()} == names


def test_link_to_a_result_is_refused_too():
    Path("out/fines-00000-of-00001.ndjson").touch()
    Path("link.ndjson").symlink_to("out/fines-00000-of-00001.ndjson")
    with pytest.raises(OptionError):
        left(read="link.ndjson")
