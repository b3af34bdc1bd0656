"""What everybody has to decode."""

from __future__ import annotations

from sightstream.infra.lab.bench.engine.photographs import photograph


def draw(count: int, side: int) -> tuple[bytes, ...]:
    """`count` distinct JPEG files; one of 1000 x 1000 pixels has about 190 KB."""
    return tuple(photograph(number, side, side, grain_share=0.2, grain_pixels=3) for number in range(count))
