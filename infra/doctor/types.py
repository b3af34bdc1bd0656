"""What a check yields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something to change. `id` is in FINDINGS; `detail` says what is wrong and what to do, and holds no secret."""

    id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that was seen, for people: neither good nor bad."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Something that could not be looked at, and why."""

    reason: str


Item = Finding | Fact | Unchecked
Items = Iterator[Item]
