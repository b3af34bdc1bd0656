"""Fetching with If-None-Match: an unchanged image whose answer is cached is not downloaded again."""

from __future__ import annotations

from dataclasses import dataclass

from sightstream.pipeline.cache.answer_cache import AnswerCache, CacheHit
from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.in_flight import InFlightRequest
from sightstream.pipeline.metrics import UNCHANGED
from sightstream.pipeline.stages import FetchStage
from sightstream.pipeline.types import FetchedImage
from sightstream.schemas.wire.dead_letter import Stage


@dataclass(frozen=True, slots=True)
class ConditionalHit:
    """The cached answer for the image, provided that the store still calls the image `etag`."""

    etag: str
    hit: CacheHit


def fetch_unless_cached(fetcher: FetchStage, cache: AnswerCache, request: InFlightRequest) -> FetchedImage | CacheHit:
    """Fetch the image, or return the cached answer if the store says that the image has not changed.

    The store is asked in either case, since the image may have changed or access may have been revoked. A request that
    others wait for always downloads: they need its bytes. Blocks. Raises Retryable or Rejected.
    """
    image = request.request.all_images[0]
    expected = None if request.promoted else _conditional_hit(cache, request)
    fetched = fetcher.fetch(image, expected.etag if expected else None)
    if isinstance(fetched, FetchedImage):
        cache.put_etag(image, fetched)
        request.receive(fetched)
        return fetched
    if expected is None:
        raise Retryable(Stage.FETCH, "the store called the image unchanged, but no etag was sent to it")
    UNCHANGED.inc()
    return expected.hit


def _conditional_hit(cache: AnswerCache, request: InFlightRequest) -> ConditionalHit | None:
    """Get the answer before the store is asked: without one, a conditional request is of no use."""
    known = cache.known_etag(request.request.all_images[0])
    if known is None:
        return None
    request.identify(known.sha256)
    hit = cache.get(request.question_key, known.sha256)
    return None if hit is None else ConditionalHit(known.etag, hit)
