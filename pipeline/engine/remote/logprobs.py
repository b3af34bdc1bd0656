"""Reads the log-probabilities that a server sends beside an answer. They are its own: anything may stand there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

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
    """Return the tokens of the whole text, those of an end behind it with no bytes; None for anything else.

    Never raises. White space around the text, which was cut off, stays in the tokens.
    """
    content = sent.get("content") if isinstance(sent, dict) else None
    if not text or not isinstance(content, list) or len(content) > MAX_TOKENS:
        return None
    tokens = [_token(each) for each in content]
    return None if None in tokens else _matched([token for token in tokens if token is not None], text)


def _matched(tokens: list[TokenLogprob], text: str) -> list[TokenLogprob] | None:
    """Return the tokens if they are the text, perhaps with one of the model's end tokens behind it."""
    wanted = text.encode("utf-8", "surrogatepass")
    if _joined(tokens) == wanted:
        return tokens
    return [*tokens[:-1], replace(tokens[-1], piece=b"")] if _joined(tokens[:-1]) == wanted else None


def _joined(tokens: Sequence[TokenLogprob]) -> bytes:
    return b"".join(token.piece for token in tokens).strip()


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
