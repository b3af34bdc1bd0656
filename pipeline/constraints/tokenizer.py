"""Shows a checkpoint's tokenizer to llguidance as bytes, without its special tokens."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llguidance import LLTokenizer


def to_byte_tokenizer(tokenizer: Any, ends: frozenset[int], vocab_size: int | None) -> LLTokenizer:
    """Return the vocabulary as bytes. No added token may stand in a value: tags and control tokens are all special.

    `tokenizer` is a fast one of transformers. `vocab_size` counts the model's logits; the larger of the two counts.
    Blocks for about a second with 128,000 tokens.
    """
    from llguidance import LLTokenizer

    described = json.loads(tokenizer.backend_tokenizer.to_str())
    for token in described["added_tokens"]:
        token["special"] = True
    described["truncation"] = described["padding"] = None
    size = max(len(tokenizer), vocab_size or 0)
    return LLTokenizer(json.dumps(described), n_vocab=size, eos_token=sorted(ends))
