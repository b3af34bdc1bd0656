"""Fetching the images of a request. An unchanged one whose answers are cached is not downloaded again."""

from __future__ import annotations

from collections.abc import Callable

from sightstream.pipeline.cache.answer_cache import AnswerCache
from sightstream.pipeline.conditions import why_skipped
from sightstream.pipeline.errors import Retryable
from sightstream.pipeline.in_flight import InFlightRequest
from sightstream.pipeline.metrics import UNCHANGED
from sightstream.pipeline.question_answer import check_answer
from sightstream.pipeline.several_images import about_image
from sightstream.pipeline.stages import FetchStage
from sightstream.pipeline.types import Answered, FetchedImage
from sightstream.schemas.wire.dead_letter import Stage
from sightstream.schemas.wire.question import Question
from sightstream.schemas.wire.request import ImageRef

# Learns which image was fetched, and how many bytes are held by then.
OnFetched = Callable[[ImageRef, int], None]


def fetch_unless_cached(
    fetcher: FetchStage, cache: AnswerCache, request: InFlightRequest, on_fetched: OnFetched
) -> tuple[FetchedImage, ...]:
    """Fetch the images one after the other; none where the only one has not changed and all answers are `known`.

    The store is asked in either case, since the image may have changed or access may have been revoked. A request whose
    questions others wait for always downloads: they need its bytes. Blocks. Raises Retryable or Rejected.
    """
    etag = None if request.has_joined else _etag_of_answered_image(cache, request)
    images: list[FetchedImage] = []
    for number, image in enumerate(request.request.all_images):
        request.image = image
        with about_image(request.request, number):
            fetched = fetcher.fetch(image, etag)
            if not isinstance(fetched, FetchedImage):
                _record_unchanged(etag)
                return ()
        cache.put_etag(image, fetched)
        images.append(fetched)
        on_fetched(image, sum(len(each.data) for each in images))
    return tuple(images)


def _record_unchanged(etag: str | None) -> None:
    if etag is None:
        raise Retryable(Stage.FETCH, "the store called the image unchanged, but no etag was sent to it")
    UNCHANGED.inc()


def _etag_of_answered_image(cache: AnswerCache, request: InFlightRequest) -> str | None:
    """Look the answers up before the store is asked: unless all are there, a conditional request is of no use."""
    known = None if len(request.request.all_images) > 1 else cache.known_etag(request.image)
    if known is None:
        return None
    request.identify((known.sha256,))
    answers = _cached_answers(cache, request)
    if answers is None:
        return None
    request.known = answers
    return known.etag


def _cached_answers(cache: AnswerCache, request: InFlightRequest) -> dict[str, Answered] | None:
    """Return the answers to all questions that are asked, None where one is missing."""
    found: dict[str, Answered] = {}
    for one in request.questions:
        if _is_asked(one.asked, request, found):
            answered = cache.get(one.key)
            if answered is None:
                return None
            found[one.asked.id] = answered
    return found


def _is_asked(question: Question, request: InFlightRequest, found: dict[str, Answered]) -> bool:
    """Return whether the question's condition holds, given the answers that were found to the earlier ones."""
    when = question.when
    if when is None:
        return True
    if when.question not in found:
        return False
    earlier = next(one.asked for one in request.questions if one.asked.id == when.question)
    return why_skipped(when, check_answer(earlier, found[when.question].completion, cached=True)) is None
