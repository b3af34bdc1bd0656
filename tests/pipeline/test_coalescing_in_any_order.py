"""Requests are submitted, cancelled, late, answered, failed and handed over, and images change, in any order."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from datetime import timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from sightstream.pipeline.errors import Cancelled, PipelineError, Rejected, Retryable
from sightstream.pipeline.flow import Flow
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.types import Completion, EngineJob, FetchedImage, FinishedJob, NotModified
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result import ImageResult
from tests.pipeline import flow_harness
from tests.pipeline.flow_harness import FlowHarness, memory
from tests.pipeline.samples import request

URIS = ("s3://shop/a", "s3://shop/b")
QUESTIONS = ("what?", "why?")
CONTENTS = (b"one", b"two", b"three")
INFER_ERRORS = (
    Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "refused"),
    Rejected(Reason.DEADLINE_EXCEEDED, Stage.INFER, "late"),
    Retryable(Stage.INFER, "down", "engine"),
    Cancelled("cancelled"),
)
FETCH_ERRORS = (Rejected(Reason.IMAGE_NOT_FOUND, Stage.FETCH, "gone"), Retryable(Stage.FETCH, "slow"))
DECODE_ERRORS = (Rejected(Reason.IMAGE_CORRUPT, Stage.DECODE, "broken"), Retryable(Stage.DECODE, "slow"))
BY_CHANCE = AnalysisOptions(temperature=1.0)


class Machine(RuleBasedStateMachine):
    """Runs the steps of threads in any order, so that every interleaving of whole steps can occur."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[int, ImageRequest] = {}
        self.cancelled: set[int] = set()
        self.ended: dict[int, Any] = {}
        self.contents_seen: dict[int, set[str]] = {}
        self.stopped = False

    @initialize(keeps=st.booleans())
    def build(self, keeps: bool) -> None:
        self.harness = FlowHarness(memory() if keeps else None)
        self.harness.store.contents = dict.fromkeys(URIS, CONTENTS[0])

    # --- the steps ----------------------------------------------------------------------------------------

    @rule(
        uri=st.sampled_from(URIS),
        question=st.sampled_from(QUESTIONS),
        deadline_s=st.none() | st.integers(0, 20),
        by_chance=st.integers(0, 9).map(lambda n: n == 0),
    )
    def submit(self, uri: str, question: str, deadline_s: int | None, by_chance: bool) -> None:
        number = len(self.requests)
        changes: dict[str, object] = {"question": question}
        if deadline_s is not None:
            changes["deadline"] = self.harness.now + timedelta(seconds=deadline_s)
        if by_chance:
            changes["options"] = BY_CHANCE
        self.requests[number] = request(number, uri, **changes)
        self.contents_seen[number] = {_sha256(self.harness.store.contents[uri])}
        self.harness.flow.submit(number, self.requests[number])

    @precondition(lambda self: self.harness.hand.tasks)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        tasks = self.harness.hand.tasks
        index = data.draw(st.integers(0, len(tasks) - 1))
        task = tasks[index]
        del tasks[index]
        task()

    @precondition(lambda self: self.harness.engine.jobs)
    @rule(data=st.data(), error=st.none() | st.sampled_from(INFER_ERRORS))
    def end(self, data: st.DataObject, error: PipelineError | None) -> None:
        job = data.draw(st.sampled_from(list(self.harness.engine.jobs.values())))
        late = {n for n in self._waiting() if self._is_late(n)}
        followers = self._followers(job.id)
        self._end(job, error)
        self._collect()
        assert late & followers <= self.ended.keys(), "a passed deadline ends with the leader at the latest"
        if error is None:
            assert followers <= self.ended.keys()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        tickets = data.draw(st.sets(st.sampled_from(range(len(self.requests))), max_size=3)) if self.requests else set()
        waited = tickets & self._waiting()
        self.harness.flow.cancel(set(tickets))
        self.cancelled |= tickets - self.ended.keys()
        self._collect()
        assert all(isinstance(self.ended[number], Cancelled) for number in waited), "ends soon"

    @rule(seconds=st.integers(1, 15))
    def pass_time(self, seconds: int) -> None:
        self.harness.pass_time(seconds)

    @rule(uri=st.sampled_from(URIS), content=st.sampled_from(CONTENTS))
    def change(self, uri: str, content: bytes) -> None:
        self.harness.store.contents[uri] = content
        for number in self.requests.keys() - self.ended.keys():
            if self.requests[number].all_images[0].uri == uri:
                self.contents_seen[number].add(_sha256(content))

    @rule(uri=st.sampled_from(URIS), error=st.none() | st.sampled_from(FETCH_ERRORS))
    def break_store(self, uri: str, error: PipelineError | None) -> None:
        self.harness.store.errors.pop(uri, None)
        if error:
            self.harness.store.errors[uri] = error

    @rule(error=st.none() | st.sampled_from(DECODE_ERRORS))
    def break_decoder(self, error: PipelineError | None) -> None:
        self.harness.decoder.error = error

    @rule(really=st.integers(0, 100).map(lambda n: n == 17))
    def stop(self, really: bool) -> None:
        if really and not self.stopped:
            self.harness.flow.stop()
            self.stopped = True

    # --- the invariants -----------------------------------------------------------------------------------

    @invariant()
    def waiters_hold_nothing(self) -> None:
        jobs = self.harness.engine.jobs.values()
        assert self.harness.flow.held_bytes == sum(len(job.pixels.rgb) for job in jobs)
        assert len(self.harness.decoder.out) == len(jobs)

    @invariant()
    def equal_requests_are_computed_once(self) -> None:
        jobs = [job for job in self.harness.engine.jobs.values() if job.options != BY_CHANCE]
        assert len({(job.image_key, job.question) for job in jobs}) == len(jobs)

    @invariant()
    def each_is_in_flight_or_has_ended_once(self) -> None:
        self._collect()
        assert len(self.requests) == len(self.ended) + len(self.harness.flow._in_flight)

    def teardown(self) -> None:
        """Every request ends if nothing more happens; after a stop, some are dropped."""
        self.harness.store.errors.clear()
        self.harness.decoder.error = None
        for _ in range(10 * len(self.requests) + 10):
            self.harness.run()
            for job in list(self.harness.engine.jobs.values()):
                self._end(job, None)
        self._collect()
        assert (self.harness.flow.held_bytes, self.harness.decoder.out) == (0, [])
        if self.stopped:
            return
        assert self.ended.keys() == self.requests.keys()
        flights = self.harness.flow._single_flight
        assert (flights._flights, flights._led, flights._awaited) == ({}, {}, {})

    # --- the observations ---------------------------------------------------------------------------------

    def _end(self, job: EngineJob, error: PipelineError | None) -> None:
        text = f"{job.image_key} {job.question} {'by chance' if job.options == BY_CHANCE else ''}"
        self.harness.end(job, error or text)

    def _collect(self) -> None:
        for number, outcome in self.harness.outcomes().items():
            assert number not in self.ended, "ended twice"
            self.ended[number] = outcome
            self._check(number, outcome)

    def _check(self, number: int, outcome: ImageResult | PipelineError) -> None:
        asked = self.requests[number]
        if isinstance(outcome, Cancelled):
            assert number in self.cancelled or str(outcome) == "cancelled"
        if isinstance(outcome, ImageResult):
            chance = "by chance" if asked.options == BY_CHANCE else ""
            assert outcome.answer.conclusion == f"{outcome.image.sha256} {asked.question} {chance}".strip()
            assert outcome.image.sha256 in self.contents_seen[number], "the content of another URL or time"
            assert (outcome.request_id, outcome.image.uri) == (asked.request_id, asked.all_images[0].uri)
            assert not (outcome.cached and (chance or self._is_late(number))), "chance is its own, and late is late"

    def _waiting(self) -> set[int]:
        return set(self.harness.flow._single_flight._awaited)

    def _followers(self, leader: int) -> set[int]:
        flights = self.harness.flow._single_flight
        key = flights._led.get(leader)
        return set(flights._flights[key].waiting) if key else set()

    def _is_late(self, number: int) -> bool:
        deadline = self.requests[number].deadline
        return deadline is not None and self.harness.now > deadline


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestInAnyOrder = Machine.TestCase


# --- and on real threads ----------------------------------------------------------------------------------


class QuickStore(flow_harness.Store):
    """Needs a moment per fetch, so that threads meet."""

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage | NotModified:
        time.sleep(random.random() / 2000)
        return super().fetch(image, known_etag)


class QuickEngine(flow_harness.Engine):
    """Ends its jobs in groups, some of them with errors."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self._chance = chance
        self._lock = threading.Lock()
        self.answered = 0

    def submit(self, job: EngineJob) -> None:
        with self._lock:
            self.jobs[job.id] = job

    def finished(self, timeout: float) -> list[FinishedJob]:
        time.sleep(0.001)
        with self._lock:
            jobs, self.jobs = self.jobs, {}
        return [FinishedJob(job.id, self._outcome(job)) for job in jobs.values()]

    def _outcome(self, job: EngineJob) -> Completion | PipelineError:
        if self._chance.random() < 0.3:
            return self._chance.choice(INFER_ERRORS)
        self.answered += 1
        return Completion(f"<CONCLUSION>{job.image_key} {job.question}</CONCLUSION>", "stop", 1, 1)


def test_on_many_threads_each_request_ends_once_with_the_right_outcome() -> None:
    chance = random.Random(5)
    store, decoder, engine = QuickStore(), flow_harness.Decoder(), QuickEngine(chance)
    store.contents = {uri: uri.encode() for uri in URIS}
    flow = Flow(FlowSettings(prepare_threads=8), store, decoder, engine)
    count = 1500
    requests = [request(n, chance.choice(URIS), question=chance.choice(QUESTIONS)) for n in range(count)]
    cancelled = set(chance.sample(range(count), 150))

    def submit() -> None:
        for number, one in enumerate(requests):
            flow.submit(number, one)
            if number % 50 == 49:
                flow.cancel({n for n in cancelled if n <= number})

    threading.Thread(target=submit).start()
    ended: dict[Any, Any] = {}
    deadline = time.monotonic() + 60
    while len(ended) < count and time.monotonic() < deadline:
        for outcome in flow.collect(0.1):
            assert outcome.ticket not in ended
            ended[outcome.ticket] = outcome.result
    assert len(ended) == count
    assert flow.collect(0.05) == []
    assert (flow.held_bytes, decoder.out) == (0, [])
    for number, result in ended.items():
        if isinstance(result, ImageResult):
            assert result.answer.conclusion == f"{result.image.sha256} {requests[number].question}"
            assert result.request_id == f"r{number}"
    assert engine.answered < sum(isinstance(result, ImageResult) for result in ended.values())
    flow.stop()
