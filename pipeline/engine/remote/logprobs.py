"""Reads the log-probabilities that a server sends beside an answer. They are its own: anything may stand there."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

from pydantic import JsonValue

MAX_TOKENS = 8192
MAX_ALTERNATIVES = 64


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token's bytes, the natural logarithm of its probability, and the likeliest tokens at its step."""

    piece: bytes
    logprob: float
    alternatives: tuple[TokenLogprob, ...] = ()


def read_logprobs(sent: JsonValue, text: str) -> list[TokenLogprob] | None:
    """Return the tokens of the text, and one with no bytes for what ended it, if anything did; None for anything else.

    Never raises. Spaces around the text, which were cut off, stay in the tokens. What a server took out before and
    behind it does not: an end token, a fence of three backticks, what the model thought first.
    """
    content = sent.get("content") if isinstance(sent, dict) else None
    if not text or not isinstance(content, list) or len(content) > MAX_TOKENS:
        return None
    tokens = [_token(each) for each in content]
    return None if None in tokens else _matched([token for token in tokens if token is not None], text)


def _matched(tokens: list[TokenLogprob], text: str) -> list[TokenLogprob] | None:
    """Return the last run of tokens that is the text."""
    wanted = text.encode("utf-8", "surrogatepass")
    starts = list(accumulate((len(token.piece) for token in tokens), initial=0))
    start = b"".join(token.piece for token in tokens).rfind(wanted)
    if start < 0:
        return None
    first, behind = bisect_right(starts, start) - 1, bisect_left(starts, start + len(wanted))
    if b"".join(token.piece for token in tokens[first:behind]).strip() != wanted:
        return None
    while first and _is_space(tokens[first - 1]):
        first -= 1
    while behind < len(tokens) and _is_space(tokens[behind]):
        behind += 1
    return [*tokens[first:behind], *(replace(token, piece=b"") for token in tokens[behind : behind + 1])]


def _is_space(token: TokenLogprob) -> bool:
    return bool(token.piece) and token.piece.isspace()


def _token(sent: JsonValue) -> TokenLogprob | None:
    if not isinstance(sent, dict):
        return None
    piece, logprob = _piece(sent), sent.get("logprob")
    if piece is None or isinstance(logprob, bool) or not isinstance(logprob, int | float) or not logprob <= 1e-3:
        return None
    return TokenLogprob(piece, min(0.0, _finite(logprob)), tuple(_alternatives(sent.get("top_logprobs"))))


def _alternatives(sent: JsonValue) -> Iterator[TokenLogprob]:
    for each in sent[:MAX_ALTERNATIVES] if isinstance(sent, list) else []:
        token = _token(each | {"top_logprobs": None}) if isinstance(each, dict) else None
        if token is not None:
            yield token


def _finite(logprob: float) -> float:
    return max(logprob, -1e9) if not math.isnan(logprob) else -1e9


def _piece(sent: dict[str, JsonValue]) -> bytes | None:
    """Return the token's bytes, which a server may send as numbers, because a token can be half a character."""
    numbers, token = sent.get("bytes"), sent.get("token")
    if isinstance(numbers, list):
        good = [number for number in numbers if type(number) is int and 0 <= number < 256]
        return bytes(good) if len(good) == len(numbers) else None
    return token.encode("utf-8", "surrogatepass") if isinstance(token, str) else None
