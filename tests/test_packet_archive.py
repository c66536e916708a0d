"""Packets and chains in the evidence bucket: written once, whole, in one row, whoever writes and however often."""

import itertools
import logging
import threading

import msgspec
import pytest
from google.api_core.exceptions import ServiceUnavailable
from msgspec.structs import replace
from packet_samples import SECTION, VERSIONS, jpeg, rules, verdict
from signing_samples import KEY, OTHER_KEY, PUBLIC

from pipeline import secret
from pipeline.enforcement import evidence, manifest
from pipeline.enforcement.manifest import Head
from pipeline.enforcement.model import Status
from pipeline.enforcement.plain_json import PacketError
from pipeline.jobs import main
from pipeline.packets import chains, checking
from pipeline.packets.archive import PacketArchive
from pipeline.packets.chains import Chains
from pipeline.packets.keys import PublicKeys

BUCKET = "archive-evidence"
numbers = itertools.count()


@pytest.fixture
def bucket(storage):
    return storage.bucket(BUCKET)


@pytest.fixture
def section():
    """Each test's own, with a chain of its own."""
    return replace(SECTION, section_id=f"archive {next(numbers)}")


@pytest.fixture
def case(bucket, section):
    """Makes verdicts of the section whose pictures are in the bucket."""

    def make():
        found = verdict(under=rules(section))
        kept = []
        for number, picture in enumerate(found.pictures):
            name = f"pictures/{found.passage.passage_id}/{number}"
            bucket.blob(name).upload_from_string(jpeg(50 + 100 * number))
            kept.append(replace(picture, image_url=f"gs://{BUCKET}/{name}"))
        undecided = evidence.Case(replace(found.passage, outcome=None, reasons=()), tuple(kept))
        return type(found)(*evidence.judge(undecided, section), tuple(kept))

    return make


@pytest.fixture
def seal(bucket, section):
    archive = PacketArchive.of(bucket, KEY)
    return lambda found: archive.seal(found, rules(section), VERSIONS)


def stored(bucket, fine):
    return bucket.blob(fine.packet_url.removeprefix(f"gs://{BUCKET}/")).download_as_bytes()


def links(bucket, section_id):
    names = sorted(blob.name for blob in bucket.list_blobs(prefix=f"chain/{section_id}/"))
    return [(manifest.link_number(name), bucket.blob(name).download_as_bytes()) for name in names]


def chained(bucket, section_id, keys=PUBLIC):
    """The manifests' hashes in the chain, which must be whole."""
    found, wrong = manifest.check_chain(section_id, links(bucket, section_id), keys.is_signed, None)
    assert wrong == []
    return [one.link.manifest_sha256 for one in found]


def signed(section_id: str, revision: int) -> bytes:
    """A manifest."""
    fine = replace(verdict().fine, radar_id=section_id, revision=revision)
    return manifest.of_parts(fine, {}, KEY.key_id)


def test_sealed_fine_names_its_packet_which_proves_it(bucket, section, case, seal):
    found = case()
    fine = seal(found)
    assert fine == replace(found.fine, packet_url=fine.packet_url)
    assert fine.packet_url.startswith(f"gs://{BUCKET}/packets/{section.section_id}/2026-04-1")
    proven = checking.prove(stored(bucket, fine), PUBLIC.is_signed)
    assert (proven.told.fine, f"gs://{BUCKET}/{proven.name}") == (found.fine, fine.packet_url)
    assert chained(bucket, section.section_id) == [proven.manifest_sha256]


def test_picture_is_hashed_once(monkeypatch, bucket, case, seal):
    """When it is fetched; of a large one that is a third of what sealing costs."""
    found, hashed = case(), []
    count = manifest.digest
    monkeypatch.setattr(manifest, "digest", lambda data: hashed.append(data) or count(data))
    fine = seal(found)
    assert [hashed.count(jpeg(50 + 100 * number)) for number in range(2)] == [1, 1]
    assert checking.prove(stored(bucket, fine), PUBLIC.is_signed).told.fine == found.fine


def test_work_that_is_done_again_writes_nothing(bucket, section, case, seal):
    found = [case() for _ in range(3)]
    sealed = list(map(seal, found))
    before = {blob.name: blob.generation for blob in bucket.list_blobs()}
    elsewhere = PacketArchive.of(bucket, KEY)  # another process, which knows nothing, and another order
    again = [elsewhere.seal(one, rules(section), VERSIONS) for one in reversed(found)]
    assert again[::-1] == sealed
    assert {blob.name: blob.generation for blob in bucket.list_blobs()} == before
    assert len(chained(bucket, section.section_id)) == 3


def test_withdrawal_has_its_place_in_the_chain(bucket, section, case, seal):
    fine = seal(case())
    taken_back = evidence.withdraw(case().passage, section)
    withdrawn = PacketArchive.of(bucket, KEY).seal_withdrawal(taken_back, VERSIONS)
    assert (withdrawn.status, len(chained(bucket, section.section_id))) == (Status.WITHDRAWN, 2)
    assert checking.prove(stored(bucket, withdrawn), PUBLIC.is_signed).told.grounds is None
    assert fine.packet_url != withdrawn.packet_url


def test_another_verdict_of_the_same_revision_is_another_packet(bucket, section, case, seal):
    """As of a job that began anew: neither replaces the other, and both are in the chain."""
    found = case()
    doubted = type(found)(found.passage, replace(found.fine, license_plate="KLM482I"), found.pictures)
    first, second = seal(found), seal(doubted)
    assert first.packet_url != second.packet_url
    assert len(chained(bucket, section.section_id)) == 2


def test_many_writers_make_one_row(bucket, section):
    """Processes that know nothing of each other, each with several threads."""
    manifests = [signed(section.section_id, number) for number in range(1, 25)]
    processes = [Chains(bucket, KEY) for _ in range(4)]
    failures = []

    def append(number):
        try:
            for one in manifests[number::8]:
                processes[number % 4].append(section.section_id, one)
        except Exception as error:  # noqa: BLE001 (told below)
            failures.append(error)

    threads = [threading.Thread(target=append, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    found = chained(bucket, section.section_id)
    assert sorted(found) == sorted(map(manifest.digest, manifests)), "each once"


def test_chain_longer_than_what_is_remembered_goes_on_at_its_end(bucket, section, monkeypatch):
    monkeypatch.setattr(chains, "REMEMBERED", 4)
    first = Chains(bucket, KEY)
    late = Chains(bucket, KEY)
    assert late.append(section.section_id, signed(section.section_id, 1)) == 1
    for number in range(2, 12):
        assert first.append(section.section_id, signed(section.section_id, number)) == number
    assert late.append(section.section_id, signed(section.section_id, 12)) == 12, "many were written meanwhile"
    assert Chains(bucket, KEY).append(section.section_id, signed(section.section_id, 13)) == 13
    assert len(chained(bucket, section.section_id)) == 13


def test_packet_may_be_chained_again_after_long_and_is_the_same(bucket, section, monkeypatch):
    monkeypatch.setattr(chains, "REMEMBERED", 2)
    manifests = [signed(section.section_id, number) for number in range(1, 6)]
    for one in [*manifests, manifests[0]]:
        Chains(bucket, KEY).append(section.section_id, one)
    found = chained(bucket, section.section_id)
    assert (len(found), found[0]) == (6, found[5])


def test_sections_whose_names_begin_alike_have_chains_of_their_own(bucket, section):
    """Or the end of the one would be looked for in the other."""
    longer = f"{section.section_id}0"
    for number in range(1, 4):
        Chains(bucket, KEY).append(longer, signed(longer, number))
    assert Chains(bucket, KEY).append(section.section_id, signed(section.section_id, 1)) == 1
    assert Chains(bucket, KEY).append(longer, signed(longer, 4)) == 4


def test_key_may_change_within_a_chain(bucket, section):
    Chains(bucket, KEY).append(section.section_id, signed(section.section_id, 1))
    Chains(bucket, OTHER_KEY).append(section.section_id, signed(section.section_id, 2))
    Chains(bucket, KEY).append(section.section_id, signed(section.section_id, 3))
    assert len(chained(bucket, section.section_id, PublicKeys([KEY.public_key, OTHER_KEY.public_key]))) == 3


@pytest.mark.parametrize("kind", ["garbage", "fork", "forged"])
def test_what_stands_in_the_next_place_and_is_no_link_is_left_and_told(bucket, section, case, seal, caplog, kind):
    """Nothing is put beside it: the fine says by its missing address that it is not sealed."""
    seal(case())
    (_, first), *_ = links(bucket, section.section_id)
    data = {
        "garbage": b"garbage",
        "fork": manifest.new_link(section.section_id, Head(1, "0" * 64), signed(section.section_id, 9), "k", KEY.sign),
        "forged": manifest.new_link(
            section.section_id,
            Head(1, manifest.digest(first)),
            signed(section.section_id, 9),
            KEY.key_id,
            OTHER_KEY.sign,
        ),
    }[kind]
    name = manifest.link_name(section.section_id, 2)
    bucket.blob(name).upload_from_string(data)
    found = case()
    with caplog.at_level(logging.ERROR):
        assert seal(found) == found.fine
    assert f"fine {found.fine.fine_id}, revision 1: no packet: link 2" in caplog.text
    assert bucket.blob(name).download_as_bytes() == data
    assert [number for number, _ in links(bucket, section.section_id)] == [1, 2]


def test_what_else_lies_in_the_folder_of_a_chain_leads_nobody_astray(bucket, section):
    """Who may add objects can add any: a strange one is not taken for a link, nor looked for without end."""
    folder = f"chain/{section.section_id}"
    Chains(bucket, KEY).append(section.section_id, signed(section.section_id, 1))
    bucket.blob(f"{folder}/notes.txt").upload_from_string("x")
    assert Chains(bucket, KEY).append(section.section_id, signed(section.section_id, 2)) == 2
    bucket.blob(f"{folder}/99999999999999.json").upload_from_string("x")
    with pytest.raises(PacketError, match="has the name of its last link, or one behind it"):
        Chains(bucket, KEY).append(section.section_id, signed(section.section_id, 3))


def test_packet_is_never_replaced(bucket, section, case, seal, caplog):
    found = case()
    fine = seal(found)
    bucket.blob(fine.packet_url.removeprefix(f"gs://{BUCKET}/")).upload_from_string(b"other")
    assert PacketArchive.of(bucket, KEY).seal(found, rules(section), VERSIONS).packet_url is None
    assert "other bytes are there" in caplog.text
    assert stored(bucket, fine) == b"other"


def test_picture_that_is_another_one_by_now(bucket, case, seal, caplog):
    found = case()
    bucket.blob(found.pictures[0].image_url.removeprefix(f"gs://{BUCKET}/")).upload_from_string(jpeg(9))
    assert seal(found).packet_url is None
    assert "another picture than the one that was judged" in caplog.text


def test_bucket_that_fails_holds_nothing_up_and_no_plate_is_logged(monkeypatch, bucket, case, seal, caplog):
    found = case()

    def fail(*_args, **_options):
        raise ServiceUnavailable(f"about {found.fine.vehicle_id}")

    monkeypatch.setattr(type(bucket.blob("x")), "upload_from_string", fail)
    assert seal(found) == found.fine
    assert "ServiceUnavailable" in caplog.text
    assert found.fine.vehicle_id not in caplog.text


def test_nobody_goes_on_trying_for_ever(monkeypatch, bucket, section):
    """Where others are always before it."""
    monkeypatch.setattr(chains, "MAX_TRIES", 3)
    appended = Chains(bucket, KEY)
    others = Chains(bucket, KEY)
    revisions = itertools.count(100)
    write = Chains._try

    def too_late(self, section_id, known, packet):
        if self is appended:
            others.append(section_id, signed(section_id, next(revisions)))
        write(self, section_id, known, packet)

    monkeypatch.setattr(Chains, "_try", too_late)
    with pytest.raises(PacketError, match="3 others were before this one"):
        appended.append(section.section_id, signed(section.section_id, 1))
    assert len(chained(bucket, section.section_id)) == 3


SECTIONS = """
cameras: {G1: {location: [40.74, -73.99]}, G2: {location: [40.7409, -73.9893]}}
sections: [{id: of files, cameras: [G1, G2], length_m: [100.0], limit: 40 km/h}]
"""


def test_run_from_files_seals_too_where_there_is_a_bucket(bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(secret.VARIABLE, "0123456789abcdef")
    (tmp_path / "sections.yaml").write_text(SECTIONS)
    lines = []
    for number, travel_s in enumerate((5, 6, 20)):
        for camera, time_s in (("G1", 0), ("G2", travel_s)):
            url = f"gs://archive-camera/{number}-{camera}.jpg"
            bucket.client.bucket("archive-camera").blob(f"{number}-{camera}.jpg").upload_from_string(jpeg(10 + time_s))
            seen = {"vehicle_id": f"KLM482{number}", "camera_id": camera, "timestamp": 1_776_000_000 + time_s}
            lines.append(msgspec.json.encode(seen | {"image_url": url}))
    (tmp_path / "in.ndjson").write_bytes(b"\n".join(lines))
    key = tmp_path / "signing.key"
    argv = [f"--input={tmp_path}/in.ndjson", f"--output_dir={tmp_path}/out", f"--sections={tmp_path}/sections.yaml"]
    argv += [f"--evidence_bucket={BUCKET}", "--ocr=none", f"--signing_key={key}"]
    assert main(argv) == 0
    found = [msgspec.json.decode(line) for path in tmp_path.glob("out/fines*") for line in path.open("rb")]
    assert [fine["status"] for fine in found] == ["review", "review"]
    capsys.readouterr()
    assert main(["verify", f"--public_key={key}.pub", *(fine["packet_url"] for fine in found)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert len(links(bucket, "of files")) == 2
