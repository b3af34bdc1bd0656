"""Builds an `ImageRequest` from an item's fields; the same input always gives the same `request_id`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from pydantic import ValidationError

from sightstream.producers.errors import BadItem
from sightstream.producers.sources.item import Item
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.request_limits import encode_publishable
from sightstream.schemas.wire.unusable_request import UnusableRequest
from sightstream.schemas.wire.validation_message import explain

ID_CHARS = 32
_PENDING = "pending"


@dataclass(frozen=True, slots=True)
class EncodedRequest:
    """A request, and the bytes that go on the wire."""

    request: ImageRequest
    value: bytes


def build_request(item: Item, question: str | None, options: AnalysisOptions, now: datetime) -> ImageRequest:
    """Return the request; `question` and `options` fill in what the item lacks. Raises BadItem with the location."""
    return encode_request(item, question, options, now).request


def encode_request(item: Item, question: str | None, options: AnalysisOptions, now: datetime) -> EncodedRequest:
    """Return the request as build_request does, ready to be sent. Raises BadItem with the location."""
    request = _request(item, question, options, now)
    if "request_id" not in item.fields:
        request = request.model_copy(update={"request_id": request_identity(request)})
    try:
        return EncodedRequest(request, encode_publishable(request))
    except UnusableRequest as problem:
        raise BadItem(f"{item.location}: {problem}") from None


def _request(item: Item, question: str | None, options: AnalysisOptions, now: datetime) -> ImageRequest:
    if item.problem is not None:
        raise BadItem(f"{item.location}: {item.problem}")
    given = {"request_id": _PENDING, "submitted_at": now, **item.fields}
    if "questions" not in given:
        given.setdefault("question", question)
    try:
        given["options"] = {**options.model_dump(), **item.fields.get("options", {})}
        return ImageRequest.model_validate(given)
    except ValidationError as error:
        raise BadItem(f"{item.location}: {explain(error)}") from None
    except TypeError:
        raise BadItem(f"{item.location}: options is not an object") from None


def request_identity(request: ImageRequest) -> str:
    """Return 32 hex digits computed from the product, the images, the questions and all that decides the answers."""
    if request.schema_version != 1:
        return _identity_of_version_2(request)
    image = request.all_images[0]
    asked = [request.product_id, image.uri, image.version_id, image.sha256, request.question]
    text = json.dumps([*asked, request.options.model_dump()], sort_keys=True)
    return sha256(text.encode()).hexdigest()[:ID_CHARS]


def _identity_of_version_2(request: ImageRequest) -> str:
    """The order of keys inside a schema counts, as it decides the answer."""
    given = {"product_id", "image", "images", "question", "response_format", "reasoning", "questions"}
    text = request.model_dump_json(include={*given, "options", "detail"}, exclude_none=True, by_alias=True)
    return sha256(text.encode()).hexdigest()[:ID_CHARS]


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Move `uri`, `version_id` and `sha256` from the top level into `image`, as on the wire."""
    image = {name: flat[name] for name in ("uri", "version_id", "sha256") if name in flat}
    fields = {name: value for name, value in flat.items() if name not in image}
    if image and "image" in fields:
        raise ValueError("give either image or uri, not both")
    return {**fields, "image": image} if image else fields
