"""The privacy secret: made once, readable by its owner alone."""

import os
import stat

import pytest

from pipeline import secret
from pipeline.enforcement.privacy import Pseudonyms, fingerprint
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


# --- the same secret everywhere


@pytest.fixture
def agreed(tmp_path):
    """A secret as it was found at the start of a run."""
    (tmp_path / "secret").write_text("0123456789abcdef\n")
    (tmp_path / "secret").chmod(0o600)
    secret.pseudonyms.cache_clear()
    return secret.source(str(tmp_path / "secret"))


def test_worker_that_finds_the_secret_of_the_start_uses_it(agreed):
    found = secret.pseudonyms(agreed)
    assert found.of("ABC1234", 0) == Pseudonyms(b"0123456789abcdef").of("ABC1234", 0)


def test_secret_that_was_changed_under_a_running_job_is_refused(agreed, tmp_path):
    """The same passage would get another id, and another fine."""
    (tmp_path / "secret").write_text("fedcba9876543210")
    says = f"{agreed.place} has the fingerprint .*; allowed: {agreed.fingerprint}"
    with pytest.raises(SecretError, match=says) as told:
        secret.pseudonyms(agreed)
    assert "\n" not in str(told.value)
    assert "fedcba9876543210" not in str(told.value)


def test_variable_of_a_worker_alone_is_refused(agreed, monkeypatch):
    monkeypatch.setenv(secret.VARIABLE, "fedcba9876543210")
    with pytest.raises(SecretError, match=f"{secret.VARIABLE} has the fingerprint"):
        secret.pseudonyms(agreed)


def test_run_that_is_started_with_another_secret_has_its_own(agreed, tmp_path):
    assert secret.pseudonyms(agreed)
    (tmp_path / "secret").write_text("fedcba9876543210")
    later = secret.source(agreed.place)
    assert secret.pseudonyms(later).of("A", 0) != secret.pseudonyms(agreed).of("A", 0)


def test_without_privacy_nothing_is_read():
    assert secret.pseudonyms(None).of("ABC1234", 0) == "ABC1234"


def test_fingerprint_tells_secrets_apart_and_not_what_they_are():
    one, other = b"0123456789abcdef", b"0123456789abcdeg"
    assert fingerprint(one) == fingerprint(one) != fingerprint(other)
    assert len(fingerprint(one)) == 16
    assert fingerprint(one) not in {Pseudonyms(one).of(name, 0)[:16] for name in ("", "A")}
