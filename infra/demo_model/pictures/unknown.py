"""Pictures of none of the known kinds: other things on a backdrop, and whole scenes that look like photographs.

They teach the model to say "unknown". `HELD_OUT` is never used in training, only in tests.
"""

import math
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from infra.demo_model.pictures.geometry import Points, band, box, ellipse, flat, mirror, poly, smooth
from infra.demo_model.pictures.kinds import Part
from infra.demo_model.pictures.surfaces import RGB, mix

SCENES = ("leaves", "clouds", "hills", "speckle", "figures", "bands", "portrait", "closeup")
THINGS = (
    "star",
    "fish",
    "house",
    "car",
    "tree",
    "heart",
    "rocket",
    "key",
    "gear",
    "mushroom",
    "cross",
    "moon",
    "blob",
    "jumble",
)
HELD_OUT = ("boat", "cactus", "butterfly", "arrow")


def _star(rng: random.Random) -> list[Part]:
    tips = rng.choice((5, 6, 7))
    reach = [0.48 if step % 2 == 0 else rng.uniform(0.18, 0.26) for step in range(2 * tips)]
    angles = [math.pi * step / tips - math.pi / 2 for step in range(2 * tips)]
    return [
        ("body", np.array([(0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for r, a in zip(reach, angles, strict=True)]))
    ]


def _fish(rng: random.Random) -> list[Part]:
    return [
        ("trim", poly(0.7, 0.5, 0.98, 0.26, 0.92, 0.5, 0.98, 0.74)),
        ("body", ellipse(0.42, 0.5, 0.4, rng.uniform(0.18, 0.28))),
        ("dark", ellipse(0.2, 0.44, 0.03, 0.03)),
    ]


def _house(rng: random.Random) -> list[Part]:
    return [
        ("body", box(0.16, 0.45, 0.84, 0.95)),
        ("trim", poly(0.06, 0.47, 0.5, 0.06, 0.94, 0.47)),
        ("dark", box(0.42, 0.64, 0.58, 0.95)),
        ("paper", box(0.22, 0.54, 0.36, 0.68)),
        ("paper", box(0.64, 0.54, 0.78, 0.68)),
    ]


def _car(rng: random.Random) -> list[Part]:
    return [
        ("body", poly(0.02, 0.5, 0.2, 0.46, 0.32, 0.28, 0.68, 0.28, 0.8, 0.46, 0.98, 0.52, 0.98, 0.7, 0.02, 0.7)),
        ("paper", poly(0.3, 0.45, 0.36, 0.32, 0.48, 0.32, 0.48, 0.45)),
        ("paper", poly(0.52, 0.45, 0.52, 0.32, 0.64, 0.32, 0.72, 0.45)),
        ("dark", ellipse(0.24, 0.7, 0.11, 0.11)),
        ("dark", ellipse(0.76, 0.7, 0.11, 0.11)),
    ]


def _tree(rng: random.Random) -> list[Part]:
    crowns: list[Part] = [
        ("body", poly(0.5, y, 0.5 + w, y + 0.3, 0.5 - w, y + 0.3)) for y, w in ((0.5, 0.36), (0.28, 0.29), (0.04, 0.21))
    ]
    return [("wood", box(0.44, 0.76, 0.56, 0.98)), *crowns]


def _heart(rng: random.Random) -> list[Part]:
    t = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    x, y = 16 * np.sin(t) ** 3, 13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)
    return [("body", np.stack([0.5 + x / 36, 0.46 - y / 36], axis=1))]


def _rocket(rng: random.Random) -> list[Part]:
    return [
        ("petal", mirror(0.58, 0.82, 0.5, 0.99)),
        ("trim", mirror(0.6, 0.55, 0.82, 0.9, 0.6, 0.8)),
        ("body", mirror(0.5, 0.02, 0.6, 0.16, 0.66, 0.4, 0.62, 0.84)),
        ("paper", ellipse(0.5, 0.36, 0.08, 0.08)),
    ]


def _key(rng: random.Random) -> list[Part]:
    return [
        ("body", ellipse(0.24, 0.5, 0.22, 0.22)),
        ("cut", ellipse(0.2, 0.5, 0.09, 0.09)),
        ("body", box(0.42, 0.45, 0.97, 0.55)),
        ("body", box(0.74, 0.55, 0.8, 0.7)),
        ("body", box(0.88, 0.55, 0.94, 0.66)),
    ]


def _gear(rng: random.Random) -> list[Part]:
    teeth = rng.choice((8, 10, 12))
    points = []
    for step in range(4 * teeth):
        reach, angle = (0.47 if step % 4 < 2 else 0.37), 2 * math.pi * step / (4 * teeth)
        points.append((0.5 + reach * math.cos(angle), 0.5 + reach * math.sin(angle)))
    return [("body", np.array(points)), ("cut", ellipse(0.5, 0.5, 0.15, 0.15))]


def _mushroom(rng: random.Random) -> list[Part]:
    return [
        ("paper", mirror(0.6, 0.5, 0.64, 0.95)),
        ("body", ellipse(0.5, 0.52, 0.46, rng.uniform(0.36, 0.48), 180, 360)),
    ]


def _cross(rng: random.Random) -> list[Part]:
    w = rng.uniform(0.1, 0.17)
    return [("body", box(0.5 - w, 0.04, 0.5 + w, 0.96)), ("body", box(0.04, 0.5 - w, 0.96, 0.5 + w))]


def _moon(rng: random.Random) -> list[Part]:
    outer, inner = ellipse(0.5, 0.5, 0.46, 0.46, 40, 320), ellipse(0.66, 0.5, 0.34, 0.36, 55, 305)
    return [("body", np.concatenate([outer, inner[::-1]]))]


def _blob(rng: random.Random) -> list[Part]:
    count = rng.randint(4, 11)
    angles = np.sort([rng.uniform(0, 2 * math.pi) for _ in range(count)])
    radii = np.array([rng.uniform(0.2, 0.5) for _ in range(count)])
    points = np.stack([0.5 + radii * np.cos(angles), 0.5 + radii * np.sin(angles)], axis=1)
    return [("body", smooth(points, rng.randint(0, 2)))]


def _jumble(rng: random.Random) -> list[Part]:
    def piece() -> Points:
        x, y, w, h = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.08, 0.3), rng.uniform(0.08, 0.3)
        return ellipse(x, y, w, h) if rng.random() < 0.5 else box(x - w, y - h, x + w, y + h)

    roles = ("trim", "pale", "dark", "metal", "wood", "paper")
    return [("body", piece()), *[(rng.choice(roles), piece()) for _ in range(rng.randint(1, 4))], ("body", piece())]


def _boat(rng: random.Random) -> list[Part]:
    return [
        ("wood", box(0.48, 0.04, 0.52, 0.7)),
        ("paper", poly(0.54, 0.08, 0.9, 0.62, 0.54, 0.62)),
        ("body", poly(0.04, 0.68, 0.96, 0.68, 0.8, 0.92, 0.2, 0.92)),
    ]


def _cactus(rng: random.Random) -> list[Part]:
    arms: list[Part] = [("body", band([(0.5, 0.6), (x, 0.6), (x, 0.34)], 0.12)) for x in (0.2, 0.8)]
    return [*arms, ("body", box(0.4, 0.06, 0.6, 0.8, 0.1)), ("wood", mirror(0.72, 0.78, 0.66, 0.98))]


def _butterfly(rng: random.Random) -> list[Part]:
    wings: list[Part] = [("body", ellipse(x, 0.34, 0.22, 0.24)) for x in (0.26, 0.74)]
    lower: list[Part] = [("trim", ellipse(x, 0.7, 0.16, 0.18)) for x in (0.32, 0.68)]
    return [*lower, *wings, ("dark", ellipse(0.5, 0.5, 0.05, 0.36))]


def _arrow(rng: random.Random) -> list[Part]:
    return [("body", poly(0.03, 0.4, 0.6, 0.4, 0.6, 0.2, 0.98, 0.5, 0.6, 0.8, 0.6, 0.6, 0.03, 0.6))]


_THINGS = {
    "star": _star,
    "fish": _fish,
    "house": _house,
    "car": _car,
    "tree": _tree,
    "heart": _heart,
    "rocket": _rocket,
    "key": _key,
    "gear": _gear,
    "mushroom": _mushroom,
    "cross": _cross,
    "moon": _moon,
    "blob": _blob,
    "jumble": _jumble,
    "boat": _boat,
    "cactus": _cactus,
    "butterfly": _butterfly,
    "arrow": _arrow,
}


def thing_parts(rng: random.Random, thing: str) -> tuple[Part, ...]:
    """The parts of one of THINGS or HELD_OUT, as for a product kind."""
    return tuple(_THINGS[thing](rng))


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
