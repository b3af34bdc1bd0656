"""Defines the error of a request that is valid JSON of valid fields and still breaks a limit."""

from __future__ import annotations

from sightstream.schemas.wire.dead_letter import Reason


class UnusableRequest(ValueError):
    """The request breaks a limit, so sending it again cannot help. `reason` is for the dead letter.

    `detail` names the place and what to change there, without repeating the sender's values.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail
