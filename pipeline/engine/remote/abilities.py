"""Remembers what a server turned out to lack, so that it is found out once and not with every question."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from sightstream.pipeline.engine.health_check import HEALTH_CHECK_JOB
from sightstream.pipeline.engine.remote.request_body import Turn
from sightstream.pipeline.errors import CapabilityMissing
from sightstream.pipeline.types import EngineJob, Pixels
from sightstream.schemas.wire.response_format import JsonSchema, JsonSchemaFormat, SectionsFormat

# After so long a capability is tried again: the server may have been upgraded.
REMEMBERED_S = 600.0
# So many alternatives are asked for at each step, and fewer where the server refuses.
MOST_LOGPROBS, FEW_LOGPROBS = 20, 5

SEVERAL_IMAGES, JSON_SCHEMA = "several images", "json_schema"

_SIMPLEST: dict[str, Any] = {
    "type": "object",
    "properties": {"ok": {"type": "boolean"}},
    "required": ["ok"],
    "additionalProperties": False,
}


class Abilities:
    """What one server can't do. Thread safe."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._missing: dict[str, tuple[float, CapabilityMissing]] = {}
        self._no_logprobs_until = self._few_logprobs_until = float("-inf")

    def missing(self, job: EngineJob) -> CapabilityMissing | None:
        """Return the error of a job that needs what the server is known to lack."""
        known = (self._missing.get(name, (0.0, None)) for name in needed(job))
        return next((error for until, error in known if error is not None and self._clock() < until), None)

    def remember(self, error: CapabilityMissing) -> None:
        self._missing[error.capability] = (self._clock() + REMEMBERED_S, error)

    def logprobs(self, wanted: int | None) -> list[int | None]:
        """Return how many log-probabilities to ask for, and what to fall back on; None asks for none."""
        ladder = [wanted, *([FEW_LOGPROBS] if wanted == MOST_LOGPROBS else []), None]
        if self._clock() < self._no_logprobs_until or wanted is None:
            return [None]
        return ladder[1:] if wanted == MOST_LOGPROBS and self._clock() < self._few_logprobs_until else ladder

    def remember_logprobs(self, accepted: int | None) -> None:
        """The server refused to send more than these."""
        if accepted is None:
            self._no_logprobs_until = self._clock() + REMEMBERED_S
        else:
            self._few_logprobs_until = self._clock() + REMEMBERED_S


def needed(job: EngineJob) -> list[str]:
    """Return the capabilities that a job needs beyond those of the health check."""
    several = [SEVERAL_IMAGES] if job.more_pixels else []
    return several if isinstance(job.response_format, SectionsFormat) else [*several, JSON_SCHEMA]


def probes(job: EngineJob) -> Iterator[tuple[str, Turn]]:
    """Yield, for each capability that the job needs, the simplest question that needs it, too."""
    for name in needed(job):
        if name == SEVERAL_IMAGES:
            assert isinstance(HEALTH_CHECK_JOB.pixels, Pixels)  # noqa: S101
            asked = replace(HEALTH_CHECK_JOB, more_pixels=(HEALTH_CHECK_JOB.pixels,) * len(job.more_pixels))
            yield name, Turn(asked, (asked.question,), 1)
        else:
            simplest = JsonSchemaFormat(json_schema=JsonSchema(name="ok", schema_=_SIMPLEST))
            yield name, Turn(HEALTH_CHECK_JOB, (HEALTH_CHECK_JOB.question,), 1, simplest)
