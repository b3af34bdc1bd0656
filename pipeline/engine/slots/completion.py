"""Reads the completion of a job from its last request."""

from __future__ import annotations

from collections.abc import Callable

from sightstream.pipeline.constraints.choice_confidence import choice_confidence
from sightstream.pipeline.constraints.path_confidence import path_confidence
from sightstream.pipeline.engine.slots.choice_encoder import ChoiceEncoder
from sightstream.pipeline.engine.slots.constrained_answer import ConstrainedAnswer, ReasonedAnswer, ScoredChoice
from sightstream.pipeline.engine.slots.request import Request, Turn
from sightstream.pipeline.engine.slots.text_reader import TextReader
from sightstream.pipeline.types import Completion
from sightstream.schemas.wire.question_answer import NO_CONFIDENCE, Confidence, EndOfAnswer
from sightstream.schemas.wire.response_format import ChoiceFormat


class CompletionReader:
    """`pieces` returns the bytes of each token of a constrained answer; together they are its text."""

    def __init__(self, reader: TextReader, choices: ChoiceEncoder, pieces: Callable[[list[int]], list[bytes]]) -> None:
        self._reader, self._choices, self._pieces = reader, choices, pieces

    def completion(self, request: Request) -> Completion:
        """Return the completion of a request that has finished and is its job's last one."""
        policy = request.policy
        if isinstance(policy, ScoredChoice):
            return self._choice(request, policy)
        if isinstance(policy, ReasonedAnswer):
            reasoning = self._reader.reasoning(policy.reasoning.tokens)
            assert policy.answer is not None  # noqa: S101
            return self._constrained(policy.answer, Turn(len(request.prompt), reasoning, policy.reasoning.num_tokens))
        if isinstance(policy, ConstrainedAnswer):
            return self._constrained(policy, request.turn)
        assert policy.finish_reason is not None  # noqa: S101
        text = self._reader.text(policy.tokens)
        return Completion(text, policy.finish_reason, len(request.prompt), policy.num_tokens)

    def _constrained(self, answer: ConstrainedAnswer, turn: Turn) -> Completion:
        """Return what was written, byte for byte; half a character at the end of a cut answer is left out."""
        assert answer.finish_reason is not None  # noqa: S101
        pieces = self._pieces(answer.tokens)
        text = b"".join(pieces).decode("utf-8", errors="ignore")
        confidence = NO_CONFIDENCE
        if answer.finish_reason == "stop" and text:
            confidence = path_confidence(text, [*pieces, b""], answer.logprobs)
        return _completion(text, answer.finish_reason, turn, answer.num_tokens, confidence)

    def _choice(self, request: Request, scored: ScoredChoice) -> Completion:
        """The likeliest choice; it counts as if its tokens and an end had been generated."""
        response_format, logprobs = request.job.response_format, scored.logprobs
        assert isinstance(response_format, ChoiceFormat)  # noqa: S101
        best = logprobs.index(max(logprobs))
        confidence = choice_confidence(response_format.choices, logprobs)
        text = response_format.choices[best]
        return _completion(text, "stop", request.turn, len(self._choices.tokens(text)) + 1, confidence)


def _completion(text: str, ending: EndOfAnswer, turn: Turn, tokens: int, confidence: Confidence) -> Completion:
    return Completion(text, ending, turn.prompt_tokens, turn.reasoning_tokens + tokens, turn.reasoning, confidence)
