"""Whole scenes with the statistics of photographs and nothing in them that is for sale."""

import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from sightstream.infra.lab.demo_model.pictures.geometry import flat, smooth
from sightstream.infra.lab.demo_model.pictures.surfaces import RGB, mix

SCENES = ("leaves", "clouds", "hills", "speckle", "figures", "bands", "portrait", "closeup")


def scene(rng: random.Random, style: str, width: int, height: int) -> Image.Image:
    """A whole picture in one of SCENES, RGB: no item, no shop; the statistics of a photograph."""
    noise = np.random.default_rng(rng.getrandbits(32))
    palette = _palette(rng)
    image = _SCENES[style](rng, noise, width, height, palette)
    if rng.random() < 0.3:
        image = image.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3)))
    if rng.random() < 0.25:
        image = image.convert("L").convert("RGB")
    if rng.random() < 0.5:
        pixels = np.asarray(image, dtype=np.float32)
        image = Image.fromarray(
            np.clip(pixels + noise.normal(0, rng.uniform(2, 14), pixels.shape), 0, 255).astype(np.uint8)
        )
    return image


_NATURAL: tuple[RGB, ...] = (
    (34, 30, 28),
    (92, 70, 52),
    (150, 120, 92),
    (214, 176, 146),
    (232, 224, 212),
    (70, 88, 54),
    (128, 140, 92),
    (110, 136, 166),
    (176, 200, 224),
    (128, 124, 120),
    (160, 60, 44),
    (60, 66, 84),
)


def _palette(rng: random.Random) -> list[RGB]:
    if rng.random() < 0.6:
        return [mix(rng.choice(_NATURAL), rng.choice(_NATURAL), rng.random()) for _ in range(6)]
    base: RGB = (rng.randrange(256), rng.randrange(256), rng.randrange(256))
    spread = rng.uniform(0.2, 1.0)
    return [mix(base, (rng.randrange(256), rng.randrange(256), rng.randrange(256)), spread) for _ in range(6)]


def _smooth_noise(noise: np.random.Generator, width: int, height: int, slope: float) -> Image.Image:
    """Fractal noise as an L image: each octave twice as fine and `slope` times as strong."""
    total, strength, cells = np.zeros((height, width), np.float32), 1.0, 2
    while cells < max(width, height) // 2:
        grid = Image.fromarray(noise.random((cells, cells), dtype=np.float32))
        total += strength * np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC))
        strength, cells = strength * slope, cells * 2
    low, high = float(total.min()), float(total.max())
    return Image.fromarray(((total - low) / max(high - low, 1e-6) * 255).astype(np.uint8))


def _clouds(rng: random.Random, noise: np.random.Generator, width: int, height: int, palette: list[RGB]) -> Image.Image:
    image = Image.new("RGB", (width, height), palette[0])
    for colour in palette[1:4]:
        mask = _smooth_noise(noise, width, height, rng.uniform(0.4, 0.8))
        image.paste(colour, mask=mask.point(lambda level: max(0, min(255, (level - 90) * 2))))
    return image


def _leaves(rng: random.Random, noise: np.random.Generator, width: int, height: int, palette: list[RGB]) -> Image.Image:
    """Overlapping shapes of every size: the statistics of natural scenes."""
    image = Image.new("RGB", (width, height), palette[0])
    draw, unit = ImageDraw.Draw(image), math.sqrt(width * height)
    for _ in range(rng.randint(60, 240)):
        radius = unit * min(0.4, 0.02 / max(1e-3, rng.random()))
        x, y, ratio = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(0.4, 1.0)
        colour = mix(rng.choice(palette), rng.choice(palette), rng.random())
        frame = (x - radius, y - radius * ratio, x + radius, y + radius * ratio)
        draw.ellipse(frame, fill=colour) if rng.random() < 0.6 else draw.rectangle(frame, fill=colour)
    return image


def _hills(rng: random.Random, noise: np.random.Generator, width: int, height: int, palette: list[RGB]) -> Image.Image:
    image = _clouds(rng, noise, width, height, palette)
    draw, level = ImageDraw.Draw(image), height * rng.uniform(0.25, 0.5)
    for colour in palette[2:]:
        x = np.linspace(0, width, 24)
        y = level + np.cumsum(noise.normal(0, height * 0.02, 24))
        draw.polygon([*flat(np.stack([x, y], axis=1)), width, height, 0, height], fill=colour)
        level += height * rng.uniform(0.08, 0.2)
    return image


def _speckle(
    rng: random.Random, noise: np.random.Generator, width: int, height: int, palette: list[RGB]
) -> Image.Image:
    cells = rng.choice((8, 16, 40, 120))
    pixels = noise.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
    way = rng.choice((Image.Resampling.NEAREST, Image.Resampling.BILINEAR))
    return Image.blend(
        Image.new("RGB", (width, height), palette[0]),
        Image.fromarray(pixels).resize((width, height), way),
        rng.uniform(0.3, 1),
    )


def _figures(
    rng: random.Random, noise: np.random.Generator, width: int, height: int, palette: list[RGB]
) -> Image.Image:
    """A few large soft bodies before a blurred background."""
    image = _clouds(rng, noise, width, height, palette).filter(ImageFilter.GaussianBlur(6))
    texture = _smooth_noise(noise, width, height, 0.7)
    for _ in range(rng.randint(1, 5)):
        count, colour = rng.randint(5, 12), rng.choice(palette)
        angles = np.sort(noise.uniform(0, 2 * np.pi, count))
        reach = noise.uniform(0.12, 0.42, count)
        cx, cy = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.9)
        points = np.stack([(cx + reach * np.cos(angles)) * width, (cy + reach * np.sin(angles)) * height], axis=1)
        mask = Image.new("L", (width, height), 0)
        ImageDraw.Draw(mask).polygon(flat(smooth(points)), fill=255)
        body = Image.blend(
            Image.new("RGB", (width, height), colour), Image.merge("RGB", (texture,) * 3), rng.uniform(0.1, 0.6)
        )
        image.paste(body, mask=mask.filter(ImageFilter.GaussianBlur(rng.uniform(0.5, 3))))
    return image


def _bands(rng: random.Random, noise: np.random.Generator, width: int, height: int, palette: list[RGB]) -> Image.Image:
    """Writing, bricks or windows: rows of small marks on a ground."""
    image = Image.new("RGB", (width, height), palette[0])
    draw, row = ImageDraw.Draw(image), max(5, round(height / rng.uniform(6, 18)))
    for y in range(0, height, row):
        x = rng.uniform(0, row)
        while x < width:
            length = row * rng.uniform(0.3, 2.4)
            draw.rectangle((x, y + row * 0.2, x + length, y + row * 0.8), fill=rng.choice(palette[1:3]))
            x += length + row * rng.uniform(0.2, 0.8)
    return image.rotate(rng.uniform(-8, 8), Image.Resampling.BILINEAR, fillcolor=palette[4])


def _portrait(
    rng: random.Random, noise: np.random.Generator, width: int, height: int, palette: list[RGB]
) -> Image.Image:
    """Head and shoulders, roughly."""
    image = _clouds(rng, noise, width, height, palette).filter(ImageFilter.GaussianBlur(4))
    draw = ImageDraw.Draw(image)
    cx, cy, r = (
        width * rng.uniform(0.35, 0.65),
        height * rng.uniform(0.3, 0.45),
        min(width, height) * rng.uniform(0.14, 0.24),
    )
    skin = mix((236, 196, 164), (90, 56, 40), rng.random())
    draw.ellipse((cx - 2.2 * r, cy + 1.1 * r, cx + 2.2 * r, height * 1.4), fill=palette[1])
    draw.ellipse((cx - 1.15 * r, cy - 1.4 * r, cx + 1.15 * r, cy + r), fill=palette[2])
    draw.ellipse((cx - 0.8 * r, cy - r, cx + 0.8 * r, cy + 1.1 * r), fill=skin)
    for side in (-0.32, 0.32):
        draw.ellipse((cx + side * r - 0.1 * r, cy - 0.15 * r, cx + side * r + 0.1 * r, cy), fill=(40, 30, 30))
    return Image.blend(
        image, Image.merge("RGB", (_smooth_noise(noise, width, height, 0.7),) * 3), rng.uniform(0.05, 0.3)
    )


def _closeup(
    rng: random.Random, noise: np.random.Generator, width: int, height: int, palette: list[RGB]
) -> Image.Image:
    """One round body that fills the frame, shaded like a ball, with a grainy ground."""
    image = Image.blend(_clouds(rng, noise, width, height, palette), _speckle(rng, noise, width, height, palette), 0.2)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    cx, cy, r = rng.uniform(-0.4, 0.4), rng.uniform(-0.4, 0.4), rng.uniform(0.4, 0.9)
    inside = np.clip(1 - ((x - cx) ** 2 + (y - cy) ** 2) / r**2, 0, 1)
    mask = Image.fromarray((np.clip(inside * 8, 0, 1) * 255).astype(np.uint8))
    ball = Image.fromarray(np.clip(np.sqrt(inside)[..., None] * np.array(palette[5]) + 20, 0, 255).astype(np.uint8))
    image.paste(ball, mask=mask)
    return image


_SCENES = {
    "leaves": _leaves,
    "clouds": _clouds,
    "hills": _hills,
    "speckle": _speckle,
    "figures": _figures,
    "bands": _bands,
    "portrait": _portrait,
    "closeup": _closeup,
}
