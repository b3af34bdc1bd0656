"""Errors of one image, named by the next action.

PipelineError
├── Retryable   try again later: a dependency is down or slow
├── Rejected    this request will never work: dead letter
│   └── CapabilityMissing   this engine will never do what the request asks for
├── Cancelled   nobody wants the answer any more: drop it
└── Fatal       this worker can't go on: stop
"""

from __future__ import annotations

from sightstream.schemas.wire.dead_letter import Reason, Stage


class PipelineError(Exception):
    """Base of the errors. The last argument is the detail for people: it must hold no secret.

    All arguments are kept, so that errors can be pickled.
    """

    def __str__(self) -> str:
        return str(self.args[-1])


class Retryable(PipelineError):
    """The same request may succeed later.

    `dependency` names what failed if this worker relies on it, such as the object store: while it is down, its
    requests wait. None means that only this request needs it, such as a foreign host.

    `otherwise` is how the request ends if the dependency turns out to be up: the answer is final for one image, and an
    outage when every image gets it, such as "access denied".
    """

    def __init__(
        self, stage: Stage, detail: str, dependency: str | None = None, otherwise: Rejected | None = None
    ) -> None:
        super().__init__(stage, detail, dependency, otherwise)
        self.stage = stage
        self.detail = detail
        self.dependency = dependency
        self.otherwise = otherwise

    def __str__(self) -> str:
        return self.detail


class Rejected(PipelineError):
    """The same request will fail again; `reason` is from the closed list."""

    def __init__(self, reason: Reason, stage: Stage, detail: str) -> None:
        super().__init__(reason, stage, detail)
        self.reason = reason
        self.stage = stage


class CapabilityMissing(Rejected):
    """The engine can't do what the whole request asks for: another engine can, another question can't help.

    `capability` is a noun such as "json_schema"; `reason` ends the detail, for people.
    """

    def __init__(self, capability: str, reason: str) -> None:
        super().__init__(Reason.ENGINE_REFUSED, Stage.INFER, f"the engine lacks the capability {capability}: {reason}")
        self.args = (capability, reason)  # what a pickled copy is made from
        self.capability = capability

    def __str__(self) -> str:
        return f"the engine lacks the capability {self.capability}: {self.args[-1]}"


class Fatal(PipelineError):
    """This worker can't go on, for instance because the engine does not start or crashes on every job."""


class Cancelled(PipelineError):
    """The request was handed back, for instance because its partition moved to another worker."""
