"""The flow answers repeated requests from the cache, and never with a wrong answer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sightstream.pipeline.cache.cached_answer import CachedAnswer
from sightstream.pipeline.cache.memory import MemoryCache
from sightstream.pipeline.errors import Cancelled, Rejected, Retryable
from sightstream.pipeline.metrics import STAGE_SECONDS, TOKENS
from sightstream.pipeline.types import FetchedImage, NotModified
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import ImageResult
from tests.pipeline.flow_harness import FlowHarness, memory
from tests.pipeline.samples import key, request


def ask(harness: FlowHarness, asked: ImageRequest, ticket: object = "t") -> None:
    harness.flow.submit(ticket, asked)
    harness.run()


def answered(harness: FlowHarness, asked: ImageRequest, text: str = "a mug") -> ImageResult:
    """Ask a question that no cached answer fits, and return the engine's result."""
    ask(harness, asked)
    harness.end(harness.job, text)
    result: ImageResult = harness.outcomes()["t"]
    assert not result.cached
    return result


def test_a_second_request_gets_the_answer_as_its_own() -> None:
    harness = FlowHarness(memory())
    first = answered(harness, request(1))
    other = request(2, "https://u:secret@elsewhere.example/x.png?token=secret", attributes={"own": "yes"})
    harness.pass_time(7)
    ask(harness, other)
    result = harness.outcomes()["t"]
    assert result.cached
    assert (result.request_id, result.product_id, result.attributes) == ("r2", "p2", {"own": "yes"})
    assert result.image.uri == "https://elsewhere.example/x.png"
    assert result.completed_at == harness.now
    same = {"answer", "raw_text", "finish_reason", "complete", "model", "tokens", "question"}
    assert result.model_dump(include=same) == first.model_dump(include=same)
    assert result.image.model_dump(exclude={"uri"}) == first.image.model_dump(exclude={"uri"})
    assert harness.decoder.decoded == 1
    assert (harness.flow.held_bytes, harness.flow.free_capacity, harness.decoder.out) == (0, 2 * 8 + 16, [])


def test_times_are_this_requests_own_and_only_real_stages_are_measured() -> None:
    harness = FlowHarness(memory())
    ask(harness, request(1))
    harness.pass_time(30)
    harness.end(harness.job)
    harness.outcomes()
    counted = measured()
    ask(harness, request(2))
    result = harness.outcomes()["t"]
    assert (result.seconds.decode, result.seconds.infer, result.seconds.total) == (0, 0, 0)
    assert measured() == counted


def measured() -> tuple[float, float]:
    """Return how many inferences and how many tokens were counted."""
    inferences = sum(bucket.get() for bucket in STAGE_SECONDS.labels("infer")._buckets)
    return inferences, TOKENS.labels("completion")._value.get()


@pytest.mark.parametrize(
    "change",
    [
        {"question": "what? "},
        {"options": AnalysisOptions(max_tokens=9)},
        {"options": AnalysisOptions(temperature=0.5, seed=1)},
    ],
)
def test_another_question_is_another_answer(change: dict[str, object]) -> None:
    harness = FlowHarness(memory())
    answered(harness, request(1))
    answered(harness, request(2, **change), "a jug")
    ask(harness, request(3))
    assert harness.outcomes()["t"].answer.conclusion == "a mug"


def test_another_image_at_the_same_url_is_another_answer() -> None:
    harness = FlowHarness(memory())
    answered(harness, request(1))
    harness.store.contents[request().all_images[0].uri] = b"another"
    assert answered(harness, request(2), "a jug").answer.conclusion == "a jug"


def test_another_model_is_another_answer() -> None:
    harness = FlowHarness(memory())
    answered(harness, request(1))
    harness.model = harness.engine.identity = harness.engine.identity.model_copy(update={"weights_sha256": key()})
    answered(harness, request(2), "a jug")


def test_before_the_model_is_known_nothing_is_looked_up_and_all_answers_are_kept() -> None:
    harness = FlowHarness(memory())
    harness.model = None
    answered(harness, request(1))
    answered(harness, request(2))
    harness.model = harness.engine.identity
    ask(harness, request(3))
    assert harness.outcomes()["t"].cached


def test_random_sampling_is_never_cached_or_coalesced() -> None:
    harness = FlowHarness(memory())
    by_chance = AnalysisOptions(temperature=0.5)
    for number in range(3):
        answered(harness, request(number, options=by_chance))
    for number in range(3):
        harness.flow.submit(number, request(number, options=by_chance))
    harness.run()
    assert len(harness.engine.jobs) == 3
    for number in range(2):
        repeatable = request(number, options=AnalysisOptions(temperature=0.5, seed=3))
        ask(harness, repeatable, f"seed {number}")
        if number == 0:
            harness.end(list(harness.engine.jobs.values())[-1])
    assert harness.outcomes()["seed 1"].cached


@pytest.mark.parametrize(
    "error",
    [
        Rejected(Reason.DEADLINE_EXCEEDED, Stage.INFER, "late"),
        Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "refused"),
        Retryable(Stage.INFER, "down"),
        Cancelled("cancelled"),
    ],
)
def test_errors_are_not_kept(error: Rejected | Retryable | Cancelled) -> None:
    harness = FlowHarness(memory())
    ask(harness, request(1))
    harness.end(harness.job, error)
    assert type(harness.outcomes()["t"]) is type(error)
    answered(harness, request(2))


def test_a_cached_answer_is_not_given_after_the_deadline_or_a_cancellation() -> None:
    harness = FlowHarness(memory())
    answered(harness, request(1))
    harness.flow.submit("late", request(2, deadline=harness.now - timedelta(seconds=1)))
    harness.flow.submit("gone", request(3))
    harness.flow.cancel({"gone"})
    harness.run()
    outcomes = harness.outcomes()
    assert outcomes["late"].reason is Reason.DEADLINE_EXCEEDED
    assert isinstance(outcomes["gone"], Cancelled)


def test_the_text_is_parsed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = FlowHarness(memory())
    answered(harness, request(1), "a mug")
    from sightstream.pipeline import question_answer
    from sightstream.pipeline.answer import ParsedAnswer
    from sightstream.schemas.wire.result import Answer

    monkeypatch.setattr(
        question_answer, "parse", lambda text: ParsedAnswer(Answer(conclusion="better"), complete=False)
    )
    ask(harness, request(2))
    result = harness.outcomes()["t"]
    assert (result.answer.conclusion, result.complete) == ("better", False)


# --- images that are not downloaded again -----------------------------------------------------------------


def test_an_unchanged_image_with_a_known_answer_is_not_downloaded() -> None:
    harness = FlowHarness(memory())
    first = answered(harness, request(1))
    ask(harness, request(2))
    result = harness.outcomes()["t"]
    assert result.cached
    assert result.image == first.image
    assert harness.store.downloads == 1
    assert [etag is None for _, etag in harness.store.asked] == [True, False]


def test_without_a_cached_answer_the_fetch_is_not_conditional() -> None:
    harness = FlowHarness(memory())
    answered(harness, request(1))
    answered(harness, request(2, question="why?"))
    assert [etag for _, etag in harness.store.asked] == [None, None]


def test_a_changed_image_is_answered_anew_and_its_new_etag_remembered() -> None:
    harness = FlowHarness(memory())
    answered(harness, request(1))
    harness.store.contents[request().all_images[0].uri] = b"another"
    answered(harness, request(2), "a jug")
    ask(harness, request(3))
    assert harness.outcomes()["t"].answer.conclusion == "a jug"
    assert harness.store.downloads == 2


def test_from_a_store_without_etags_everything_is_downloaded() -> None:
    harness = FlowHarness(memory())
    harness.store.has_etags = False
    answered(harness, request(1))
    ask(harness, request(2))
    assert harness.outcomes()["t"].cached
    assert harness.store.asked == [(request().all_images[0].uri, None)] * 2


def test_a_declared_digest_is_compared_with_the_remembered_one() -> None:
    harness = FlowHarness(memory())
    sha256 = answered(harness, request(1)).image.sha256
    uri = request().all_images[0].uri
    ask(harness, request(2, image=ImageRef(uri=uri, sha256=sha256)))
    assert harness.outcomes()["t"].cached
    ask(harness, request(3, image=ImageRef(uri=uri, sha256=key("another"))))
    assert [etag is None for _, etag in harness.store.asked] == [
        True,
        False,
        True,
    ]  # the last: the fetcher decides


def test_versions_and_signatures_have_etags_of_their_own() -> None:
    harness = FlowHarness(memory())
    answered(harness, request(1))
    ask(harness, request(2, image=ImageRef(uri=request().all_images[0].uri, version_id="v")))
    ask(harness, request(3, f"{request().all_images[0].uri}?X-Amz-Signature=other"))
    assert [etag for _, etag in harness.store.asked] == [None, None, None]


def test_revoked_access_is_rejected_even_if_the_answer_is_cached() -> None:
    harness = FlowHarness(memory())
    answered(harness, request(1))
    harness.store.errors[request().all_images[0].uri] = Rejected(Reason.ACCESS_DENIED, Stage.FETCH, "no")
    ask(harness, request(2))
    assert harness.outcomes()["t"].reason is Reason.ACCESS_DENIED


class Forgetful(MemoryCache):
    """Forgets an answer as soon as it was read."""

    def get(self, key: str) -> CachedAnswer | None:
        answer = super().get(key)
        self._entries.clear()
        self._bytes = 0
        return answer


def test_an_answer_that_expires_during_the_fetch_is_still_given() -> None:
    harness = FlowHarness(Forgetful(10, 10**6, 1000))
    ask(harness, request(1))
    harness.end(harness.job)
    harness.outcomes()
    ask(harness, request(2))
    assert harness.outcomes()["t"].cached
    answered(harness, request(3))
    assert harness.store.downloads == 2


def test_a_store_that_calls_an_unknown_image_unchanged_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    harness = FlowHarness(memory())

    def unchanged(image: ImageRef, known_etag: str | None = None) -> FetchedImage | NotModified:
        return NotModified()

    monkeypatch.setattr(harness.store, "fetch", unchanged)
    ask(harness, request(1))
    assert isinstance(harness.outcomes()["t"], Retryable)


def test_with_no_cache_every_request_is_computed() -> None:
    harness = FlowHarness(None)
    for number in range(3):
        answered(harness, request(number))
    assert harness.store.downloads == 3
