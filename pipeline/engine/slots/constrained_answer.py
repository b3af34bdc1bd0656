"""Answers that obey a constraint, written at once or after reasoning, and choices that are scored. Knows no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sightstream.pipeline.constraints.token_constraint import TokenConstraint
from sightstream.pipeline.engine.slots.choice_tree import ChoiceTree
from sightstream.pipeline.engine.slots.token_policy import NewGuard, TokenPolicy, no_guard
from sightstream.schemas.wire.question_answer import EndOfAnswer


class ConstrainedAnswer:
    """Accepts tokens that obey the constraint, up to an end token, or to where nothing else may follow ("stop").

    `logprobs` has those of the tokens and, after "stop", one more for the end.
    """

    def __init__(
        self, constraint: TokenConstraint, ends: frozenset[int], max_tokens: int, new_guard: NewGuard = no_guard
    ) -> None:
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.finish_reason: EndOfAnswer | None = None
        self.num_tokens = 0
        self.constraint: TokenConstraint | None = constraint
        self._constraint, self._ends, self._max_tokens, self._guard = constraint, ends, max_tokens, new_guard()

    def accept(self, sampled: int, logprob: float = 0.0) -> int:
        self.num_tokens += 1
        self.logprobs.append(logprob)
        if sampled in self._ends:
            self.finish_reason = "stop"
            return sampled
        self.tokens.append(sampled)
        self._constraint.accept(sampled)
        self.finish_reason = self._ending(sampled)
        return sampled

    def _ending(self, sampled: int) -> EndOfAnswer | None:
        if self._constraint.must_end:
            self.logprobs.append(0.0)  # the end is certain
            return "stop" if self._constraint.is_complete else "length"  # where its own limits cut it
        if self._guard is not None and self._guard.accept(sampled):
            return "repetition"
        return "length" if self.num_tokens >= self._max_tokens else None


class ReasonedAnswer:
    """Goes on with an answer when its reasoning has ended, however that ended.

    `answer` is made from the number of tokens that are left of `max_tokens`. `tokens` are those of both.
    """

    def __init__(
        self, reasoning: TokenPolicy, make_answer: Callable[[int], ConstrainedAnswer], max_tokens: int
    ) -> None:
        self.reasoning = reasoning
        self.answer: ConstrainedAnswer | None = None
        self._make_answer, self._max_tokens = make_answer, max_tokens

    @property
    def _current(self) -> TokenPolicy:
        return self.answer or self.reasoning

    @property
    def tokens(self) -> list[int]:
        return self.reasoning.tokens + (self.answer.tokens if self.answer else [])

    @property
    def num_tokens(self) -> int:
        return self.reasoning.num_tokens + (self.answer.num_tokens if self.answer else 0)

    @property
    def finish_reason(self) -> EndOfAnswer | None:
        return self.answer.finish_reason if self.answer else None

    @property
    def constraint(self) -> TokenConstraint | None:
        return self.answer.constraint if self.answer else None

    def accept(self, sampled: int, logprob: float = 0.0) -> int:
        token = self._current.accept(sampled, logprob)
        if self.answer is None and self.reasoning.finish_reason is not None:
            self.answer = self._make_answer(self._max_tokens - self.reasoning.num_tokens)
        return token


class ScoredChoice:
    """Ends with the scores of a tree of choices instead of tokens. `logprobs` begins with those of earlier trees."""

    constraint: TokenConstraint | None = None

    def __init__(self, tree: ChoiceTree, earlier: Sequence[float] = ()) -> None:
        self.tokens: list[int] = []
        self.finish_reason: EndOfAnswer | None = None
        self.num_tokens = 0
        self.tree, self.logprobs = tree, [*earlier]

    def accept(self, sampled: int, logprob: float = 0.0) -> int:
        """Ignore the token that the same forward pass samples."""
        return sampled

    def accept_scores(self, edges: Sequence[float]) -> None:
        """End with the log-probabilities of the tree's edges."""
        self.logprobs += self.tree.logprobs(edges)
        self.finish_reason = "stop"
