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
    from sightstream.schemas.wire.options import AnalysisOptions
    from sightstream.schemas.wire.question import Condition, Question
    from sightstream.schemas.wire.request import ImageRef, ImageRequest
    from sightstream.schemas.wire.response_format import ChoiceFormat, JsonSchema, JsonSchemaFormat, SectionsFormat
    from sightstream.schemas.wire.result import ImageResult
    from sightstream.schemas.wire.result_v2 import ImageResultV2

__all__ = [
    "AnalysisOptions",
    "ChoiceFormat",
    "Condition",
    "DeliveryError",
    "ImagePublisher",
    "ImageRef",
    "ImageRequest",
    "ImageResult",
    "ImageResultV2",
    "JsonSchema",
    "JsonSchemaFormat",
    "PublishError",
    "Question",
    "SectionsFormat",
]

_MODULES = {
    "AnalysisOptions": "sightstream.schemas.wire.options",
    "ChoiceFormat": "sightstream.schemas.wire.response_format",
    "Condition": "sightstream.schemas.wire.question",
    "DeliveryError": "sightstream.producers.errors",
    "ImagePublisher": "sightstream.producers.publisher",
    "ImageRef": "sightstream.schemas.wire.request",
    "ImageRequest": "sightstream.schemas.wire.request",
    "ImageResult": "sightstream.schemas.wire.result",
    "ImageResultV2": "sightstream.schemas.wire.result_v2",
    "JsonSchema": "sightstream.schemas.wire.response_format",
    "JsonSchemaFormat": "sightstream.schemas.wire.response_format",
    "PublishError": "sightstream.producers.errors",
    "Question": "sightstream.schemas.wire.question",
    "SectionsFormat": "sightstream.schemas.wire.response_format",
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
