"""A packet as a file: whatever byte of it is another one, it is found."""

import io
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packet_samples import SECTION, VERSIONS, packed, pictures, rules, verdict
from signing_samples import KEY, OTHER_KEY, PUBLIC

from pipeline.enforcement import evidence, manifest
from pipeline.enforcement.plain_json import PacketError
from pipeline.enforcement.records import Fine
from pipeline.packets import archive, checking, container

ROOT = Path(__file__).parents[1]
PACKED = packed()
PARTS = container.unpacked(PACKED.data)
FLIPS_OF_EACH_PART = 60


def prove(data: bytes) -> checking.Proven:
    return checking.prove(data, PUBLIC.is_signed)


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def test_packet_that_was_not_touched():
    proven = prove(PACKED.data)
    assert proven.name.startswith("packets/G1-G2/2026-04-1")
    assert checking.said(proven) == (
        "issued; computed again: average 45.72 km/h, at least 45.49 km/h, counted 45.49 km/h, "
        f"limit 40.2336 km/h (25 mph); key {KEY.key_id}"
    )


def test_packet_holds_all_that_it_should():
    assert list(PARTS) == [
        "manifest.json",
        "manifest.sig",
        "case.json",
        "exit.jpg",
        "entry.jpg",
        "sheet.html",
        "sheet.pdf",
    ]
    assert len(PARTS["manifest.sig"]) == 64


def test_same_verdict_is_the_same_file():
    found = verdict()
    assert packed(found) == packed(found)


def test_another_process_at_another_time_makes_the_same_file():
    """A worker that does the work again shares nothing with the first one, not even the order of its sets."""
    program = "from packet_samples import *; import hashlib; print(hashlib.sha256(packed(verdict()).data).hexdigest())"
    search = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONPATH": search, "PYTHONHASHSEED": seed, "TZ": zone},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed, zone in (("1", "Asia/Tokyo"), ("2", "UTC"))
    }
    assert len(found) == 1


def test_any_flipped_byte_of_the_file():
    """Each byte of what is not in a part, and of the parts every seventh."""
    rng = random.Random(5)
    size = len(PACKED.data)
    directory = PACKED.data.index(b"PK\x01\x02")
    for at in [*range(0, directory, 7), *range(directory, size)]:
        with pytest.raises(PacketError):
            prove(flipped(PACKED.data, at, rng.randrange(8)))


@pytest.mark.parametrize("name", PARTS)
def test_any_flipped_byte_of_a_part_that_was_packed_again(name):
    """Whoever changes a part can also make its file sound again, and cannot sign."""
    rng = random.Random(name)
    data = PARTS[name]
    for _ in range(FLIPS_OF_EACH_PART):
        changed = PARTS | {name: flipped(data, rng.randrange(len(data)), rng.randrange(8))}
        with pytest.raises(PacketError):
            prove(container.packed(changed))


@pytest.mark.parametrize("end", [0, 1, 100, 1000, len(PACKED.data) - 1])
def test_file_that_breaks_off(end):
    with pytest.raises(PacketError):
        prove(PACKED.data[:end])


def test_file_with_more_at_its_end_or_beginning():
    for data in (PACKED.data + b"\0", b"\0" + PACKED.data, PACKED.data * 2):
        with pytest.raises(PacketError):
            prove(data)


@pytest.mark.parametrize("name", PARTS)
def test_part_that_was_removed(name):
    with pytest.raises(PacketError):
        prove(container.packed({own: data for own, data in PARTS.items() if own != name}))


def test_part_that_was_added():
    with pytest.raises(PacketError, match=r"more.txt: not in the manifest"):
        prove(container.packed(PARTS | {"more.txt": b"x"}))


def test_packet_of_somebody_else():
    found = verdict()
    other = packed(found, key=OTHER_KEY)
    with pytest.raises(PacketError, match=f"no signature of manifest.json .* it names key {OTHER_KEY.key_id}"):
        prove(other.data)


def signed_anew(parts: dict[str, bytes], fine: Fine) -> bytes:
    kept = {name: data for name, data in parts.items() if not name.startswith("manifest")}
    told = manifest.of_parts(fine, kept, KEY.key_id)
    return container.packed({"manifest.json": told, "manifest.sig": KEY.sign(told), **kept})


def test_verdict_that_its_own_grounds_do_not_bear_is_found_though_it_is_signed():
    """A signature says who wrote it, not that it is right."""
    found = verdict()
    parts = container.unpacked(packed(found).data)
    record = parts["case.json"].replace(b'"limit_kmh": 40.2336', b'"limit_kmh": 30.2336', 1)
    with pytest.raises(PacketError, match=r"^fine.limit_kmh: computed 40.2336, told 30.2336$"):
        prove(signed_anew(parts | {"case.json": record}, found.fine))


def test_manifest_of_another_case_is_found():
    with pytest.raises(PacketError, match=r"^manifest.json: of another case than case.json$"):
        prove(signed_anew(PARTS, verdict().fine))


def test_compressed_parts_are_not_read():
    """They could say that they are small and fill the memory."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("case.json", bytes(50_000_000))
    with pytest.raises(PacketError, match="no packet as it is written"):
        prove(out.getvalue())


def test_withdrawal():
    fine = evidence.withdraw(verdict().passage, SECTION)
    proven = prove(archive.pack_withdrawal(fine, VERSIONS, KEY).data)
    assert checking.said(proven) == f"withdrawn; key {KEY.key_id}"


def test_packet_without_a_picture():
    found = verdict()
    lost = archive.pack(found, rules(), VERSIONS, (pictures(found)[0], None), KEY)
    with pytest.raises(PacketError, match="a part and its hash belong together"):
        prove(lost.data)
