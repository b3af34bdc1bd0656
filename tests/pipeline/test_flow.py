"""The flow on real threads: one outcome per request, bounded, cancelled, stopped."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.engine.status import EngineStatus
from sightstream.pipeline.errors import Cancelled, Fatal, Rejected, Retryable
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.image_source import Body
from sightstream.pipeline.fetch.limiter import Limiters
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.stages import Server, ServerBusy, UnlimitedServer
from sightstream.pipeline.types import Canvas, Completion, EngineJob, FetchedImage, FinishedJob, Outcome, Pixels
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import ImageResult, ModelIdentity
from tests.pipeline.fetch.conftest import ManualClock
from tests.pipeline.samples import OneOrigin

TEXT = "<SUMMARY>s</SUMMARY><CAPTION>c</CAPTION><REASONING>r</REASONING><CONCLUSION>k\0</CONCLUSION>"


def request(number: int = 0, **changes: object) -> ImageRequest:
    fields: dict[str, object] = {
        "request_id": f"r{number}",
        "product_id": "p",
        "image": ImageRef(uri=f"https://user:secret@shop.example/{number}.jpg?token=secret"),
        "question": "what?",
        "submitted_at": datetime.now(UTC),
        "attributes": {"shelf": "7"},
    }
    return ImageRequest.model_validate(fields | changes)


class FakeFetcher(OneOrigin):
    """Returns 10 bytes, or raises the error set for the URL; waits at a gate that a test can close."""

    def __init__(self) -> None:
        self.errors: dict[str, Exception] = {}
        self.gate = threading.Event()
        self.gate.set()
        self.running = 0
        self.most_running = 0
        self.asked = 0

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage:
        self.asked += 1
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        self.gate.wait(30)
        self.running -= 1
        if image.uri in self.errors:
            raise self.errors[image.uri]
        return FetchedImage(b"0123456789", hashlib.sha256(image.uri.encode()).hexdigest())


class FakeDecoder:
    """Knows which pixels are not released yet."""

    def __init__(self) -> None:
        self.out: list[Pixels | Canvas] = []

    def decode(self, data: bytes, max_tiles: int | None = None) -> Pixels | Canvas:
        self.out.append(Pixels(bytes(300), 10, 10, "PNG"))
        return self.out[-1]

    def release(self, pixels: Pixels | Canvas) -> None:
        self.out.remove(pixels)

    def stop(self) -> None:
        pass


class FakeEngine:
    """Answers at once, unless `holding`."""

    identity = ModelIdentity(name="fake", quantization="none", engine="fake")

    def __init__(self) -> None:
        self.jobs: list[EngineJob] = []
        self.slots = 8
        self.cancelled: list[int] = []
        self.holding = False
        self.fatal: Fatal | None = None

    def submit(self, job: EngineJob) -> None:
        self.jobs.append(job)

    def finished(self, timeout: float) -> list[FinishedJob]:
        if self.fatal:
            raise self.fatal
        if self.holding or not self.jobs:
            time.sleep(0.01)
            return []
        jobs, self.jobs = self.jobs, []
        return [FinishedJob(job.id, Completion(TEXT, "stop", 3, 5)) for job in jobs]

    def cancel(self, job_id: int) -> None:
        self.cancelled.append(job_id)

    def capacity(self) -> int:
        return self.slots

    def running(self) -> int:
        return len(self.jobs)

    def stop(self) -> None:
        pass


class FlowHarness:
    """A flow between fakes."""

    def __init__(self, **settings: int) -> None:
        self.fetcher, self.decoder, self.engine = FakeFetcher(), FakeDecoder(), FakeEngine()
        engine: Engine = self.engine
        self.flow = Flow(FlowSettings.model_validate(settings), self.fetcher, self.decoder, engine)

    def collect(self, count: int) -> list[Outcome]:
        found: list[Outcome] = []
        deadline = time.monotonic() + 20
        while len(found) < count and time.monotonic() < deadline:
            found += self.flow.collect(0.1)
        assert len(found) == count
        return found


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def build() -> Iterator[Callable[..., FlowHarness]]:
    made: list[FlowHarness] = []

    def build(**settings: int) -> FlowHarness:
        made.append(FlowHarness(**settings))
        return made[-1]

    yield build
    for harness in made:
        harness.fetcher.gate.set()
        harness.flow.stop()


def test_a_request_becomes_a_result(build: Callable[..., FlowHarness]) -> None:
    harness = build()
    harness.flow.submit("ticket", request())
    (outcome,) = harness.collect(1)
    assert outcome.ticket == "ticket"
    result = outcome.result
    assert isinstance(result, ImageResult)
    assert result.complete
    assert (result.answer.conclusion, result.raw_text) == ("k", TEXT.replace("\0", ""))
    assert (result.image.uri, result.image.width) == ("https://shop.example/0.jpg", 10)
    assert result.attributes == {"shelf": "7"}
    assert result.seconds.total == pytest.approx(
        result.seconds.fetch + result.seconds.decode + result.seconds.infer, abs=0.001
    )
    assert "secret" not in result.model_dump_json()


def test_one_failure_leaves_its_neighbours_alone(build: Callable[..., FlowHarness]) -> None:
    harness = build()
    harness.fetcher.errors = {
        request(1).all_images[0].uri: Rejected(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "gone"),
        request(2).all_images[0].uri: Retryable(Stage.FETCH, "slow", "object store"),
        request(3).all_images[0].uri: ZeroDivisionError("a bug"),
    }
    harness.flow.submit(0, request(0))
    harness.collect(1)  # a known-good image, to tell the bug of one request from a broken stage
    for number in range(1, 5):
        harness.flow.submit(number, request(number))
    results = {outcome.ticket: outcome.result for outcome in harness.collect(4)}
    kinds = {number: type(result).__name__ for number, result in results.items()}
    assert kinds == {1: "Rejected", 2: "Retryable", 3: "Rejected", 4: "ImageResult"}
    assert isinstance(bug := results[3], Rejected)
    assert (bug.reason, bug.stage) == (Reason.INTERNAL_ERROR, Stage.FETCH)


def test_a_health_check_is_answered_by_decoder_and_engine_alone(build: Callable[..., FlowHarness]) -> None:
    harness = build()
    for number in range(3):
        harness.flow.submit_health_check(number)
    outcomes = harness.collect(3)
    assert {outcome.ticket for outcome in outcomes} == {0, 1, 2}
    assert all(isinstance(outcome.result, ImageResult) for outcome in outcomes)
    assert (harness.fetcher.asked, harness.decoder.out, harness.flow.held_bytes) == (0, [], 0)


def test_a_passed_deadline_is_rejected_before_any_work(build: Callable[..., FlowHarness]) -> None:
    harness = build()
    harness.flow.submit("late", request(deadline=datetime.now(UTC) - timedelta(seconds=1)))
    (outcome,) = harness.collect(1)
    assert isinstance(outcome.result, Rejected)
    assert outcome.result.reason is Reason.DEADLINE_EXCEEDED
    assert harness.fetcher.most_running == 0


class SlowHost(FakeFetcher):
    """Blocks fetches from the host `slow` at the gate, and names the host of each image as its server."""

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage:
        if "slow.example" in image.uri:
            return super().fetch(image, known_etag)
        return FetchedImage(b"0123456789", hashlib.sha256(image.uri.encode()).hexdigest())

    def server(self, image: ImageRef) -> Server:
        host = image.uri.split("/")[2]
        return UnlimitedServer(host, host)


def test_a_slow_host_holds_neither_the_threads_nor_the_places_of_the_others(
    build: Callable[..., FlowHarness],
) -> None:
    harness = build(prepare_threads=16, max_in_flight=16)
    slow = SlowHost()
    slow.gate.clear()
    harness.flow._fetcher = harness.fetcher = slow
    for number in range(40):
        harness.flow.submit(f"slow-{number}", request(number, image=ImageRef(uri=f"https://slow.example/{number}.jpg")))
    wait_until(lambda: slow.running == 12)
    wait_until(lambda: harness.flow.free_capacity == 16 - 12)
    assert harness.flow.held_back("slow.example") == 28
    for number in range(200):
        harness.flow.submit(number, request(number))
    assert {outcome.ticket for outcome in harness.collect(200)} == set(range(200))
    assert slow.most_running == 12, "all but a quarter"
    slow.gate.set()
    harness.collect(40)


class OneAtATime(OneOrigin):
    """A source with a real limiter that lets one fetch run at a time; the first waits at the gate."""

    kind = "http"

    def __init__(self) -> None:
        self.limiters = Limiters("http", FetchSettings())
        self.gate = threading.Event()
        self.reading = 0

    def server(self, image: ImageRef) -> Server:
        return self.limiters.get("shop.example", 1)

    def read(self, image: ImageRef, known_etag: str | None, deadline: Deadline) -> Body:
        with self.limiters.limit(self.limiters.get("shop.example", 1)):
            self.reading += 1
            deadline.remaining_s()
            self.gate.wait(30)
            return Body(image.uri.encode())


def test_waiting_for_a_limiter_is_neither_an_attempt_nor_time_of_the_fetch(build: Callable[..., FlowHarness]) -> None:
    clock, source, harness = ManualClock(), OneAtATime(), build()
    harness.flow._fetcher = Fetcher({"https": source}, FetchSettings(total_timeout_s=30), clock)
    for number in range(20):
        harness.flow.submit(number, request(number))
    wait_until(lambda: source.reading == 1)
    clock.now += 3600
    source.gate.set()
    results = [outcome.result for outcome in harness.collect(20)]
    assert all(isinstance(result, ImageResult) for result in results), results


def test_a_fetch_that_finds_its_server_full_is_queued_again(build: Callable[..., FlowHarness]) -> None:
    class Redirecting(FakeFetcher):
        """Leads to a server that is full when the first fetch comes."""

        def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage:
            if self.asked == 0:
                self.asked += 1
                raise ServerBusy(UnlimitedServer("elsewhere.example", "elsewhere.example"))
            return super().fetch(image, known_etag)

    harness = build()
    harness.flow._fetcher = harness.fetcher = Redirecting()
    harness.flow.submit("redirected", request())
    (outcome,) = harness.collect(1)
    assert isinstance(outcome.result, ImageResult)
    assert harness.fetcher.asked == 2


def test_free_capacity_falls_with_the_requests_in_flight(build: Callable[..., FlowHarness]) -> None:
    harness = build(max_in_flight=3, prepare_threads=2)
    harness.engine.holding = True
    assert harness.flow.free_capacity == 3
    for number in range(5):
        harness.flow.submit(number, request(number))
    assert harness.flow.free_capacity == 0
    harness.engine.holding = False
    harness.collect(5)
    assert harness.flow.free_capacity == 3
    assert harness.fetcher.most_running <= 2


class SupervisedFake(FakeEngine):
    """An engine of which somebody knows whether it answers rightly."""

    accepts_work = False

    def status(self) -> EngineStatus:
        return EngineStatus(True, self.identity, "a card", self.accepts_work, None, None)


def test_there_is_no_free_capacity_while_the_engine_is_not_known_to_answer_rightly() -> None:
    engine = SupervisedFake()
    flow = Flow(FlowSettings(max_in_flight=3), FakeFetcher(), FakeDecoder(), engine)
    for engine.accepts_work, capacity in ((False, 0), (True, 3), (False, 0)):
        assert flow.free_capacity == capacity
    assert flow.engine_status() == engine.status()
    assert flow.is_running
    flow.stop()
    assert not flow.is_running


def test_free_capacity_follows_the_capacity_that_the_engine_reports(build: Callable[..., FlowHarness]) -> None:
    harness = build(prepare_threads=4)
    harness.engine.holding = True
    assert harness.flow.free_capacity == 2 * 8 + 4
    harness.engine.slots = 200
    for number in range(30):
        harness.flow.submit(number, request(number))
    assert harness.flow.free_capacity == 2 * 200 + 4 - 30


def test_held_bytes_are_bounded(build: Callable[..., FlowHarness]) -> None:
    harness = build(max_bytes=1024**2, prepare_threads=1)
    harness.engine.holding = True
    harness.flow._budget.reserve(-1, 1024**2)
    harness.flow.submit("waits", request())
    assert harness.flow.free_capacity == 0
    assert harness.flow.collect(0.1) == []
    assert harness.fetcher.most_running == 0
    harness.flow._budget.release(-1)
    harness.engine.holding = False
    harness.collect(1)
    assert harness.flow.held_bytes == 0


def test_cancelled_requests_do_not_start(build: Callable[..., FlowHarness]) -> None:
    harness = build(prepare_threads=1)
    harness.fetcher.gate.clear()
    for number in range(4):
        harness.flow.submit(number, request(number))
    harness.flow.cancel({1, 2})
    harness.fetcher.gate.set()
    results = {outcome.ticket: outcome.result for outcome in harness.collect(4)}
    assert [n for n, result in sorted(results.items()) if isinstance(result, Cancelled)] == [1, 2]
    assert harness.decoder.out == []


def test_pixels_are_released_once_and_not_before_the_engine_is_done(build: Callable[..., FlowHarness]) -> None:
    harness = build()
    harness.engine.holding = True
    for number in range(5):
        harness.flow.submit(number, request(number))
    wait_until(lambda: len(harness.engine.jobs) == 5)
    assert len(harness.decoder.out) == 5
    harness.engine.holding = False
    harness.collect(5)
    assert harness.decoder.out == []


def test_pixels_that_come_too_late_are_released_too(
    build: Callable[..., FlowHarness], monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = build()

    def decode_slowly(data: bytes, max_tiles: int | None = None) -> Pixels | Canvas:
        harness.flow.cancel({"late"})
        return FakeDecoder.decode(harness.decoder, data)

    monkeypatch.setattr(harness.decoder, "decode", decode_slowly)
    harness.flow.submit("late", request())
    (outcome,) = harness.collect(1)
    assert isinstance(outcome.result, Cancelled)
    assert harness.decoder.out == []
    assert harness.engine.jobs == []


def test_a_dead_engine_is_fatal_at_every_call_after_the_finished_outcomes(build: Callable[..., FlowHarness]) -> None:
    harness = build()
    harness.flow.submit("done", request())
    harness.collect(1)
    harness.engine.fatal = Fatal("no more")
    for _ in range(2):
        with pytest.raises(Fatal, match="no more"):
            harness.collect(1)


def test_a_stop_waits_for_running_fetches_and_starts_no_more(build: Callable[..., FlowHarness]) -> None:
    harness = build(prepare_threads=1)
    harness.fetcher.gate.clear()
    for number in range(3):
        harness.flow.submit(number, request(number))
    wait_until(lambda: harness.fetcher.running == 1)
    stopping = threading.Thread(target=harness.flow.stop)
    stopping.start()
    wait_until(lambda: harness.flow._budget._closed)  # from here on no fetch begins
    assert stopping.is_alive()
    harness.fetcher.gate.set()
    stopping.join(20)
    assert not stopping.is_alive()
    assert not any(thread.is_alive() for thread in harness.flow._prepare_threads)
    assert harness.fetcher.asked == 1


def test_a_thread_that_fails_makes_the_flow_fatal_after_the_outcome_of_its_request(
    build: Callable[..., FlowHarness], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(job: EngineJob) -> None:
        raise Retryable(Stage.INFER, "down")

    def fail(pixels: Pixels | Canvas) -> None:
        raise KeyError("a bug")

    harness = build()
    monkeypatch.setattr(harness.engine, "submit", refuse)
    monkeypatch.setattr(harness.decoder, "release", fail)
    harness.flow.submit("ticket", request())
    assert [outcome.ticket for outcome in harness.collect(1)] == ["ticket"]
    with pytest.raises(Fatal, match="KeyError"):
        harness.flow.collect(20)
