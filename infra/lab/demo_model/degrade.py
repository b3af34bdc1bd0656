"""Makes pictures worse, from hardly to hopeless, so that the model learns when it cannot see. No torch here.

Every function returns a new picture; `severity` runs from 0 (hardly) to 1 (hopeless).
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

SMALL_SIDE = 48  # pixels of the longer side
QUALITIES = (5, 20)

Change = Callable[[random.Random, Image.Image, float], Image.Image]


def blur(rng: random.Random, image: Image.Image, severity: float) -> Image.Image:
    """Blur by a radius of 0.5 to 8 % of the longer side."""
    del rng
    return image.filter(ImageFilter.GaussianBlur((0.005 + 0.075 * severity) * max(image.size)))


def occlude(rng: random.Random, image: Image.Image, severity: float) -> Image.Image:
    """Put one to three flat boxes in front; together they hide from a tenth of the picture to nearly all of it."""
    image = image.copy()
    boxes, pen = rng.randint(1, 3), ImageDraw.Draw(image)
    for _ in range(boxes):
        hidden = ((0.1 + 0.85 * severity) / boxes) ** 0.5
        stretch = rng.uniform(0.75, 1.33)
        width, height = (min(1.0, hidden * stretch) * image.width, min(1.0, hidden / stretch) * image.height)
        left, top = rng.uniform(0, image.width - width), rng.uniform(0, image.height - height)
        pen.rectangle((left, top, left + width, top + height), fill=_any_colour(rng))
    return image


def squeeze(rng: random.Random, image: Image.Image, severity: float) -> Image.Image:
    """Save as JPEG of quality 20 down to 5."""
    del rng
    held = io.BytesIO()
    image.save(held, "JPEG", quality=round(QUALITIES[1] - (QUALITIES[1] - QUALITIES[0]) * severity))
    return Image.open(held).convert("RGB")


def shrink(rng: random.Random, image: Image.Image, severity: float) -> Image.Image:
    """Reduce the longer side to 96 pixels down to 48."""
    del rng
    scale = SMALL_SIDE * (2 - severity) / max(image.size)
    if scale >= 1:
        return image
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.BILINEAR)


CHANGES: dict[str, Change] = {"blur": blur, "occlude": occlude, "shrink": shrink, "squeeze": squeeze}


def degrade(rng: random.Random, image: Image.Image, least: float = 0.0, most: float = 1.0) -> Image.Image:
    """Apply one to three of CHANGES in their order, each with a severity drawn between `least` and `most`."""
    chosen = set(rng.sample(list(CHANGES), rng.choice((1, 1, 2, 2, 3))))
    for name, change in CHANGES.items():
        if name in chosen:
            image = change(rng, image, rng.uniform(least, most))
    return image


def _any_colour(rng: random.Random) -> tuple[int, int, int]:
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)
