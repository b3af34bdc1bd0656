"""What can go wrong with one image, named by the next action.

PipelineError
├── Retryable   try again later: a dependency is down or slow
├── Rejected    this request will never work: dead letter
└── Fatal       this worker can't go on: stop
"""

from __future__ import annotations

from schemas.dead_letter import Reason, Stage


class PipelineError(Exception):
    """`str(error)` is shown to people: it holds no secret."""


class Retryable(PipelineError):
    """`dependency` names what failed when it is one that this worker relies on, such as the object store:
    while it is down, requests wait for it. None: something that only this request needs, such as a foreign host.
    """

    def __init__(self, stage: Stage, detail: str, dependency: str | None = None) -> None:
        super().__init__(detail)
        self.stage = stage
        self.dependency = dependency


class Rejected(PipelineError):
    """Sending the same request again can't help; `reason` is from the closed list."""

    def __init__(self, reason: Reason, stage: Stage, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.stage = stage


class Fatal(PipelineError):
    """The engine can't be started or dies on everything."""
