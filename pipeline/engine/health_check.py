"""The plainest job there is: who can't do it answers nobody, and a failure at any other job proves nothing then."""

from __future__ import annotations

from sightstream.pipeline.types import EngineJob, Pixels
from sightstream.schemas.wire.request import AnalysisOptions

# A grey picture and a short question.
HEALTH_CHECK_JOB = EngineJob(
    -1, Pixels(bytes([128]) * (64 * 64 * 3), 64, 64, "PNG"), "What is it?", AnalysisOptions(max_tokens=1)
)
