"""The errors of the fetch stage, named by the next action.

TransientError   retry: within this fetch if it is `retryable`, else the worker retries later
Rejected         give up: the request becomes a dead letter
"""

from __future__ import annotations

from enum import StrEnum

from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.stages import Server
from sightstream.schemas.wire.dead_letter import Reason, Stage


class FailureKind(StrEnum):
    """Names why an attempt failed. A closed list: its values are labels of a metric."""

    THROTTLED = "throttled"  # the server asks for fewer requests
    SLOW = "slow"  # no answer in time
    CRAWLING = "crawling"  # the body came too slowly to be worth a thread
    BROKEN = "broken"  # cannot be reached, broke off, answered 5xx
    MISCONFIGURED = "untrusted"  # wrong credentials, clock or certificate: an operator has to fix them
    DENIED = "denied"  # refused by a store or host that this worker relies on: may be one image, or its own access
    BUSY = "busy"  # our own limit for this server admits no attempt now


_NOT_AGAIN_SOON = {FailureKind.CRAWLING, FailureKind.MISCONFIGURED, FailureKind.DENIED, FailureKind.BUSY}


class TransientError(Retryable):
    """Reports a failure that may pass.

    It stays inside the fetch stage: `Fetcher` turns it into a Retryable that names its dependency. `retryable`: another
    attempt within the same fetch may help. `retry_after_s`: how long the server asks to wait.
    """

    def __init__(
        self,
        kind: FailureKind,
        detail: str,
        retry_after_s: float | None = None,
        otherwise: Rejected | None = None,
    ) -> None:
        super().__init__(Stage.FETCH, detail, otherwise=otherwise)
        self.kind = kind
        self.retry_after_s = retry_after_s
        self.retryable = kind not in _NOT_AGAIN_SOON

    @property
    def is_overload(self) -> bool:
        """Whether fewer requests at once may help."""
        return self.kind in (FailureKind.THROTTLED, FailureKind.SLOW, FailureKind.CRAWLING)


class BusyError(TransientError):
    """No attempt was made: as many run at `server` as its limit allows."""

    def __init__(self, server: Server) -> None:
        super().__init__(FailureKind.BUSY, "as many fetches as its limit allows run at the server")
        self.server = server


def rejected(reason: Reason, detail: str) -> Rejected:
    """Return the error for a fetch that can never work."""
    return Rejected(reason, Stage.FETCH, detail)


def check_size(size_bytes: int, max_bytes: int) -> None:
    """Raise Rejected when `size_bytes`, announced or read, are too many."""
    if size_bytes > max_bytes:
        raise rejected(Reason.IMAGE_TOO_LARGE, f"the image has over {max_bytes} bytes")
