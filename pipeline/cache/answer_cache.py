"""What is known already: answers by what was asked of which content, contents by their addresses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.cache.etags import EtagMemory
from sightstream.pipeline.cache.key import answer_key, question_key
from sightstream.pipeline.cache.protocol import NoCache, ResultCache
from sightstream.pipeline.metrics import CACHE_LOOKUPS
from sightstream.pipeline.types import FetchedImage
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import ImageResult, ModelIdentity


@dataclass(frozen=True, slots=True)
class CacheHit:
    """An answer, the content that it is about, and the model that gave it."""

    answer: CachedAnswer
    sha256: str
    model: ModelIdentity


@dataclass(frozen=True, slots=True)
class ConditionalHit:
    """If the image still is the one that the store calls `etag`, this is the answer."""

    etag: str
    found: CacheHit


class AnswerCache:
    """Thread safe, raises nothing. `model` says whose answers are wanted, None while that is unknown.

    `recipe` is what else of the engine decides the text; without one nothing is kept.
    """

    def __init__(
        self, cache: ResultCache, model: Callable[[], ModelIdentity | None], recipe: str | None, etags: EtagMemory
    ) -> None:
        self._cache, self._model, self._recipe, self._etags = cache, model, recipe, etags

    def find(self, request: ImageRequest, sha256: str) -> CacheHit | None:
        """Blocks for the cache's time limit at most."""
        model = self._model()
        key = self._key(request, sha256, model)
        if key is None or model is None:
            CACHE_LOOKUPS.labels("skipped").inc()
            return None
        answer = self._cache.get(key)
        return None if answer is None else CacheHit(answer, sha256, model)

    def keep(self, request: ImageRequest, result: ImageResult) -> None:
        """Only for what the engine said itself. Never blocks."""
        key = self._key(request, result.image.sha256, result.model)
        if key is not None:
            self._cache.put(key, CachedAnswer.of(result))

    def expect(self, request: ImageRequest) -> ConditionalHit | None:
        """The answer about what was last seen at the address, where there is one. Blocks as `find` does."""
        image = request.image
        remembered = None if self._recipe is None else self._etags.recall(image)
        if remembered is None or image.sha256 not in (None, remembered.sha256):
            return None
        found = self.find(request, remembered.sha256)
        return None if found is None else ConditionalHit(remembered.etag, found)

    def remember(self, image: ImageRef, fetched: FetchedImage) -> None:
        if self._recipe is not None:  # else it would never be asked for
            self._etags.remember(image, fetched)

    def close(self) -> None:
        self._cache.close()

    def _key(self, request: ImageRequest, sha256: str, model: ModelIdentity | None) -> str | None:
        if model is None or self._recipe is None:
            return None
        question = question_key(sha256, request.question, request.options)
        return None if question is None else answer_key(question, model, self._recipe)


def no_answers() -> AnswerCache:
    """Knows nothing, ever."""
    return AnswerCache(NoCache(), lambda: None, None, EtagMemory(1))
