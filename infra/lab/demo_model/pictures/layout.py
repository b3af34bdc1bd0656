"""Where everything goes: the price tag and the badge at the edges, the items in the area that is left."""

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FreeArea:
    """A rectangle in pixels."""

    left: float
    top: float
    width: float
    height: float

    def without(self, side: str, depth: float) -> "FreeArea":
        """What is left after `depth` pixels are taken from the "left", "right", "top" or "bottom"."""
        if side in ("left", "right"):
            return FreeArea(self.left + (depth if side == "left" else 0), self.top, self.width - depth, self.height)
        return FreeArea(self.left, self.top + (depth if side == "top" else 0), self.width, self.height - depth)


@dataclass(frozen=True, slots=True)
class Slot:
    """The square that one item fills: its centre and its side, in pixels."""

    x: float
    y: float
    side: float


def edge_position(rng: random.Random, area: FreeArea, size: tuple[int, int]) -> tuple[str, tuple[int, int]]:
    """Put a sprite of `size` against an edge of the area: which edge costs the items least, and the top left corner."""
    costs = {"left": size[0] * area.height, "top": size[1] * area.width}
    across = costs["left"] * rng.uniform(0.8, 1.25) < costs["top"]
    side = rng.choice(("left", "right") if across else ("top", "bottom"))
    x = area.left + rng.random() * max(0.0, area.width - size[0])
    y = area.top + rng.random() * max(0.0, area.height - size[1])
    if side in ("left", "right"):
        x = area.left if side == "left" else area.left + area.width - size[0]
    else:
        y = area.top if side == "top" else area.top + area.height - size[1]
    return side, (round(x), round(y))


def slots_for(rng: random.Random, area: FreeArea, count: int) -> list[Slot]:
    """`count` squares that do not overlap, as large as the area allows, a little out of line and of size."""
    columns = max(range(1, count + 1), key=lambda c: min(area.width / c, area.height / math.ceil(count / c)))
    rows = math.ceil(count / columns)
    cell_w, cell_h = area.width / columns, area.height / rows
    cell = min(cell_w, cell_h)
    slots = []
    for index in range(count):
        row, column = divmod(index, columns)
        in_row = min(columns, count - row * columns)
        side = cell * rng.uniform(0.9, 1.0)
        slack_x, slack_y = min(cell_w - side, cell * 0.5) / 2, min(cell_h - side, cell * 0.5) / 2
        x = area.left + area.width / 2 + (column - (in_row - 1) / 2) * min(cell_w, cell * 1.5)
        y = area.top + area.height / 2 + (row - (rows - 1) / 2) * min(cell_h, cell * 1.5)
        slots.append(Slot(x + rng.uniform(-slack_x, slack_x), y + rng.uniform(-slack_y, slack_y), side))
    return slots
