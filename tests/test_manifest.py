"""What is signed: a packet's manifest, and the chain of a section, in which nothing can be missing unseen."""

import pytest
from msgspec.structs import replace
from packet_samples import SECTION, VERSIONS, verdict
from signing_samples import KEY, OTHER_KEY, PUBLIC

from pipeline.enforcement import evidence, manifest, packet
from pipeline.enforcement.manifest import Head
from pipeline.enforcement.plain_json import PacketError
from pipeline.packets.keys import PublicKeys

FINE = evidence.withdraw(verdict().passage, SECTION)
PARTS = packet.withdrawal(FINE, VERSIONS)
SIGNED = manifest.of_parts(FINE, PARTS, KEY.key_id)


def problems(data=SIGNED, signature=None, parts=None):
    by = KEY.sign(data) if signature is None else signature
    return list(manifest.problems(data, by, parts or PARTS, PUBLIC.is_signed))


def test_manifest_that_was_not_touched():
    assert problems() == []
    assert manifest.read_manifest(SIGNED).parts.keys() == PARTS.keys()


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({packet.NAME: b"other"}, "case.json: other bytes than were signed"),
        (PARTS | {"more.jpg": b""}, "more.jpg: not in the manifest"),
        ({"more.jpg": b""}, "case.json: missing"),
    ],
)
def test_part_that_differs(parts, says):
    assert says in problems(parts=parts)


@pytest.mark.parametrize("signature", [b"", b"x", bytes(64), OTHER_KEY.sign(SIGNED), KEY.sign(SIGNED + b" ")])
def test_signature_that_is_none(signature):
    (problem,) = problems(signature=signature)
    assert problem.startswith("manifest.sig: no signature of manifest.json by a public key that was given")


def test_key_that_a_manifest_names_must_have_been_given():
    data = manifest.of_parts(FINE, PARTS, OTHER_KEY.key_id)
    assert len(problems(data, OTHER_KEY.sign(data))) == 1
    assert list(manifest.problems(data, OTHER_KEY.sign(data), PARTS, PublicKeys.of(OTHER_KEY).is_signed)) == []


@pytest.mark.parametrize("data", [b"", b"{}\n", SIGNED[:-1], SIGNED.replace(b'"format": 1', b'"format": 2')])
def test_what_is_no_manifest(data):
    with pytest.raises(PacketError, match=r"manifest.json"):
        problems(data)


def test_name_says_what_it_is_of_and_what_it_holds():
    name = manifest.packet_name(SIGNED)
    assert name.startswith(f"packets/G1-G2/{FINE.entry_time[:10]}/{FINE.fine_id}-1-withdrawn-")
    other = manifest.of_parts(FINE, PARTS | {"more": b""}, KEY.key_id)
    assert manifest.packet_name(other) != name


# --- the chain


def packets(n: int) -> list[bytes]:
    return [manifest.of_parts(replace(FINE, revision=number), PARTS, KEY.key_id) for number in range(1, n + 1)]


def chain(signed: list[bytes], key=KEY, head: Head = Head()) -> list[tuple[int, bytes]]:  # noqa: B008 (a frozen value)
    links = []
    for one in signed:
        data = manifest.new_link("s", head, one, key.key_id, key.sign)
        head = Head(head.number + 1, manifest.digest(data))
        links.append((head.number, data))
    return links


LINKS = chain(packets(5))
HEAD = Head(5, manifest.digest(LINKS[-1][1]))


def wrong(links, known=None, keys=PUBLIC):
    return manifest.check_chain("s", links, keys.is_signed, known)[1]


def test_whole_chain():
    found, problems_found = manifest.check_chain("s", LINKS, PUBLIC.is_signed, HEAD)
    assert problems_found == []
    assert [one.link.manifest_sha256 for one in found] == [manifest.digest(one) for one in packets(5)]
    assert manifest.check_chain("s", [], PUBLIC.is_signed, None) == ([], [])


def test_links_are_the_same_however_often_they_are_made():
    assert chain(packets(5)) == LINKS


@pytest.mark.parametrize("gone", [1, 3, 4])
def test_removed_link(gone):
    assert f"link {gone} is missing" in wrong([one for one in LINKS if one[0] != gone])


def test_removed_links_in_a_row():
    assert wrong([LINKS[0], LINKS[4]]) == ["links 2 to 4 are missing"]


def test_removed_link_whose_followers_moved_up():
    """Who holds the store can name objects as they like, and cannot sign."""
    moved = [*LINKS[:2], *((number - 1, data) for number, data in LINKS[3:])]
    assert wrong(moved)[0] == "link 3: it is link 4 of section s"


def test_swapped_links():
    swapped = [LINKS[0], (2, LINKS[2][1]), (3, LINKS[1][1]), *LINKS[3:]]
    assert wrong(swapped)[:2] == ["link 2: it is link 3 of section s", "link 3: it is link 2 of section s"]


def test_link_of_another_section():
    assert manifest.check_chain("t", LINKS, PUBLIC.is_signed, None)[1][0] == "link 1: it is link 1 of section s"


def test_fork():
    """Another link in a place, signed by the same key: those behind it do not follow."""
    other = chain(packets(6)[5:], head=Head(2, manifest.digest(LINKS[1][1])))
    assert wrong([*LINKS[:2], *other, *LINKS[3:]]) == ["link 4: it does not follow link 3 that is there"]


def test_end_that_was_cut_off_shows_to_who_saw_it():
    assert wrong(LINKS[:3]) == []
    assert wrong(LINKS[:3], HEAD) == ["links 4 to 5 are missing at the end: an earlier look saw them"]
    assert wrong([], HEAD) == ["links 1 to 5 are missing at the end: an earlier look saw them"]


def test_chain_that_was_written_anew_shows_to_who_saw_the_old_one():
    anew = chain(packets(7)[1:])
    assert wrong(anew) == []
    assert wrong(anew, HEAD) == ["link 5: another one than an earlier look saw"]


def test_chain_that_has_grown_holds_what_was_seen():
    grown = [*LINKS, *((number, data) for number, data in chain(packets(2), head=HEAD))]
    assert wrong(grown, HEAD) == []


def test_keys_may_change():
    grown = [*LINKS, *chain(packets(1), OTHER_KEY, HEAD)]
    assert wrong(grown) == ["link 6: not signed by a public key that was given"]
    assert wrong(grown, keys=PublicKeys([KEY.public_key, OTHER_KEY.public_key])) == []


def test_any_byte_of_a_link():
    number, data = LINKS[2]
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert wrong([*LINKS[:2], (number, flipped), *LINKS[3:]]), f"byte {at}"


@pytest.mark.parametrize("data", [b"", b"{}\n", b"\xff", b"[" * 100_000, LINKS[0][1][:-1], LINKS[0][1] + b"\n"])
def test_what_is_no_link(data):
    assert wrong([(1, data)])
    with pytest.raises(PacketError):
        manifest.follow(Head(), data, "s")


def test_whoever_appends_goes_on_behind_what_follows_alone():
    chained, signature = manifest.follow(Head(), LINKS[0][1], "s")
    assert (chained.link.number, len(signature)) == (1, 64)
    with pytest.raises(PacketError, match="does not follow link 1"):
        manifest.follow(Head(1, "0" * 64), LINKS[1][1], "s")


@pytest.mark.parametrize("name", ["chain/s/1.json", "chain/s/000000000x.json", "chain/s/0000000001.txt", "chain/s/"])
def test_what_is_no_name_of_a_link(name):
    with pytest.raises(PacketError, match="no name of a link"):
        manifest.link_number(name)


def test_names_of_links_are_in_the_order_of_their_numbers():
    names = [manifest.link_name("s", number) for number in (1, 9, 10, 99, 1_000_000_000)]
    assert names == sorted(names)
    assert [manifest.link_number(name) for name in names] == [1, 9, 10, 99, 1_000_000_000]
