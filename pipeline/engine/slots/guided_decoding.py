"""What an answer says, token by token, and when it ends: freely, or always in its four sections.

A guided answer never waits for the model to open a section: the tag is fed. The model ends a section by its closing
tag, by an end token, or by beginning the tag of a later section; its budget ends it otherwise. Then what is missing of
the closing tag and of the next opening tag is fed. Of a later section's tag spelt over several tokens, what came
before its name was whole has been said and stays.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol

from sightstream.pipeline.answer import SECTIONS
from sightstream.pipeline.engine.slots.section_plan import CLOSINGS, LATER, SectionPlan
from sightstream.schemas.wire.result import FinishReason


class TokenPolicy(Protocol):
    """Decides, token by token, what an answer says and when it ends.

    `tokens` is what has been said, without an end token. `num_tokens` counts against the request's max_tokens, an end
    token that ended the answer included. `finish_reason` is None while it goes on.
    """

    tokens: list[int]
    finish_reason: FinishReason | None
    num_tokens: int

    def accept(self, sampled: int) -> int:
        """The token the answer goes on with, given the one sampled; means nothing once `finish_reason` is set."""
        ...


def token_policy(plan: SectionPlan | None, ends: frozenset[int], max_tokens: int) -> TokenPolicy:
    """Free without a plan, and where `max_tokens` is too small for four sections."""
    if plan is None or not plan.fits(max_tokens):
        return FreeAnswer(ends, max_tokens)
    return GuidedAnswer(plan, max_tokens)


class FreeAnswer:
    """Whatever the model says, up to an end token ("stop") or `max_tokens` ("length"), as generate() has it."""

    def __init__(self, ends: frozenset[int], max_tokens: int) -> None:
        self.tokens: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.num_tokens = 0
        self._ends, self._max_tokens = ends, max_tokens

    def accept(self, sampled: int) -> int:
        self.num_tokens += 1
        if sampled in self._ends:
            self.finish_reason = "stop"
            return sampled
        self.tokens.append(sampled)
        if self.num_tokens >= self._max_tokens:
            self.finish_reason = "length"
        return sampled


class GuidedAnswer:
    """Four closed sections in order, within `max_tokens`, tags included; `plan.fits(max_tokens)` must hold.

    "length" says that a budget cut a section short; a budget reached just where the model goes on with the closing
    tag cuts nothing. An end token never comes out: the closing tags take its place.
    """

    def __init__(self, plan: SectionPlan, max_tokens: int) -> None:
        self.tokens: list[int] = []
        self.finish_reason: FinishReason | None = None
        self.num_tokens = 0
        self._plan, self._plain_tokens, self._max_tokens = plan, plan.plain_tokens, max_tokens
        self._section = -1
        self._forced = deque(plan.opening)  # tokens to feed
        self._last = 0  # where `num_tokens` stands at the section's last token; 0 between sections
        self._held = ""  # what may become a tag
        self._cut = False

    def accept(self, sampled: int) -> int:
        self.num_tokens += 1
        if self.num_tokens <= self._last and not self._held and sampled in self._plain_tokens:
            self.tokens.append(sampled)
            return sampled
        token = self._forced.popleft() if self._forced else self._observe(sampled)
        self.tokens.append(token)
        if not self._last and not self._forced:
            self._open_section()
        return token

    def _observe(self, sampled: int) -> int:
        """Inside a section: what was sampled, or the first token of the bridge."""
        closing, text = CLOSINGS[self._section], self._plan.text(sampled)
        before, closed, after = (self._held + text).partition(closing)
        moves_on = sampled in self._plan.ends or any(tag in before for tag in LATER[self._section])
        if moves_on or self.num_tokens > self._last:
            begun = self._held if closing.startswith(self._held) else ""
            self._cut |= not (moves_on or _goes_on_with(closing[len(begun) :], text))
            self._close_section(begun)
            return self._forced.popleft()
        if closed:
            self._close_section(closed + after)
        else:
            self._held = _begun_tag(before, (closing, *LATER[self._section]))
        return sampled

    def _close_section(self, begun: str) -> None:
        self._forced.extend(self._plan.forced_tokens(self._section, begun))
        self._last, self._held = 0, ""

    def _open_section(self) -> None:
        self._section += 1
        if self._section == len(SECTIONS):
            self.finish_reason = "length" if self._cut else "stop"
            return
        self._last = self.num_tokens + self._plan.budget(self._section, self._max_tokens - self.num_tokens)


def _begun_tag(text: str, tags: tuple[str, ...]) -> str:
    """The end of `text` that one of the tags may begin with; a tag has no "<" but its first character."""
    _, bracket, tail = text.rpartition("<")
    return bracket + tail if any(tag.startswith(bracket + tail) for tag in tags) else ""


def _goes_on_with(rest: str, text: str) -> bool:
    return bool(text) and (rest.startswith(text) or text.startswith(rest))
