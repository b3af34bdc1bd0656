"""Plans the tags of a guided answer as one tokenizer encodes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from sightstream.pipeline.answer import SECTIONS

CLOSINGS = tuple(f"</{name}>" for name in SECTIONS)
LATER = tuple(tuple(f"<{name}" for name in SECTIONS[index + 1 :]) for index in range(len(SECTIONS)))

# The weights by which the tokens that the tags leave are split among the sections. Tokens that a section does not use
# go to the later ones: the early weights are therefore larger than a summary or a caption needs.
WEIGHTS = (25, 25, 30, 20)
MIN_FREE_TOKENS = 40  # eight for the smallest weight


class Tokenizer(Protocol):
    """Encodes and decodes; a single token can be decoded by itself."""

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]: ...

    def decode(self, tokens: list[int], /) -> str: ...


@dataclass(frozen=True, eq=False)
class SectionPlan:
    """Holds the tags of a guided answer as one tokenizer encodes them; made once for all answers of one thread.

    `separator` is the text that the model was trained to write between sections. `plain_tokens` are the tokens seen so
    far that neither end an answer nor contain a "<": wherever no tag has begun they pass without a closer look.
    """

    tokenizer: Tokenizer
    ends: frozenset[int]
    separator: str
    plain_tokens: set[int] = field(default_factory=set, init=False)
    _texts: dict[int, str] = field(default_factory=dict, init=False)
    _forced_tokens: dict[tuple[int, str], list[int]] = field(default_factory=dict, init=False)

    def fits(self, max_tokens: int, sections: int = len(SECTIONS)) -> bool:
        """Return whether `max_tokens` suffices for the tags of the first sections and for eight tokens in each."""
        return max_tokens >= len(self.opening) + sum(self.costs[:sections]) + MIN_FREE_TOKENS

    @cached_property
    def opening(self) -> list[int]:
        """The tokens of the first section's tag."""
        return self._encode(f"<{SECTIONS[0]}>")

    @cached_property
    def costs(self) -> list[int]:
        """By section: the most tokens that can be forced at its end."""
        leads = [(closing, self._lead(index)) for index, closing in enumerate(CLOSINGS)]
        return [max(len(self._encode(closing + lead)), len(self._encode(lead))) for closing, lead in leads]

    def budget(self, section: int, left: int, sections: int = len(SECTIONS)) -> int:
        """Return a section's tokens if `left` are left for it and those after it, tags included."""
        forced = sum(self.costs[section:sections])
        return (left - forced) * WEIGHTS[section] // sum(WEIGHTS[section:sections])

    def forced_tokens(self, section: int, begun: str) -> list[int]:
        """Return the tokens that lead from inside a section into the next one, or to the answer's end.

        `begun` is the part of the closing tag that the answer has already, or all of it with the rest of the same
        token. Where continuing from there would take more tokens than `costs` allows, the tag is repeated in full.
        """
        if (section, begun) not in self._forced_tokens:
            self._forced_tokens[section, begun] = self._build_forced_tokens(section, begun)
        return self._forced_tokens[section, begun]

    def text(self, token: int) -> str:
        """Return one token's text; its bytes may be a part of a character."""
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
        """Return the text between a section's closing tag and the next section's text."""
        return "".join(f"{self.separator}<{name}>" for name in SECTIONS[section + 1 : section + 2])

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)
