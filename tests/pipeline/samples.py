"""Answers, requests and a clock for the tests of the flow and the cache."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from datetime import UTC, datetime

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.stages import Server, UnlimitedServer
from sightstream.pipeline.types import Origin
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import ModelIdentity

MODEL = ModelIdentity(name="fake", quantization="none", engine="fake")


def key(name: object = 0) -> str:
    return hashlib.sha256(str(name).encode()).hexdigest()


def answer(text: str = "<CONCLUSION>a mug</CONCLUSION>", **changes: object) -> CachedAnswer:
    fields: dict[str, object] = {
        "text": text,
        "finish_reason": "stop",
        "prompt_tokens": 3,
        "completion_tokens": 5,
        "images": ({"bytes": 10, "format": "PNG", "width": 7, "height": 9},),
    }
    return CachedAnswer.model_validate(fields | changes)


def request(number: int = 0, uri: str = "https://shop.example/0.jpg", /, **changes: object) -> ImageRequest:
    fields: dict[str, object] = {
        "request_id": f"r{number}",
        "product_id": f"p{number}",
        "image": ImageRef(uri=uri),
        "question": "what?",
        "submitted_at": datetime.now(UTC),
        "attributes": {"number": str(number)},
    }
    return ImageRequest.model_validate(fields | changes)


class OneOrigin:
    """The part of a fake fetcher that says where images come from: all from one foreign host."""

    def origin(self, image: ImageRef) -> Origin:
        return Origin("shop.example", "other", is_dependency=False, server="shop.example")

    def server(self, image: ImageRef) -> Server:
        return UnlimitedServer("shop.example", "shop.example")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def wait_until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.002)
