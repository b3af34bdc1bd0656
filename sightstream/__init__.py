"""Ask a vision-language model about millions of images: Kafka in, exactly one structured answer out.

The names below are the public interface; each loads its module when it is first used, so that importing this package
costs nothing. The five packages beside this file are links to the folders at the top of the repository.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sightstream.producers.errors import DeliveryError, PublishError
    from sightstream.producers.publisher import ImagePublisher
    from sightstream.schemas.wire.request import ImageRef, ImageRequest
    from sightstream.schemas.wire.result import ImageResult

__all__ = ["DeliveryError", "ImagePublisher", "ImageRef", "ImageRequest", "ImageResult", "PublishError"]

_MODULES = {
    "DeliveryError": "sightstream.producers.errors",
    "ImagePublisher": "sightstream.producers.publisher",
    "ImageRef": "sightstream.schemas.wire.request",
    "ImageRequest": "sightstream.schemas.wire.request",
    "ImageResult": "sightstream.schemas.wire.result",
    "PublishError": "sightstream.producers.errors",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
