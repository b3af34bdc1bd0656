"""Requests with several questions and images are submitted, answered, failed, cancelled and retried, in any order."""

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
from sightstream.pipeline.image_key import image_key
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.types import NO_ANSWERS, Completion, EngineJob, FinishedAnswers, FinishedJob
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.question import Condition, Question
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.result_v2 import AnyResult, ImageResultV2
from tests.pipeline import flow_harness
from tests.pipeline.flow_harness import FlowHarness, memory
from tests.pipeline.samples import request
from tests.pipeline.test_coalescing_in_any_order import CONTENTS, DECODE_ERRORS, FETCH_ERRORS, URIS, QuickStore

TEXTS = ("kind?", "colour?", "size?")
VALUES = ("x", "y")
INFER_ERRORS = (
    Rejected(Reason.ENGINE_REFUSED, Stage.INFER, "refused"),
    Rejected(Reason.ENGINE_CRASH, Stage.INFER, "died"),
    Retryable(Stage.INFER, "down", "engine"),
    Cancelled("cancelled"),
)


def value_of(key: str, text: str) -> str:
    """Return what the model says: one of two values, so that conditions hold now and then."""
    return VALUES[hashlib.sha256(f"{key} {text}".encode()).digest()[0] % 2]


def completion_of(job: EngineJob) -> Completion:
    """Return the model's answer, which says what it is about."""
    about, value = f"{job.image_key} {job.question}", value_of(str(job.image_key), job.question)
    return Completion(f"<SUMMARY>{about}</SUMMARY><CONCLUSION>{value}</CONCLUSION>", "stop", 1, 1)


def check_result(asked: ImageRequest, result: AnyResult) -> None:
    """Every answer is about the images of the result, and a question was asked exactly if its condition held."""
    assert isinstance(result, ImageResultV2)
    assert (result.request_id, [image.uri for image in result.images]) == (
        asked.request_id,
        [image.uri for image in asked.all_images],
    )
    key = image_key(tuple(image.sha256 for image in result.images), asked.detail)
    answers = {answer.id: answer for answer in result.answers}
    assert list(answers) == [question.id for question in asked.all_questions]
    for question in asked.all_questions:
        answer, when = answers[question.id], question.when
        earlier = answers[when.question] if when else None
        holds = earlier is None or (earlier.status == "answered" and when is not None and earlier.value in when.in_)
        assert (answer.status == "skipped") == (not holds)
        if answer.status == "answered":
            assert answer.sections is not None
            assert answer.sections.summary == f"{key} {question.text}"
            assert answer.value == value_of(key, question.text)


@st.composite
def question_lists(draw: st.DrawFn) -> tuple[Question, ...]:
    questions: list[Question] = []
    for number in range(draw(st.integers(1, 4))):
        when = None
        if len(questions) > 0 and draw(st.booleans()):
            earlier = draw(st.sampled_from(questions)).id
            when = Condition(question=earlier, in_=(draw(st.sampled_from(VALUES)),))
        questions.append(Question(id=f"q{number}", text=draw(st.sampled_from(TEXTS)), when=when))
    return tuple(questions)


class Machine(RuleBasedStateMachine):
    """Runs the steps of threads in any order, so that every interleaving of whole steps can occur."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[int, ImageRequest] = {}
        self.cancelled: set[int] = set()
        self.ended: dict[int, Any] = {}
        self.retries: list[tuple[ImageRequest, FinishedAnswers]] = []

    @initialize(keeps=st.booleans())
    def build(self, keeps: bool) -> None:
        self.harness = FlowHarness(memory() if keeps else None)
        self.harness.store.contents = dict.fromkeys(URIS, CONTENTS[0])

    # --- the steps ----------------------------------------------------------------------------------------

    @rule(
        uris=st.lists(st.sampled_from(URIS), min_size=1, max_size=2),
        questions=question_lists(),
        deadline_s=st.none() | st.integers(0, 20),
    )
    def submit(self, uris: list[str], questions: tuple[Question, ...], deadline_s: int | None) -> None:
        changes: dict[str, object] = {"question": None, "questions": questions}
        changes |= {"image": None, "images": tuple(ImageRef(uri=uri) for uri in uris)}
        if deadline_s is not None:
            changes["deadline"] = self.harness.now + timedelta(seconds=deadline_s)
        self._submit(request(len(self.requests), **changes), NO_ANSWERS)

    @precondition(lambda self: self.retries)
    @rule()
    def retry(self) -> None:
        self._submit(*self.retries.pop())

    def _submit(self, asked: ImageRequest, finished: FinishedAnswers) -> None:
        number = len(self.requests)
        self.requests[number] = asked
        self.harness.flow.submit(number, asked, finished)

    @precondition(lambda self: self.harness.hand.tasks)
    @rule(data=st.data())
    def work(self, data: st.DataObject) -> None:
        tasks = self.harness.hand.tasks
        index = data.draw(st.integers(0, len(tasks) - 1))
        task = tasks[index]
        del tasks[index]
        task()

    @precondition(lambda self: self.harness.engine.jobs)
    @rule(data=st.data(), error=st.none() | st.none() | st.sampled_from(INFER_ERRORS))
    def end(self, data: st.DataObject, error: PipelineError | None) -> None:
        job = data.draw(st.sampled_from(list(self.harness.engine.jobs.values())))
        self.harness.end(job, error or completion_of(job))

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        tickets = data.draw(st.sets(st.sampled_from(range(len(self.requests))), max_size=3)) if self.requests else set()
        self.harness.flow.cancel(set(tickets))
        self.cancelled |= tickets - self.ended.keys()

    @rule(seconds=st.integers(1, 15))
    def pass_time(self, seconds: int) -> None:
        self.harness.pass_time(seconds)

    @rule(uri=st.sampled_from(URIS), content=st.sampled_from(CONTENTS))
    def change(self, uri: str, content: bytes) -> None:
        self.harness.store.contents[uri] = content

    @rule(uri=st.sampled_from(URIS), error=st.none() | st.sampled_from(FETCH_ERRORS))
    def break_store(self, uri: str, error: PipelineError | None) -> None:
        self.harness.store.errors.pop(uri, None)
        if error:
            self.harness.store.errors[uri] = error

    @rule(error=st.none() | st.sampled_from(DECODE_ERRORS))
    def break_decoder(self, error: PipelineError | None) -> None:
        self.harness.decoder.error = error

    # --- the invariants -----------------------------------------------------------------------------------

    @invariant()
    def pixels_are_held_for_the_engine_alone_and_as_long_as_it_reads_them(self) -> None:
        jobs = self.harness.engine.jobs.values()
        read = {id(pixels) for job in jobs for pixels in (job.pixels, *job.more_pixels)}
        assert read == {id(pixels) for pixels in self.harness.decoder.out}
        assert self.harness.flow.held_bytes == sum(len(pixels.rgb) for pixels in self.harness.decoder.out)

    @invariant()
    def equal_questions_are_computed_once(self) -> None:
        jobs = self.harness.engine.jobs.values()
        assert len({(job.image_key, job.question) for job in jobs}) == len(jobs)

    @invariant()
    def each_is_in_flight_or_has_ended_once(self) -> None:
        for outcome in self.harness.flow.collect(0):
            number = outcome.ticket
            assert isinstance(number, int)
            assert number not in self.ended, "ended twice"
            self.ended[number] = outcome.result
            self._check(number, outcome.result)
            if isinstance(outcome.result, Retryable):
                self.retries.append((self.requests[number], outcome.finished))
        in_flight = self.harness.flow._in_flight.values()
        assert len(self.requests) == len(self.ended) + len(in_flight)
        active = sum(request.active_questions for request in in_flight if request.failure is None)
        running = sum(request.failure is not None for request in in_flight)
        assert active <= len(self.harness.flow._questions) <= active + 4 * running

    def teardown(self) -> None:
        """Every request ends if nothing more happens."""
        self.harness.store.errors.clear()
        self.harness.decoder.error = None
        while self.harness.hand.tasks or self.harness.engine.jobs:
            self.harness.run()
            for job in list(self.harness.engine.jobs.values()):
                self.harness.end(job, completion_of(job))
        self.each_is_in_flight_or_has_ended_once()
        assert (self.harness.flow.held_bytes, self.harness.decoder.out) == (0, [])
        assert self.ended.keys() == self.requests.keys()
        flow = self.harness.flow
        assert (flow._in_flight, flow._questions) == ({}, {})
        flights = flow._single_flight
        assert (flights._flights, flights._led, flights._awaited) == ({}, {}, {})

    def _check(self, number: int, outcome: AnyResult | PipelineError) -> None:
        if isinstance(outcome, Cancelled):
            assert number in self.cancelled or str(outcome) == "cancelled"
        if isinstance(outcome, AnyResult):
            check_result(self.requests[number], outcome)


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestInAnyOrder = Machine.TestCase


# --- and on real threads ----------------------------------------------------------------------------------


class QuickEngine(flow_harness.Engine):
    """Ends its jobs in groups, some of them with errors: the share that is `failing`."""

    def __init__(self, chance: random.Random, failing: float = 0.1) -> None:
        super().__init__()
        self._chance, self._failing = chance, failing
        self._lock = threading.Lock()

    def submit(self, job: EngineJob) -> None:
        with self._lock:
            self.jobs[job.id] = job

    def finished(self, timeout: float) -> list[FinishedJob]:
        time.sleep(0.001)
        with self._lock:
            jobs, self.jobs = self.jobs, {}
        return [FinishedJob(job.id, self._outcome(job)) for job in jobs.values()]

    def _outcome(self, job: EngineJob) -> Completion | PipelineError:
        return self._chance.choice(INFER_ERRORS) if self._chance.random() < self._failing else completion_of(job)


def test_on_many_threads_each_request_ends_once_with_the_right_answers() -> None:
    chance = random.Random(7)
    store, decoder = QuickStore(), flow_harness.Decoder()
    store.contents = {uri: uri.encode() for uri in URIS}
    flow = Flow(FlowSettings(prepare_threads=8), store, decoder, QuickEngine(chance))
    requests = [_some_request(number, chance) for number in range(1000)]
    cancelled = set(chance.sample(range(len(requests)), 100))

    def submit() -> None:
        for number, one in enumerate(requests):
            flow.submit(number, one)
            if number % 50 == 49:
                flow.cancel({n for n in cancelled if n <= number})

    threading.Thread(target=submit).start()
    ended: dict[Any, Any] = {}
    deadline = time.monotonic() + 60
    while len(ended) < len(requests) and time.monotonic() < deadline:
        for outcome in flow.collect(0.1):
            assert outcome.ticket not in ended
            ended[outcome.ticket] = outcome.result
    assert len(ended) == len(requests)
    assert flow.collect(0.05) == []
    assert (flow.held_bytes, decoder.out, flow._questions) == (0, [], {})
    results = {number: result for number, result in ended.items() if isinstance(result, AnyResult)}
    for number, result in results.items():
        check_result(requests[number], result)
    assert len(results) > 300
    flow.stop()


def _some_request(number: int, chance: random.Random) -> ImageRequest:
    first, second, third = chance.sample(TEXTS, 3)
    questions = (
        Question(id="a", text=first),
        Question(id="b", text=second, when=Condition(question="a", in_=("x",))),
        Question(id="c", text=third, when=Condition(question="b", in_=("y",))),
        Question(id="d", text=chance.choice(TEXTS)),
    )
    images = tuple(ImageRef(uri=uri) for uri in chance.sample(URIS, chance.choice((1, 1, 2))))
    return request(number, question=None, questions=questions, image=None, images=images)
