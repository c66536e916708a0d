"""Pictures as a roadside camera takes them: a vehicle's rear with its plate, by day and night, sharp, blurred or dirty.

Drawn, not photographed: they exercise the reading of plates, and say nothing about the accuracy on a real road.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from generator.lettering import font
from generator.look import Light, Look, draw_dirt, draw_light
from generator.plates import draw_plate
from generator.scene import ENLARGED, HEIGHT_PX, WIDTH_PX, Spot, View, draw_rear, draw_road

Levels = npt.NDArray[np.float32]

NOISE_TILE_PX = 1024
NOISE_TILE_SD = 32
# Real plates are 0.305 m wide; drawn a little larger, so that the whole vehicle fits with a plate that can be read.
PLATE_WIDTH_M = 0.37
CAMERA_DISTANCE_M = 7.0


BRIGHTNESS = {Light.DAYLIGHT: 1.0, Light.DUSK: 0.52, Light.NIGHT: 0.17}
# Plates throw the camera's own flash back: they stay readable when the scene is dark.
PLATE_BRIGHTNESS = {Light.DAYLIGHT: 1.0, Light.DUSK: 0.8, Light.NIGHT: 0.9}


@dataclass(frozen=True)
class Conditions:
    """How a picture is taken.

    plate_width_px: the plate's width in the picture. yaw, pitch and roll of the camera against the plate, degrees.
    motion_blur_px: the way the vehicle moves during the exposure. defocus_px: standard deviation of the blur.
    dirt: 0 (clean) to 1. fading: the share of its brightness that the plate has lost, 0 to 1.
    noise: standard deviation in grey levels of 0-255. jpeg_quality: 1-95.
    """

    light: Light = Light.DAYLIGHT
    plate_width_px: float = 150.0
    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    motion_blur_px: float = 0.0
    defocus_px: float = 0.0
    dirt: float = 0.0
    fading: float = 0.0
    noise: float = 2.0
    jpeg_quality: int = 85

    @staticmethod
    def clear_daylight(rng: np.random.Generator) -> Conditions:
        """A clean plate by day, sharp, from any of the usual angles and distances."""
        return Conditions(
            plate_width_px=rng.uniform(120, 210),
            yaw_deg=rng.uniform(-15, 15),
            pitch_deg=rng.uniform(0, 12),
            roll_deg=rng.uniform(-2.5, 2.5),
            noise=rng.uniform(1, 3),
            jpeg_quality=int(rng.integers(70, 84)),
        )

    @staticmethod
    def draw(rng: np.random.Generator, *, light: Light | None = None, look: Look | None = None) -> Conditions:
        """The mix of a year on a road: 60 % day, 15 % dusk, 25 % night; a third blurred, a quarter dirty.

        light, look: those of the hour and the vehicle; None: drawn, as for a picture that has to do with no other.
        """
        light = light or draw_light(rng)
        dark = light != Light.DAYLIGHT
        return Conditions(
            light=light,
            plate_width_px=rng.triangular(110, 150, 220),
            yaw_deg=float(np.clip(rng.normal(0, 12), -30, 30)),
            pitch_deg=rng.uniform(0, 18),
            roll_deg=rng.normal(0, 1.6),
            motion_blur_px=rng.uniform(1, 10) if rng.random() < 0.25 else 0.0,
            defocus_px=rng.uniform(0.5, 1.8) if rng.random() < 0.2 else 0.0,
            dirt=look.dirt if look else draw_dirt(rng),
            fading=(0.7 if dark else 0.3) * (look.wear if look else rng.random()),
            noise=rng.uniform(4, 9) if dark else rng.uniform(1, 4),
            jpeg_quality=int(rng.integers(45, 76)),
        )


def render(
    plate: str,
    region: str,
    *,
    rng: np.random.Generator,
    conditions: Conditions,
    overlay: str = "",
    vehicle_class: str = "car",
    look: Look | None = None,
) -> bytes:
    """A JPEG of 960 x 640 pixels; the same generator state gives the same bytes.

    plate: a serial of the region without spaces. overlay: the line the camera burns in, such as its name and clock.
    look: of a vehicle that is seen more than once; None: some vehicle.
    Raises KeyError for a region that has no design or a character that is none of A-Z, 0-9.
    """
    out = io.BytesIO()
    picture = compose(
        plate, region, rng=rng, conditions=conditions, overlay=overlay, vehicle_class=vehicle_class, look=look
    )
    picture.save(out, "JPEG", quality=conditions.jpeg_quality)
    return out.getvalue()


def compose(
    plate: str,
    region: str,
    *,
    rng: np.random.Generator,
    conditions: Conditions,
    overlay: str = "",
    vehicle_class: str = "car",
    look: Look | None = None,
) -> Image.Image:
    """The picture of render() before it is compressed, mode RGB."""
    vehicle_rng = np.random.default_rng(look.seed) if look else rng
    view = _view(conditions, (WIDTH_PX * rng.uniform(0.38, 0.62), HEIGHT_PX * rng.uniform(0.58, 0.74)))
    scene = draw_road(rng).resize((WIDTH_PX * ENLARGED, HEIGHT_PX * ENLARGED), Image.Resampling.NEAREST)
    lamps = draw_rear(scene, vehicle_class, view.enlarged(ENLARGED), vehicle_rng)
    picture = _dim(scene.reduce(ENLARGED), BRIGHTNESS[conditions.light])
    face = _soil(draw_plate(plate, region, round(ENLARGED * conditions.plate_width_px)), conditions.dirt, vehicle_rng)
    _screw_on(picture, _dim(face, (1 - conditions.fading) * PLATE_BRIGHTNESS[conditions.light]), view)
    picture = _glow(picture, [view.at(*lamp) for lamp in lamps], conditions.light, rng)
    picture = _expose(picture, conditions, rng)
    _burn_in(picture, overlay, rng)
    return picture


def _dim(picture: Image.Image, factor: float) -> Image.Image:
    return picture.point(lambda level: level * factor)


def _soil(face: Image.Image, dirt: float, rng: np.random.Generator) -> Image.Image:
    """A film of dust over the plate, and spots of mud."""
    if not dirt:
        return face
    film = Image.new("L", face.size, round(150 * dirt))
    draw = ImageDraw.Draw(film)
    for _ in range(round(28 * dirt)):
        x, y, radius = rng.uniform(0, face.width), rng.normal(0.75, 0.3) * face.height, rng.uniform(0.01, 0.06)
        draw.circle((x, y), radius * face.width, fill=int(rng.integers(110, 240)))
    return Image.composite(
        Image.new("RGB", face.size, (104, 90, 72)), face, film.filter(ImageFilter.BoxBlur(face.width / 90))
    )


def _view(conditions: Conditions, plate_at: Spot) -> View:
    """A camera turned around the plate, whose middle falls at plate_at, pixels."""
    yaw, pitch, roll = (math.radians(x) for x in (conditions.yaw_deg, conditions.pitch_deg, conditions.roll_deg))
    about_y = np.array([[math.cos(yaw), 0], [0, 1], [-math.sin(yaw), 0]])
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    about_z = np.array([[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]])
    turned = np.column_stack([about_z @ about_x @ about_y, (0, 0, CAMERA_DISTANCE_M)])
    focal_px = conditions.plate_width_px / PLATE_WIDTH_M * CAMERA_DISTANCE_M
    lens = np.array([[focal_px, 0, plate_at[0]], [0, focal_px, plate_at[1]], [0, 0, 1]])
    return View(lens @ turned)


def _screw_on(picture: Image.Image, face: Image.Image, view: View) -> None:
    """Paste the plate as the camera sees it; only the part of the picture around it is touched."""
    wide, high = PLATE_WIDTH_M / 2, PLATE_WIDTH_M / 4
    corners = [view.at(x, y) for x, y in ((-wide, -high), (wide, -high), (wide, high), (-wide, high))]
    left, top = (math.floor(min(corner[i] for corner in corners)) - 1 for i in (0, 1))
    right, bottom = (math.ceil(max(corner[i] for corner in corners)) + 2 for i in (0, 1))
    metres = np.array([[2 * wide / face.width, 0, -wide], [0, 2 * high / face.height, -high], [0, 0, 1]])
    shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]])
    onto = np.diag([ENLARGED, ENLARGED, 1]) @ shift @ view.matrix @ metres
    back = np.linalg.inv(onto)
    face.putalpha(255)
    seen = face.transform(
        ((right - left) * ENLARGED, (bottom - top) * ENLARGED),
        Image.Transform.PERSPECTIVE,
        tuple((back / back[2, 2]).ravel()[:8]),
        Image.Resampling.BILINEAR,
    ).reduce(ENLARGED)
    picture.paste(seen, (left, top), seen)


def _glow(picture: Image.Image, lamps: list[Spot], light: Light, rng: np.random.Generator) -> Image.Image:
    """Burning tail lamps when it is dark, and at night the headlights of what follows."""
    if light == Light.DAYLIGHT:
        return picture
    levels = np.asarray(picture, dtype=np.uint8).copy()
    for x, y in lamps:
        _add_halo(levels, x, y, 46, (215, 40, 30))
    if light == Light.NIGHT:
        x, y = rng.uniform(0, WIDTH_PX), rng.uniform(60, 200)
        for side in (-22, 22):
            _add_halo(levels, x + side, y, 80, (235, 232, 205))
    return Image.fromarray(levels)


def _add_halo(levels: npt.NDArray[np.uint8], x: float, y: float, radius: int, colour: tuple[int, int, int]) -> None:
    left, top = max(0, round(x) - 3 * radius), max(0, round(y) - 3 * radius)
    part = levels[top : max(0, round(y) + 3 * radius), left : max(0, round(x) + 3 * radius)]
    if part.size == 0:
        return
    ys, xs = np.ogrid[: part.shape[0], : part.shape[1]]
    squared = ((xs + left - x) ** 2 + (ys + top - y) ** 2).astype(np.float32)
    shine = np.exp(-squared / (0.35 * radius) ** 2) + 0.25 * np.exp(-squared / radius**2)
    part[:] = np.minimum(part + shine[..., None] * np.array(colour, dtype=np.float32), 255).astype(np.uint8)


def _expose(picture: Image.Image, conditions: Conditions, rng: np.random.Generator) -> Image.Image:
    if conditions.defocus_px:
        picture = picture.filter(ImageFilter.GaussianBlur(conditions.defocus_px))
    picture = _smear(picture, conditions.motion_blur_px, rng.uniform(-0.35, 0.35))
    x, y = (int(rng.integers(NOISE_TILE_PX - side_px)) for side_px in (WIDTH_PX, HEIGHT_PX))
    scale = conditions.noise / NOISE_TILE_SD
    tile = _noise_tile().crop((x, y, x + WIDTH_PX, y + HEIGHT_PX)).point(lambda level: 128 + (level - 128) * scale)
    return ImageChops.add(picture, Image.merge("RGB", (tile, tile, tile)), offset=-128)


def _smear(picture: Image.Image, length_px: float, slope: float) -> Image.Image:
    """Motion blur along a nearly vertical line: a receding vehicle moves up the picture."""
    steps = math.ceil(length_px)
    if steps < 2:
        return picture
    levels = np.asarray(picture, dtype=np.uint16)
    total = np.zeros_like(levels)
    for part in np.linspace(-0.5, 0.5, steps + 1):
        total += np.roll(levels, (round(part * length_px), round(part * length_px * slope)), (0, 1))
    return Image.fromarray((total // (steps + 1)).astype(np.uint8))


@lru_cache(maxsize=1)
def _noise_tile() -> Image.Image:
    """Grain around grey level 128, correlated as demosaicing leaves it; drawn once, then shifted and scaled."""
    noise = np.random.default_rng(0).standard_normal((NOISE_TILE_PX, NOISE_TILE_PX))
    soft = noise + 0.6 * np.roll(noise, 1, 0) + 0.6 * np.roll(noise, 1, 1)
    return Image.fromarray(np.clip(128 + NOISE_TILE_SD * soft / soft.std(), 0, 255).astype(np.uint8))


def _burn_in(picture: Image.Image, overlay: str, rng: np.random.Generator) -> None:
    """The camera's line of text on a black bar at the upper or lower edge."""
    if not overlay:
        return
    draw = ImageDraw.Draw(picture)
    top = 0 if rng.random() < 0.5 else HEIGHT_PX - 24
    draw.rectangle((0, top, WIDTH_PX, top + 24), fill=(0, 0, 0))
    draw.text((10, top + 12), overlay, (240, 240, 240), font(17), "lm")
