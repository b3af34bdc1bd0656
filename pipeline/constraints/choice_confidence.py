"""Turns the scores of all choices into their probabilities."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sightstream.schemas.wire.question_answer import MAX_CHOICE_PROBABILITIES, ChoiceProbability, Confidence


def choice_confidence(choices: Sequence[str], logprobs: Sequence[float]) -> Confidence:
    """Return the probability of each choice, the likeliest first; equal ones keep their order. All sum to 1.

    `logprobs[i]` is the natural logarithm of the probability of choice i and the end behind it, after the prompt. It
    may be minus infinity. Raises ValueError when no choice has a probability, or a score is not a number.
    """
    best = max(logprobs)
    if len(choices) != len(logprobs) or not math.isfinite(best) or any(map(math.isnan, logprobs)):
        raise ValueError("each choice needs a score, and one of them a finite one")
    weights = [math.exp(score - best) for score in logprobs]
    total = math.fsum(weights)
    order = sorted(range(len(choices)), key=lambda index: -logprobs[index])
    probabilities = [(choices[index], weights[index] / total) for index in order]
    listed, rest = probabilities[:MAX_CHOICE_PROBABILITIES], probabilities[MAX_CHOICE_PROBABILITIES:]
    return Confidence(
        kind="exact",
        value=listed[0][1],
        choices=tuple(ChoiceProbability(value=choice, probability=each) for choice, each in listed),
        other=math.fsum(each for _, each in rest),
    )
