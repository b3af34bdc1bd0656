"""Where the items stand: a wall and a table, a studio sweep, planks, tiles; and clutter around them."""

import math
import random
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from sightstream.infra.lab.demo_model.pictures.geometry import flat, smooth
from sightstream.infra.lab.demo_model.pictures.surfaces import RGB, mix

_TINTS: tuple[RGB, ...] = (
    (226, 220, 208),
    (206, 214, 220),
    (214, 206, 214),
    (204, 216, 204),
    (232, 226, 200),
    (186, 190, 196),
    (168, 158, 148),
    (140, 150, 160),
    (120, 116, 112),
    (88, 96, 108),
)


def backdrop(rng: random.Random, width: int, height: int, avoid: RGB | None) -> Image.Image:
    """An RGB background whose main tint differs clearly from the colour `avoid`."""
    tint = _tint(rng, avoid)
    image = rng.choice((_sweep, _table, _planks, _tiles, _weave))(rng, width, height, tint)
    image.paste((24, 20, 28), mask=_vignette().resize(image.size, Image.Resampling.BILINEAR))
    return image


def _tint(rng: random.Random, avoid: RGB | None) -> RGB:
    while True:
        tint = mix(rng.choice(_TINTS), rng.choice(_TINTS), rng.random() * 0.5)
        if avoid is None or sum(abs(a - b) for a, b in zip(tint, avoid, strict=True)) > 110:
            return tint


@lru_cache(maxsize=1)
def _vignette() -> Image.Image:
    y, x = np.mgrid[-1:1:32j, -1:1:32j]
    return Image.fromarray(np.clip((x**2 + y**2 - 0.7) * 36, 0, 60).astype(np.uint8))


def _gradient(width: int, height: int, first: RGB, last: RGB, sideways: bool = False) -> Image.Image:
    ramp = np.linspace(first, last, 16).round().astype(np.uint8)
    pixels = ramp[None, :, :] if sideways else ramp[:, None, :]
    return Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.BILINEAR)


def _sweep(rng: random.Random, width: int, height: int, tint: RGB) -> Image.Image:
    first, last = mix(tint, (255, 255, 255), 0.22), mix(tint, (0, 0, 0), 0.14)
    return _gradient(width, height, first, last, rng.random() < 0.3)


def _table(rng: random.Random, width: int, height: int, tint: RGB) -> Image.Image:
    image = _gradient(width, height, mix(tint, (255, 255, 255), 0.12), tint)
    horizon = round(height * rng.uniform(0.6, 0.78))
    top = mix(tint, rng.choice(((150, 120, 90), (90, 90, 96), (250, 250, 250))), 0.35)
    image.paste(_gradient(width, height - horizon, top, mix(top, (0, 0, 0), 0.12)), (0, horizon))
    return image


def _planks(rng: random.Random, width: int, height: int, tint: RGB) -> Image.Image:
    image = Image.new("RGB", (width, height), tint)
    draw, plank = ImageDraw.Draw(image), max(6.0, height / rng.uniform(4, 7))
    for row in range(math.ceil(height / plank)):
        shade = mix(tint, (0, 0, 0) if rng.random() < 0.5 else (255, 255, 255), rng.uniform(0, 0.07))
        draw.rectangle((0, row * plank, width, row * plank + plank), fill=shade)
        draw.line((0, row * plank, width, row * plank), fill=mix(tint, (0, 0, 0), 0.16), width=max(1, height // 200))
    return image


def _tiles(rng: random.Random, width: int, height: int, tint: RGB) -> Image.Image:
    image = _gradient(width, height, tint, mix(tint, (255, 255, 255), 0.15))
    draw, side = ImageDraw.Draw(image), max(8.0, min(width, height) / rng.uniform(2.5, 4.5))
    grout, thin = (
        mix(tint, (255, 255, 255) if rng.random() < 0.5 else (0, 0, 0), 0.16),
        max(1, min(width, height) // 160),
    )
    for x in np.arange(rng.uniform(0, side), width, side):
        draw.line((x, 0, x, height), fill=grout, width=thin)
    for y in np.arange(rng.uniform(0, side), height, side):
        draw.line((0, y, width, y), fill=grout, width=thin)
    return image


def _weave(rng: random.Random, width: int, height: int, tint: RGB) -> Image.Image:
    noise = np.random.default_rng(rng.getrandbits(32)).integers(-13, 14, (height // 3 + 1, width // 3 + 1, 1))
    pixels = np.clip(np.array(tint) + noise, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR)


def clutter(rng: random.Random, image: Image.Image, pieces: int) -> None:
    """Scatter small things that are not for sale: pencils, leaves, coins, paper clips, crumbs of paper."""
    draw = ImageDraw.Draw(image)
    unit = math.sqrt(image.width * image.height)
    for _ in range(pieces):
        at = (rng.uniform(0, image.width), rng.uniform(0, image.height))
        rng.choice((_pencil, _leaf, _coin, _scrap, _clip))(rng, draw, at, unit * rng.uniform(0.035, 0.06))


def _pencil(rng: random.Random, draw: ImageDraw.ImageDraw, at: tuple[float, float], size: float) -> None:
    angle = rng.uniform(0, math.pi)
    dx, dy = math.cos(angle) * size * 1.6, math.sin(angle) * size * 1.6
    draw.line((at[0] - dx, at[1] - dy, at[0] + dx, at[1] + dy), fill=(196, 160, 80), width=max(2, round(size * 0.28)))
    draw.line(
        (at[0] + dx, at[1] + dy, at[0] + dx * 1.2, at[1] + dy * 1.2),
        fill=(50, 46, 44),
        width=max(1, round(size * 0.16)),
    )


def _leaf(rng: random.Random, draw: ImageDraw.ImageDraw, at: tuple[float, float], size: float) -> None:
    angle = rng.uniform(0, 2 * math.pi)
    t = np.linspace(0, 2 * math.pi, 14)
    x, y = np.cos(t) * size, np.sin(t) * np.abs(np.sin(t)) * size * 0.6
    c, s = math.cos(angle), math.sin(angle)
    points = np.stack([at[0] + x * c - y * s, at[1] + x * s + y * c], axis=1)
    draw.polygon(flat(points), fill=rng.choice(((104, 134, 86), (150, 140, 80), (128, 112, 84))))


def _coin(rng: random.Random, draw: ImageDraw.ImageDraw, at: tuple[float, float], size: float) -> None:
    r = size * 0.6
    tone = rng.choice(((176, 172, 160), (186, 158, 98), (150, 110, 84)))
    draw.ellipse((at[0] - r, at[1] - r, at[0] + r, at[1] + r), fill=tone, outline=mix(tone, (0, 0, 0), 0.35))


def _scrap(rng: random.Random, draw: ImageDraw.ImageDraw, at: tuple[float, float], size: float) -> None:
    angles = sorted(rng.uniform(0, 2 * math.pi) for _ in range(5))
    points = np.array([(at[0] + math.cos(a) * size, at[1] + math.sin(a) * size) for a in angles])
    draw.polygon(flat(smooth(points, 1)), fill=rng.choice(((236, 232, 220), (198, 204, 214), (212, 190, 180))))


def _clip(rng: random.Random, draw: ImageDraw.ImageDraw, at: tuple[float, float], size: float) -> None:
    a, w = size * 0.9, max(1, round(size * 0.12))
    bends = ((at[0] - a, 90, 270), (at[0] + a, 270, 450))
    for x, start, stop in bends:
        draw.arc((x - a / 3, at[1] - a / 3, x + a / 3, at[1] + a / 3), start, stop, fill=(122, 128, 138), width=w)
    for y in (at[1] - a / 3, at[1] + a / 3):
        draw.line((at[0] - a, y, at[0] + a, y), fill=(122, 128, 138), width=w)
