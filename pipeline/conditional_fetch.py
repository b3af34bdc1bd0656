"""An image is not downloaded again where its answer is known."""

from __future__ import annotations

from sightstream.pipeline.cache.answer_cache import AnswerCache, CacheHit
from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.metrics import UNCHANGED
from sightstream.pipeline.stages import FetchStage
from sightstream.pipeline.types import FetchedImage
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.request import ImageRequest


def fetch_unless_known(fetcher: FetchStage, answers: AnswerCache, request: ImageRequest) -> FetchedImage | CacheHit:
    """Asks the store at any rate: whether the image has changed, and whether it may be seen. Blocks as both do.

    The answer is looked up first and kept in hand: asking for a change would be in vain without it.
    """
    expected = answers.expect(request)
    if expected is None:
        return fetch_in_full(fetcher, answers, request)
    fetched = fetcher.fetch(request.image, known_etag=expected.etag)
    if isinstance(fetched, FetchedImage):
        answers.remember(request.image, fetched)
        return fetched
    UNCHANGED.inc()
    return expected.found


def fetch_in_full(fetcher: FetchStage, answers: AnswerCache, request: ImageRequest) -> FetchedImage:
    """Whatever is known. Blocks; raises Retryable or Rejected."""
    fetched = fetcher.fetch(request.image)
    if not isinstance(fetched, FetchedImage):
        raise Retryable(Stage.FETCH, "the image was said to be unchanged, though nothing was known of it")
    answers.remember(request.image, fetched)
    return fetched
