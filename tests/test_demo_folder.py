"""The demo's folder: fresh for each run, never somebody else's, and a clear line where it cannot be written."""

import os
from pathlib import Path

import pytest

from demo import folder
from demo.stages import DemoError


def test_second_run_starts_empty(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "demo"
    for _ in range(2):
        with folder.fresh(out) as found:
            assert [entry.name for entry in out.iterdir() if entry.name != folder.MARKER] == ["logs"]
            found.summary.write_text("{}")
            (found.cloud / "storage").mkdir(parents=True)
            (found.cloud / "storage" / "object").write_text("x")


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious.txt"
    precious.write_text("keep me")
    with pytest.raises(DemoError, match="holds files of others"), folder.fresh(tmp_path):
        pass
    assert precious.read_text() == "keep me"


def test_link_to_a_folder_is_removed_without_what_it_points_to(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "precious.txt").write_text("keep me")
    out = tmp_path / "out"
    with folder.fresh(out):
        (out / "link").symlink_to(target)
    with folder.fresh(out):
        assert not (out / "link").exists()
    assert (target / "precious.txt").exists()


def test_two_demos_at_once_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with folder.fresh(out), pytest.raises(DemoError, match="another demo runs"), folder.fresh(out):
        pass


def test_folder_below_a_file_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DemoError, match=r"cannot write .*file.* Choose a folder") as caught,
        folder.fresh(tmp_path / "file" / "out"),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_is_one_clear_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(DemoError, match="Permission denied"), folder.fresh(tmp_path / "out"):
        pass


def test_kernel_folder_that_nobody_may_write_is_one_clear_line() -> None:
    with pytest.raises(DemoError, match="cannot write /proc/demo"), folder.fresh(Path("/proc/demo")):
        pass


def test_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "NEEDED_FREE_BYTES", 1 << 60)
    with pytest.raises(DemoError, match="MB of free space; needed"), folder.fresh(tmp_path / "out"):
        pass


def test_disk_that_fills_while_running_is_one_clear_line(tmp_path: Path) -> None:
    full = OSError(28, "No space left on device", str(tmp_path / "out" / "fines.ndjson"))
    with pytest.raises(DemoError, match=r"cannot write .*fines.ndjson: No space left"), folder.fresh(tmp_path / "out"):
        raise full
