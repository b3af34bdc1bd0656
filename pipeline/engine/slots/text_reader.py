"""Turns tokens into text, as a tokenizer decodes them."""

from __future__ import annotations

from typing import Any

from sightstream.pipeline.answer import SECTIONS

_CONCLUSION = f"<{SECTIONS[-1]}>"


class TextReader:
    """Leaves out special tokens and the white space around the text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def text(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()

    def reasoning(self, tokens: list[int]) -> str:
        """Return the sections before the conclusion, without the tag that opens it."""
        return self.text(tokens).removesuffix(_CONCLUSION).strip()
