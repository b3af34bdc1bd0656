"""Runs transformers' generate() over a batch of prompts: free, under constraints, or along given choices."""

from __future__ import annotations

import copy
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from PIL import Image
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteriaList

from sightstream.pipeline.constraints.compiler import ConstraintCompiler
from sightstream.pipeline.constraints.token_constraint import TokenConstraint
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.generate_steps import FiniteLogits, MaskedRows, RowEnds
from sightstream.pipeline.engine.health_check import NOT_FINITE
from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import Canvas, EngineJob
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.question_answer import EndOfAnswer


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt about a job's images, and the most tokens that may follow it."""

    job: EngineJob
    text: str
    max_tokens: int


@dataclass(frozen=True, slots=True)
class Written:
    """What followed a prompt: its tokens without the end token. `num_tokens` counts that one, too.

    `logprobs` are those of all tokens under the constraint, the end token's included; free text has none.
    """

    tokens: list[int]
    finish_reason: EndOfAnswer
    prompt_tokens: int
    num_tokens: int
    logprobs: list[float]


class TurnRunner:
    """Owns the model. Its errors are those of transformers and torch; a question that is too long is Rejected."""

    def __init__(self, checkpoint: Checkpoint, max_rows: int, on_progress: ProgressCallback) -> None:
        self._model, self._processor = checkpoint.model, checkpoint.processor
        self._max_rows, self._on_progress = max_rows, on_progress
        ends = self._model.generation_config.eos_token_id
        self.ends = frozenset(ends if isinstance(ends, list) else [ends])

    @cached_property
    def compiler(self) -> ConstraintCompiler:
        """Built with the first constrained answer: it costs a second with 128,000 tokens."""
        logits = self._model.get_output_embeddings().weight.shape[0]
        return ConstraintCompiler(self._processor.tokenizer, self.ends, logits)

    def text(self, tokens: Sequence[int]) -> str:
        text: str = self._processor.tokenizer.decode(tokens, skip_special_tokens=True)
        return text.strip()

    def choice_tokens(self, choice: str) -> list[int]:
        """Return the canonical tokens of a choice; control tokens in it are only text."""
        tokens: list[int] = self._processor.tokenizer.encode(
            choice, add_special_tokens=False, split_special_tokens=True
        )
        return tokens

    def write(self, prompts: Sequence[Prompt], constraints: Sequence[TokenConstraint] = ()) -> list[Written]:
        """Continue all prompts together, each under its constraint where there are any.

        All jobs have the same options. Raises Rejected when the longest prompt leaves no token for an answer,
        and when logits that a job checks are not finite.
        """
        inputs, width, tokens_left = self.inputs(prompts)
        limits = [min(prompt.max_tokens, tokens_left) for prompt in prompts]
        stops_repetition = prompts[0].job.stops_repetition
        rows = RowEnds(limits, self.ends, self._on_progress, stops_repetition=stops_repetition)
        masks = MaskedRows(constraints, rows, self.ends, self.compiler.mask_words) if constraints else None
        check = FiniteLogits() if prompts[0].job.checks_logits else None
        output = self._generate(inputs, prompts[0].job.options, max(rows.limits), masks or check, rows)[:, width:]
        if check is not None and not check.passed:
            raise Rejected(Reason.ENGINE_REFUSED, Stage.INFER, NOT_FINITE)
        if masks is not None:
            masks.finish(output[:, -1])
        counts = inputs["attention_mask"].sum(dim=1).tolist()
        return [self._written(row, tokens, rows, masks, counts[row]) for row, tokens in enumerate(output.tolist())]

    def score(self, prompt: Prompt, choices: Sequence[str]) -> tuple[list[float], int]:
        """Return how probable each choice and an end behind it are, as natural logarithms, and the prompt's tokens.

        The image and the prompt are computed once. Any end token may follow a choice, so theirs add up.
        """
        encoded = [self.choice_tokens(choice) for choice in choices]
        inputs, width, tokens_left = self.inputs([prompt])
        if max(map(len, encoded)) >= tokens_left:
            raise _too_long()
        with torch.inference_mode():
            cache, first = self._prefill(inputs)
            scores: list[float] = []
            for start in range(0, len(encoded), self._max_rows):
                scores += self._continue(inputs, cache, first, encoded[start : start + self._max_rows])
                self._on_progress()
        return scores, width

    def _prefill(self, inputs: Any) -> tuple[Any, torch.Tensor]:
        """Return the cache of one prompt, and the log-probabilities [vocabulary] of what may follow it."""
        output = self._model.generate(
            **inputs,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            max_new_tokens=1,
            output_logits=True,
            return_dict_in_generate=True,
        )
        return output.past_key_values, output.logits[0][0].float().log_softmax(dim=-1)

    def _continue(self, inputs: Any, cache: Any, first: torch.Tensor, rows: list[list[int]]) -> list[float]:
        """Score some choices in one forward pass behind a copy of the prompt's cache; shorter ones are padded."""
        longest = max(map(len, rows))
        padded = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=self._model.device)
        copies = copy.deepcopy(cache)
        copies.batch_repeat_interleave(len(rows))
        prepared = self._model.prepare_inputs_for_generation(
            padded,
            next_sequence_length=longest,
            past_key_values=copies,
            use_cache=True,
            is_first_iteration=False,
            **_lengthened(inputs, len(rows), longest),
        )
        following = self._model(**prepared, return_dict=True).logits.float().log_softmax(dim=-1)
        return [self._sum(first, following[index], row) for index, row in enumerate(rows)]

    def _sum(self, first: torch.Tensor, following: torch.Tensor, row: list[int]) -> float:
        before = [first, *following[: len(row)]]  # the log-probabilities before each token, and before the end
        written = sum(float(scored[token]) for scored, token in zip(before, row, strict=False))
        return written + float(before[-1][sorted(self.ends)].logsumexp(dim=0))

    def _written(
        self, row: int, tokens: list[int], rows: RowEnds, masks: MaskedRows | None, prompt_tokens: int
    ) -> Written:
        """Return the answer up to its end token; an answer without one was cut off."""
        count = rows.lengths[row]
        has_end = count > 0 and tokens[count - 1] in self.ends
        is_good = has_end and (masks is None or masks.is_complete(row))
        reason: EndOfAnswer = "stop" if is_good else "repetition" if row in rows.repeated else "length"
        logprobs = masks.logprobs[row] if masks is not None else []
        return Written(tokens[: count - has_end], reason, prompt_tokens, count, logprobs)

    def inputs(self, prompts: Sequence[Prompt]) -> tuple[Any, int, int]:
        """Return the processor's tensors, left-padded, how many tokens wide they are, and how many may follow."""
        inputs = self._processor(
            images=[list(images_of(prompt.job)) for prompt in prompts],
            text=[prompt.text for prompt in prompts],
            add_special_tokens=False,
            padding=True,
            return_tensors="pt",
        )
        width = inputs["input_ids"].shape[1]
        tokens_left = self._model.config.get_text_config().max_position_embeddings - width
        if tokens_left < 1:
            raise _too_long()
        return inputs.to(self._model.device, dtype=self._model.dtype), width, tokens_left

    def _generate(
        self, inputs: Any, options: AnalysisOptions, max_tokens: int, logits: LogitsProcessor | None, rows: RowEnds
    ) -> torch.Tensor:
        sampling: dict[str, object] = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
        if options.temperature > 0:
            torch.manual_seed(secrets.randbits(63) if options.seed is None else options.seed)
            sampling = {"do_sample": True, "temperature": options.temperature, "top_p": options.top_p, "top_k": 0}
        with torch.inference_mode():
            output: torch.Tensor = self._model.generate(
                **inputs,
                **sampling,
                max_new_tokens=max_tokens,
                logits_processor=LogitsProcessorList([logits] if logits is not None else []),
                stopping_criteria=StoppingCriteriaList([rows]),
            )
        return output


def _lengthened(inputs: Any, rows: int, tokens: int) -> dict[str, torch.Tensor]:
    """Return the prompt's cross-attention mask for several rows with further tokens, if the model has such masks.

    Those tokens see what the prompt's last one sees. Other masks are not needed: nothing is padded on the left.
    """
    if "cross_attention_mask" not in inputs:
        return {}
    mask = inputs["cross_attention_mask"]
    longer = torch.cat([mask, *[mask[:, -1:]] * tokens], dim=1)
    return {"cross_attention_mask": longer.repeat_interleave(rows, dim=0)}


def _too_long() -> Rejected:
    detail = "the question leaves the model no tokens for an answer; shorten it"
    return Rejected(Reason.QUESTION_TOO_LONG, Stage.INFER, detail)


def images_of(job: EngineJob) -> Iterator[Image.Image]:
    """Yield the job's images. Raises TypeError for a canvas."""
    for pixels in (job.pixels, *job.more_pixels):
        if isinstance(pixels, Canvas):
            raise TypeError("generate() scales images itself; give it pixels")
        yield Image.frombytes("RGB", (pixels.width, pixels.height), pixels.buffer())
