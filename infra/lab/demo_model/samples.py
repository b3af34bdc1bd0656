"""One training sample: tiles, targets for the auxiliary heads, and the tokens of every answer. No torch here."""

import io
import random
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from sightstream.infra.lab.demo_model.answers import FAMILIES, Family, answer_text
from sightstream.infra.lab.demo_model.architecture import MAX_TILES, TILE_SIZE
from sightstream.infra.lab.demo_model.pictures import (
    COLOURS,
    DAMAGES,
    KINDS,
    MAX_COUNT,
    NO_PRODUCT,
    PATTERNS,
    UNKNOWN,
    Labels,
    PictureSpec,
    draw,
)
from sightstream.infra.lab.demo_model.tiles import cut_tiles

PRICE_CHARACTERS = "0123456789."  # then one class for "nothing here"
PRICE_LENGTH = 6
ANSWER_LENGTH = 96

# What the auxiliary heads tell, and in how many classes. Class -1 means: nothing to tell.
TARGETS: dict[str, int] = {
    "kind": len(KINDS) + 2,
    "colour": len(COLOURS),
    "pattern": len(PATTERNS),
    "count": MAX_COUNT,
    "damage": len(DAMAGES),
    "sale": 2,
    **{f"price{position}": len(PRICE_CHARACTERS) + 1 for position in range(PRICE_LENGTH)},
}

FIELDS: dict[str, tuple[tuple[int, ...], str]] = {
    "tiles": ((MAX_TILES, 3, TILE_SIZE, TILE_SIZE), "uint8"),
    "aspect": ((), "uint8"),
    "targets": ((len(TARGETS),), "int8"),
    "answers": ((len(FAMILIES), ANSWER_LENGTH), "int16"),
    "lengths": ((len(FAMILIES),), "int16"),
}


def head_targets(labels: Labels) -> list[int]:
    """The classes of TARGETS, in order."""
    kinds = [*KINDS, NO_PRODUCT, UNKNOWN]
    known = labels.kind in KINDS
    targets = [
        kinds.index(labels.kind),
        list(COLOURS).index(labels.colour) if labels.colour else -1,
        PATTERNS.index(labels.pattern) if labels.pattern else -1,
        labels.count - 1,
        DAMAGES.index(labels.damage) if known and labels.damage else -1,
        int(labels.sale),
    ]
    written = (labels.price or "$")[1:]
    positions = [PRICE_CHARACTERS.index(c) for c in written] + [len(PRICE_CHARACTERS)] * (PRICE_LENGTH - len(written))
    return targets + positions


def training_view(rng: random.Random, spec: PictureSpec) -> Image.Image:
    """The picture as it may reach the model: at full size, smaller, half size, saved as JPEG or not."""
    long = max(spec.width, spec.height)
    chance = rng.random()
    if chance < 0.12:
        scale = 1.0
    elif chance < 0.3:
        scale = 0.5
    else:
        scale = min(1.0, rng.randint(240, 300) / long)
    image = draw(spec, scale)
    if rng.random() < 0.75:
        held = io.BytesIO()
        image.save(held, "JPEG", quality=rng.choice((rng.randint(28, 50), rng.randint(50, 95), 75, 90)))
        image = Image.open(held).convert("RGB")
    return image


class SampleMaker:
    """Draws samples and writes them into arrays shaped as FIELDS says, with a leading sample axis."""

    def __init__(self, tokenizer: Any, rng: random.Random) -> None:
        self._rng = rng
        self._end = tokenizer.eos_token_id

        @lru_cache(maxsize=50_000)
        def tokens(section: str) -> tuple[int, ...]:
            return tuple(tokenizer(section, add_special_tokens=False)["input_ids"])

        self._tokens = tokens

    def write(self, arrays: dict[str, Any], at: int, spec: PictureSpec) -> None:
        """Draw one picture and fill row `at`."""
        tiles, aspect = cut_tiles(training_view(self._rng, spec))
        arrays["tiles"][at], arrays["aspect"][at] = tiles, aspect
        arrays["targets"][at] = np.array(head_targets(spec.labels), np.int8)
        for index, family in enumerate(FAMILIES):
            ids = self._answer(spec.labels, family)
            arrays["answers"][at, index, : len(ids)] = ids
            arrays["lengths"][at, index] = len(ids)

    def _answer(self, labels: Labels, family: Family) -> list[int]:
        # The tags are single tokens, so sections can be tokenized apart and remembered.
        ids: list[int] = []
        for section in answer_text(labels, family).replace("><", ">\0<").split("\0"):
            ids.extend(self._tokens(section))
        return [*ids, self._end]
