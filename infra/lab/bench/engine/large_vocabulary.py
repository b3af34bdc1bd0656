"""The demo model's tokenizer with as many tokens as Llama's: the cost of masks grows with the vocabulary."""

from __future__ import annotations

import json
import random
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from sightstream.infra.lab.demo_model.export import CHECKPOINT

VOCABULARY = 128_256
SYLLABLES = [first + vowel for first in "bcdfghklmnprstvwz" for vowel in ("a", "e", "i", "o", "u", "an", "er", "in")]
SPACE = "\u0120"  # a space, as byte-level tokenizers write it


def large_tokenizer() -> Any:
    """Return a tokenizer that encodes like the demo model's; its further tokens are words that it only decodes."""
    described = json.loads((CHECKPOINT / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary: dict[str, int] = described["model"]["vocab"]
    used_ids = {*vocabulary.values(), *(token["id"] for token in described["added_tokens"])}
    free_ids = (number for number in range(VOCABULARY) if number not in used_ids)
    vocabulary |= dict(zip(_words(vocabulary, VOCABULARY - len(used_ids)), free_ids, strict=False))
    settings = json.loads((CHECKPOINT / "tokenizer_config.json").read_text(encoding="utf-8"))
    special = {name: settings[name] for name in ("bos_token", "eos_token", "pad_token")}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(described)), padding_side="left", **special
    )


def _words(known: dict[str, int], count: int) -> list[str]:
    """Made-up words of one to four syllables, most with a space or a capital, each once."""
    rng = random.Random(0)  # noqa: S311 - a workload, not a secret
    words = dict[str, None]()
    while len(words) < count:
        word = "".join(rng.choices(SYLLABLES, k=rng.randint(1, 4)))
        word = rng.choice(("", SPACE, SPACE)) + rng.choice((word, word, word.capitalize()))
        if word not in known:
            words[word] = None
    return [*words]
