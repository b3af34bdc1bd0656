"""What the readers of the formats have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image


class UnreadableLayout(Exception):
    """The format is known, but not this way of storing pixels in it; the message names it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose header is read: `image` states its size. Call `load` once: it returns the first frame's pixels."""

    image: Image.Image
    load: Callable[[], Image.Image]
