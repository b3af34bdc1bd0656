"""Runs transformers as its documentation shows it: processor, generate(), decode."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from transformers import StoppingCriteriaList
from transformers.utils import logging as hf_logging

from sightstream.infra.lab.bench.engine.options import Allowance


@dataclass(frozen=True, slots=True)
class Run:
    """One call for `images` images. `steps` are the moments, from the start, at which each token was there."""

    images: int
    seconds: float
    steps: list[float]
    prompt_tokens: int

    @property
    def tokens(self) -> int:
        """Return the tokens of each answer."""
        return len(self.steps)

    @property
    def first_token_s(self) -> float:
        return self.steps[0]

    @property
    def token_s(self) -> float:
        """Mean time of a token after the first; 0 where there is none."""
        return (self.steps[-1] - self.steps[0]) / (len(self.steps) - 1) if len(self.steps) > 1 else 0.0

    def seconds_for(self, tokens: int) -> float:
        """What a call for so many tokens takes, if the further ones take what these did."""
        return self.seconds + (tokens - self.tokens) * self.token_s


class StockLoop:
    """Greedy; blocks. `clock` counts seconds."""

    def __init__(self, checkpoint: Any, question: str, clock: Callable[[], float] = time.perf_counter) -> None:
        hf_logging.set_verbosity_error()
        self._model, self._processor, self._clock = checkpoint.model, checkpoint.processor, clock
        turn = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
        self._prompt = checkpoint.processor.apply_chat_template(turn, add_generation_prompt=True)

    def run(self, files: list[bytes], tokens: int, allowance: Allowance) -> Run:
        """From the files' bytes to their answers as text; ends early, after a token, when time is over.

        Raises torch.OutOfMemoryError.
        """
        start = self._clock()
        inputs = self._inputs(files)
        watch = _Watch(start, self._clock, allowance)
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                max_new_tokens=tokens,
                do_sample=False,
                stopping_criteria=StoppingCriteriaList([watch]),
            )
        width = inputs["input_ids"].shape[1]
        self._processor.batch_decode(output[:, width:], skip_special_tokens=True)
        return Run(len(files), self._clock() - start, watch.steps, width)

    def _inputs(self, files: list[bytes]) -> Any:
        images = [[Image.open(io.BytesIO(data)).convert("RGB")] for data in files]
        inputs = self._processor(
            images=images, text=[self._prompt] * len(files), add_special_tokens=False, return_tensors="pt"
        )
        return inputs.to(self._model.device)


@dataclass(slots=True)
class _Watch:
    """A stopping criterion that records when each token arrives: waits for it, as generate() does right after."""

    start: float
    clock: Callable[[], float]
    allowance: Allowance
    steps: list[float] = field(default_factory=list)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: object) -> torch.Tensor:
        input_ids[0, -1].item()
        self.steps.append(self.clock() - self.start)
        return torch.full((input_ids.shape[0],), self.allowance.over, dtype=torch.bool, device=input_ids.device)
