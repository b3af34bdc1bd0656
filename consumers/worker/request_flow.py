"""The part of the pipeline's flow that a worker uses."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from sightstream.pipeline.types import NO_ANSWERS, FinishedAnswers, Origin, Outcome
from sightstream.schemas.wire.request import ImageRequest


class RequestFlow(Protocol):
    """See pipeline.flow.Flow for the contract of each."""

    @property
    def free_capacity(self) -> int: ...
    @property
    def held_bytes(self) -> int: ...
    @property
    def queued(self) -> int: ...
    def held_back(self, server: str | None = None) -> int: ...
    def origin(self, request: ImageRequest) -> Origin: ...
    def submit(self, ticket: Hashable, request: ImageRequest, finished: FinishedAnswers = NO_ANSWERS) -> None: ...
    def collect(self, timeout_s: float) -> list[Outcome]: ...
    def cancel(self, tickets: set[Hashable]) -> None: ...


class CheckedFlow(RequestFlow, Protocol):
    """One that can also prove that it works."""

    def submit_health_check(self, ticket: Hashable) -> None: ...
