"""The stages before the engine, as the flow uses them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.types import Canvas, FetchedImage, NotModified, Origin, Pixels
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest


class Server(Protocol):
    """What serves images: an object store, a host, a file root. Its values change while fetches run."""

    @property
    def name(self) -> str: ...

    @property
    def group(self) -> str:
        """Of the servers that get no more threads together than one alone; its own name where it is alone."""

    @property
    def limit(self) -> int:
        """How many fetches from it may run at once."""

    @property
    def has_capacity(self) -> bool:
        """Whether fewer than `limit` run now."""


@dataclass(frozen=True, slots=True)
class UnlimitedServer:
    """A server without a limit of its own, such as a local disk."""

    name: str
    group: str
    limit: int = 1_000_000
    has_capacity: bool = True


NO_SERVER = UnlimitedServer("", "")


class ServerBusy(Retryable):
    """No fetch was tried, since `server` runs as many as its limit allows. This is no attempt: queue it again."""

    def __init__(self, server: Server) -> None:
        super().__init__(Stage.FETCH, "as many fetches as its limit allows run at the server")
        self.server = server


class RequestCheck(Protocol):
    """The stage before the first: what can't be done is refused before anything is fetched."""

    def check(self, request: ImageRequest) -> None:
        """Raise Rejected for what the engine can't do, or no engine can. Blocks for milliseconds. Raises Retryable."""

    def stop(self) -> None:
        """End every child process."""


class NoCheck:
    """Refuses nothing."""

    def check(self, request: ImageRequest) -> None:
        pass

    def stop(self) -> None:
        pass


class FetchStage(Protocol):
    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage | NotModified:
        """Download an image; return NotModified only if it still has `known_etag`.

        Blocks for the download, and never for its turn. Raises Retryable, Rejected or ServerBusy.
        """

    def server(self, image: ImageRef) -> Server:
        """Return what serves the image, by its address alone. Never blocks, never raises."""

    def origin(self, image: ImageRef) -> Origin:
        """Return where the image comes from, by its address alone. Never blocks, never raises."""


class DecodeStage(Protocol):
    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels | Canvas:
        """Decode an image file, for an engine with tiles onto `max_tiles` at most; None: as many as the model has.

        Blocks. Raises Retryable or Rejected.
        """

    def release(self, pixels: Pixels | Canvas) -> None:
        """Give back what `decode` returned; called once for each, when the engine is done with it."""

    def stop(self) -> None:
        """End every child process."""
