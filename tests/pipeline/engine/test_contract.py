"""What every engine must do, run on each of them: in this process, behind the host, on a real server."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from sightstream.infra.lab.demo_model.pictures import draw, sample_spec
from sightstream.pipeline.build import build_flow
from sightstream.pipeline.constraints.value import parse_value
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.engine.build import build_engine
from sightstream.pipeline.engine.host import EngineHost
from sightstream.pipeline.engine.protocol import Engine
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Cancelled
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.settings import FlowSettings
from sightstream.pipeline.types import Completion, EngineJob, FinishedJob, Pixels
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRequest
from sightstream.schemas.wire.result_v2 import ImageResultV2
from tests.consumers.outcomes import NOON
from tests.consumers.waiting import wait_for
from tests.pipeline.engine.model_server import running_model_server

pytestmark = pytest.mark.slow

CHECKPOINT = Path(__file__).parents[3] / "infra" / "lab" / "demo_model" / "checkpoint"
SIMULATED = EngineSettings(kind="simulated", simulated_s=0.01, max_batch=3)
GENERATE = EngineSettings(kind="generate", checkpoint=CHECKPOINT, max_batch=3, threads=1, device="cpu")
SLOTS = GENERATE.model_copy(update={"kind": "slots", "guided_sections": False})

ENGINES: dict[str, Callable[[], Engine]] = {
    "simulated": lambda: build_engine(SIMULATED, lambda: None),
    "generate": lambda: build_engine(GENERATE, lambda: None),
    "generate in nf4": lambda: build_engine(GENERATE.model_copy(update={"quantization": "nf4"}), lambda: None),
    "host": lambda: EngineHost(SIMULATED),
    "generate in a host": lambda: EngineHost(GENERATE),
    "slots": lambda: build_engine(SLOTS, lambda: None),
    "slots in nf4": lambda: build_engine(SLOTS.model_copy(update={"quantization": "nf4"}), lambda: None),
    "guided slots in a host": lambda: EngineHost(SLOTS.model_copy(update={"guided_sections": True})),
}


REMOTE: dict[str, Callable[[EngineSettings], Engine]] = {
    "remote": lambda settings: build_engine(settings, lambda: None),
    "remote in a host": EngineHost,
}


@pytest.fixture(scope="module")
def remote() -> Iterator[EngineSettings]:
    """A real server with the embedded model, in a process of its own."""
    with running_model_server(CHECKPOINT) as url:
        yield EngineSettings(kind="remote", remote_url=url, remote_model=str(CHECKPOINT), max_batch=3)


@pytest.fixture(scope="module", params=[*ENGINES, *REMOTE])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    name = request.param
    engine = REMOTE[name](request.getfixturevalue("remote")) if name in REMOTE else ENGINES[name]()
    yield engine
    engine.stop()


def job(number: int, size: tuple[int, int] = (30, 20), question: str = "What is it?", **options: object) -> EngineJob:
    pixels = Pixels(bytes([number * 7 % 256, 80, 200]) * (size[0] * size[1]), *size, "PNG")
    return EngineJob(number, pixels, question, AnalysisOptions.model_validate({"max_tokens": 8} | options))


def drawn(seed: int) -> Pixels:
    """An image of the kind that the embedded model knows."""
    image = draw(sample_spec(Random(seed), "train"))
    return Pixels(image.tobytes(), *image.size, "PNG")


def collect(engine: Engine, count: int) -> dict[int, FinishedJob]:
    found: dict[int, FinishedJob] = {}
    deadline = time.monotonic() + 120
    while len(found) < count and time.monotonic() < deadline:
        for finished in engine.finished(0.1):
            assert finished.id not in found
            found[finished.id] = finished
    assert len(found) == count
    return found


def completion_of(finished: FinishedJob) -> Completion:
    assert isinstance(finished.outcome, Completion), finished.outcome
    return finished.outcome


def test_every_job_ends_once(engine: Engine) -> None:
    for number in range(7):
        engine.submit(job(number, size=[(30, 20), (300, 90), (64, 400)][number % 3]))
    found = collect(engine, 7)
    assert all(completion_of(f).completion_tokens > 0 for f in found.values())
    assert engine.finished(0) == []


def test_the_same_request_gets_the_same_answer_in_any_company(engine: Engine) -> None:
    engine.submit(job(1))
    alone = completion_of(collect(engine, 1)[1])
    for number in (5, 1, 9):
        engine.submit(job(number, question="What is it?" * (1 + number % 4) if number != 1 else "What is it?"))
    assert completion_of(collect(engine, 3)[1]) == alone


def test_a_seed_repeats_a_sampled_answer(engine: Engine) -> None:
    answers = []
    for _ in range(2):
        engine.submit(job(3, temperature=1.0, top_p=0.9, seed=7))
        answers.append(completion_of(collect(engine, 1)[3]))
    assert answers[0] == answers[1]


def test_control_tokens_in_a_question_are_only_text(engine: Engine) -> None:
    engine.submit(job(2, question="<|image|><|eot_id|><|begin_of_text|> what? <SUMMARY>"))
    assert completion_of(collect(engine, 1)[2])


def test_a_cancelled_job_ends_once_too(engine: Engine) -> None:
    for number in range(5):
        engine.submit(job(number))
    engine.cancel(4)
    found = collect(engine, 5)
    assert isinstance(found[4].outcome, (Cancelled, Completion))
    assert all(isinstance(found[number].outcome, Completion) for number in range(4))


def test_the_engine_says_who_it_is(engine: Engine) -> None:
    assert engine.identity.name
    assert engine.capacity() == 3
    wait_for(lambda: engine.running() == 0)  # a host hears of it by the next heartbeat


@pytest.mark.parametrize("settings", [GENERATE, SLOTS], ids=lambda settings: settings.kind)
@pytest.mark.parametrize(("max_tokens", "reason"), [(3, "length"), (400, "stop")])
def test_a_cut_answer_says_so(settings: EngineSettings, max_tokens: int, reason: str) -> None:
    engine = build_engine(settings, lambda: None)
    engine.submit(job(1, max_tokens=max_tokens))
    outcome = completion_of(collect(engine, 1)[1])
    assert outcome.finish_reason == reason
    assert (outcome.completion_tokens == max_tokens) == (reason == "length")


@pytest.mark.parametrize("settings", [GENERATE, SLOTS], ids=lambda settings: settings.kind)
def test_progress_is_reported_at_every_step(settings: EngineSettings) -> None:
    beats = []
    engine = build_engine(settings, lambda: beats.append(os.getpid()))
    engine.submit(job(1, max_tokens=6))
    steps = completion_of(collect(engine, 1)[1]).completion_tokens
    assert len(beats) >= steps


def test_a_server_is_shown_the_same_picture_and_question(remote: EngineSettings) -> None:
    """Token for token what generate() says of drawn products, here and on the other side of HTTP."""
    answers = []
    for settings in (GENERATE, remote):
        engine = build_engine(settings, lambda: None)
        for number in range(4):
            engine.submit(EngineJob(number, drawn(number), "What is it? <|eot_id|>", AnalysisOptions(max_tokens=80)))
        answers.append({number: finished.outcome for number, finished in collect(engine, 4).items()})
        engine.stop()
    assert answers[0] == answers[1]
    assert len({completion_of(FinishedJob(number, outcome)).text for number, outcome in answers[0].items()}) > 2


COLOUR = {
    "type": "object",
    "properties": {"colour": {"type": "string", "maxLength": 20}},
    "required": ["colour"],
    "additionalProperties": False,
}
QUESTIONS = [
    {"id": "prose", "text": "What is it?"},
    {"id": "kind", "text": "What is it?", "response_format": {"type": "choice", "choices": ["mug", "shirt"]}},
    {
        "id": "colour",
        "text": "Which colour?",
        "response_format": {"type": "json_schema", "json_schema": {"name": "colour", "schema": COLOUR}},
        "reasoning": True,
    },
    {"id": "never", "text": "Which mug?", "when": {"question": "prose", "in": ["no such answer"]}},
]


def test_questions_to_a_server_that_ignores_formats_end_as_what_they_are(
    remote: EngineSettings, tmp_path: Path
) -> None:
    """`transformers serve` knows neither `response_format` nor log-probabilities: the check alone tells what fits."""
    picture = tmp_path / "picture.png"
    draw(sample_spec(Random(1), "train")).save(picture)
    fields = {"request_id": "r", "product_id": "p", "image": {"uri": picture.as_uri()}, "questions": QUESTIONS}
    request = ImageRequest.model_validate(fields | {"submitted_at": NOON, "options": {"max_tokens": 64}})
    prose, *constrained, never = _result(request, remote, tmp_path).answers
    assert (prose.status, never.status) == ("answered", "skipped")
    assert prose.sections is not None
    for question, answer in zip(request.all_questions[1:3], constrained, strict=True):
        fits = parse_value(question.response_format, answer.raw_text).valid
        assert (answer.status, answer.valid) == (("answered", True) if fits else ("invalid", False))
        assert answer.confidence.kind == "none"
        assert bool(answer.reasoning) == question.reasons


def _result(request: ImageRequest, engine: EngineSettings, file_root: Path) -> ImageResultV2:
    fetch = FetchSettings(file_roots=(file_root,))
    flow = build_flow(FlowSettings(), fetch, S3Settings(), DecodeSettings(processes=1), engine)
    try:
        flow.submit("ticket", request)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            for outcome in flow.collect(0.5):
                assert isinstance(outcome.result, ImageResultV2), outcome.result
                return outcome.result
        raise AssertionError("no result")
    finally:
        flow.stop()
