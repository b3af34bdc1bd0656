"""A cache built from settings, with real processes; and an engine whose model is not known yet."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from sightstream.pipeline.build import build_flow
from sightstream.pipeline.cache.answer_cache import AnswerCache
from sightstream.pipeline.cache.build import build_answer_cache
from sightstream.pipeline.cache.engine_identity import EngineIdentity
from sightstream.pipeline.cache.settings import CacheSettings
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Fatal
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.metrics import UNCHANGED
from sightstream.pipeline.settings import FlowSettings
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result import ImageResult, ModelIdentity
from tests.pipeline.flow_harness import FlowHarness, memory
from tests.pipeline.samples import MODEL, request, wait_until

if TYPE_CHECKING:
    from sightstream.infra.runtime.local import LocalRuntime

ENGINE = EngineSettings(kind="simulated", simulated_s=0.01)


@pytest.fixture
def photo(tmp_path: Path) -> str:
    Image.new("RGB", (20, 10), "red").save(tmp_path / "photo.png")
    return (tmp_path / "photo.png").as_uri()


def build(cache: CacheSettings | None, folder: Path) -> Flow:
    fetch = FetchSettings(file_roots=(folder,))
    return build_flow(FlowSettings(), fetch, S3Settings(), DecodeSettings(processes=1), ENGINE, cache)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Flow]:
    flow = build(CacheSettings(), tmp_path)
    wait_for_model(flow)
    yield flow
    flow.stop()


def wait_for_model(flow: Flow) -> None:
    """An answer is kept only once the cache has learned whose it is, on a thread of its own."""
    assert flow._engine.identity
    wait_until(lambda: flow._cache._model() is not None)


def ask(flow: Flow, asked: ImageRequest) -> ImageResult:
    flow.submit("t", asked)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for outcome in flow.collect(0.5):
            assert isinstance(outcome.result, ImageResult), outcome.result
            return outcome.result
    raise AssertionError("no answer")


def test_by_default_a_flow_keeps_answers(kept: Flow, photo: str) -> None:
    first, second = (ask(kept, request(number, photo)) for number in range(2))
    assert (first.cached, second.cached) == (False, True)
    assert second.answer == first.answer
    assert second.image == first.image


def test_without_a_cache_an_answer_is_computed_again(tmp_path: Path, photo: str) -> None:
    flow = build(CacheSettings(kind="none"), tmp_path)
    try:
        assert [ask(flow, request(number, photo)).cached for number in range(2)] == [False, False]
    finally:
        flow.stop()


@pytest.mark.real
def test_an_unchanged_object_is_not_downloaded_again(runtime: LocalRuntime, s3_client: Any, bucket: str) -> None:
    def put(colour: str) -> None:
        out = io.BytesIO()
        Image.new("RGB", (20, 10), colour).save(out, "PNG")
        s3_client.put_object(Bucket=bucket, Key="photo.png", Body=out.getvalue())

    s3 = runtime.s3_settings
    flow = build_flow(FlowSettings(), FetchSettings(), s3, DecodeSettings(processes=1), ENGINE, CacheSettings())
    unchanged = UNCHANGED._value.get()
    try:
        wait_for_model(flow)
        uri = f"s3://{bucket}/photo.png"
        put("red")
        first, second = (ask(flow, request(number, uri)) for number in range(2))
        assert UNCHANGED._value.get() == unchanged + 1
        assert (second.cached, second.image, second.answer) == (True, first.image, first.answer)
        put("blue")
        third = ask(flow, request(3, uri))
        assert not third.cached
        assert third.answer != first.answer
        assert UNCHANGED._value.get() == unchanged + 1
    finally:
        flow.stop()


class Loading:
    """An engine that reports its model later, or never."""

    def __init__(self) -> None:
        self.loaded = threading.Event()
        self.fatal: Fatal | None = None

    @property
    def identity(self) -> ModelIdentity:
        self.loaded.wait()
        if self.fatal:
            raise self.fatal
        return MODEL


def test_a_model_that_loads_blocks_nobody() -> None:
    engine = Loading()
    model = EngineIdentity(engine)
    assert model() is None
    engine.loaded.set()
    wait_until(model)
    assert model() == MODEL


def test_a_model_that_fails_to_load_is_never_known() -> None:
    engine = Loading()
    engine.fatal = Fatal("no")
    model = EngineIdentity(engine)
    engine.loaded.set()
    wait_until(lambda: "model-identity" not in {thread.name for thread in threading.enumerate()})
    assert model() is None


def test_with_an_unreadable_checkpoint_nothing_is_kept_and_the_flow_runs(tmp_path: Path) -> None:
    engine = Loading()
    engine.loaded.set()
    answers = build_answer_cache(
        memory(), CacheSettings(), DecodeSettings(), EngineSettings(checkpoint=tmp_path / "none"), engine
    )
    wait_until(answers._model)
    assert ask_twice(answers) == [False, False]


def ask_twice(answers: AnswerCache) -> list[bool]:
    harness = FlowHarness()
    harness.flow._cache = answers
    cached = []
    for number in range(2):
        harness.flow.submit("t", request(number))
        harness.run()
        for job in list(harness.engine.jobs.values()):
            harness.end(job)
        cached.append(harness.outcomes()["t"].cached)
    return cached
