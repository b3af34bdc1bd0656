"""How much of everything is measured: a GPU's sizes, a CPU's, and what the caller wants otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from sightstream.infra.errors import CommandError


@dataclass(frozen=True, slots=True)
class Sizes:
    """A `round` is as many answers as the engine has slots. Tokens are those of an answer.

    `question_repeats` lengthens the question. `decode_tokens` must be more than the steps that
    are made while `decode_slots` requests are admitted, and fit into a slot with the question.
    `photographs` is how many distinct images there are; they come round again after that.
    """

    tokens: int = 256
    shortest: int = 32
    longest: int = 512
    tiles: int = 4
    photographs: int = 256
    question_repeats: int = 1
    warm_rounds: float = 1.0
    window_rounds: float = 3.0
    seed_images: int = 2
    seed_tokens: int = 256
    stock_batches: tuple[int, ...] = (32, 48, 64)
    stock_tokens: int = 256
    single_requests: int = 3
    concurrent_requests: int = 10
    concurrent_rounds: int = 3
    decode_slots: tuple[int, ...] = (1, 64, 128)
    decode_tokens: int = 448
    agreement_tokens: int = 24
    prefill_images: int = 64
    memory_images: int = 1000
    memory_tokens: int = 8
    matrix_side: int = 8192
    copy_mib: int = 4096
    decoders: int = 6


ON_GPU = Sizes()
ON_CPU = Sizes(
    tokens=32,
    shortest=8,
    longest=56,
    photographs=48,
    window_rounds=2.0,
    seed_tokens=32,
    stock_batches=(4, 8),
    stock_tokens=32,
    concurrent_rounds=1,
    decode_slots=(1, 4, 8),
    decode_tokens=48,
    prefill_images=16,
    memory_images=48,
    memory_tokens=2,
    matrix_side=1024,
    copy_mib=256,
    decoders=1,
)


def sizes_for(device: str, wanted: Mapping[str, str]) -> Sizes:
    """`wanted` overrides by name; several numbers are separated by commas. Raises CommandError on a wrong one."""
    sizes = ON_CPU if device == "cpu" else ON_GPU
    known = asdict(sizes)
    unknown = sorted(wanted.keys() - known.keys())
    if unknown:
        raise CommandError(f"unknown sizes {unknown}; known: {sorted(known)}")
    read: dict[str, Any] = {name: _read(name, text, known[name]) for name, text in wanted.items()}
    return replace(sizes, **read)


def _read(name: str, text: str, like: Any) -> Any:
    try:
        if isinstance(like, tuple):
            return tuple(_positive(int(part)) for part in text.split(","))
        return _positive(type(like)(text))
    except ValueError:
        raise CommandError(f"the size {name} can't be {text!r}; it is now {like}") from None


def _positive(number: float) -> float:
    if number <= 0:
        raise ValueError("not above 0")
    return number
