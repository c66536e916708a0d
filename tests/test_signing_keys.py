"""The keys of the packets: made once, readable by their owner alone, and no other in the middle of a run."""

import stat
import subprocess

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from signing_samples import KEY, OTHER_KEY, PRIVATE_PEM

from pipeline.packets import keys
from pipeline.packets.keys import PublicKeys, SigningKeyError

CURVE = generate_private_key(SECP256R1())


@pytest.fixture(autouse=True)
def _without_variable(monkeypatch):
    monkeypatch.delenv(keys.VARIABLE, raising=False)
    keys.agreed.cache_clear()


def written(tmp_path, data: bytes, mode: int = 0o600) -> str:
    path = tmp_path / "signing.key"
    path.write_bytes(data)
    path.chmod(mode)
    return str(path)


def test_key_is_made_on_first_use_with_its_public_one_beside_it(tmp_path):
    place = tmp_path / "folder" / "signing.key"
    made = keys.load(str(place))
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert keys.load(str(place)).key_id == made.key_id
    public = keys.public_keys([f"{place}.pub"])
    assert public.is_signed(made.key_id, made.sign(b"words"), b"words")


def test_keys_are_those_of_openssl(tmp_path):
    """So that anyone can check a manifest without this program."""
    place = tmp_path / "signing.key"
    key = keys.load(str(place))
    (tmp_path / "data").write_bytes(b"words")
    (tmp_path / "sig").write_bytes(key.sign(b"words"))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", f"{place}.pub", "-rawin", "-in", "data"]
    done = subprocess.run([*command, "-sigfile", "sig"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, "Verified Successfully" in done.stdout) == (0, True), done.stderr


def test_variable_goes_before_the_file(monkeypatch, tmp_path):
    monkeypatch.setenv(keys.VARIABLE, PRIVATE_PEM.decode())
    assert keys.load(str(tmp_path / "none")).key_id == KEY.key_id
    assert not (tmp_path / "none").exists()


def test_key_of_a_bucket(storage):
    storage.bucket("archive-camera").blob("signing.key").upload_from_string(PRIVATE_PEM)
    assert keys.load("gs://archive-camera/signing.key").key_id == KEY.key_id
    with pytest.raises(SigningKeyError, match="--signing_key: gs://archive-camera/none cannot be read: 404"):
        keys.load("gs://archive-camera/none")


def test_same_words_have_the_same_signature():
    assert KEY.sign(b"words") == KEY.sign(b"words") != OTHER_KEY.sign(b"words")


def test_key_that_is_not_among_those_given():
    public = PublicKeys.of(KEY)
    assert public.is_signed(KEY.key_id, KEY.sign(b"a"), b"a")
    assert not public.is_signed(OTHER_KEY.key_id, OTHER_KEY.sign(b"a"), b"a")
    assert not public.is_signed(KEY.key_id, OTHER_KEY.sign(b"a"), b"a")
    assert not public.is_signed(KEY.key_id, b"", b"a")


@pytest.mark.parametrize(
    ("data", "mode", "says"),
    [
        (PRIVATE_PEM, 0o644, "has mode 0644; allowed: 0600, yours alone"),
        (b"", 0o600, "holds no private key in PEM. Make one with openssl genpkey"),
        (KEY.public_pem(), 0o600, "holds no private key in PEM"),
        (
            CURVE.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            0o600,
            "holds another kind of key; allowed: Ed25519",
        ),
    ],
)
def test_private_key_that_cannot_be_used(tmp_path, data, mode, says):
    with pytest.raises(SigningKeyError, match=says):
        keys.load(written(tmp_path, data, mode))


@pytest.mark.parametrize("place", ["/proc/none/key", "s3://b/key", "gs://b"])
def test_place_that_cannot_be_used(place):
    with pytest.raises(SigningKeyError, match="--signing_key: "):
        keys.load(place)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "holds no public key in PEM"),
        (PRIVATE_PEM, "holds no public key in PEM"),
        (
            CURVE.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "holds another kind of key; allowed: Ed25519",
        ),
    ],
)
def test_public_key_that_cannot_be_used(tmp_path, data, says):
    with pytest.raises(SigningKeyError, match=f"--public_key: .*{says}"):
        keys.public_keys([written(tmp_path, data)])


def test_public_key_that_is_not_there():
    with pytest.raises(SigningKeyError, match="--public_key: /none cannot be read: No such file"):
        keys.public_keys(["/none"])


def test_every_process_of_a_run_must_find_the_key_of_its_start(tmp_path):
    place = written(tmp_path, PRIVATE_PEM)
    started = keys.source(place)
    assert keys.agreed(started).key_id == KEY.key_id
    keys.agreed.cache_clear()
    written(tmp_path, keys.load(str(tmp_path / "other")) and (tmp_path / "other").read_bytes())
    with pytest.raises(SigningKeyError, match=f"allowed: {KEY.key_id}, with which this run was started"):
        keys.agreed(started)
