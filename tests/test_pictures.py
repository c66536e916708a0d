"""Plates and pictures of the simulator: the states' layouts, same seed same bytes, size, what conditions do."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageChops

from generator import lettering, pictures, plates, scene
from generator.fleet import draw_plates
from generator.look import Light, Look
from generator.pictures import Conditions, compose, render
from pipeline.enforcement.plates import LAYOUTS, has_layout, normalise, same_plate

CLASSES = ("car", "van", "truck", "bus", "motorcycle")
OVERLAY = "CAM G1 2026-04-13 16:30:38.690"
DRAWN = [(str(plate), str(region)) for plate, region in zip(*draw_plates(2000, np.random.default_rng(4)), strict=True)]
FIXED = Conditions(noise=0.0, plate_width_px=160.0)


def rng(*seed):
    return np.random.default_rng(seed)


def levels(image):
    return np.asarray(image, dtype=float)


def picture(conditions=FIXED, seed=1, **changes):
    made = {"plate": "ABC1234", "region": "US-NY", "overlay": OVERLAY, **changes}
    return compose(made.pop("plate"), made.pop("region"), rng=rng(seed), conditions=conditions, **made)


class TestPlates:
    def test_have_a_layout_of_their_state(self):
        for plate, region in DRAWN:
            assert has_layout(plate, LAYOUTS[region])

    def test_every_layout_that_is_drawn_is_known_to_the_domain(self):
        for region, design in plates.DESIGNS.items():
            assert set(design.parted_after) <= set(LAYOUTS[region])

    def test_leave_out_letters_that_look_like_digits(self):
        for plate, region in DRAWN:
            assert not set(plate) & set("AEIOUQ" if region == "US-TX" else "IOQ")

    @given(st.sampled_from(DRAWN), st.integers(0, 10_000))
    def test_a_near_twin_is_another_plate_of_the_state_one_character_apart(self, drawn, seed):
        plate, region = drawn
        twin = plates.near_twin(plate, region, rng(seed))
        assert sum(a != b for a, b in zip(plate, twin, strict=True)) == 1
        assert has_layout(twin, LAYOUTS[region])
        assert not same_plate(plate, twin, region)

    @pytest.mark.parametrize(
        ("plate", "region", "written"),
        [
            ("ABC1234", "US-NY", "ABC*1234"),
            ("ABC1234", "US-PA", "ABC-1234"),
            ("7ABC123", "US-CA", "7ABC123"),
            ("1AB234", "US-MA", "1AB 234"),
            ("AB12345", "US-CT", "AB*12345"),
        ],
    )
    def test_are_parted_as_the_state_does(self, plate, region, written):
        assert plates.written(plate, region) == written
        assert normalise(written) == plate

    def test_states_come_in_their_shares(self):
        share = sum(region == "US-NY" for _, region in DRAWN) / len(DRAWN)
        assert share == pytest.approx(plates.SHARES["US-NY"], abs=0.04)
        assert sum(plates.SHARES.values()) == pytest.approx(1.0)

    def test_characters_that_look_alike_are_still_drawn_differently(self):
        drawn = {c: levels(lettering.glyph(c, 40, 70, 9)) for c in lettering.STROKES}
        for one, other in ("B8", "S5", "Z2", "G6", "D0", "I1", "O0"):
            assert np.abs(drawn[one] - drawn[other]).mean() > 3


class TestRender:
    @pytest.mark.parametrize("vehicle_class", CLASSES)
    def test_same_seed_same_bytes(self, vehicle_class):
        def made(seed):
            source = rng(seed)
            conditions = Conditions.draw(source)
            return render("ABC1234", "US-NY", rng=source, conditions=conditions, vehicle_class=vehicle_class)

        assert made(5) == made(5)
        assert made(5) != made(6)

    def test_is_a_jpeg_of_the_stated_size(self):
        made = Image.open(io.BytesIO(render("ABC1234", "US-NY", rng=rng(1), conditions=FIXED)))
        assert (made.format, made.size) == ("JPEG", (scene.WIDTH_PX, scene.HEIGHT_PX))

    def test_pictures_stay_small(self):
        sizes = [
            len(
                render("ABC1234", "US-NY", rng=rng(i), conditions=Conditions.draw(rng(i)), vehicle_class=CLASSES[i % 5])
            )
            for i in range(20)
        ]
        assert max(sizes) < 110_000
        assert np.mean(sizes) < 80_000

    def test_vehicles_of_different_classes_look_different(self):
        drawn = [levels(picture(vehicle_class=name)) for name in CLASSES]
        for i, one in enumerate(drawn):
            assert all(np.abs(one - other).mean() > 4 for other in drawn[:i])

    def test_the_plate_shows_its_characters(self):
        box = ImageChops.difference(picture(plate="ABC1234"), picture(plate="ABC1284")).getbbox()
        assert box is not None
        assert 8 < box[2] - box[0] < FIXED.plate_width_px / 7
        assert 20 < box[3] - box[1] < FIXED.plate_width_px / 3

    def test_the_overlay_stands_at_an_edge_only(self):
        box = ImageChops.difference(picture(), picture(overlay=OVERLAY.replace("G1", "G2"))).getbbox()
        assert box is not None
        assert box[3] <= 25 or box[1] >= scene.HEIGHT_PX - 25

    def test_the_plate_has_the_width_asked_for(self):
        widths = []
        for asked in (120.0, 200.0):
            conditions = replace(FIXED, plate_width_px=asked)
            one, other = picture(conditions), picture(conditions, plate="XYZ9876")
            left, _, right, _ = ImageChops.difference(one, other).getbbox()
            widths.append((right - left) / asked)
        assert widths == pytest.approx([0.9, 0.9], abs=0.06)

    def test_unknown_states_and_characters_are_errors(self):
        with pytest.raises(KeyError, match="US-HI"):
            picture(region="US-HI")
        with pytest.raises(KeyError, match="Ä"):
            picture(plate="ÄBC1234")


class TestLook:
    def rear(self, look, seed, vehicle_class="car"):
        """The vehicle around its plate, wherever it stands in the picture of this seed."""
        made = [
            picture(seed=seed, plate=plate, look=look, overlay="", vehicle_class=vehicle_class)
            for plate in ("ABC1234", "XYZ9876")
        ]
        left, top, right, bottom = ImageChops.difference(*made).getbbox()
        x, y = (left + right) // 2, (top + bottom) // 2
        return levels(made[0].crop((x - 110, y - 130, x + 110, y + 70)).reduce(4))

    @pytest.mark.parametrize("vehicle_class", CLASSES)
    def test_is_the_same_in_every_picture_of_the_vehicle(self, vehicle_class):
        look = Look(seed=7, dirt=0.5)
        rears = [self.rear(look, seed, vehicle_class) for seed in range(4)]
        assert all(np.abs(rears[0] - other).mean() < 12 for other in rears[1:])

    def test_of_other_vehicles_is_another(self):
        one, *others = (self.rear(Look(seed), 1) for seed in range(8))
        assert sum(np.abs(one - other).mean() > 20 for other in others) >= 4

    def test_decides_dirt_and_wear_of_the_plate_and_the_light_how_much_of_the_wear_is_seen(self):
        look = Look(seed=1, dirt=0.4, wear=0.5)
        for light, fading in ((Light.DAYLIGHT, 0.15), (Light.DUSK, 0.35), (Light.NIGHT, 0.35)):
            taken = [Conditions.draw(rng(i), light=light, look=look) for i in range(20)]
            assert {(c.light, c.dirt) for c in taken} == {(light, 0.4)}
            assert [c.fading for c in taken] == pytest.approx([fading] * 20)
            assert len({(c.yaw_deg, c.plate_width_px, c.noise) for c in taken}) == 20

    def test_same_look_and_seed_same_bytes(self):
        made = {render("ABC1234", "US-NY", rng=rng(5), conditions=FIXED, look=Look(3)) for _ in range(2)}
        assert len(made) == 1
        assert made != {render("ABC1234", "US-NY", rng=rng(6), conditions=FIXED, look=Look(3))}


class TestConditions:
    def brightness(self, light):
        return levels(picture(replace(FIXED, light=light))).mean()

    def test_night_is_darker_than_dusk_than_day(self):
        assert self.brightness(Light.NIGHT) < 0.6 * self.brightness(Light.DUSK) < 0.6 * self.brightness(Light.DAYLIGHT)

    @pytest.mark.parametrize("blur", [{"motion_blur_px": 6.0}, {"defocus_px": 1.5}])
    def test_blur_softens_edges(self, blur):
        def sharpness(image):
            return np.abs(np.diff(levels(image.convert("L"))[40:600], axis=0)).mean()

        assert sharpness(picture(replace(FIXED, **blur))) < 0.8 * sharpness(picture())

    @pytest.mark.parametrize(
        "change",
        [{"dirt": 0.8}, {"fading": 0.5}, {"yaw_deg": 15.0}, {"pitch_deg": 12.0}, {"roll_deg": 3.0}, {"noise": 8.0}],
    )
    def test_every_condition_changes_the_picture(self, change):
        assert np.abs(levels(picture(replace(FIXED, **change))) - levels(picture())).mean() > 0.1

    def test_dirt_and_fading_take_contrast_from_the_plate(self):
        face = plates.draw_plate("ABC1234", "US-NY", 320)
        assert levels(pictures._soil(face, 1.0, rng(1))).std() < 0.75 * levels(face).std()

    def test_the_mix_has_day_dusk_night_blur_and_dirt(self):
        source = rng(9)
        drawn = [Conditions.draw(source) for _ in range(1000)]

        def share(holds):
            return sum(map(holds, drawn)) / len(drawn)

        assert share(lambda c: c.light == Light.DAYLIGHT) == pytest.approx(0.60, abs=0.05)
        assert share(lambda c: c.light == Light.NIGHT) == pytest.approx(0.25, abs=0.05)
        assert share(lambda c: c.motion_blur_px > 0 or c.defocus_px > 0) > 0.3
        assert share(lambda c: c.dirt > 0) > 0.2
        assert share(lambda c: 110 <= c.plate_width_px <= 220) == 1.0

    def test_clear_daylight_is_clear(self):
        source = rng(9)
        for _ in range(100):
            clear = Conditions.clear_daylight(source)
            assert (clear.light, clear.dirt, clear.motion_blur_px, clear.defocus_px) == (Light.DAYLIGHT, 0, 0, 0)
