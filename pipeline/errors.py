"""What can go wrong with one image, named by the next action.

PipelineError
├── Retryable   try again later: a dependency is down or slow
├── Rejected    this request will never work: dead letter
├── Cancelled   nobody wants the answer any more: forget it
└── Fatal       this worker can't go on: stop
"""

from __future__ import annotations

from sightstream.schemas.wire.dead_letter import Reason, Stage


class PipelineError(Exception):
    """The last argument is the detail, which people see: it holds no secret. All are kept, so that errors pickle."""

    def __str__(self) -> str:
        return str(self.args[-1])


class Retryable(PipelineError):
    """`dependency` names what failed when it is one that this worker relies on, such as the object store:
    while it is down, requests wait for it. None: something that only this request needs, such as a foreign host.
    """

    def __init__(self, stage: Stage, detail: str, dependency: str | None = None) -> None:
        super().__init__(stage, detail, dependency)
        self.stage = stage
        self.detail = detail
        self.dependency = dependency

    def __str__(self) -> str:
        return self.detail


class Rejected(PipelineError):
    """Sending the same request again can't help; `reason` is from the closed list."""

    def __init__(self, reason: Reason, stage: Stage, detail: str) -> None:
        super().__init__(reason, stage, detail)
        self.reason = reason
        self.stage = stage


class Fatal(PipelineError):
    """The engine can't be started or dies on everything."""


class Cancelled(PipelineError):
    """The request was handed back, for instance because its partition moved to another worker."""
