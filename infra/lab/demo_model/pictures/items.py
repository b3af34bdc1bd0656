"""One item as a sprite: an RGBA picture with a transparent surrounding."""

import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from sightstream.infra.lab.demo_model.pictures.damage import Sprite, apply_damage
from sightstream.infra.lab.demo_model.pictures.geometry import flat, transform
from sightstream.infra.lab.demo_model.pictures.kinds import Part
from sightstream.infra.lab.demo_model.pictures.surfaces import (
    FIXED,
    RGB,
    accent_of,
    lit_colour,
    luminance,
    mix,
    surface,
    trim_of,
)

SUPERSAMPLING = 2


@dataclass(frozen=True, slots=True)
class Dye:
    """The colours that all items of a picture share."""

    ground: RGB
    accent: RGB
    trim: RGB
    pattern: str

    @staticmethod
    def mixed(rng: random.Random, colour: str, pattern: str) -> "Dye":
        ground = lit_colour(rng, colour)
        return Dye(ground, accent_of(rng, colour, ground), trim_of(colour, ground), pattern)


def draw_item(
    rng: random.Random, parts: tuple[Part, ...], dye: Dye, damage: str, severity: float, pixels: int
) -> Image.Image:
    """A stack of parts that fills an RGBA square of `pixels` a side, slightly turned and stretched."""
    size = max(16, pixels * SUPERSAMPLING)
    turn = rng.uniform(-9, 9)
    scale = size * 0.95
    stretch = (scale * rng.uniform(0.9, 1.0), scale * rng.uniform(0.9, 1.0))
    sprite = Sprite(
        Image.new("RGB", (size, size), dye.ground),
        Image.new("L", (size, size), 0),
        Image.new("L", (size, size), 0),
        dye.ground,
    )
    cloth = surface(rng, dye.pattern, dye.ground, dye.accent, size)
    for role, outline in parts:
        _draw_part(sprite, role, flat(transform(outline, (size / 2, size / 2), stretch, turn)), cloth, dye)
    _light(sprite, rng)
    apply_damage(rng, sprite, damage, severity)
    sprite.rgb.putalpha(sprite.alpha)
    return sprite.rgb.reduce(SUPERSAMPLING)


def _draw_part(sprite: Sprite, role: str, points: list[float], cloth: Image.Image, dye: Dye) -> None:
    ImageDraw.Draw(sprite.alpha).polygon(points, fill=0 if role == "cut" else 255)
    if role == "cut":
        ImageDraw.Draw(sprite.body).polygon(points, fill=0)
        return
    draw = ImageDraw.Draw(sprite.rgb)
    if role == "body":
        mask = Image.new("L", sprite.rgb.size, 0)
        ImageDraw.Draw(mask).polygon(points, fill=255)
        sprite.rgb.paste(cloth, mask=mask)
        sprite.body.paste(255, mask=mask)
        colour = dye.ground
    else:
        colour = (
            dye.trim if role == "trim" else mix(dye.ground, (255, 255, 255), 0.35) if role == "pale" else FIXED[role]
        )
        draw.polygon(points, fill=colour)
        ImageDraw.Draw(sprite.body).polygon(points, fill=0)
    width = max(1, round(sprite.size / 110))
    edge = mix(colour, (0, 0, 0), 0.45) if luminance(colour) > 60 else mix(colour, (0, 0, 0), 0.7)
    draw.line([*points, *points[:2]], fill=edge, width=width)


def _light(sprite: Sprite, rng: random.Random) -> None:
    """Light from one side: a soft highlight there, a shade opposite."""
    side = (sprite.size, sprite.size)
    shade, shine = _light_masks(rng.random() < 0.5)
    sprite.rgb.paste((20, 16, 30), mask=shade.resize(side, Image.Resampling.BILINEAR))
    sprite.rgb.paste((255, 255, 255), mask=shine.resize(side, Image.Resampling.BILINEAR))


@lru_cache(maxsize=2)
def _light_masks(from_left: bool) -> tuple[Image.Image, Image.Image]:
    x = np.linspace(0, 1, 32)[None, :] + np.linspace(0, 0.3, 32)[:, None]
    x = x if from_left else x[:, ::-1]
    shade = np.clip((x - 0.55) * 100, 0, 70).astype(np.uint8)
    shine = (48 * np.exp(-(((x - 0.42) / 0.1) ** 2))).astype(np.uint8)
    return Image.fromarray(shade), Image.fromarray(shine)


@lru_cache(maxsize=1)
def soft_shadow() -> Image.Image:
    """A blurred ellipse as an L mask, to be resized under an item."""
    image = Image.new("L", (64, 24), 0)
    ImageDraw.Draw(image).ellipse((10, 6, 54, 18), fill=130)
    return image.filter(ImageFilter.GaussianBlur(4))
