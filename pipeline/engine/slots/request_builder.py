"""Builds requests from jobs: the prompt as tokens, the image as tiles, the policy for the answer's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from sightstream.pipeline.constraints.repetition import RepetitionGuard
from sightstream.pipeline.constraints.token_constraint import TokenConstraint
from sightstream.pipeline.decode.tiles import Tiling, to_tiles
from sightstream.pipeline.engine.checkpoint import Checkpoint
from sightstream.pipeline.engine.format_prompt import SECOND_TURN, with_format
from sightstream.pipeline.engine.health_check import NOT_FINITE
from sightstream.pipeline.engine.prompt import PromptWriter
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.engine.slots.choice_encoder import ChoiceEncoder
from sightstream.pipeline.engine.slots.choice_tree import ChoiceTree
from sightstream.pipeline.engine.slots.constrained_answer import ConstrainedAnswer, ReasonedAnswer, ScoredChoice
from sightstream.pipeline.engine.slots.guided_decoding import GuidedAnswer, token_policy
from sightstream.pipeline.engine.slots.request import Request, Turn
from sightstream.pipeline.engine.slots.sampling import SamplingState
from sightstream.pipeline.engine.slots.section_plan import CLOSINGS, SectionPlan
from sightstream.pipeline.engine.slots.text_reader import TextReader
from sightstream.pipeline.engine.slots.token_policy import (
    CheckedAnswer,
    FreeAnswer,
    NewGuard,
    TokenPolicy,
    no_guard,
)
from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.types import Canvas, EngineJob
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.response_format import ChoiceFormat, SectionsFormat

DEFAULT_SEPARATOR = "\n\n"  # between sections, where the checkpoint does not say
MAX_CONTEXT = 8192  # tokens of prompt and answer; every row of the decode inputs lists pages for so many
REASONING_SECTIONS = 3  # those before the conclusion


@dataclass(frozen=True, slots=True)
class _Asked:
    """What all requests of one job have in common; `max_tokens` is for all of them together."""

    job: EngineJob
    canvas: Canvas
    sampling: SamplingState
    max_tokens: int
    constraint: TokenConstraint | None
    new_guard: NewGuard


class RequestBuilder:
    """Knows the checkpoint's tokenizer, tiling and end tokens. `max_context` bounds a prompt and its answer."""

    def __init__(self, checkpoint: Checkpoint, settings: EngineSettings) -> None:
        model, images = checkpoint.model, checkpoint.processor.image_processor
        self._tokenizer = checkpoint.processor.tokenizer
        self._prompts = PromptWriter(checkpoint.processor)
        self.choices = ChoiceEncoder(self._tokenizer)
        self.reader = TextReader(self._tokenizer)
        self._tiling = Tiling(images.size["height"], images.max_image_tiles, int(images.resample))
        self.max_context: int = min(model.config.text_config.max_position_embeddings, MAX_CONTEXT)
        ends = model.generation_config.eos_token_id
        self.ends = frozenset(ends if isinstance(ends, list) else [ends])
        self._plan: SectionPlan | None = None
        if settings.guided_sections:
            separator = settings.section_separator
            if separator is None:
                separator = getattr(model.generation_config, "section_separator", DEFAULT_SEPARATOR)
            self._plan = SectionPlan(self._tokenizer, self.ends, separator)

    def build(self, job: EngineJob, constraint: TokenConstraint | None = None) -> Request:
        """Return the job's first request; `constraint` is there for JSON.

        Raises Rejected when the question leaves no tokens for an answer.
        """
        is_plain = isinstance(job.response_format, SectionsFormat)
        first_turn = not is_plain and job.reasons and self._plan is None and job.options.max_tokens > 1
        prompt = self._encode(job.question if first_turn else with_format(job.question, job.response_format))
        asked = self._asked(job, min(job.options.max_tokens, self._tokens_left(prompt)), constraint)
        if job.checks_logits:
            request = self._request(asked, prompt, CheckedAnswer(self.ends, asked.max_tokens), asked.max_tokens)
            request.then = _check_logits
            return request
        if is_plain:
            policy = token_policy(self._plan, self.ends, asked.max_tokens, asked.new_guard)
            return self._request(asked, prompt, policy, asked.max_tokens)
        if first_turn:
            return self._reason_freely(asked, prompt)
        if job.reasons and self._plan is not None and self._plan.fits(asked.max_tokens // 2, REASONING_SECTIONS):
            return self._reason_in_sections(asked, prompt, self._plan)
        return self._answer(asked, prompt, Turn(len(prompt)))

    # --- reasoning first --------------------------------------------------------------------------------------

    def _reason_freely(self, asked: _Asked, prompt: list[int]) -> Request:
        """The question alone is the first turn; the format is asked for in the second."""
        policy = FreeAnswer(self.ends, asked.max_tokens // 2, asked.new_guard)
        request = self._request(asked, prompt, policy, asked.max_tokens // 2)
        request.then = partial(self._second_turn, asked)
        return request

    def _second_turn(self, asked: _Asked, first: Request) -> Request:
        reasoning = self.reader.text(first.policy.tokens)
        request = with_format(SECOND_TURN, asked.job.response_format)
        prompt = self._tokens_of(self._prompts.write_second(asked.job.question, reasoning, request))
        turn = Turn(len(first.prompt) + len(prompt), reasoning, first.policy.num_tokens)
        return self._answer(asked, prompt, turn)

    def _reason_in_sections(self, asked: _Asked, prompt: list[int], plan: SectionPlan) -> Request:
        """The first three sections are written, and the fourth one opened: it holds the answer."""
        reasoning = GuidedAnswer(plan, asked.max_tokens // 2, asked.new_guard, REASONING_SECTIONS)
        if asked.constraint is None:
            request = self._request(asked, prompt, reasoning, asked.max_tokens // 2)
            request.then = partial(self._choose_conclusion, asked)
            return request
        make_answer = partial(self._constrained, asked, asked.constraint)
        policy = ReasonedAnswer(reasoning, make_answer, asked.max_tokens)
        return self._request(asked, prompt, policy, asked.max_tokens)

    def _choose_conclusion(self, asked: _Asked, first: Request) -> Request:
        turn = Turn(len(first.prompt), self.reader.reasoning(first.policy.tokens), first.policy.num_tokens)
        return self._answer(asked, first.prompt + first.policy.tokens, turn, in_conclusion=True)

    # --- the answer -------------------------------------------------------------------------------------------

    def _answer(self, asked: _Asked, prompt: list[int], turn: Turn, *, in_conclusion: bool = False) -> Request:
        response_format = asked.job.response_format
        if isinstance(response_format, ChoiceFormat):
            return self._score(asked, prompt, turn, self._trees(response_format.choices, in_conclusion), [])
        max_tokens = min(asked.max_tokens - turn.reasoning_tokens, self._tokens_left(prompt))
        assert asked.constraint is not None  # noqa: S101
        return self._request(asked, prompt, self._constrained(asked, asked.constraint, max_tokens), max_tokens, turn)

    def _constrained(self, asked: _Asked, constraint: TokenConstraint, max_tokens: int) -> ConstrainedAnswer:
        return ConstrainedAnswer(constraint, self.ends, max_tokens, asked.new_guard)

    def _score(
        self, asked: _Asked, prompt: list[int], turn: Turn, trees: Sequence[ChoiceTree], earlier: Sequence[float]
    ) -> Request:
        """Return the request that scores the first tree; the others follow it."""
        longest = 1 + max(trees[0].depths, default=0)
        if self._tokens_left(prompt) <= longest:
            raise _too_long()
        request = self._request(asked, prompt, ScoredChoice(trees[0], earlier), 0, turn)
        request.tree = trees[0]
        if trees[1:]:
            request.then = lambda scored: self._score(asked, prompt, turn, trees[1:], _scores(scored))
        return request

    def _trees(self, choices: tuple[str, ...], in_conclusion: bool) -> tuple[ChoiceTree, ...]:
        """In a conclusion, the model says where a choice ends with the closing tag, or with an end token."""
        closing = self._tokenizer.encode(CLOSINGS[-1], add_special_tokens=False)[:1] if in_conclusion else []
        return self.choices.trees(choices, self.ends | {*closing})

    # --- the parts of a request -------------------------------------------------------------------------------

    def _asked(self, job: EngineJob, max_tokens: int, constraint: TokenConstraint | None) -> _Asked:
        tiling = self._tiling.at_most(1) if job.detail == "low" else self._tiling
        canvas = job.pixels if isinstance(job.pixels, Canvas) else to_tiles(job.pixels, tiling)
        new_guard = RepetitionGuard if job.stops_repetition else no_guard
        return _Asked(job, canvas, SamplingState(job.options), max_tokens, constraint, new_guard)

    def _request(
        self, asked: _Asked, prompt: list[int], policy: TokenPolicy, max_tokens: int, turn: Turn | None = None
    ) -> Request:
        turn = turn or Turn(len(prompt))
        return Request(asked.job, asked.canvas, prompt, max_tokens, policy, asked.sampling, turn)

    def _encode(self, question: str) -> list[int]:
        return self._tokens_of(self._prompts.write(question))

    def _tokens_of(self, prompt: str) -> list[int]:
        tokens: list[int] = self._tokenizer(prompt, add_special_tokens=False)["input_ids"]
        return tokens

    def _tokens_left(self, prompt: list[int]) -> int:
        if len(prompt) >= self.max_context:
            raise _too_long()
        return self.max_context - len(prompt)


def _too_long() -> Rejected:
    detail = "the question leaves the model no tokens for an answer; shorten it"
    return Rejected(Reason.QUESTION_TOO_LONG, Stage.INFER, detail)


def _check_logits(checked: Request) -> None:
    assert isinstance(checked.policy, CheckedAnswer)  # noqa: S101
    if not checked.policy.is_finite:
        raise Rejected(Reason.ENGINE_REFUSED, Stage.INFER, NOT_FINITE)


def _scores(scored: Request) -> Sequence[float]:
    assert isinstance(scored.policy, ScoredChoice)  # noqa: S101
    return scored.policy.logprobs
