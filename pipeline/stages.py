"""What the flow asks of the stages before the engine."""

from __future__ import annotations

from typing import Protocol

from sightstream.pipeline.types import Canvas, FetchedImage, NotModified, Pixels
from sightstream.schemas.wire.request import ImageRef


class FetchStage(Protocol):
    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage | NotModified:
        """Blocks. NotModified only where the image still is the one of `known_etag`. Raises Retryable or Rejected."""


class DecodeStage(Protocol):
    def decode(self, data: bytes) -> Pixels | Canvas:
        """Blocks. Raises Retryable or Rejected."""

    def release(self, pixels: Pixels | Canvas) -> None:
        """Called once for all that `decode` gave, when the engine is done with it."""

    def stop(self) -> None: ...
