"""Defines `ConstraintCompiler`: compiles response formats for one tokenizer, once each."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sightstream.pipeline.constraints.format_key import FormatKey
from sightstream.pipeline.constraints.grammar import grammar_of, limits
from sightstream.pipeline.constraints.schema_problems import check_schema
from sightstream.pipeline.constraints.token_constraint import TokenConstraint
from sightstream.pipeline.constraints.tokenizer import to_byte_tokenizer
from sightstream.pipeline.constraints.unusable_schema import unusable
from sightstream.schemas.wire.response_format import JsonSchemaFormat, ResponseFormat

if TYPE_CHECKING:
    from llguidance import LLMatcher

REMEMBERED = 256


class ConstraintCompiler:
    """Starts constraints for answers of one tokenizer. Threads may use it together.

    Creating one blocks for about a second with 128,000 tokens. `ends` are the tokens that end an answer. `vocab_size`
    counts the model's logits where they are more than the tokenizer's tokens.
    """

    def __init__(self, tokenizer: Any, ends: frozenset[int], vocab_size: int | None = None) -> None:
        self._tokenizer = to_byte_tokenizer(tokenizer, ends, vocab_size)
        self._ends = ends
        self._compiled: OrderedDict[FormatKey, LLMatcher] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def vocab_size(self) -> int:
        """How many tokens have a bit in a mask."""
        return int(self._tokenizer.vocab_size)

    @property
    def mask_words(self) -> int:
        """How many 32-bit words a row of a mask has. The bits behind the last token are zero."""
        return (self.vocab_size + 31) // 32

    def start(self, response_format: ResponseFormat) -> TokenConstraint:
        """Return the constraint of a new answer. Raises Rejected (schema_unusable), ValueError for sections.

        Blocks for milliseconds when the format is new, half a second at most, and else for microseconds: call it on
        the thread that prepares answers, not between two steps.
        """
        return TokenConstraint(self._find(response_format).deep_copy(), self._ends)

    def pieces(self, tokens: Sequence[int]) -> list[bytes]:
        """Return the bytes of each token. Together they are the text; an end token has none."""
        return [b"" if token in self._ends else self._tokenizer.decode_bytes([token]) for token in tokens]

    def _find(self, response_format: ResponseFormat) -> LLMatcher:
        key = FormatKey(response_format)
        with self._lock:
            if key not in self._compiled:
                self._compiled[key] = self._compile(response_format)
                if len(self._compiled) > REMEMBERED:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(key)
            return self._compiled[key]

    def _compile(self, response_format: ResponseFormat) -> LLMatcher:
        from llguidance import LLMatcher

        if isinstance(response_format, JsonSchemaFormat):
            check_schema(response_format.json_schema.schema_)
        grammar = grammar_of(response_format)
        if grammar is None:
            raise ValueError("sections are not constrained")
        matcher = LLMatcher(self._tokenizer, grammar, log_level=0, limits=limits())
        if matcher.is_error():
            raise unusable(matcher.get_error())
        return matcher
