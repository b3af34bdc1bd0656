"""Checks token by token how constrained answers end, alone and after reasoning."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from sightstream.pipeline.engine.slots.choice_tree import ChoiceTree
from sightstream.pipeline.engine.slots.constrained_answer import ConstrainedAnswer, ReasonedAnswer, ScoredChoice
from sightstream.pipeline.engine.slots.guided_decoding import GuidedAnswer
from sightstream.pipeline.engine.slots.token_policy import FreeAnswer, TokenPolicy
from tests.pipeline.engine.slots.test_guided_decoding import ENDS, PLAN, TOY

END = min(ENDS)
LETTER = TOY.encode("a")[0]


@dataclass
class FakeConstraint:
    """Any tokens up to `length` of them; may end from `complete` of them on."""

    length: int = 5
    complete: int = 5
    seen: list[int] = field(default_factory=list)

    def accept(self, token: int) -> None:
        self.seen.append(token)

    @property
    def is_complete(self) -> bool:
        return len(self.seen) >= self.complete

    @property
    def must_end(self) -> bool:
        return len(self.seen) >= self.length


class Loop:
    """A guard that ends an answer at its third token."""

    def __init__(self) -> None:
        self.count = 0

    def accept(self, token: int) -> bool:
        self.count += 1
        return self.count == 3


def constrained(
    max_tokens: int = 100, guard: Any = lambda: None, length: int = 5, complete: int = 5
) -> ConstrainedAnswer:
    constraint: Any = FakeConstraint(length, complete)
    return ConstrainedAnswer(constraint, ENDS, max_tokens, guard)


def write(policy: TokenPolicy, tokens: list[int]) -> None:
    for number, token in enumerate(tokens):
        if policy.finish_reason is None:
            policy.accept(token, -0.5 - number)


def test_an_answer_that_can_only_end_has_ended() -> None:
    answer = constrained(length=3, complete=3)
    write(answer, [10, 11, 12, 13])
    assert (answer.tokens, answer.finish_reason, answer.num_tokens) == ([10, 11, 12], "stop", 3)
    assert answer.logprobs == [-0.5, -1.5, -2.5, 0.0]


def test_an_end_token_ends_it_and_has_its_own_probability() -> None:
    answer = constrained(complete=1)
    write(answer, [10, END, 12])
    assert (answer.tokens, answer.finish_reason, answer.num_tokens) == ([10], "stop", 2)
    assert answer.logprobs == [-0.5, -1.5]


def test_a_limit_cuts_it() -> None:
    answer = constrained(max_tokens=2)
    write(answer, [10, 11, 12])
    assert (answer.tokens, answer.finish_reason) == ([10, 11], "length")


def test_the_constraints_own_limits_cut_it_too() -> None:
    answer = constrained(length=2, complete=9)
    write(answer, [10, 11, 12])
    assert (answer.tokens, answer.finish_reason) == ([10, 11], "length")


@pytest.mark.parametrize("make", [lambda: constrained(guard=Loop), lambda: FreeAnswer(ENDS, 100, Loop)])  # type: ignore[arg-type]
def test_a_loop_ends_it(make: Any) -> None:
    answer = make()
    write(answer, [LETTER] * 4)
    assert (len(answer.tokens), answer.finish_reason) == (3, "repetition")


def test_a_section_that_repeats_itself_is_closed_and_the_others_follow() -> None:
    answer = GuidedAnswer(PLAN, 400, Loop)  # type: ignore[arg-type]
    write(answer, [LETTER] * 400)
    assert answer.finish_reason == "repetition"
    sections = ["SUMMARY", "CAPTION", "REASONING", "CONCLUSION"]
    assert TOY.decode(answer.tokens) == "\n\n".join(f"<{name}>aaa</{name}>" for name in sections)


@pytest.mark.parametrize("limit", [100, 200])
def test_three_sections_lead_into_the_conclusion_within_their_tokens(limit: int) -> None:
    answer = GuidedAnswer(PLAN, limit, sections=3)
    write(answer, [LETTER] * limit)
    text = TOY.decode(answer.tokens)
    assert answer.finish_reason == "length"
    assert limit - 30 < answer.num_tokens <= limit
    assert text.endswith("</REASONING>\n\n<CONCLUSION>")


def test_the_answer_follows_the_reasoning_and_gets_what_is_left() -> None:
    made = list[int]()

    def make(tokens: int) -> ConstrainedAnswer:
        made.append(tokens)
        return constrained(tokens)

    policy = ReasonedAnswer(FreeAnswer(ENDS, 4), make, max_tokens=8)
    assert policy.constraint is None
    write(policy, [20, 21, END])
    assert policy.finish_reason is None
    assert policy.constraint is not None
    write(policy, [30] * 9)
    assert made == [5]
    assert (policy.tokens, policy.num_tokens, policy.finish_reason) == ([20, 21, *[30] * 5], 8, "stop")
    assert policy.answer is not None
    assert policy.answer.tokens == [30] * 5


def test_scores_end_a_choice_and_follow_those_of_earlier_trees() -> None:
    tree = ChoiceTree.of([[1], [2]], ENDS)
    choice = ScoredChoice(tree, [-7.0])
    assert choice.accept(5) == 5
    assert (choice.tokens, choice.finish_reason) == ([], None)
    choice.accept_scores([-1.0] * len(tree.edges))
    assert choice.finish_reason == "stop"
    assert choice.logprobs == [-7.0, *tree.logprobs([-1.0] * len(tree.edges))]
