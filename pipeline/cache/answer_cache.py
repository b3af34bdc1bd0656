"""Cached answers by (images, question, format, options), and image hashes by URL."""

from __future__ import annotations

from collections.abc import Callable

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.cache.etags import EtagMemory, KnownEtag
from sightstream.pipeline.cache.key import answer_key
from sightstream.pipeline.cache.protocol import NoCache, ResultCache
from sightstream.pipeline.metrics import CACHE_LOOKUPS
from sightstream.pipeline.types import Answered, FetchedImage
from sightstream.schemas.wire.request import ImageRef
from sightstream.schemas.wire.result import ModelIdentity


class AnswerCache:
    """Thread safe, raises nothing. `model` returns whose answers are wanted, None while that is unknown.

    `text_fingerprint` is a digest of what decides the text beside the model; without one nothing is kept.
    """

    def __init__(
        self,
        cache: ResultCache,
        model: Callable[[], ModelIdentity | None],
        text_fingerprint: str | None,
        etags: EtagMemory,
    ) -> None:
        self._cache, self._model, self._text_fingerprint, self._etags = cache, model, text_fingerprint, etags

    def get(self, question_key: str | None) -> Answered | None:
        """Return the answer to a question about known images. Blocks for the cache's time limit at most."""
        model = self._model()
        key = self._key(question_key, model)
        if key is None or model is None:
            CACHE_LOOKUPS.labels("skipped").inc()
            return None
        answer = self._cache.get(key)
        return None if answer is None else answer.to_answered(model)

    def put(self, question_key: str | None, answered: Answered) -> None:
        """Keep an answer that the engine itself gave. Never blocks."""
        key = self._key(question_key, answered.model)
        if key is not None:
            self._cache.put(key, CachedAnswer.of(answered))

    def known_etag(self, image: ImageRef) -> KnownEtag | None:
        """Return the etag that this URL had last, unless the request declares another content."""
        known = None if self._text_fingerprint is None else self._etags.get(image)
        return None if known is None or image.sha256 not in (None, known.sha256) else known

    def put_etag(self, image: ImageRef, fetched: FetchedImage) -> None:
        if self._text_fingerprint is not None:  # otherwise nobody would ask for it
            self._etags.put(image, fetched)

    def close(self) -> None:
        self._cache.close()

    def _key(self, question_key: str | None, model: ModelIdentity | None) -> str | None:
        if question_key is None or model is None or self._text_fingerprint is None:
            return None
        return answer_key(question_key, model, self._text_fingerprint)


def disabled_cache() -> AnswerCache:
    """Return a cache that keeps nothing."""
    return AnswerCache(NoCache(), lambda: None, None, EtagMemory(1))
