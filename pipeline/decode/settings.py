"""Caps of the decoder."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightstream.pipeline.decode.arrangement import Tiling
from sightstream.pipeline.decode.limits import Limits


class DecodeSettings(BaseSettings):
    """`memory_bytes` caps a child's address space, without the memory that all share (0: no cap).

    A child is replaced, between two images, after `images_per_process` or once it keeps more than `resident_bytes`.
    `draft`: large JPEGs are decoded smaller where the engine wants them scaled down anyway; 2 times as fast.
    """

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_DECODE_", frozen=True, extra="forbid")

    processes: int = Field(default=3, ge=1, le=128)
    max_pixels: int = Field(default=40_000_000, ge=1, le=2_000_000_000)
    max_aspect_ratio: float = Field(default=100, ge=1)
    timeout_s: float = Field(default=20, gt=0)
    memory_bytes: int = Field(default=2 * 1024**3, ge=0)
    resident_bytes: int = Field(default=512 * 1024**2, ge=0)
    images_per_process: int = Field(default=5000, ge=1)
    draft: bool = True

    def limits(self, tiling: Tiling | None = None) -> Limits:
        """What of them a child needs."""
        return Limits(
            max_pixels=self.max_pixels,
            max_aspect_ratio=self.max_aspect_ratio,
            timeout_s=self.timeout_s,
            memory_bytes=self.memory_bytes,
            resident_bytes=self.resident_bytes,
            draft=self.draft,
            tiling=tiling,
        )
