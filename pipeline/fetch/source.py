"""What every kind of place offers to the fetcher."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.types import NotModified
from sightstream.schemas.wire.request import ImageRef

_STRONG = re.compile(r'"[\x21\x23-\x7e]{1,254}"')


@dataclass(frozen=True, slots=True)
class Body:
    """What was read; `etag` only where it is a strong one."""

    data: bytes
    etag: str | None = None


class Source(Protocol):
    """One kind of place. Thread safe."""

    kind: str  # of a closed set: a label of metrics

    def read(self, image: ImageRef, known_etag: str | None, limit: TimeLimit) -> Body | NotModified:
        """Blocks within `limit`. NotModified only when `known_etag` is given. Raises Transient or Rejected."""

    def dependency(self, image: ImageRef) -> str | None:
        """What this worker relies on to get it (`schemas.wire.uri.origin` names it); None for a foreign place."""


def strong_etag(etag: str | None) -> str | None:
    """`etag` if it promises the same bytes, and is safe to send back in a header."""
    return etag if etag and _STRONG.fullmatch(etag) else None
