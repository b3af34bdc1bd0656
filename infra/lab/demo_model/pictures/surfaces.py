"""What an item is made of: its colour under the light, and its pattern."""

import random

from PIL import Image, ImageDraw

from sightstream.infra.lab.demo_model.pictures.vocabulary import COLOURS

RGB = tuple[int, int, int]

FIXED: dict[str, RGB] = {
    "dark": (52, 52, 58),
    "metal": (186, 190, 198),
    "wood": (164, 118, 74),
    "paper": (246, 243, 230),
    "leaf": (92, 138, 82),
    "petal": (236, 206, 214),
}


def mix(first: RGB, second: RGB, fraction: float) -> RGB:
    """Return the colour at `fraction` of the way from `first` to `second`."""
    r, g, b = (round(x + (y - x) * fraction) for x, y in zip(first, second, strict=True))
    return r, g, b


def luminance(colour: RGB) -> float:
    """How bright a colour looks, 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def lit_colour(rng: random.Random, colour: str) -> RGB:
    """One of COLOURS, a little lighter or darker, as this item happens to be."""
    gain = rng.uniform(0.93, 1.05)
    r, g, b = (min(255, max(0, round(c * gain + rng.uniform(-6, 6)))) for c in COLOURS[colour])
    return r, g, b


def accent_of(rng: random.Random, colour: str, base: RGB) -> RGB:
    """The second colour of a pattern: clearly lighter or darker than the first, never a rival hue."""
    if colour == "white":
        return mix(base, (90, 96, 112), rng.uniform(0.75, 1.0))
    if colour == "black":
        return mix(base, (190, 190, 196), rng.uniform(0.7, 1.0))
    if colour in ("yellow", "pink", "orange") and rng.random() < 0.4:
        return mix(base, (20, 16, 20), rng.uniform(0.7, 0.85))
    return mix(base, (255, 255, 255), rng.uniform(0.72, 0.92))


def trim_of(colour: str, base: RGB) -> RGB:
    """The darker (for black: lighter) tone of the same colour, for handles, hems and legs."""
    return mix(base, (255, 255, 255), 0.16) if colour == "black" else mix(base, (0, 0, 0), 0.24)


def surface(rng: random.Random, pattern: str, base: RGB, accent: RGB, size: int) -> Image.Image:
    """A square of cloth: RGB, `size` pixels a side, 3 to 6 repeats of the pattern across."""
    image = Image.new("RGB", (size, size), base)
    _PAINT[pattern](rng, ImageDraw.Draw(image), accent, size)
    return image


def _plain(rng: random.Random, draw: ImageDraw.ImageDraw, accent: RGB, size: int) -> None:
    return None


def _striped(rng: random.Random, draw: ImageDraw.ImageDraw, accent: RGB, size: int) -> None:
    period = size / rng.uniform(5.0, 7.0)
    width = max(1, round(period * rng.uniform(0.36, 0.46)))
    slant = rng.choice((0.0, 0.0, size * 0.5, -size * 0.5))
    upright = rng.random() < 0.5
    at = -size * 0.5 + rng.uniform(0, period)
    while at < size * 1.5:
        ends = (at, -2, at + slant, size + 2) if upright else (-2, at, size + 2, at + slant)
        draw.line(ends, fill=accent, width=width)
        at += period


def _dotted(rng: random.Random, draw: ImageDraw.ImageDraw, accent: RGB, size: int) -> None:
    period = size / rng.uniform(5.2, 7.0)
    radius = period * rng.uniform(0.27, 0.33)
    x0, y0 = rng.uniform(0, period), rng.uniform(0, period)
    for row in range(-1, int(size / period / 0.87) + 2):
        for column in range(-1, int(size / period) + 2):
            x = x0 + (column + 0.5 * (row % 2)) * period
            y = y0 + row * period * 0.87
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=accent)


def _checked(rng: random.Random, draw: ImageDraw.ImageDraw, accent: RGB, size: int) -> None:
    cell = size / rng.uniform(8.5, 11.5)
    x0, y0 = rng.uniform(-cell, 0), rng.uniform(-cell, 0)
    cells = int(size / cell) + 3
    for row in range(cells):
        for column in range(row % 2, cells, 2):
            x, y = x0 + column * cell, y0 + row * cell
            draw.rectangle((x, y, x + cell - 1, y + cell - 1), fill=accent)


_PAINT = {"plain": _plain, "striped": _striped, "dotted": _dotted, "checked": _checked}
