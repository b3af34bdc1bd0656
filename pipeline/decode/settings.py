"""Caps of the decoder."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class DecodeSettings(BaseSettings):
    """`memory_bytes` caps a child's address space (0: no cap); a child is replaced after `images_per_process`."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_DECODE_", frozen=True, extra="forbid")

    processes: int = Field(default=2, ge=1, le=128)
    max_pixels: int = Field(default=40_000_000, ge=1)
    max_aspect_ratio: float = Field(default=100, ge=1)
    timeout_s: float = Field(default=20, gt=0)
    memory_bytes: int = Field(default=2 * 1024**3, ge=0)
    images_per_process: int = Field(default=5000, ge=1)
