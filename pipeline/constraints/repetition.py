"""Ends answers that repeat themselves: a model that is caught in a loop writes up to its last token."""

from __future__ import annotations

CHECKED_EVERY = 16
LONGEST_PART = 128
FEWEST_REPEATS = 6
FEWEST_TOKENS = 128


class RepetitionGuard:
    """Watches the tokens of one answer. It is not thread safe; each token costs about a microsecond.

    An answer repeats itself when its last tokens are one part, of at most 128 tokens, written at least six times over
    without a gap, and these are at least 128 tokens. An array of fewer than 64 equal numbers is not ended where a
    number and its comma are two tokens. It is looked at after every 16th token.
    """

    def __init__(self) -> None:
        self._tokens: list[int] = []

    def accept(self, token: int) -> bool:
        """Return whether the answer now repeats itself, and must end."""
        self._tokens.append(token)
        count = len(self._tokens)
        return count >= FEWEST_TOKENS and count % CHECKED_EVERY == 0 and self._repeats()

    def _repeats(self) -> bool:
        last = self._tokens[-1]
        window = self._tokens[-1 - LONGEST_PART : -1]
        return any(before == last and self._is_part(period) for period, before in enumerate(reversed(window), start=1))

    def _is_part(self, period: int) -> bool:
        """Return whether enough of the last tokens are one part of `period` tokens, again and again."""
        tokens = self._tokens
        count = max(FEWEST_TOKENS, FEWEST_REPEATS * period)
        return count <= len(tokens) and tokens[-count:-period] == tokens[-count + period :]
