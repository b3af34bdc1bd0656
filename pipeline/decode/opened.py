"""What the readers of the formats have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image


class UnreadableLayout(Exception):
    """The format is known, but not this way of storing pixels in it; the message names it."""


class EndsEarly(Exception):
    """The file ends before its last pixel."""


@dataclass(frozen=True, slots=True)
class FirstFrame:
    """The pixels of a file's first frame; `is_truncated`: its end is missing, and black, grey or clear."""

    image: Image.Image
    is_truncated: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A file whose header is read: `image` states its size.

    Call `load` once, with whether a truncated image will do. It raises EndsEarly if not, and nearly anything on a bad
    file.
    """

    image: Image.Image
    load: Callable[[bool], FirstFrame]
