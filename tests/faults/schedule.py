"""Which fault comes when: everything follows from a seed, so that a run can be repeated."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

QUIET_S = (2.0, 8.0)


@dataclass(frozen=True, slots=True)
class Step:
    """A fault by its key, and the quiet seconds before it."""

    fault: str
    quiet_s: float


def alone(seed: int, faults: Sequence[str]) -> list[str]:
    """Return every fault once, in an order that depends on the seed."""
    return Random(seed).sample(faults, len(faults))


def mixed(seed: int, faults: Sequence[str]) -> Iterator[Step]:
    """Yield faults for ever: all of them in each round, in a new order, with quiet gaps between them."""
    random = Random(seed)
    while True:
        for fault in random.sample(faults, len(faults)):
            yield Step(fault, round(random.uniform(*QUIET_S), 1))
