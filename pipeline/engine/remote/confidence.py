"""Confidences from a server's log-probabilities. It applies no mask to them, so they are never exact."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence

from sightstream.pipeline.constraints.path_confidence import path_confidence
from sightstream.pipeline.engine.remote.logprobs import TokenLogprob
from sightstream.schemas.wire.question_answer import (
    MAX_CHOICE_PROBABILITIES,
    NO_CONFIDENCE,
    ChoiceProbability,
    Confidence,
)


def json_confidence(text: str, tokens: Sequence[TokenLogprob]) -> Confidence:
    """Return the probability of each value: the product over the tokens that it was written in."""
    found = path_confidence(text, [token.piece for token in tokens], [token.logprob for token in tokens])
    return found if found.kind == "none" else found.model_copy(update={"kind": "top_logprobs"})


def choice_confidence(
    choices: Sequence[str], chosen: str, tokens: Sequence[TokenLogprob], *, quoted: bool
) -> Confidence:
    """Return the probabilities of the choices, as far as the likeliest tokens of each step tell.

    `quoted` says that the choice stands in JSON, where its end shows. A token that begins several choices counts for
    the written one, or else for `other`: nobody knows how the model would have gone on. Of each step only tokens that
    can still lead to a choice count, as under a mask; those that the server does not name may, and count for `other`.
    """
    if not quoted and any(other != chosen and other.startswith(chosen) for other in choices):
        return NO_CONFIDENCE  # where the choice ends does not show
    before = _before(b"".join(token.piece for token in tokens), _written(chosen, quoted=quoted))
    if before is None:
        return NO_CONFIDENCE
    texts = {choice: before + _written(choice, quoted=quoted) for choice in choices}
    masses = _masses(texts, chosen, len(before), tokens)
    return NO_CONFIDENCE if masses is None else _confidence(masses, chosen)


def _before(answer: bytes, written: bytes) -> bytes | None:
    """Return what stands before the choice: the property's name, in JSON."""
    start = answer.find(written, answer.find(b":") + 1 if written.startswith(b'"') else 0)
    return None if start < 0 else answer[:start]


def _masses(
    texts: dict[str, bytes], chosen: str, start: int, tokens: Sequence[TokenLogprob]
) -> dict[str | None, float] | None:
    """Return the probability of each choice; that of tokens which begin several stands at None. They sum to 1."""
    masses: dict[str | None, float] = defaultdict(float)
    written, left = b"", 1.0
    for token in tokens:
        if len(written) + len(token.piece) > start:
            step, unnamed = _step(texts, written, token)
            total = math.fsum(step.values()) + unnamed
            if step.get(token.piece, 0.0) <= 0:
                return None
            masses[None] += left * unnamed / total
            for piece in step.keys() - {token.piece}:
                masses[_only(texts, written + piece)] += left * step[piece] / total
            left *= step[token.piece] / total
        written += token.piece
        if written.startswith(texts[chosen]):
            masses[chosen] += left
            return masses
    return None


def _written(choice: str, *, quoted: bool) -> bytes:
    return (json.dumps(choice, ensure_ascii=False) if quoted else choice).encode("utf-8", "surrogatepass")


def _step(texts: dict[str, bytes], written: bytes, token: TokenLogprob) -> tuple[dict[bytes, float], float]:
    """Return how probable each named token is that can lead to a choice, and all that the server does not name.

    Tokens go by their bytes: several may have the same.
    """
    named: dict[bytes, float] = defaultdict(float)
    for each in token.alternatives:
        named[each.piece] += math.exp(each.logprob)
    if token.piece not in named:
        named[token.piece] = math.exp(token.logprob)
    leading = {
        piece: probability
        for piece, probability in named.items()
        if piece and any(_leads_to(written + piece, text) for text in texts.values())
    }
    return leading, max(0.0, 1 - math.fsum(named.values()))


def _leads_to(written: bytes, text: bytes) -> bool:
    return text.startswith(written) or written.startswith(text)


def _only(texts: dict[str, bytes], written: bytes) -> str | None:
    """Return the only choice that the bytes can lead to, None where there are several."""
    found = [choice for choice, text in texts.items() if _leads_to(written, text)]
    return found[0] if len(found) == 1 else None


def _confidence(masses: dict[str | None, float], chosen: str) -> Confidence:
    known = sorted(((mass, choice) for choice, mass in masses.items() if choice is not None), key=lambda each: -each[0])
    listed = [ChoiceProbability(value=choice, probability=min(1.0, mass)) for mass, choice in known]
    rest = masses.get(None, 0.0) + math.fsum(mass for mass, _ in known[MAX_CHOICE_PROBABILITIES:])
    return Confidence(
        kind="top_logprobs",
        value=min(1.0, masses[chosen]),
        choices=tuple(listed[:MAX_CHOICE_PROBABILITIES]),
        other=min(1.0, rest),
    )
