"""The stages before the engine, as the flow uses them."""

from __future__ import annotations

from typing import Protocol

from sightstream.pipeline.types import Canvas, FetchedImage, NotModified, Origin, Pixels
from sightstream.schemas.wire.request import ImageRef


class FetchStage(Protocol):
    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage | NotModified:
        """Download an image; return NotModified only if it still has `known_etag`.

        Blocks. Raises Retryable or Rejected.
        """

    def origin(self, image: ImageRef) -> Origin:
        """Return where the image comes from, by its address alone. Never blocks, never raises."""


class DecodeStage(Protocol):
    def decode(self, data: bytes) -> Pixels | Canvas:
        """Decode an image file. Blocks. Raises Retryable or Rejected."""

    def release(self, pixels: Pixels | Canvas) -> None:
        """Give back what `decode` returned; called once for each, when the engine is done with it."""

    def stop(self) -> None:
        """End every child process."""
