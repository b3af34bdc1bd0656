"""The decoder as a dependency of the worker: a known-good image tells its failures from those of an image."""

from __future__ import annotations

from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.own_parts import DECODER
from sightstream.schemas.wire.dead_letter import Stage

# A PNG of one grey pixel, which every limit allows. A decoder that fails it is broken, or its machine is out of memory,
# processes or time: then its other failures say nothing about the images.
HEALTH_CHECK_IMAGE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b550000000a4944415478da6368000000"
    "820081da45083b0000000049454e44ae426082"
)


def unavailable(detail: str) -> Retryable:
    """Return the error of a request that our own decoder can't serve now, whatever its image."""
    return Retryable(Stage.DECODE, detail, DECODER)
