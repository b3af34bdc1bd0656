"""Makes formats and the repo's own tokenizer, for tests of constraints."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightstream.pipeline.constraints.compiler import ConstraintCompiler
from sightstream.pipeline.constraints.token_constraint import TokenConstraint, fill_masks
from sightstream.schemas.wire.response_format import JsonSchema, JsonSchemaFormat

CHECKPOINT = Path(__file__).parents[3] / "infra" / "lab" / "demo_model" / "checkpoint"
ENDS = frozenset({841, 845, 846})


def json_format(schema: dict[str, Any]) -> JsonSchemaFormat:
    return JsonSchemaFormat(json_schema=JsonSchema(name="answer", schema_=schema))


def object_format(**properties: Any) -> JsonSchemaFormat:
    required = list(properties)
    return json_format({"type": "object", "properties": properties, "required": required})


@cache
def compiler() -> ConstraintCompiler:
    return ConstraintCompiler(tokenizer(), ENDS)


@cache
def tokenizer() -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(CHECKPOINT / "tokenizer.json"))


def allowed(constraint: TokenConstraint) -> NDArray[np.int64]:
    """Return the tokens that may follow."""
    masks = np.zeros((1, compiler().mask_words), np.int32)
    fill_masks([constraint], masks)
    return np.flatnonzero(np.unpackbits(masks.view(np.uint8)[0], bitorder="little"))


def write(constraint: TokenConstraint, text: str) -> None:
    """Accept the tokens of `text` one by one; the mask must allow each."""
    for token in tokenizer().encode(text, add_special_tokens=False):
        assert token in allowed(constraint), f"{tokenizer().decode([token])!r} may not follow"
        constraint.accept(token)
