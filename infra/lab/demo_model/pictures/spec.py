"""What a picture shows: the labels, its size, and the seed of everything else."""

import random
from dataclasses import dataclass, replace
from typing import Literal

from sightstream.infra.lab.demo_model.pictures.photolike import SCENES
from sightstream.infra.lab.demo_model.pictures.things import HELD_OUT, THINGS
from sightstream.infra.lab.demo_model.pictures.vocabulary import (
    COLOURS,
    DAMAGES,
    KINDS,
    MAX_COUNT,
    NO_PRODUCT,
    PATTERNS,
    UNKNOWN,
    is_held_out,
)

Split = Literal["train", "test", "seen", "unseen"]


@dataclass(frozen=True, slots=True)
class Labels:
    """What a careful person would say about a picture.

    `colour`, `pattern` and `damage` are None and `count` is 0 where no known product is shown
    (`kind` is then "none" or "unknown"). `price` is the text of the price tag ("$24.99") or None.
    """

    kind: str
    colour: str | None
    pattern: str | None
    count: int
    price: str | None
    damage: str | None
    sale: bool


@dataclass(frozen=True, slots=True)
class PictureSpec:
    """A picture that has not been drawn yet. The same spec always gives the same picture.

    `width` and `height` are pixels; `seed` decides background, light, arrangement and clutter;
    `thing` names what an "unknown" picture really shows.
    """

    labels: Labels
    width: int
    height: int
    seed: int
    thing: str | None = None


def sample_spec(rng: random.Random, split: Split = "train") -> PictureSpec:
    """Draw the labels and the size of one picture.

    `split`: "train" and "seen" hold no held-out combination, "unseen" holds only those, and "test" mixes
    them as they come. 7 % of the pictures show no product and 8 % something unknown, except for
    "seen" and "unseen", which show products only.
    """
    chance = rng.random()
    products_only = split in ("seen", "unseen")
    if products_only or chance >= 0.15:
        labels = _product(rng, split)
    else:
        labels = _no_product(rng, NO_PRODUCT if chance < 0.07 else UNKNOWN)
    width, height = _size(rng)
    if max(width, height) <= 128:
        labels = _for_a_thumbnail(rng, labels)
    elif width < 0.55 * height:
        labels = _for_a_narrow_picture(labels)
    thing = _thing(rng, split) if labels.kind == UNKNOWN else None
    return PictureSpec(labels, width, height, rng.getrandbits(48), thing)


def _thing(rng: random.Random, split: Split) -> str:
    things = THINGS + HELD_OUT if split == "test" else THINGS
    return rng.choice(SCENES if rng.random() < 0.5 else things)


def _product(rng: random.Random, split: Split) -> Labels:
    while True:
        kind, colour, pattern = rng.choice(KINDS), rng.choice(list(COLOURS)), rng.choice(PATTERNS)
        held_out = is_held_out(kind, colour, pattern)
        if split == "test" or held_out == (split == "unseen"):
            break
    damaged = rng.random() < (0.6 if split == "train" else 0.45)  # damage is the hardest to learn
    damage = rng.choice(DAMAGES[1:]) if damaged else "none"
    price = sample_price(rng) if rng.random() < 0.5 else None
    return Labels(kind, colour, pattern, rng.randint(1, MAX_COUNT), price, damage, rng.random() < 0.3)


def _no_product(rng: random.Random, kind: str) -> Labels:
    price = sample_price(rng) if rng.random() < 0.3 else None
    return Labels(kind, None, None, 0, price, None, rng.random() < 0.2)


def sample_price(rng: random.Random) -> str:
    """A price as shops write it, from "$1" to "$199.99"."""
    dollars = rng.choice((rng.randint(1, 9), rng.randint(10, 99), rng.randint(10, 99), rng.randint(100, 199)))
    if rng.random() < 0.35:
        return f"${dollars}"
    return f"${dollars}.{rng.choice(('00', '25', '49', '50', '75', '90', '95', '99'))}"


def _size(rng: random.Random) -> tuple[int, int]:
    """Pixels: mostly near square and 300 to 560 long (four tiles), some long strips, some thumbnails."""
    chance = rng.random()
    if chance < 0.08:
        long, ratio = rng.randint(112, 128), rng.uniform(0.85, 1.0)
    elif chance < 0.24:
        long, ratio = rng.randint(400, 600), 1 / rng.uniform(1.9, 3.2)
    else:
        long, ratio = rng.randint(300, 560), rng.uniform(0.62, 1.0)
    sides = long, max(round(long * ratio), 96)
    return sides if rng.random() < 0.6 else (sides[1], sides[0])


def _for_a_thumbnail(rng: random.Random, labels: Labels) -> Labels:
    """At most two items, whole ones, and a short price: nobody can see more in 128 pixels."""
    price = f"${rng.randint(1, 99)}" if labels.price else None
    return replace(
        labels,
        count=min(labels.count, 2),
        price=price,
        damage="none" if labels.damage and labels.count > 1 else labels.damage,
        sale=labels.sale and price is None,
    )


def _for_a_narrow_picture(labels: Labels) -> Labels:
    """At most "$9.99" or "$199": a longer price would have to be written too small."""
    price = labels.price
    return replace(labels, price=price.partition(".")[0]) if price and len(price) > 5 else labels
