"""Turns jobs of one kind into completions: in one turn, or in two where the model reasons before its answer."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from sightstream.pipeline.constraints.choice_confidence import choice_confidence
from sightstream.pipeline.constraints.path_confidence import path_confidence
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.format_prompt import SECOND_TURN, with_format
from sightstream.pipeline.engine.generate_turns import Prompt, TurnRunner, Written
from sightstream.pipeline.engine.prompt import PromptWriter
from sightstream.pipeline.engine.protocol import ProgressCallback
from sightstream.pipeline.errors import CapabilityMissing
from sightstream.pipeline.types import Completion, EngineJob
from sightstream.schemas.wire.question_answer import NO_CONFIDENCE
from sightstream.schemas.wire.response_format import ChoiceFormat, SectionsFormat

ONE_IMAGE = {"mllama"}  # models that were trained on one image a question, whatever their processor accepts


def batch_key(job: EngineJob) -> Hashable:
    """Return what jobs that run together have in common."""
    kind, reasons = job.response_format.type, job.reasons and not isinstance(job.response_format, SectionsFormat)
    return (
        job.options,
        kind,
        reasons,
        job.stops_repetition,
        len(job.more_pixels),
        job.detail == "low",
        job.checks_logits,
    )


class GenerateAnswers:
    """Answers batches. Blocks until all of one are answered; raises what one of them alone may have caused."""

    def __init__(self, checkpoint: Checkpoint, max_rows: int, on_progress: ProgressCallback) -> None:
        self._turns = TurnRunner(checkpoint, max_rows, on_progress)
        self._prompts = PromptWriter(checkpoint.processor)
        self._model_type = str(checkpoint.model.config.model_type)

    def answer(self, batch: Sequence[EngineJob]) -> list[Completion]:
        """Return a completion for each job; all have the same batch key. Raises Rejected for a batch of any size."""
        first = batch[0]
        if first.more_pixels and self._model_type in ONE_IMAGE:
            raise CapabilityMissing("several images", f"{self._model_type} sees one image a question")
        if first.detail == "low":
            raise CapabilityMissing("detail low", "generate() sees every image at the model's own resolution")
        if isinstance(first.response_format, SectionsFormat):
            return [self._free(written) for written in self._turns.write([self._asked(job) for job in batch])]
        reasoning: Sequence[Written | None] = [None] * len(batch)
        prompts = [self._asked(job) for job in batch]
        if first.reasons and first.options.max_tokens > 1:
            reasoning = self._turns.write([self._asked_freely(job) for job in batch])
            prompts = [self._asked_again(job, each) for job, each in zip(batch, reasoning, strict=True)]
        if isinstance(first.response_format, ChoiceFormat):
            return [self._choose(prompt, each) for prompt, each in zip(prompts, reasoning, strict=True)]
        return self._fill_in(prompts, reasoning)

    # --- the prompts ------------------------------------------------------------------------------------------

    def _asked(self, job: EngineJob) -> Prompt:
        text = self._prompts.write(with_format(job.question, job.response_format), 1 + len(job.more_pixels))
        return Prompt(job, text, job.options.max_tokens)

    def _asked_freely(self, job: EngineJob) -> Prompt:
        """The first of two turns: half of the tokens are left for the answer proper."""
        return Prompt(job, self._prompts.write(job.question, 1 + len(job.more_pixels)), job.options.max_tokens // 2)

    def _asked_again(self, job: EngineJob, reasoning: Written) -> Prompt:
        request, reasons = with_format(SECOND_TURN, job.response_format), self._turns.text(reasoning.tokens)
        text = self._prompts.write_second(job.question, reasons, request, 1 + len(job.more_pixels))
        return Prompt(job, text, job.options.max_tokens - reasoning.num_tokens)

    # --- the answers ------------------------------------------------------------------------------------------

    def _free(self, written: Written) -> Completion:
        text = self._turns.text(written.tokens)
        return Completion(text, written.finish_reason, written.prompt_tokens, written.num_tokens)

    def _fill_in(self, prompts: Sequence[Prompt], reasoning: Sequence[Written | None]) -> list[Completion]:
        """JSON, under the constraint of each job's own schema."""
        constraints = [self._turns.compiler.start(prompt.job.response_format) for prompt in prompts]
        written = self._turns.write(prompts, constraints)
        return [self._constrained(each, before) for each, before in zip(written, reasoning, strict=True)]

    def _constrained(self, written: Written, reasoning: Written | None) -> Completion:
        """Return what was written, byte for byte; half a character at the end of a cut answer is left out."""
        pieces = self._turns.compiler.pieces(written.tokens)
        text = b"".join(pieces).decode("utf-8", errors="ignore")
        is_whole = written.finish_reason == "stop"
        confidence = path_confidence(text, [*pieces, b""], written.logprobs) if is_whole else NO_CONFIDENCE
        answer = Completion(text, written.finish_reason, written.prompt_tokens, written.num_tokens, None, confidence)
        return self._with_reasoning(answer, reasoning)

    def _choose(self, prompt: Prompt, reasoning: Written | None) -> Completion:
        """The likeliest choice; it counts as if its tokens and an end had been generated."""
        choices = prompt.job.response_format
        assert isinstance(choices, ChoiceFormat)  # noqa: S101
        scores, prompt_tokens = self._turns.score(prompt, choices.choices)
        text = choices.choices[scores.index(max(scores))]
        confidence = choice_confidence(choices.choices, scores)
        tokens = len(self._turns.choice_tokens(text)) + 1
        return self._with_reasoning(Completion(text, "stop", prompt_tokens, tokens, None, confidence), reasoning)

    def _with_reasoning(self, answer: Completion, reasoning: Written | None) -> Completion:
        """Return the answer with the turn before it, whose tokens count, too."""
        if reasoning is None:
            return answer
        return Completion(
            answer.text,
            answer.finish_reason,
            reasoning.prompt_tokens + answer.prompt_tokens,
            reasoning.num_tokens + answer.completion_tokens,
            self._turns.text(reasoning.tokens),
            answer.confidence,
        )
