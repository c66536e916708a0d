"""What the pictures of one run share: a vehicle looks the same at every camera, and the light is that of the hour."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from generator.config import Config, Form, Pictures
from generator.look import DAY_US, MIX, Light, Look, draw_light, light_at
from generator.run import generate
from pipeline.enforcement.sections import parse_network

NETWORK = parse_network((Path(__file__).parent.parent / "templates" / "sections.yaml").read_text())
MINUTE_US = 60_000_000


def scenario(**changes):
    chosen = {"network": NETWORK, "vehicles": 60, "bucket": "b", "pictures": Pictures.ALL}
    return generate(Config(**(chosen | changes)))


def orders(found):
    """The pictures of a run by their row, and the vehicle of each."""
    ordered = {order.seed[-1]: order for message in found.messages() for order in message.pictures}
    return [(order, int(found.crossings.vehicle[row])) for row, order in sorted(ordered.items())]


def mix_of(lights):
    counted = Counter(lights)
    return {light: counted[light] / counted.total() for light in Light}


class TestLook:
    def test_of_a_vehicle_is_the_same_in_all_its_pictures_and_no_other_vehicle_s(self):
        found = orders(scenario())
        assert len(found) > 2 * 60
        pairs = {(vehicle, order.look) for order, vehicle in found}
        assert len(pairs) == len({vehicle for vehicle, _ in pairs}) == len({look for _, look in pairs}) == 60

    def test_of_a_cloned_plate_is_each_vehicle_s_own(self):
        found = scenario(vehicles=200, faults={"cloned_plates": 0.1})
        looks = {}
        for order, vehicle in orders(found):
            if found.cast.cloned[vehicle]:
                looks.setdefault(order.plate, set()).add(order.look)
        assert looks
        assert all(len(seen) > 1 for seen in looks.values())

    def test_differs_from_run_to_run(self):
        assert Look.of(1, 0) == Look.of(1, 0)
        assert len({Look.of(seed, vehicle) for seed in range(20) for vehicle in range(20)}) == 400

    def test_a_quarter_have_dirty_plates(self):
        dirt = [Look.of(1, vehicle).dirt for vehicle in range(1000)]
        assert np.mean([amount > 0 for amount in dirt]) == pytest.approx(0.25, abs=0.04)
        assert max(dirt) <= 1

    def test_edem_s_vehicles_have_one_each(self):
        line = {"initial": (40.76, -73.97), "final": (40.75, -73.98)}
        found = generate(Config(form=Form.EDEM, vehicles=20, batch=1, pictures=Pictures.ALL, **line))
        looks = [order.look for message in found.messages() for order in message.pictures]
        assert len(looks) == len(set(looks)) == 20


class TestLight:
    def test_of_neighbouring_pictures_agrees(self):
        lights = [order.light for order, _ in orders(scenario())]
        assert sum(one is not other for one, other in pairwise(lights)) <= 1

    def test_goes_round_from_day_to_dusk_to_night_and_back(self):
        lights = [light_at(1, minute * MINUTE_US) for minute in range(1440)]
        changes = [(one, other) for one, other in pairwise([*lights, lights[0]]) if one is not other]
        day, dusk, night = Light.DAYLIGHT, Light.DUSK, Light.NIGHT
        assert sorted(changes) == sorted([(day, dusk), (dusk, night), (night, dusk), (dusk, day)])

    def test_over_a_day_is_the_mix(self):
        day = mix_of(light_at(1, minute * MINUTE_US) for minute in range(1440))
        assert day == pytest.approx(MIX, abs=0.002)

    def test_over_many_runs_is_the_mix(self):
        assert mix_of(light_at(seed, 0) for seed in range(4000)) == pytest.approx(MIX, abs=0.025)

    def test_drawn_for_single_pictures_is_the_mix(self):
        source = np.random.default_rng(3)
        assert mix_of(draw_light(source) for _ in range(4000)) == pytest.approx(MIX, abs=0.025)

    def test_a_day_later_it_is_the_same(self):
        assert all(light_at(seed, 0) is light_at(seed, DAY_US) for seed in range(50))

    def test_is_the_run_s_whatever_its_date(self):
        found = scenario(vehicles=10)
        later = found.dated(msgspec.structs.replace(found.config, start_us=found.config.start_us + DAY_US // 2))
        assert [(o.light, o.look) for o, _ in orders(found)] == [(o.light, o.look) for o, _ in orders(later)]
