"""What a shop puts on its pictures: a price tag, a SALE badge. RGBA sprites, a little turned."""

import math
import random
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from sightstream.infra.lab.demo_model.pictures.surfaces import RGB


@lru_cache(maxsize=256)
def _font(pixels: int) -> ImageFont.FreeTypeFont:
    # Pillow carries this font inside itself, so it looks the same on every machine.
    font = ImageFont.load_default(pixels)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("Pillow was built without FreeType; install an official Pillow wheel")
    return font


def lettering(text: str, height: int, ink: RGB, weight: int = 0) -> Image.Image:
    """`text` on a transparent ground; its digits are `height` pixels tall."""
    font = _font(max(8, round(height / 0.72)))
    left, top, right, bottom = font.getbbox(text, stroke_width=weight)
    image = Image.new("RGBA", (math.ceil(right - left) + 2, math.ceil(bottom - top) + 2), (*ink, 0))
    ImageDraw.Draw(image).text((1 - left, 1 - top), text, font=font, fill=(*ink, 255), stroke_width=weight)
    return image


_TAGS: tuple[tuple[RGB, RGB], ...] = (
    ((255, 255, 255), (20, 20, 24)),
    ((255, 250, 226), (30, 20, 10)),
    ((255, 236, 130), (24, 20, 8)),
    ((222, 240, 255), (12, 24, 60)),
    ((34, 34, 40), (255, 255, 255)),
    ((30, 70, 50), (255, 255, 240)),
)


def price_tag(rng: random.Random, price: str, digit_height: float) -> Image.Image:
    """A paper tag with a punched hole that says `price`; its digits are `digit_height` pixels tall."""
    height = max(5, round(digit_height * 2))
    paper, ink = rng.choice(_TAGS)
    words = lettering(price, height, ink, weight=max(0, round(height / rng.choice((16, 22, 30)))))
    pad, ear = round(height * 0.38), round(height * rng.choice((0.25, 0.7)))
    width, tall = words.width + 2 * pad + ear, words.height + 2 * pad
    tag = Image.new("RGBA", (width, tall), (*paper, 0))
    draw = ImageDraw.Draw(tag)
    outline = (110, 104, 96, 255)
    nick = tall * 0.28 if ear > pad else 0.0
    shape = [
        (nick, 1.0),
        (width - 2.0, 1.0),
        (width - 2.0, tall - 2.0),
        (nick, tall - 2.0),
        (1.0, tall - 1 - nick),
        (1.0, nick + 1),
    ]
    draw.polygon(shape, fill=(*paper, 255))
    draw.line([*shape, shape[0]], fill=outline, width=max(1, height // 14))
    if ear > pad:
        radius = height * 0.12
        x, y = ear * 0.6, tall / 2
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=outline)
    tag.alpha_composite(words, (pad + ear, pad))
    return tag.rotate(rng.uniform(-7, 7), Image.Resampling.BILINEAR, expand=True).reduce(2)


def sale_badge(rng: random.Random, radius: float) -> Image.Image:
    """A star-edged sticker that says SALE."""
    size = max(20, round(radius * 4))
    paper, ink = rng.choice(
        (((214, 24, 40), (255, 255, 255)), ((250, 208, 20), (150, 10, 20)), ((20, 20, 24), (255, 220, 60)))
    )
    badge = Image.new("RGBA", (size, size), (*paper, 0))
    points, middle = rng.choice((12, 16, 20)), size / 2
    star = []
    for step in range(2 * points):
        reach = middle * (0.98 if step % 2 else 0.86)
        star.append(
            (middle + reach * math.cos(math.pi * step / points), middle + reach * math.sin(math.pi * step / points))
        )
    ImageDraw.Draw(badge).polygon(star, fill=(*paper, 255))
    words = lettering("SALE", round(size * 0.22), ink, weight=max(1, size // 70))
    badge.alpha_composite(words, ((size - words.width) // 2, (size - words.height) // 2))
    return badge.rotate(rng.uniform(-20, 20), Image.Resampling.BILINEAR).reduce(2)
