"""The shape of every product kind, as a stack of parts in a unit square.

A part is a role and an outline. Roles: "body" carries the item's colour and pattern; "trim" is the same
colour, darker; "pale" lighter; "dark", "metal", "wood" and "paper" are what they say; "cut" is a hole.
"""

from functools import cache

import numpy as np

from sightstream.infra.lab.demo_model.pictures.geometry import Points, band, box, ellipse, mirror, poly, smooth

Part = tuple[str, Points]


def _ring(cx: float, cy: float, rx: float, ry: float, width: float, start: float = 180, stop: float = 540) -> Points:
    outer = ellipse(cx, cy, rx, ry, start, stop)
    inner = ellipse(cx, cy, rx - width, ry - width, start, stop)
    return np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])


def _mug() -> list[Part]:
    body = np.concatenate([ellipse(0.4, 0.2, 0.32, 0.07, 180, 360), ellipse(0.4, 0.86, 0.28, 0.07, 0, 180)])
    return [
        ("trim", _ring(0.72, 0.5, 0.24, 0.24, 0.09)),
        ("body", body),
        ("dark", ellipse(0.4, 0.2, 0.32, 0.07)),
        ("trim", ellipse(0.4, 0.215, 0.28, 0.05)),
    ]


def _bottle() -> list[Part]:
    body = mirror(0.58, 0.2, 0.58, 0.28, 0.7, 0.36, 0.75, 0.44, 0.75, 0.94, 0.71, 0.98)
    return [("dark", box(0.42, 0.02, 0.58, 0.12, 0.02)), ("trim", box(0.44, 0.12, 0.56, 0.24)), ("body", body)]


def _shirt() -> list[Part]:
    body = mirror(0.6, 0.08, 0.74, 0.12, 0.99, 0.36, 0.84, 0.5, 0.75, 0.42, 0.76, 0.94)
    return [
        ("body", body),
        ("cut", ellipse(0.5, 0.07, 0.1, 0.08)),
        ("trim", _ring(0.5, 0.07, 0.13, 0.115, 0.035, 10, 170)),
    ]


def _trousers() -> list[Part]:
    body = mirror(0.74, 0.03, 0.82, 0.97, 0.58, 0.97, 0.505, 0.38)
    return [("body", body), ("trim", mirror(0.74, 0.03, 0.745, 0.11)), ("metal", box(0.475, 0.04, 0.525, 0.1))]


def _dress() -> list[Part]:
    body = mirror(0.6, 0.04, 0.6, 0.18, 0.66, 0.3, 0.6, 0.42, 0.92, 0.9, 0.72, 0.95, 0.5, 0.97)
    return [("body", body), ("cut", ellipse(0.5, 0.05, 0.07, 0.12)), ("trim", mirror(0.605, 0.4, 0.625, 0.46))]


def _hat() -> list[Part]:
    sides = poly(0.6, 0.2, 0.72, 0.3, 0.77, 0.68)
    flipped = sides[::-1] * (-1, 1) + (1, 0)
    ribbon = poly(0.755, 0.55, 0.772, 0.67)
    ribbon_flipped = ribbon[::-1] * (-1, 1) + (1, 0)
    return [
        ("trim", ellipse(0.5, 0.7, 0.49, 0.14)),
        ("body", np.concatenate([sides, ellipse(0.5, 0.68, 0.27, 0.07, 0, 180), flipped])),
        (
            "dark",
            np.concatenate(
                [ribbon, ellipse(0.5, 0.67, 0.27, 0.07, 0, 180), ribbon_flipped, ellipse(0.5, 0.55, 0.25, 0.06, 180, 0)]
            ),
        ),
    ]


def _boot() -> list[Part]:
    body = poly(0.22, 0.04, 0.6, 0.04, 0.6, 0.5, 0.9, 0.62, 0.96, 0.74, 0.96, 0.86, 0.2, 0.86, 0.2, 0.6)
    return [
        ("body", body),
        ("trim", box(0.19, 0.03, 0.63, 0.13)),
        ("dark", poly(0.18, 0.86, 0.98, 0.86, 0.98, 0.95, 0.5, 0.95, 0.46, 0.91, 0.4, 0.97, 0.18, 0.97)),
    ]


def _handbag() -> list[Part]:
    body = smooth(poly(0.16, 0.4, 0.84, 0.4, 0.95, 0.92, 0.9, 0.95, 0.1, 0.95, 0.05, 0.92), 1)
    return [
        ("trim", _ring(0.5, 0.4, 0.25, 0.34, 0.06, 180, 360)),
        ("body", body),
        ("trim", poly(0.17, 0.4, 0.83, 0.4, 0.85, 0.5, 0.15, 0.5)),
        ("metal", box(0.44, 0.46, 0.56, 0.56, 0.02)),
    ]


def _chair() -> list[Part]:
    legs = [
        ("wood", band([(x0, 0.6), (x1, 0.98)], 0.055))
        for x0, x1 in ((0.26, 0.2), (0.74, 0.8), (0.36, 0.36), (0.64, 0.64))
    ]
    posts = [("wood", band([(0.27, 0.3), (0.25, 0.64)], 0.05)), ("wood", band([(0.73, 0.3), (0.75, 0.64)], 0.05))]
    seat = poly(0.24, 0.55, 0.76, 0.55, 0.86, 0.68, 0.14, 0.68)
    return [
        *legs,
        *posts,
        ("body", box(0.2, 0.03, 0.8, 0.42, 0.06)),
        ("body", seat),
        ("trim", box(0.14, 0.68, 0.86, 0.73)),
    ]


def _lamp() -> list[Part]:
    return [
        ("metal", box(0.47, 0.5, 0.53, 0.93)),
        ("dark", ellipse(0.5, 0.93, 0.24, 0.05)),
        ("body", mirror(0.68, 0.05, 0.93, 0.56)),
        ("trim", mirror(0.915, 0.52, 0.935, 0.57)),
    ]


def _umbrella() -> list[Part]:
    dome = ellipse(0.5, 0.52, 0.49, 0.44, 180, 360)
    scallops = [ellipse(0.5 + 0.3267 * i, 0.52, 0.1633, 0.06, 0, -180) for i in (1, 0, -1)]
    hook = np.concatenate([[(0.5, 0.45), (0.5, 0.88)], ellipse(0.42, 0.88, 0.08, 0.08, 0, 180)])
    return [
        ("dark", band([(0.5, 0.02), (0.5, 0.1)], 0.03)),
        ("wood", band(hook, 0.04)),
        ("body", np.concatenate([dome, *scallops])),
    ]


def _teapot() -> list[Part]:
    spout = smooth(poly(0.7, 0.72, 0.84, 0.58, 0.88, 0.36, 0.99, 0.3, 0.97, 0.38, 0.95, 0.62, 0.76, 0.84), 1)
    return [
        ("trim", spout),
        ("trim", _ring(0.2, 0.56, 0.18, 0.2, 0.065, 60, 300)),
        ("body", ellipse(0.5, 0.62, 0.33, 0.3)),
        ("trim", ellipse(0.5, 0.35, 0.17, 0.06)),
        ("dark", ellipse(0.5, 0.27, 0.045, 0.05)),
        ("trim", box(0.34, 0.89, 0.66, 0.95, 0.02)),
    ]


def _vase() -> list[Part]:
    body = mirror(0.63, 0.34, 0.57, 0.44, 0.6, 0.52, 0.78, 0.66, 0.8, 0.76, 0.72, 0.9, 0.62, 0.98)
    stems = [("leaf", band([(0.5, 0.4), (x, 0.16)], 0.025)) for x in (0.3, 0.5, 0.7)]
    flowers = [("petal", ellipse(x, y, 0.085, 0.085)) for x, y in ((0.28, 0.15), (0.5, 0.1), (0.72, 0.15))]
    centres = [("dark", ellipse(x, y, 0.03, 0.03)) for x, y in ((0.28, 0.15), (0.5, 0.1), (0.72, 0.15))]
    return [*stems, *flowers, *centres, ("body", smooth(body, 1)), ("trim", ellipse(0.5, 0.355, 0.125, 0.03))]


def _guitar() -> list[Part]:
    body = mirror(0.62, 0.46, 0.75, 0.5, 0.77, 0.59, 0.69, 0.66, 0.8, 0.73, 0.87, 0.84, 0.79, 0.95, 0.58, 0.99)
    return [
        ("body", smooth(body, 1)),
        ("dark", ellipse(0.5, 0.68, 0.075, 0.07)),
        ("wood", box(0.465, 0.1, 0.535, 0.68)),
        ("dark", box(0.4, 0.86, 0.6, 0.9)),
        ("dark", mirror(0.57, 0.01, 0.56, 0.13)),
        ("metal", box(0.38, 0.03, 0.43, 0.055)),
        ("metal", box(0.57, 0.03, 0.62, 0.055)),
        ("metal", box(0.38, 0.08, 0.43, 0.105)),
        ("metal", box(0.57, 0.08, 0.62, 0.105)),
    ]


def _sofa() -> list[Part]:
    return [
        ("wood", box(0.12, 0.82, 0.18, 0.92)),
        ("wood", box(0.82, 0.82, 0.88, 0.92)),
        ("body", box(0.1, 0.16, 0.9, 0.62, 0.1)),
        ("body", box(0.12, 0.5, 0.88, 0.72, 0.03)),
        ("trim", box(0.1, 0.7, 0.9, 0.84)),
        ("trim", box(0.0, 0.4, 0.17, 0.85, 0.07)),
        ("trim", box(0.83, 0.4, 1.0, 0.85, 0.07)),
        ("trim", band([(0.5, 0.5), (0.5, 0.71)], 0.02)),
    ]


def _backpack() -> list[Part]:
    return [
        ("dark", _ring(0.5, 0.14, 0.13, 0.12, 0.05)),
        ("trim", box(0.06, 0.5, 0.24, 0.86, 0.06)),
        ("trim", box(0.76, 0.5, 0.94, 0.86, 0.06)),
        ("body", np.concatenate([ellipse(0.5, 0.4, 0.33, 0.3, 180, 360), ellipse(0.5, 0.86, 0.33, 0.1, 0, 180)])),
        ("trim", box(0.27, 0.6, 0.73, 0.9, 0.06)),
        ("dark", box(0.27, 0.66, 0.73, 0.69)),
        ("metal", box(0.46, 0.66, 0.54, 0.74)),
    ]


def _mitten() -> list[Part]:
    hand = np.concatenate([ellipse(0.44, 0.3, 0.26, 0.28, 180, 360), poly(0.72, 0.5, 0.7, 0.76, 0.22, 0.76, 0.18, 0.5)])
    thumb = smooth(poly(0.6, 0.66, 0.66, 0.5, 0.82, 0.34, 0.95, 0.4, 0.94, 0.5, 0.7, 0.76), 2)
    return [("body", thumb), ("body", hand), ("pale", box(0.18, 0.75, 0.74, 0.96, 0.04))]


def _tie() -> list[Part]:
    return [
        ("body", mirror(0.58, 0.17, 0.77, 0.78, 0.5, 0.98)),
        ("trim", mirror(0.67, 0.02, 0.59, 0.18)),
    ]


def _book() -> list[Part]:
    return [
        ("paper", poly(0.2, 0.1, 0.86, 0.1, 0.9, 0.14, 0.9, 0.95, 0.2, 0.95)),
        ("body", box(0.14, 0.04, 0.82, 0.9, 0.01)),
        ("trim", box(0.12, 0.04, 0.24, 0.92, 0.01)),
        ("paper", box(0.34, 0.16, 0.74, 0.3)),
        ("dark", box(0.39, 0.21, 0.69, 0.25)),
    ]


def _clock() -> list[Part]:
    ticks = [
        ellipse(0.5 + 0.23 * np.cos(a), 0.52 + 0.23 * np.sin(a), 0.02, 0.02) for a in np.radians(range(0, 360, 90))
    ]
    return [
        ("dark", band([(0.24, 0.86), (0.16, 0.97)], 0.06)),
        ("dark", band([(0.76, 0.86), (0.84, 0.97)], 0.06)),
        ("trim", ellipse(0.22, 0.13, 0.14, 0.11)),
        ("trim", ellipse(0.78, 0.13, 0.14, 0.11)),
        ("body", ellipse(0.5, 0.52, 0.45, 0.42)),
        ("paper", ellipse(0.5, 0.52, 0.28, 0.27)),
        *[("dark", tick) for tick in ticks],
        ("dark", band([(0.5, 0.53), (0.5, 0.33)], 0.03)),
        ("dark", band([(0.49, 0.52), (0.64, 0.6)], 0.035)),
    ]


@cache
def parts_of(kind: str) -> tuple[Part, ...]:
    """The parts of one of KINDS, bottom first. Raises KeyError for any other name."""
    return tuple(_SHAPES[kind]())


_SHAPES = {
    "mug": _mug,
    "bottle": _bottle,
    "shirt": _shirt,
    "trousers": _trousers,
    "dress": _dress,
    "hat": _hat,
    "boot": _boot,
    "handbag": _handbag,
    "chair": _chair,
    "lamp": _lamp,
    "umbrella": _umbrella,
    "teapot": _teapot,
    "vase": _vase,
    "guitar": _guitar,
    "sofa": _sofa,
    "backpack": _backpack,
    "mitten": _mitten,
    "tie": _tie,
    "book": _book,
    "clock": _clock,
}
