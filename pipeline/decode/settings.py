"""Settings and limits of the decoder."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from sightstream.pipeline.decode.limits import Limits
from sightstream.pipeline.decode.tiles import Tiling


class DecodeSettings(BaseSettings):
    """How many child processes decode, and what one image may cost them."""

    model_config = SettingsConfigDict(env_prefix="SIGHTSTREAM_DECODE_", frozen=True, extra="forbid")

    processes: int = Field(
        default=3,
        ge=1,
        le=128,
        description="Number of child processes that decode images; 3 suits two cores. Set it to one more than the"
        " cores that decoding may use, so that a core never waits for its next image.",
    )
    max_pixels: int = Field(
        default=40_000_000,
        ge=1,
        le=2_000_000_000,
        description="Largest width x height of an image, in pixels; a larger image is rejected as too_many_pixels."
        " The default admits 40 megapixels. Raise it together with memory_bytes: the costliest format needs 28 bytes"
        " per pixel.",
    )
    max_aspect_ratio: float = Field(
        default=100,
        ge=1,
        description="Largest ratio of the longer side to the shorter one; a thinner image is rejected as"
        " unusable_shape. Lower it if a model gives poor answers about narrow strips.",
    )
    timeout_s: float = Field(
        default=20,
        gt=0,
        description="Seconds of wall-clock time to decode one image; then its child is killed. At the second time the"
        " image is rejected as decode_timeout. Raise it on overloaded machines.",
    )
    memory_bytes: int = Field(
        default=2 * 1024**3,
        ge=0,
        description="Bytes of address space that one child may use, not counting the shared memory; 0 sets no limit."
        " The default is 2 GiB. Raise it if you raise max_pixels.",
    )
    resident_bytes: int = Field(
        default=512 * 1024**2,
        ge=0,
        description="Bytes of private memory that a child may keep between two images; above it the child is replaced"
        " before its next image. The default is 512 MiB. Lower it where memory is scarce.",
    )
    images_per_process: int = Field(
        default=5000,
        ge=1,
        description="Number of images after which a child is replaced, which bounds what a leak in a decoder can cost."
        " A replacement takes about 0.15 s.",
    )
    draft: bool = Field(
        default=True,
        description="Decode a large JPEG at a half, a quarter or an eighth of its size where the engine scales it down"
        " anyway, about twice as fast. Applies only to the slots engine. Turn it off to scale from the full decode.",
    )
    truncated: Literal["reject", "accept"] = Field(
        default="reject",
        description="What becomes of a JPEG, PNG, GIF or BMP that ends before its last pixel: it is rejected as"
        " image_corrupt, or its missing end is black, grey or clear, and a result of version 2 says so: `truncated`.",
    )

    def limits(self, tiling: Tiling | None = None) -> Limits:
        """Return the part of the settings that a child needs."""
        return Limits(
            max_pixels=self.max_pixels,
            max_aspect_ratio=self.max_aspect_ratio,
            timeout_s=self.timeout_s,
            memory_bytes=self.memory_bytes,
            resident_bytes=self.resident_bytes,
            draft=self.draft,
            accepts_truncated=self.truncated == "accept",
            tiling=tiling,
        )
