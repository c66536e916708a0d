"""Pseudonyms: the same vehicle on the same day, and nothing more."""

import hashlib
import hmac
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.enforcement.privacy import MAX_DAYS, Pseudonyms

SECRET = b"0123456789abcdef"
NOON_US = 1_775_995_200_000_000  # 2026-04-12T12:00:00Z
DAY_US = 86_400_000_000


def test_same_vehicle_same_day_is_one_pseudonym():
    names = Pseudonyms(SECRET)
    assert names.of("ABC1234", NOON_US) == names.of("ABC1234", NOON_US + DAY_US // 2 - 1)


def test_next_day_is_another_pseudonym():
    names = Pseudonyms(SECRET)
    assert names.of("ABC1234", NOON_US + DAY_US // 2 - 1) != names.of("ABC1234", NOON_US + DAY_US // 2)


def test_other_secret_is_another_pseudonym():
    assert Pseudonyms(SECRET).of("A", NOON_US) != Pseudonyms(SECRET[::-1]).of("A", NOON_US)


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=16, max_size=200), st.text(min_size=1, max_size=200))
def test_pseudonym_is_a_keyed_hash_under_the_key_of_the_day(secret, name):
    key = hmac.new(secret, b"2026-04-12", hashlib.sha256).digest()
    expected = hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:32]
    assert Pseudonyms(secret).of(name, NOON_US) == expected


def test_privacy_off_returns_the_name():
    assert Pseudonyms(None).of("ABC1234", NOON_US) == "ABC1234"


@pytest.mark.parametrize("size", [0, 1, 15])
def test_short_secret_is_refused(size):
    with pytest.raises(ValueError, match=f"{size} bytes; at least 16"):
        Pseudonyms(b"x" * size)


@settings(max_examples=100, deadline=None)
@given(st.text(min_size=1, max_size=64), st.integers(946_684_800_000_000, 4_102_444_800_000_000))
def test_pseudonym_hides_any_name(name, time_us):
    found = Pseudonyms(SECRET).of(name, time_us)
    assert re.fullmatch("[0-9a-f]{32}", found)
    assert found != name


def test_many_vehicles_have_different_pseudonyms():
    names = Pseudonyms(SECRET)
    assert len({names.of(f"V{number}", NOON_US) for number in range(5_000)}) == 5_000


TIMES = st.integers(NOON_US, NOON_US + 3 * DAY_US) | st.just(NOON_US)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ABCD"), TIMES), max_size=8), st.sampled_from([SECRET, None]))
def test_pseudonyms_of_many_are_those_of_each(seen, secret):
    names, times_us = [name for name, _ in seen], np.array([time_us for _, time_us in seen], np.int64)
    expected = [Pseudonyms(secret).of(*one) for one in seen]
    assert Pseudonyms(secret).of_all(names, times_us) == expected


def test_pseudonyms_stay_the_same_when_those_of_other_days_were_asked_for():
    names = Pseudonyms(SECRET)
    first = names.of("A", NOON_US)
    for number in range(2 * MAX_DAYS):
        names.of("A", NOON_US + number * DAY_US)
    assert names.of("A", NOON_US) == first
