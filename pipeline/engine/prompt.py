"""Writes the prompt that the checkpoint was trained on around a question."""

from __future__ import annotations

from typing import Any


class PromptWriter:
    """Puts a question behind image tokens, by the checkpoint's own chat template."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        tokenizer = processor.tokenizer
        added = {str(token) for token in tokenizer.added_tokens_decoder.values()}
        self._special = sorted({*tokenizer.all_special_tokens, *added}, key=len, reverse=True)

    def write(self, question: str, images: int = 1) -> str:
        """Return the whole prompt; the caller must tokenize it without adding special tokens again."""
        return self._render([self._first_turn(question, images)])

    def write_second(self, question: str, reasoning: str, request: str, images: int = 1) -> str:
        """Return the whole prompt of a second turn, which makes a `request` after the question and the reasoning."""
        answered = {"role": "assistant", "content": [{"type": "text", "text": self.defuse(reasoning)}]}
        second = {"role": "user", "content": [{"type": "text", "text": self.defuse(request)}]}
        return self._render([self._first_turn(question, images), answered, second])

    def _first_turn(self, question: str, images: int) -> dict[str, Any]:
        content = [*[{"type": "image"}] * images, {"type": "text", "text": self.defuse(question)}]
        return {"role": "user", "content": content}

    def _render(self, turns: list[dict[str, Any]]) -> str:
        prompt: str = self._processor.apply_chat_template(turns, add_generation_prompt=True)
        return prompt

    def defuse(self, question: str) -> str:
        """Return the question with every control token broken up: a question can't end its turn or add an image."""
        for token in self._special:
            question = question.replace(token, f"{token[:1]} {token[1:]}")
        return question
