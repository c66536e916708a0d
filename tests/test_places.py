"""Small files, local or in a bucket: whole or not at all, and lines behind those of others."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from google.api_core.exceptions import PreconditionFailed
from google.cloud.storage import Blob

from pipeline import places
from pipeline.option_values import OptionError

numbers = itertools.count()


@pytest.fixture(params=["local", "bucket"])
def place(request, tmp_path):
    if request.param == "local":
        return f"{tmp_path}/folder/file"
    return f"gs://{request.getfixturevalue('storage').create_bucket(f'places-{next(numbers)}').name}/folder/file"


def test_nothing_is_there_until_it_is_written(place):
    assert places.read(place, "--option") is None
    places.write(place, "--option", b"one")
    assert places.read(place, "--option") == b"one"
    places.write(place, "--option", b"two")
    assert places.read(place, "--option") == b"two"


@pytest.mark.parametrize("before", [b"first\n", b"first"])
def test_line_is_added_behind_what_is_there(place, before):
    places.write(place, "--option", before)
    places.add_line(place, "--option", b"second")
    places.add_line(place, "--option", b"third")
    assert places.read(place, "--option") == b"first\nsecond\nthird\n"


def test_line_may_be_the_first(place):
    places.write(place, "--option", b"")
    places.add_line(place, "--option", b"first")
    assert places.read(place, "--option") == b"first\n"


def test_lines_of_two_at_once_all_stand_there(storage):
    place = f"gs://{storage.create_bucket(f'places-{next(numbers)}').name}/file"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda n: places.add_line(place, "--option", str(n).encode()), range(8)))
    assert sorted(places.read(place, "--option").split()) == [str(n).encode() for n in range(8)]


def test_line_is_written_behind_one_that_came_meanwhile(storage, monkeypatch):
    place = f"gs://{storage.create_bucket(f'places-{next(numbers)}').name}/file"
    upload, others = Blob.upload_from_string, itertools.count()

    def meanwhile(blob, data, **options):
        if next(others) < places.TRIES - 1:
            upload(blob, (places.read(place, "--option") or b"") + b"another\n")
        return upload(blob, data, **options)

    monkeypatch.setattr(Blob, "upload_from_string", meanwhile)
    monkeypatch.setattr(places, "WAIT_S", 0.0)
    places.add_line(place, "--option", b"mine")
    assert places.read(place, "--option") == b"another\n" * (places.TRIES - 1) + b"mine\n"


def test_who_never_comes_through_is_told(storage, monkeypatch):
    place = f"gs://{storage.create_bucket(f'places-{next(numbers)}').name}/file"

    def refuse(*_, **__):
        raise PreconditionFailed("changed")

    monkeypatch.setattr(Blob, "upload_from_string", refuse)
    monkeypatch.setattr(places, "WAIT_S", 0.0)
    with pytest.raises(OptionError, match=r"--option: gs://.* cannot be written: others wrote to it 10 times in a row"):
        places.add_line(place, "--option", b"mine")


@contextmanager
def told(what):
    with pytest.raises(OptionError, match=what):
        yield


def test_mistakes_are_told(tmp_path, storage):
    with told("--option: s3://b/f cannot be read: allowed: a path, or gs://BUCKET/FILE"):
        places.read("s3://b/f", "--option")
    with told("--option: gs://b cannot be written: allowed: a path"):
        places.write("gs://b", "--option", b"")
    with told(f"--option: {tmp_path} cannot be read: Is a directory. Name another file"):
        places.read(str(tmp_path), "--option")
    (tmp_path / "file").write_text("")
    with told("file/x cannot be written: (Not a directory|File exists). Name another place"):
        places.write(f"{tmp_path}/file/x", "--option", b"")
    with told("cannot be written: Is a directory"):
        places.add_line(str(tmp_path), "--option", b"")
    with told("gs://no-such-bucket/file cannot be written: "):
        places.write("gs://no-such-bucket/file", "--option", b"")
