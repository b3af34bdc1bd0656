"""One training sample: tiles, targets for the auxiliary heads, and the tokens of every answer. No torch here."""

import io
import random
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from sightstream.infra.lab.demo_model.answers import FAMILIES, Family, answer_text
from sightstream.infra.lab.demo_model.architecture import MAX_TILES, TILE_SIZE
from sightstream.infra.lab.demo_model.degrade import degrade
from sightstream.infra.lab.demo_model.formats import sample_format_question
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
from sightstream.infra.lab.demo_model.tokenizer import prompt_text

PRICE_CHARACTERS = "0123456789."  # then one class for "nothing here"
PRICE_LENGTH = 6
ANSWER_LENGTH = 96

DEGRADED = 0.3  # of the training pictures, so that the model learns to be unsure
FORMAT_QUESTIONS = 4  # asked of each picture
FORMAT_LENGTH = 256  # tokens of a prompt with its answer
FORMAT_ANSWER_LENGTH = 112

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
    "format_tokens": ((FORMAT_QUESTIONS, FORMAT_LENGTH), "int16"),
    "format_starts": ((FORMAT_QUESTIONS,), "int16"),
    "format_lengths": ((FORMAT_QUESTIONS,), "int16"),
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
    """The picture as it may reach the model: at full size, smaller, half size, saved as JPEG or not, or degraded."""
    long = max(spec.width, spec.height)
    chance = rng.random()
    if chance < 0.12:
        scale = 1.0
    elif chance < 0.3:
        scale = 0.5
    else:
        scale = min(1.0, rng.randint(240, 300) / long)
    image = draw(spec, scale)
    if rng.random() < DEGRADED:
        return degrade(rng, image)
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
        self._backend = tokenizer.backend_tokenizer

    def _encode(self, text: str) -> list[int]:
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def write(self, arrays: dict[str, Any], at: int, spec: PictureSpec) -> None:
        """Draw one picture and fill row `at`."""
        tiles, aspect = cut_tiles(training_view(self._rng, spec))
        arrays["tiles"][at], arrays["aspect"][at] = tiles, aspect
        arrays["targets"][at] = np.array(head_targets(spec.labels), np.int8)
        for index, family in enumerate(FAMILIES):
            ids = self._answer(spec.labels, family)
            arrays["answers"][at, index, : len(ids)] = ids
            arrays["lengths"][at, index] = len(ids)

        for index in range(FORMAT_QUESTIONS):
            ids, start = self._format_question(spec.labels)
            arrays["format_tokens"][at, index, : len(ids)] = ids
            arrays["format_tokens"][at, index, len(ids) :] = 0
            arrays["format_starts"][at, index], arrays["format_lengths"][at, index] = start, len(ids) - start

    def _format_question(self, labels: Labels) -> tuple[list[int], int]:
        """Tokens of a prompt and its answer, and where the answer starts; drawn again until they are few enough."""
        while True:
            asked = sample_format_question(self._rng, labels)
            prompt = self._encode(prompt_text(asked.prompt) + asked.opening)
            answer = [*self._encode(asked.answer), self._end]
            if len(prompt) + len(answer) <= FORMAT_LENGTH and len(answer) <= FORMAT_ANSWER_LENGTH:
                return [*prompt, *answer], len(prompt)

    def _answer(self, labels: Labels, family: Family) -> list[int]:
        # The tags are single tokens, so sections can be tokenized apart and remembered.
        ids: list[int] = []
        for section in answer_text(labels, family).replace("><", ">\0<").split("\0"):
            ids.extend(self._tokens(section))
        return [*ids, self._end]
