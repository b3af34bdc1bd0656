"""Describes how far a bulk job has come, as the broker keeps it: an offset and its metadata."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """The first `delivered + failed` entries of the source are done; `digest` is computed over them.

    `run` is the id of the run that wrote it, so that a run recognises its own commit.
    """

    delivered: int = 0
    failed: int = 0
    digest: str = ""
    run: str = ""

    @property
    def position(self) -> int:
        return self.delivered + self.failed

    def metadata(self) -> str:
        """Return the text that is committed beside the offset."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_metadata(cls, text: str) -> Progress:
        """Return what `metadata()` wrote. Raises ValueError for any other text."""
        try:
            return cls(**json.loads(text))
        except TypeError:
            raise ValueError("not the progress of a publish job") from None
