"""Ask a checkpoint for JSON or a choice through stock `generate()`, held to the format by the worker's own masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from sightstream.infra.lab.demo_model.formats import FormatQuestion
from sightstream.infra.lab.demo_model.grading import Asker, Progress
from sightstream.pipeline.constraints.compiler import ConstraintCompiler
from sightstream.pipeline.constraints.path_confidence import path_confidence
from sightstream.pipeline.constraints.token_constraint import TokenConstraint, fill_masks
from sightstream.schemas.wire.question_answer import Confidence


@dataclass(frozen=True, slots=True)
class FormatAnswer:
    """An answer that fits its format, and the probabilities of its values at each of the asker's temperatures."""

    text: str
    confidences: tuple[Confidence, ...]


class FormatAsker:
    """Greedy answers without reasoning, constrained token by token."""

    def __init__(self, asker: Asker, temperatures: Sequence[float] = (1.0,)) -> None:
        tokenizer = asker.processor.tokenizer
        names = ("<|eot_id|>", "<|end_of_text|>", "<|eom_id|>")
        self._asker, self._temperatures = asker, tuple(temperatures)
        self._ends = frozenset(tokenizer.convert_tokens_to_ids(name) for name in names)
        self._compiler = ConstraintCompiler(tokenizer, self._ends)

    def ask(
        self, pictures: Sequence[Image.Image], questions: Sequence[FormatQuestion], progress: Progress
    ) -> list[FormatAnswer]:
        """Return one answer for each picture and question; `progress` hears how many were answered just now."""
        answers: list[FormatAnswer] = []
        for start in range(0, len(pictures), self._asker.batch):
            some = slice(start, start + self._asker.batch)
            answers += self._ask_batch(pictures[some], questions[some])
            progress(len(pictures[some]))
        return answers

    def _ask_batch(self, pictures: Sequence[Image.Image], questions: Sequence[FormatQuestion]) -> list[FormatAnswer]:
        constraints = [self._compiler.start(question.response_format) for question in questions]
        masks = _Masks(constraints, self._compiler.mask_words, min(self._ends), self._temperatures)
        written = self._asker.generate(pictures, [each.prompt for each in questions], (), [masks]).tolist()
        logprobs = np.stack(masks.logprobs, axis=-1)
        return [self._answer(tokens, row.tolist()) for tokens, row in zip(written, logprobs, strict=True)]

    def _answer(self, tokens: list[int], logprobs: list[list[float]]) -> FormatAnswer:
        length = next((index for index, token in enumerate(tokens) if token in self._ends), len(tokens) - 1) + 1
        pieces = self._compiler.pieces(tokens[:length])
        text = b"".join(pieces).decode()
        return FormatAnswer(text, tuple(path_confidence(text, pieces, each[:length]) for each in logprobs))


class _Masks:
    """A logits processor that remembers how likely the likeliest token of each step was: the one that is written.

    `logprobs` has an array (answers, temperatures) for each step.
    """

    def __init__(
        self, constraints: list[TokenConstraint], words: int, end: int, temperatures: tuple[float, ...]
    ) -> None:
        self._constraints, self._end, self._temperatures = constraints, end, temperatures
        self._masks = np.zeros((len(constraints), words), np.int32)
        self._ended = [False] * len(constraints)
        self._begun = False
        self.logprobs: list[Any] = []

    def __call__(self, tokens: Any, scores: Any) -> Any:
        import torch

        if self._begun:
            self._accept(tokens[:, -1].tolist())
        self._begun = True
        fill_masks(self._constraints, self._masks)
        bits = np.unpackbits(self._masks.view(np.uint8), axis=1, bitorder="little")[:, : scores.shape[1]].astype(bool)
        bits[self._ended] = False
        bits[self._ended, self._end] = True
        masked = scores.float().masked_fill(~torch.from_numpy(bits).to(scores.device), -torch.inf)
        likeliest = [(masked / each).log_softmax(-1).amax(-1) for each in self._temperatures]
        self.logprobs.append(torch.stack(likeliest, dim=-1).cpu().numpy())
        return masked

    def _accept(self, tokens: list[int]) -> None:
        for row, constraint in enumerate(self._constraints):
            if not self._ended[row]:
                constraint.accept(tokens[row])
                self._ended[row] = constraint.must_end and constraint.is_complete
