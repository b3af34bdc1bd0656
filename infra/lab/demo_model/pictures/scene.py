"""From a spec to pixels: the backdrop, the clutter, the items, the tag and the badge, in this order."""

import math
import random

from PIL import Image

from sightstream.infra.lab.demo_model.pictures.backdrop import backdrop, clutter
from sightstream.infra.lab.demo_model.pictures.items import Dye, draw_item, soft_shadow
from sightstream.infra.lab.demo_model.pictures.kinds import parts_of
from sightstream.infra.lab.demo_model.pictures.layout import FreeArea, Slot, edge_position, slots_for
from sightstream.infra.lab.demo_model.pictures.overlays import price_tag, sale_badge
from sightstream.infra.lab.demo_model.pictures.photolike import SCENES, scene
from sightstream.infra.lab.demo_model.pictures.spec import PictureSpec
from sightstream.infra.lab.demo_model.pictures.things import thing_parts
from sightstream.infra.lab.demo_model.pictures.vocabulary import COLOURS, NO_PRODUCT, PATTERNS, UNKNOWN

_BLANKS = tuple((level, level, level) for level in range(0, 256, 15)) + tuple(COLOURS.values())

Placed = tuple[Image.Image, tuple[int, int]]


def draw(spec: PictureSpec, scale: float = 1.0) -> Image.Image:
    """Draw the picture: RGB, `spec.width` x `spec.height` pixels times `scale`.

    The same spec and scale always give the same pixels.
    """
    rng = random.Random(spec.seed)
    width, height = max(16, round(spec.width * scale)), max(16, round(spec.height * scale))
    overlays, area = _plan_overlays(rng, spec, width, height)
    photolike = spec.thing in SCENES
    image = scene(rng, str(spec.thing), width, height) if photolike else _stage(rng, spec, area, width, height)
    for sprite, corner in overlays:
        image.paste(sprite, corner, sprite)
    return image


def _stage(rng: random.Random, spec: PictureSpec, area: FreeArea, width: int, height: int) -> Image.Image:
    kind = spec.labels.kind
    colour = spec.labels.colour or rng.choice(list(COLOURS))
    if kind == NO_PRODUCT and rng.random() < 0.15:
        return Image.new("RGB", (width, height), rng.choice(_BLANKS))
    dye = Dye.mixed(rng, colour, spec.labels.pattern or rng.choice(PATTERNS))
    image = backdrop(rng, width, height, None if kind == NO_PRODUCT else dye.ground)
    clutter(rng, image, rng.choice((4, 7, 10)) if kind == NO_PRODUCT else rng.choice((0, 0, 2, 4, 6)))
    if kind != NO_PRODUCT:
        _put_items(rng, image, spec, dye, area)
    return image


def _plan_overlays(rng: random.Random, spec: PictureSpec, width: int, height: int) -> tuple[list[Placed], FreeArea]:
    """The tag and the badge with their places, and the area that they leave for the items."""
    unit = math.sqrt(width * height)
    margin = unit * 0.015
    area = FreeArea(margin, margin, width - 2 * margin, height - 2 * margin)
    placed: list[Placed] = []
    if spec.labels.price:
        tag = _fitting_tag(rng, spec.labels.price, unit * rng.uniform(0.09, 0.118), area)
        side, corner = edge_position(rng, area, tag.size)
        placed.append((tag, corner))
        area = area.without(side, (tag.width if side in ("left", "right") else tag.height) * 0.97)
    if spec.labels.sale:
        badge = sale_badge(rng, min(unit * rng.uniform(0.1, 0.13), 0.3 * min(area.width, area.height)))
        side, corner = edge_position(rng, area, badge.size)
        placed.append((badge, corner))
        area = area.without(side, badge.width * 0.85)
    return placed, area


def _fitting_tag(rng: random.Random, price: str, digit_height: float, area: FreeArea) -> Image.Image:
    """A tag that leaves the items at least four tenths of the area; smaller digits only if it must."""
    while True:
        tag = price_tag(random.Random(rng.getrandbits(32)), price, digit_height)
        across = area.width >= 1.6 * area.height
        if tag.width <= area.width * (0.55 if across else 0.98) and tag.height <= area.height * 0.6:
            return tag
        digit_height *= 0.93


def _put_items(rng: random.Random, image: Image.Image, spec: PictureSpec, dye: Dye, area: FreeArea) -> None:
    labels = spec.labels
    slots = slots_for(rng, area, labels.count or rng.choice((1, 1, 1, 2, 3)))
    damaged = rng.randrange(len(slots))
    for index, slot in enumerate(slots):
        damage = labels.damage if index == damaged and labels.damage else "none"
        thing = labels.kind == UNKNOWN
        parts = thing_parts(rng, spec.thing or "blob") if thing else parts_of(labels.kind)
        # Small items get damage that a person can still see.
        severity = min(1.7, max(1.2, 0.48 * max(image.size) / slot.side))
        _set_down(image, draw_item(rng, parts, dye, damage, severity, max(8, round(slot.side))), slot)


def _set_down(image: Image.Image, sprite: Image.Image, slot: Slot) -> None:
    side = sprite.width
    left, top = round(slot.x - side / 2), round(slot.y - side / 2)
    shadow = soft_shadow().resize((side, max(2, side // 4)), Image.Resampling.BILINEAR)
    image.paste((16, 14, 20), (left, top + round(side * 0.82)), shadow)
    image.paste(sprite, (left, top), sprite)
