"""The privacy secret: made once, readable by its owner alone."""

import os
import stat

import pytest

from pipeline import secret
from pipeline.secret import SecretError, load


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.delenv(secret.VARIABLE, raising=False)


def test_first_use_makes_a_secret_for_the_owner_alone(tmp_path):
    path = tmp_path / "new" / "privacy.secret"
    made = load(str(path))
    assert len(made) >= 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load(str(path)) == made


def test_two_files_have_different_secrets(tmp_path):
    assert load(str(tmp_path / "a")) != load(str(tmp_path / "b"))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_file_that_others_may_read_is_refused(tmp_path, mode):
    path = tmp_path / "privacy.secret"
    path.write_text("x" * 32)
    path.chmod(mode)
    with pytest.raises(SecretError, match=f"mode {mode:04o}; allowed: 0600.*chmod 600"):
        load(str(path))


def test_line_end_is_not_part_of_the_secret(tmp_path):
    path = tmp_path / "privacy.secret"
    path.write_text("0123456789abcdef\n")
    path.chmod(0o600)
    assert load(str(path)) == b"0123456789abcdef"


@pytest.mark.parametrize("content", ["", "\n", "short"])
def test_short_secret_is_refused(tmp_path, content):
    path = tmp_path / "privacy.secret"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(SecretError, match="allowed: at least 16"):
        load(str(path))


def test_variable_goes_before_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, "from-the-environment")
    assert load(str(tmp_path / "never-made")) == b"from-the-environment"
    assert not (tmp_path / "never-made").exists()


@pytest.mark.parametrize("around", ["%s\n", " %s", "\t%s\r\n"])
def test_variable_and_file_of_the_same_text_are_the_same_secret(tmp_path, monkeypatch, around):
    """Else the pseudonyms of one day would depend on where the secret lay."""
    text = around % "0123456789abcdef"
    (tmp_path / "file").write_text(text)
    (tmp_path / "file").chmod(0o600)
    monkeypatch.setenv(secret.VARIABLE, text)
    assert load(str(tmp_path / "never-made")) == b"0123456789abcdef"
    monkeypatch.delenv(secret.VARIABLE)
    assert load(str(tmp_path / "file")) == b"0123456789abcdef"


@pytest.mark.parametrize("text", [" " * 32, "short" + " " * 32, "\n"])
def test_blanks_do_not_make_a_variable_long_enough(tmp_path, monkeypatch, text):
    monkeypatch.setenv(secret.VARIABLE, text)
    with pytest.raises(SecretError, match=f"{secret.VARIABLE} holds {len(text.strip())} bytes"):
        load(str(tmp_path / "never-made"))
    assert not (tmp_path / "never-made").exists()


def test_variable_may_hold_any_bytes(tmp_path, monkeypatch):
    monkeypatch.setitem(os.environb, secret.VARIABLE.encode(), b"\xff" * 16)
    assert load(str(tmp_path / "never-made")) == b"\xff" * 16


def test_short_variable_names_the_variable(tmp_path, monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, "short")
    with pytest.raises(SecretError, match=f"{secret.VARIABLE} holds 5 bytes"):
        load(str(tmp_path / "x"))


def test_path_under_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SecretError, match=r"cannot be read or made.*--privacy off"):
        load(str(tmp_path / "file" / "privacy.secret"))


def test_folder_is_refused(tmp_path):
    tmp_path.chmod(0o700)
    with pytest.raises(SecretError, match="cannot be read or made"):
        load(str(tmp_path))


def test_error_does_not_show_the_secret(tmp_path, monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, "hunter2")
    with pytest.raises(SecretError) as caught:
        load(str(tmp_path / "x"))
    assert "hunter2" not in str(caught.value)
