"""Draws the demo's images with known labels and questions, and a handful of broken files among them."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from sightstream.infra.lab.demo_model.answers import FAMILIES
from sightstream.infra.lab.demo_model.pictures import Labels, draw, sample_spec
from sightstream.infra.lab.demo_model.questions import clean_question
from sightstream.producers.tasks.read import find_task
from sightstream.producers.tasks.request import request_from
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRef, ImageRequest

IMAGES_PER_PRODUCT = 3
MAX_TOKENS = 160
SECTIONS_EVERY = 4  # images; the others are asked the task product-basics
# The demo's workers refuse larger files, so that one of a few megabytes is enough to show it.
MAX_IMAGE_BYTES = 2 * 1024**2


@dataclass(frozen=True, slots=True)
class ShopImage:
    """An image: `body` is the object at `key` (None: there is none), `labels` are the truth (None if it is broken)."""

    key: str
    body: bytes | None
    labels: Labels | None
    request: ImageRequest


def shop_images(seed: int, count: int, bucket: str) -> Iterator[ShopImage]:
    """Yield `count` images with the broken ones among them; the same seed gives the same order."""
    rng = random.Random(seed)  # noqa: S311 - drawn again from the same seed
    broken = _broken(rng)
    broken_after = dict(zip(sorted(rng.sample(range(count), min(count, len(broken)))), broken, strict=False))
    for number in range(count):
        yield _image(rng, number, bucket)
        if number in broken_after:
            name, body = broken_after[number]
            yield ShopImage(name, body, None, _request(f"broken-{name}", "broken", _uri(bucket, name), "What is it?"))


def _image(rng: random.Random, number: int, bucket: str) -> ShopImage:
    spec = sample_spec(rng, "test")
    key = f"photos/{number:04}.jpg"
    out = io.BytesIO()
    draw(spec).save(out, "JPEG", quality=rng.randint(70, 95))
    product = f"sku-{number // IMAGES_PER_PRODUCT:04}"
    question = clean_question(rng, FAMILIES[number % len(FAMILIES)], "test")
    request = _request(f"photo-{number:04}", product, _uri(bucket, key), question)
    if number % SECTIONS_EVERY:
        request = _task_request(request)
    return ShopImage(key, out.getvalue(), spec.labels, request)


def _task_request(request: ImageRequest) -> ImageRequest:
    """Ask for the attributes of product-basics in place of the question."""
    return request_from(
        find_task("product-basics"),
        request_id=request.request_id,
        product_id=request.product_id,
        images=request.all_images,
    )


def _broken(rng: random.Random) -> list[tuple[str, bytes | None]]:
    out = io.BytesIO()
    draw(sample_spec(rng, "seen")).save(out, "JPEG")
    whole = out.getvalue()
    return [
        ("truncated.jpg", whole[: len(whole) // 3]),
        ("not-an-image.jpg", b"<html>moved</html>"),
        ("missing.jpg", None),
        ("too-large.jpg", whole + bytes(MAX_IMAGE_BYTES)),
        ("empty.jpg", b""),
    ]


def _request(request_id: str, product_id: str, uri: str, question: str) -> ImageRequest:
    return ImageRequest(
        request_id=request_id,
        product_id=product_id,
        image=ImageRef(uri=uri),
        question=question,
        options=AnalysisOptions(max_tokens=MAX_TOKENS),
        submitted_at=datetime.now(UTC),
    )


def _uri(bucket: str, key: str) -> str:
    return f"s3://{bucket}/{key}"
