"""The interface of an image source, which the fetcher calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.stages import Server
from sightstream.pipeline.types import NotModified, Origin
from sightstream.schemas.wire.request import ImageRef

# Of an address that leads nowhere: it will be rejected.
NO_ORIGIN = Origin("", "other", is_dependency=False)

_STRONG = re.compile(r'"[\x21\x23-\x7e]{1,254}"')


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of an image as its source holds them; `etag` is set only when it is a strong one."""

    data: bytes
    etag: str | None = None


class ImageSource(Protocol):
    """Reads images of one or more URL schemes. Thread safe."""

    kind: str  # of a closed set: a label of metrics

    def read(self, image: ImageRef, known_etag: str | None, deadline: Deadline) -> Body | NotModified:
        """Read the image, or return NotModified when the source still names it `known_etag`.

        Blocks until `deadline` at most. Raises TransientError or Rejected.
        """

    def server(self, image: ImageRef) -> Server:
        """Return what serves the image, by its address alone. Never blocks, never raises."""

    def origin(self, image: ImageRef) -> Origin:
        """Return where the image comes from, by its address alone. Never blocks, never raises."""


def strong_etag(etag: str | None) -> str | None:
    """Return `etag` if it promises identical bytes and is safe to send in a header, else None."""
    return etag if etag and _STRONG.fullmatch(etag) else None
