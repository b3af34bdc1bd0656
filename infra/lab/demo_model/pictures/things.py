"""Things that are none of the known kinds, as stacks of parts: they teach the model to say "unknown".

`HELD_OUT` is never used in training, only in tests.
"""

import math
import random

import numpy as np

from sightstream.infra.lab.demo_model.pictures.geometry import Points, band, box, ellipse, mirror, poly, smooth
from sightstream.infra.lab.demo_model.pictures.kinds import Part

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
