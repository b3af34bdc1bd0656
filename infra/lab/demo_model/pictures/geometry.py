"""Outlines as arrays of points, shape (n, 2), in a unit square with y pointing down."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]


def poly(*flat: float) -> Points:
    """A polygon from x0, y0, x1, y1, ..."""
    return np.array(flat, dtype=float).reshape(-1, 2)


def mirror(*flat: float) -> Points:
    """A polygon from its right half, top to bottom: the left half is its mirror image about x = 0.5."""
    right = poly(*flat)
    left = right[::-1] * (-1, 1) + (1, 0)
    return np.concatenate([right, left])


def ellipse(cx: float, cy: float, rx: float, ry: float, start: float = 0, stop: float = 360) -> Points:
    """An ellipse, or the part of it between two angles in degrees (clockwise, 0 is to the right)."""
    steps = max(6, round(abs(stop - start) / 12))
    angles = np.radians(np.linspace(start, stop, steps, endpoint=stop - start < 360))
    return np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1)


def box(left: float, top: float, right: float, bottom: float, radius: float = 0.0) -> Points:
    """A rectangle, with rounded corners if `radius` is given."""
    if radius <= 0:
        return poly(left, top, right, top, right, bottom, left, bottom)
    r = radius
    corners = (
        (right - r, bottom - r, 0),
        (left + r, bottom - r, 90),
        (left + r, top + r, 180),
        (right - r, top + r, 270),
    )
    return np.concatenate([ellipse(x, y, r, r, a, a + 90) for x, y, a in corners])


def band(points: Sequence[tuple[float, float]] | Points, width: float) -> Points:
    """A thick line along `points`, as a closed outline."""
    line = np.asarray(points, dtype=float)
    step = np.gradient(line, axis=0)
    length = np.maximum(np.hypot(step[:, 0], step[:, 1]), 1e-9)
    normal = np.stack([-step[:, 1], step[:, 0]], axis=1) / length[:, None] * (width / 2)
    return np.concatenate([line + normal, (line - normal)[::-1]])


def smooth(points: Points, rounds: int = 2) -> Points:
    """Round the corners of a closed outline (Chaikin's corner cutting)."""
    for _ in range(rounds):
        following = np.roll(points, -1, axis=0)
        cut = np.empty((2 * len(points), 2))
        cut[0::2] = 0.75 * points + 0.25 * following
        cut[1::2] = 0.25 * points + 0.75 * following
        points = cut
    return points


def transform(points: Points, centre: tuple[float, float], size: tuple[float, float], degrees: float) -> Points:
    """Move an outline from the unit square to pixels: scaled to `size`, turned, and put around `centre`."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    scaled = (points - 0.5) * size
    moved: Points = scaled @ np.array([[c, s], [-s, c]]) + centre
    return moved


def flat(points: Points) -> list[float]:
    """The points as Pillow likes them: x0, y0, x1, y1, ..."""
    return [float(value) for value in points.ravel()]
