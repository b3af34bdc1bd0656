"""A known-good job. An engine that fails it is broken, so its other failures say nothing about the images.

It is also the canary: the job that each new engine process answers before any other, and that an idle one is asked
again and again. Only the engine's host sends it, so that it never counts as work.
"""

from __future__ import annotations

from dataclasses import replace

from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.types import EngineJob, Pixels
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.response_format import ChoiceFormat

NOT_FINITE = "the model computed logits that are no finite numbers"
RIGHT_COLOUR, WRONG_COLOUR = "red", "blue"

# A red image and a short question; greedy.
HEALTH_CHECK_JOB = EngineJob(
    -1,
    Pixels(bytes((208, 16, 24)) * (64 * 64), 64, 64, "PNG"),
    "Is this image red or blue?",
    AnalysisOptions(max_tokens=16),
    checks_logits=True,
)


def canary_job(settings: EngineSettings) -> EngineJob:
    """Return the job for the engine that the settings choose. A model server chooses a colour: its text may change."""
    if settings.kind != "remote":
        return HEALTH_CHECK_JOB
    colours = ChoiceFormat(choices=(RIGHT_COLOUR, WRONG_COLOUR))
    options = AnalysisOptions(max_tokens=64)
    return replace(HEALTH_CHECK_JOB, response_format=colours, reasons=False, options=options)
