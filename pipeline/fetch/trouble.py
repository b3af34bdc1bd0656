"""Failures that may pass, as the fetch stage itself tells them apart."""

from __future__ import annotations

from enum import StrEnum

from sightstream.pipeline.errors import Retryable
from sightstream.schemas.wire.dead_letter import Stage


class Trouble(StrEnum):
    """A closed list: its values are labels of a metric."""

    THROTTLED = "throttled"  # the server says that it is too much
    SLOW = "slow"  # no answer in time
    BROKEN = "broken"  # cannot be reached, broke off, answered 5xx
    UNTRUSTED = "untrusted"  # the credentials, the clock or a certificate are wrong: somebody has to mend them
    BUSY = "busy"  # we ask it too much already: no place in time


class Transient(Retryable):
    """Stays inside the fetch stage: `Fetcher` turns it into a Retryable that names its dependency.

    `again`: another try within the same fetch may help. `retry_after_s`: what the server asked to wait.
    """

    def __init__(self, trouble: Trouble, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(Stage.FETCH, detail)
        self.trouble = trouble
        self.retry_after_s = retry_after_s
        self.again = trouble not in (Trouble.UNTRUSTED, Trouble.BUSY)

    @property
    def overload(self) -> bool:
        """Whether fewer requests at once may help."""
        return self.trouble in (Trouble.THROTTLED, Trouble.SLOW)
