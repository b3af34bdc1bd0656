"""The tags of a guided answer, as one tokenizer writes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from sightstream.pipeline.answer import SECTIONS

CLOSINGS = tuple(f"</{name}>" for name in SECTIONS)
LATER = tuple(tuple(f"<{name}" for name in SECTIONS[index + 1 :]) for index in range(len(SECTIONS)))

# What each section is sure of, in parts of the room that the tags leave. What one does not use, the later ones may:
# the early shares are therefore wider than a summary or a caption is long.
SHARES = (25, 25, 30, 20)
LEAST_ROOM = 40  # tokens: eight for the smallest share


class Tokenizer(Protocol):
    """One token's text may be decoded by itself."""

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]: ...

    def decode(self, tokens: list[int], /) -> str: ...


@dataclass(frozen=True, eq=False)
class SectionPlan:
    """The tags of a guided answer as one tokenizer writes them; made once, shared by all answers of one thread.

    `separator` is what the model was taught to write between sections. `plain_tokens` holds the tokens seen so far that
    neither end an answer nor contain a "<": wherever no tag has begun they pass without a closer look.
    """

    tokenizer: Tokenizer
    ends: frozenset[int]
    separator: str
    plain_tokens: set[int] = field(default_factory=set, init=False)
    _texts: dict[int, str] = field(default_factory=dict, init=False)
    _forced_tokens: dict[tuple[int, str], list[int]] = field(default_factory=dict, init=False)

    def fits(self, max_tokens: int) -> bool:
        """Whether there is room for all tags and for eight tokens in each section."""
        return max_tokens >= len(self.opening) + self.reserves[0] + LEAST_ROOM

    @cached_property
    def opening(self) -> list[int]:
        """The first section's tag."""
        return self._encode(f"<{SECTIONS[0]}>")

    @cached_property
    def costs(self) -> list[int]:
        """By section: the most tokens that one bridge takes."""
        leads = [(closing, self._lead(index)) for index, closing in enumerate(CLOSINGS)]
        return [max(len(self._encode(closing + lead)), len(self._encode(lead))) for closing, lead in leads]

    @cached_property
    def reserves(self) -> list[int]:
        """By section: the most tokens that are fed from its end to the answer's end."""
        return [sum(self.costs[index:]) for index in range(len(SECTIONS))]

    def budget(self, section: int, left: int) -> int:
        """What a section may say if `left` tokens are left for it and all that follows, tags included."""
        return (left - self.reserves[section]) * SHARES[section] // sum(SHARES[section:])

    def forced_tokens(self, section: int, begun: str) -> list[int]:
        """What leads from inside a section into the next (or to the end), after `begun` has been said of it.

        `begun` is a part of the closing tag, or all of it and whatever came in the same token. Where going on from
        there would cost more than the bridge may, it starts anew.
        """
        if (section, begun) not in self._forced_tokens:
            self._forced_tokens[section, begun] = self._build_forced_tokens(section, begun)
        return self._forced_tokens[section, begun]

    def text(self, token: int) -> str:
        """One token's text; its bytes may be a part of a character."""
        if token not in self._texts:
            text = self._texts[token] = self.tokenizer.decode([token])
            if "<" not in text and token not in self.ends:
                self.plain_tokens.add(token)
        return self._texts[token]

    def _build_forced_tokens(self, section: int, begun: str) -> list[int]:
        closing, lead = CLOSINGS[section], self._lead(section)
        if (closing + lead).startswith(begun):
            rest = self._encode((closing + lead)[len(begun) :])
            if len(rest) <= self.costs[section]:
                return rest
        return self._encode(lead if begun.startswith(closing) else closing + lead)

    def _lead(self, section: int) -> str:
        """What stands between a section's closing tag and the next section's text."""
        return "".join(f"{self.separator}<{name}>" for name in SECTIONS[section + 1 : section + 2])

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)
