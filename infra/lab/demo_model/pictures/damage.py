"""Things that happened to an item: a scratch, a tear, a stain. Each changes one item's sprite in place."""

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from sightstream.infra.lab.demo_model.pictures.geometry import Points, flat, smooth
from sightstream.infra.lab.demo_model.pictures.surfaces import RGB, luminance


@dataclass(slots=True)
class Sprite:
    """An item being drawn: its RGB pixels, its outline as an alpha channel, and where its body is.

    All three images are square and of the same size; `ground` is the body's main colour.
    """

    rgb: Image.Image
    alpha: Image.Image
    body: Image.Image
    ground: RGB

    @property
    def size(self) -> int:
        return self.rgb.width


def apply_damage(rng: random.Random, sprite: Sprite, damage: str, severity: float = 1.0) -> None:
    """Damage the body of an item; "none" leaves it alone. `severity` enlarges the damage (1 to 1.7)."""
    if damage != "none":
        _APPLY[damage](rng, sprite, _somewhere_inside(rng, sprite.body), severity)


def _somewhere_inside(rng: random.Random, mask: Image.Image) -> tuple[float, float]:
    """A point of the mask that lies well inside it, in pixels."""
    small = np.asarray(mask.resize((24, 24), Image.Resampling.BOX), dtype=np.float32) / 255
    padded = np.pad(small, 2)
    around = sum(padded[dy : dy + 24, dx : dx + 24] for dy in range(5) for dx in range(5))
    depth = around * small
    rows, columns = np.nonzero(depth >= depth.max() * 0.8)
    pick = rng.randrange(len(rows))
    scale = mask.width / 24
    return (float(columns[pick]) + 0.5) * scale, (float(rows[pick]) + 0.5) * scale


def _scratch(rng: random.Random, sprite: Sprite, at: tuple[float, float], severity: float) -> None:
    draw, size = ImageDraw.Draw(sprite.rgb), sprite.size
    light, dark = ((250, 250, 248), (60, 56, 56)) if luminance(sprite.ground) < 190 else ((70, 64, 64), (214, 210, 206))
    angle = rng.uniform(0, math.pi)
    along, across = (math.cos(angle), math.sin(angle)), (-math.sin(angle), math.cos(angle))
    length, width = size * rng.uniform(0.44, 0.54) * severity**0.5, max(2, round(size * 0.018 * severity))
    for line in (-1, 0, 1):
        shift, offset = line * size * 0.058 * severity + rng.uniform(-2, 2), rng.uniform(-0.07, 0.07) * size
        points = []
        for step in range(7):
            distance = (step / 6 - 0.5) * length * (1 - 0.25 * abs(line)) + offset
            wobble = shift + rng.uniform(-0.014, 0.014) * size
            points.append(
                (at[0] + along[0] * distance + across[0] * wobble, at[1] + along[1] * distance + across[1] * wobble)
            )
        draw.line([(x + width, y + width) for x, y in points], fill=dark, width=width)
        draw.line(points, fill=light, width=width, joint="curve")


def _stain(rng: random.Random, sprite: Sprite, at: tuple[float, float], severity: float) -> None:
    size = sprite.size
    dark_ground = luminance(sprite.ground) < 95
    spill, rim = ((190, 180, 132), (222, 214, 170)) if dark_ground else ((84, 62, 30), (48, 34, 14))
    mask = Image.new("L", (size, size), 0)
    draw = ImageDraw.Draw(mask)
    blob = _blob(rng, at, size * rng.uniform(0.14, 0.175) * severity**0.5)
    draw.polygon(flat(blob), fill=205)
    for _ in range(3):
        angle, distance, radius = rng.uniform(0, 6.28), size * rng.uniform(0.19, 0.24), size * rng.uniform(0.015, 0.028)
        x, y = at[0] + math.cos(angle) * distance, at[1] + math.sin(angle) * distance
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=205)
    sprite.rgb.paste(spill, mask=mask)
    ImageDraw.Draw(sprite.rgb).line([*flat(blob), *flat(blob[:1])], fill=rim, width=max(2, round(size * 0.014)))


def _blob(rng: random.Random, centre: tuple[float, float], radius: float) -> Points:
    angles = np.linspace(0, 2 * math.pi, 10, endpoint=False)
    radii = np.array([rng.uniform(0.72, 1.2) for _ in angles]) * radius
    return smooth(np.stack([centre[0] + radii * np.cos(angles), centre[1] + radii * np.sin(angles)], axis=1))


def _tear(rng: random.Random, sprite: Sprite, tip: tuple[float, float], severity: float) -> None:
    size = sprite.size
    direction = rng.uniform(0, 2 * math.pi)
    along = (math.cos(direction), math.sin(direction))
    depth = max(_distance_to_edge(sprite.body, tip, along), 0.2 * size) + 0.05 * size
    mouth = size * rng.uniform(0.2, 0.25) * severity**0.5
    sides: list[list[tuple[float, float]]] = [[], []]
    for step in range(7):
        fraction = step / 6
        for side, sign in zip(sides, (1, -1), strict=True):
            half = sign * fraction * mouth / 2 + rng.uniform(-0.016, 0.016) * size
            side.append(
                (
                    tip[0] + along[0] * depth * fraction - along[1] * half,
                    tip[1] + along[1] * depth * fraction + along[0] * half,
                )
            )
    width = max(2, round(size * 0.034 * severity))
    fibres = (250, 248, 240) if luminance(sprite.ground) < 215 else (96, 90, 90)
    draw = ImageDraw.Draw(sprite.rgb)
    for side in sides:
        draw.line(side, fill=fibres, width=2 * width, joint="curve")
    ImageDraw.Draw(sprite.alpha).polygon([*sides[0], *sides[1][::-1]], fill=0)


def _distance_to_edge(mask: Image.Image, start: tuple[float, float], along: tuple[float, float]) -> float:
    """How far one can walk from `start` before leaving the mask, in pixels."""
    step = mask.width / 40
    for count in range(1, 40):
        x, y = start[0] + along[0] * step * count, start[1] + along[1] * step * count
        if not (0 <= x < mask.width and 0 <= y < mask.height and mask.getpixel((int(x), int(y)))):
            return step * count
    return step * 40


_APPLY = {"scratch": _scratch, "stain": _stain, "tear": _tear}
