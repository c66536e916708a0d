"""python -m pipeline verify: a line for each packet and chain, and no mistake that is more than one line."""

import json
import shutil

import pytest
from packet_samples import VERSIONS, packed, rules, verdict
from signing_samples import KEY, OTHER_KEY

from pipeline.enforcement import manifest
from pipeline.enforcement.manifest import Head
from pipeline.jobs import main
from pipeline.packets import archive, container

RULES = rules()
PACKETS = [packed(verdict()) for _ in range(3)]


def write(root, packets, key=KEY):
    """What the evidence bucket holds, as a folder."""
    head = Head()
    for one in packets:
        section_id = manifest.read_manifest(one.manifest).section_id
        link = manifest.new_link(section_id, head, one.manifest, key.key_id, key.sign)
        head = Head(head.number + 1, manifest.digest(link))
        for name, data in (
            (manifest.packet_name(one.manifest), one.data),
            (manifest.link_name(section_id, head.number), link),
        ):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    return head


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "bucket"
    write(folder, PACKETS)
    (tmp_path / "key.pub").write_bytes(KEY.public_pem())
    (tmp_path / "other.pub").write_bytes(OTHER_KEY.public_pem())
    return folder


@pytest.fixture
def verify(root, capsys):
    """Runs the command; its exit status and its lines."""

    def run(*argv, keys=("key.pub",)):
        given = [f"--public_key={root.parent / key}" for key in keys]
        status = main(["verify", *given, *map(str, argv)])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return status, captured.out.splitlines() if status < 2 else captured.err.splitlines()

    return run


def paths(root):
    return sorted(root.rglob("*.zip"))


def link(root, number):
    return root / manifest.link_name("G1-G2", number)


def test_whole_folder(root, verify):
    status, lines = verify(root)
    assert (status, len(lines)) == (0, 4)
    assert all(line.startswith("ok      ") for line in lines)
    assert "issued; computed again: average 45.72 km/h, at least 45.49 km/h" in lines[0]
    assert {line.rpartition("; ")[2] for line in lines[:3]} == {f"link {number} of G1-G2" for number in (1, 2, 3)}
    head = manifest.digest(link(root, 3).read_bytes())
    assert lines[3] == f"ok      chain G1-G2: links 1 to 3, the last one {head}"


def test_one_packet_with_its_chain_beside_it(root, verify):
    status, lines = verify(paths(root)[0])
    assert (status, len(lines)) == (0, 2)
    assert " of G1-G2" in lines[0]


def test_one_packet_by_itself(root, verify, tmp_path):
    """As a driver has it."""
    alone = tmp_path / "my fine.zip"
    shutil.copy(paths(root)[0], alone)
    status, lines = verify(alone)
    assert (status, len(lines)) == (0, 1)
    assert lines[0].endswith("; no chain beside it")


def test_folder_of_packets_without_a_chain(root, verify, tmp_path):
    collected = tmp_path / "collected"
    collected.mkdir()
    for path in paths(root):
        shutil.copy(path, collected)
    status, lines = verify(collected)
    assert (status, len(lines)) == (0, 3)


def test_folder_of_the_same_name_elsewhere(root, verify, tmp_path):
    """Anybody may keep packets in a folder of that name."""
    own = tmp_path / "packets"
    own.mkdir()
    shutil.copy(paths(root)[0], own / "mine.zip")
    for place in (own, own / "mine.zip"):
        status, lines = verify(place)
        assert (status, len(lines)) == (0, 1), lines


def test_day_of_a_section(root, verify):
    status, lines = verify(root / "packets" / "G1-G2")
    assert (status, len(lines)) == (0, 4)


def test_changed_packet_fails_and_the_others_are_told(root, verify):
    path = paths(root)[1]
    data = path.read_bytes()
    path.write_bytes(data[:2000] + bytes([data[2000] ^ 4]) + data[2001:])
    status, lines = verify(root)
    assert (status, [line[:6] for line in lines]) == (1, ["ok    ", "FAILED", "ok    ", "ok    "])
    assert str(path) in lines[1]


@pytest.mark.parametrize("data", [b"", b"{}", b"PK\x03\x04", PACKETS[0].data[:3000]])
def test_what_is_no_packet(root, verify, data):
    paths(root)[0].write_bytes(data)
    status, lines = verify(paths(root)[0])
    assert (status, "no packet" in lines[0]) == (1, True)


def test_removed_packet(root, verify):
    gone = paths(root)[0]
    gone.unlink()
    status, lines = verify(root)
    assert status == 1
    assert lines[-1].startswith("FAILED  chain G1-G2: link ")
    assert lines[-1].endswith(f"its packet {gone.relative_to(root).as_posix()} is missing")
    assert verify("--kept_since=2030-01-01", root)[0] == 0, "deleted in its time"
    assert verify("--kept_since=2020-01-01", root)[0] == 1


def test_removed_link(root, verify):
    link(root, 2).unlink()
    status, lines = verify(root)
    assert status == 1
    assert "link 2 is missing" in lines[-1]
    assert sum("not in the chain of section G1-G2" in line for line in lines) == 1


def test_removed_end_shows_to_who_kept_the_last_link(root, verify, tmp_path):
    heads = tmp_path / "heads.json"
    assert verify(f"--write_heads={heads}", root)[0] == 0
    assert json.loads(heads.read_bytes()) == {"G1-G2": [3, manifest.digest(link(root, 3).read_bytes())]}
    last = json.loads(link(root, 3).read_bytes())["link"]["packet"]
    link(root, 3).unlink()
    (root / last).unlink()
    assert verify(root)[0] == 0, "nobody can know"
    status, lines = verify(f"--known_heads={heads}", root)
    assert status == 1
    assert lines[-1] == "FAILED  chain G1-G2: link 3 is missing at the end: an earlier look saw them"
    shutil.rmtree(root / "chain")
    shutil.rmtree(root / "packets")
    write(root, [packed(verdict())])
    assert verify(f"--known_heads={heads}", root)[0] == 1


def test_heads_are_written_only_if_all_is_well(root, verify, tmp_path):
    paths(root)[0].unlink()
    assert verify(f"--write_heads={tmp_path / 'heads.json'}", root)[0] == 1
    assert not (tmp_path / "heads.json").exists()


def test_swapped_packets(root, verify):
    one, other, _ = paths(root)
    first = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(first)
    status, lines = verify(root)
    assert status == 1
    assert sum("lies under another name than its own" in line for line in lines) == 2


def test_key_that_did_not_sign(root, verify):
    status, lines = verify(root, keys=("other.pub",))
    assert (status, {line[:6] for line in lines}) == (1, {"FAILED"})
    assert f"it names key {KEY.key_id}" in lines[0]


def test_several_keys(root, verify):
    more = archive.pack_withdrawal(verdict().fine, VERSIONS, OTHER_KEY)
    path = root.parent / "more.zip"
    path.write_bytes(more.data)
    assert verify(root, keys=("other.pub", "key.pub"))[0] == 0


def test_text_of_a_packet_stays_in_its_line(root, verify):
    """What somebody wrote into it must not look like a line of ours."""
    parts = container.unpacked(PACKETS[0].data)
    forged = container.packed(parts | {"x\nok      all is well\x1b[2J": b""})
    paths(root)[0].write_bytes(forged)
    status, lines = verify(paths(root)[0])
    assert (status, len(lines)) == (1, 1)
    assert "\x1b" not in lines[0]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (
            ["{root}/none.zip"],
            "PACKET: found no {root}/none.zip; allowed: a packet, or a folder or bucket",
        ),
        (["{root}/chain/none"], "PACKET: found no {root}/chain/none"),
        (["{empty}"], "PACKET: found none in {empty}"),
        (["s3://bucket/x.zip"], "PACKET: found 's3://bucket/x.zip'; allowed:"),
        (["gs:///x"], "PACKET: found 'gs:///x'; allowed:"),
        (["--public_key={root}/none", "{root}"], "--public_key: {root}/none cannot be read: No such file"),
        (["--known_heads={root}/none", "{root}"], "--known_heads: {root}/none cannot be read"),
        (["--known_heads={pub}", "{root}"], "--known_heads: {pub} is no file of --write_heads"),
        (["--write_heads={root}/none/heads", "{root}"], "--write_heads: {root}/none/heads cannot be written"),
        (["--kept_since=yesterday", "{root}"], "--kept_since: found 'yesterday'; allowed: a day such as 2026-01-31"),
        (["--publik_key=x", "{root}"], "--publik_key=x: no such option. Did you mean --public_key?"),
        ([], "the following arguments are required: PACKET"),
    ],
)
def test_mistake_is_one_line(root, verify, tmp_path, argv, says):
    (tmp_path / "empty").mkdir()
    places = {"root": root, "empty": tmp_path / "empty", "pub": root.parent / "key.pub"}
    status, lines = verify(*(word.format(**places) for word in argv))
    assert (status, len(lines)) == (2, 1)
    assert says.format(**places) in lines[0]


def test_key_must_be_given(root, capsys):
    """A packet that brings its own proves nothing."""
    assert main(["verify", str(root)]) == 2
    assert "the following arguments are required: --public_key" in capsys.readouterr().err


def test_packets_of_a_bucket(root, verify, storage):
    bucket = storage.create_bucket("verify-evidence")
    for path in root.rglob("*"):
        if path.is_file():
            bucket.blob(path.relative_to(root).as_posix()).upload_from_filename(str(path))
            bucket.blob(f"copy/{path.relative_to(root).as_posix()}").upload_from_filename(str(path))
    one = paths(root)[0].relative_to(root).as_posix()
    for address, n in (
        ("gs://verify-evidence", 4),
        ("gs://verify-evidence/", 4),
        ("gs://verify-evidence/copy", 4),
        ("gs://verify-evidence/packets/G1-G2", 4),
        (f"gs://verify-evidence/{one}", 2),
    ):
        status, lines = verify(address)
        assert (status, len(lines)) == (0, n), address
    bucket.blob(manifest.link_name("G1-G2", 2)).delete()
    assert verify("gs://verify-evidence")[0] == 1
    status, lines = verify("gs://verify-evidence/packets/none.zip")
    assert (status, "does not exist" in lines[0]) == (1, True)
    status, lines = verify("gs://nobody-has-this")
    assert (status, len(lines)) == (2, 1)


def test_packets_of_several_places(root, verify, tmp_path):
    alone = tmp_path / "alone.zip"
    shutil.copy(paths(root)[0], alone)
    status, lines = verify(root, alone)
    assert (status, len(lines)) == (0, 5)
