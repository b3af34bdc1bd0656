"""A known-good job. An engine that fails it is broken, so its other failures say nothing about the images."""

from __future__ import annotations

from sightstream.pipeline.types import EngineJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions

# A grey image and a short question.
HEALTH_CHECK_JOB = EngineJob(
    -1, Pixels(bytes([128]) * (64 * 64 * 3), 64, 64, "PNG"), "What is it?", AnalysisOptions(max_tokens=1)
)
