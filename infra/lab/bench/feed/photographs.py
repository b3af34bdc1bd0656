"""The JPEG files that every system under test decodes."""

from __future__ import annotations

from sightstream.infra.lab.bench.engine.photographs import photograph


def make_photographs(count: int, side_px: int) -> tuple[bytes, ...]:
    """Return `count` distinct JPEG files; one of 1000 x 1000 pixels has about 190 KB."""
    return tuple(photograph(number, side_px, side_px, grain_fraction=0.2, grain_pixels=3) for number in range(count))
