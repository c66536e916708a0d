"""The demo's cameras: at the road's own pace, with every fault, and switched off in time."""

import argparse
from itertools import islice

import pytest

from demo.run import SECTIONS
from demo.traffic import FAULT_RATES, PASSING_S, config_of, messages_until_passed
from generator.config import FAULTS
from generator.outgoing import Scenario
from generator.run import generate
from generator.truth import TruthSummary
from pipeline.enforcement.sections import parse_network


def scenario(vehicles: int, seed: int) -> Scenario:
    return generate(config_of(argparse.Namespace(sections=SECTIONS, vehicles=vehicles, seed=seed, bucket="b")))


def test_every_fault_is_on_but_that_of_clocks() -> None:
    assert FAULT_RATES.keys() == FAULTS.keys()


def test_cameras_publish_when_they_see() -> None:
    assert scenario(20, 1).haste == 1.0


def test_a_session_of_the_demo_ends_soon_enough_for_the_first_fine() -> None:
    assert parse_network(SECTIONS.read_text()).session_gap_s() < 45


@pytest.mark.parametrize("seed", range(1, 6))
def test_cameras_are_on_until_the_last_vehicle_has_passed_and_no_longer(seed: int) -> None:
    found = scenario(30, seed)
    last = messages_until_passed(found)
    sent = list(islice(found.messages(), last))
    later = list(islice(found.messages(), last, None))
    entered_us = max(message.earliest_us or 0 for message in found.messages() if message.new_vehicles)
    assert sent[-1].due_us - entered_us <= PASSING_S * 1e6
    assert all(message.due_us - entered_us > PASSING_S * 1e6 for message in later)


def test_same_seed_sends_the_same() -> None:
    one, other = scenario(15, 4), scenario(15, 4)
    assert [message.payload for message in one.messages()] == [message.payload for message in other.messages()]
    assert messages_until_passed(one) == messages_until_passed(other)


def test_truth_is_that_of_what_was_sent() -> None:
    found = scenario(30, 2)
    items = sum(message.items for message in islice(found.messages(), messages_until_passed(found)))
    (summary,) = [record for record in found.truth(items) if isinstance(record, TruthSummary)]
    assert summary.sightings + summary.malformed == items
