"""Guided decoding: makes an answer have its four sections, or those before the conclusion.

A guided answer never waits for the model to open a section: the opening tag is forced. The model ends a section with
its closing tag, with an end token, or by beginning the tag of a later section; otherwise the section's budget ends it.
Then the rest of the closing tag and the next opening tag are forced. Where the model spells a later section's tag over
several tokens, those before the name was complete stay in the answer.
"""

from __future__ import annotations

from collections import deque

from sightstream.pipeline.answer import SECTIONS
from sightstream.pipeline.constraints.token_constraint import TokenConstraint
from sightstream.pipeline.engine.slots.section_plan import CLOSINGS, LATER, SectionPlan
from sightstream.pipeline.engine.slots.token_policy import FreeAnswer, NewGuard, TokenPolicy, no_guard
from sightstream.schemas.wire.question_answer import EndOfAnswer


def token_policy(
    plan: SectionPlan | None, ends: frozenset[int], max_tokens: int, new_guard: NewGuard = no_guard
) -> TokenPolicy:
    """Return a guided policy; a free one without a plan, and where `max_tokens` is too small for four sections."""
    if plan is None or not plan.fits(max_tokens):
        return FreeAnswer(ends, max_tokens, new_guard)
    return GuidedAnswer(plan, max_tokens, new_guard)


class GuidedAnswer:
    """Makes four closed sections in order, within `max_tokens`, tags included; `plan.fits(max_tokens)` must hold.

    It finishes with "length" when a budget cut a section short; a budget that ends just where the model continues with
    the closing tag cuts nothing. A section that repeats itself is closed, and the answer finishes with "repetition".
    An end token is never part of the answer: closing tags replace it. With fewer `sections` it makes only the first
    ones, and ends with the next one's opening tag.
    """

    constraint: TokenConstraint | None = None

    def __init__(
        self, plan: SectionPlan, max_tokens: int, new_guard: NewGuard = no_guard, sections: int = len(SECTIONS)
    ) -> None:
        self.tokens: list[int] = []
        self.finish_reason: EndOfAnswer | None = None
        self.num_tokens = 0
        self._plan, self._plain_tokens, self._max_tokens = plan, plan.plain_tokens, max_tokens
        self._new_guard, self._guard, self._sections = new_guard, new_guard(), sections
        self._section = -1
        self._forced = deque(plan.opening)  # forced tokens still to append
        self._last = 0  # `num_tokens` at the section's last token; 0 between sections
        self._partial_tag = ""  # text that may become a tag
        self._ending: EndOfAnswer = "stop"

    def accept(self, sampled: int, logprob: float = 0.0) -> int:
        self.num_tokens += 1
        if self.num_tokens <= self._last and not self._partial_tag and sampled in self._plain_tokens:
            self.tokens.append(sampled)
            self._check_repetition(sampled)
            return sampled
        token = self._forced.popleft() if self._forced else self._observe(sampled)
        self.tokens.append(token)
        if self._last:
            self._check_repetition(token)
        elif not self._forced:
            self._open_section()
        return token

    def _check_repetition(self, token: int) -> None:
        """Let a section that repeats itself end as if its budget were used up."""
        if self._guard is not None and self._guard.accept(token):
            self._last = min(self._last, self.num_tokens)
            self._ending = "repetition"

    def _observe(self, sampled: int) -> int:
        """Return the next token inside a section: the sampled one, or the first of those that end the section."""
        closing, text = CLOSINGS[self._section], self._plan.text(sampled)
        before, closed, after = (self._partial_tag + text).partition(closing)
        moves_on = sampled in self._plan.ends or any(tag in before for tag in LATER[self._section])
        if moves_on or self.num_tokens > self._last:
            begun = self._partial_tag if closing.startswith(self._partial_tag) else ""
            if self._ending == "stop" and not (moves_on or _continues(closing[len(begun) :], text)):
                self._ending = "length"
            self._close_section(begun)
            return self._forced.popleft()
        if closed:
            self._close_section(closed + after)
        else:
            self._partial_tag = _begun_tag(before, (closing, *LATER[self._section]))
        return sampled

    def _close_section(self, begun: str) -> None:
        self._forced.extend(self._plan.forced_tokens(self._section, begun))
        self._last, self._partial_tag = 0, ""

    def _open_section(self) -> None:
        self._section += 1
        if self._section == self._sections:
            self.finish_reason = self._ending
            return
        self._guard = self._new_guard()
        left = self._max_tokens - self.num_tokens
        self._last = self.num_tokens + self._plan.budget(self._section, left, self._sections)


def _begun_tag(text: str, tags: tuple[str, ...]) -> str:
    """Return the end of `text` with which one of the tags may begin; a tag has no "<" but its first character."""
    _, bracket, tail = text.rpartition("<")
    return bracket + tail if any(tag.startswith(bracket + tail) for tag in tags) else ""


def _continues(rest: str, text: str) -> bool:
    return bool(text) and (rest.startswith(text) or text.startswith(rest))
