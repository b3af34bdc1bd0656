"""A bug of ours in one question to the model server ends that job alone; the engine goes on."""

from __future__ import annotations

import pytest

from sightstream.pipeline.engine.remote.engine import RemoteEngine
from sightstream.pipeline.engine.remote.request_body import BodyWriter, Turn
from sightstream.pipeline.errors import Fatal, Rejected, Retryable
from sightstream.pipeline.internal_errors import MAX_TRIES
from sightstream.pipeline.own_parts import LOCAL_RESOURCES
from sightstream.pipeline.types import Completion, EngineJob
from sightstream.schemas.wire.dead_letter import Reason, Stage
from tests.pipeline.engine.remote.asking import endings, job
from tests.pipeline.engine.remote.fake_server import FakeServer, good, says

BUGGY = "a question with a secret"


class Bodies:
    """Writes the requests' bodies as usual, but fails on one question; on all, health checks included, if `broken`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        self.error, self.broken, self.asked = error, False, 0
        self._write = BodyWriter.write
        monkeypatch.setattr(BodyWriter, "write", lambda *asked: self.write(*asked))  # noqa: PLW0108 - a bound method gets no writer

    def write(self, writer: BodyWriter, turn: Turn, model: str) -> bytes:
        self.asked += turn.job.question == BUGGY
        if turn.job.question == BUGGY or self.broken:
            raise self.error
        return self._write(writer, turn, model)


def test_a_bug_in_one_question_is_an_internal_error_after_three_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer(good) as server:
        engine = RemoteEngine(server.settings(max_batch=1), lambda: None)
        bodies, checks = Bodies(monkeypatch, ZeroDivisionError("secret")), len(server.probes)
        for number, question in enumerate((BUGGY, "what?", BUGGY, "what?")):
            engine.submit(job(number, question))
        found = endings(engine, 4)
        engine.stop()
    assert [isinstance(found[number], Completion) for number in range(4)] == [False, True, False, True]
    error = found[0]
    assert isinstance(error, Rejected)
    assert (error.reason, error.stage) == (Reason.INTERNAL_ERROR, Stage.INFER)
    assert "secret" not in str(error)
    assert bodies.asked == len(server.probes) - checks == 2 * MAX_TRIES


def test_a_bug_in_every_question_stops_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer(good) as server:
        engine = RemoteEngine(server.settings(), lambda: None)
        Bodies(monkeypatch, ZeroDivisionError("secret")).broken = True
        engine.submit(job(1))
        with pytest.raises(Fatal, match="the stage infer is broken: ZeroDivisionError"):
            endings(engine, 1)


def test_a_server_that_goes_down_between_two_tries_decides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer(good) as server:
        engine = RemoteEngine(server.settings(), lambda: None)
        Bodies(monkeypatch, ZeroDivisionError())
        server.probe = says(503)
        engine.submit(job(1, BUGGY))
        outcome = endings(engine, 1)[1]
        engine.stop()
    assert isinstance(outcome, Retryable)
    assert outcome.dependency == "model-server"


def test_a_machine_out_of_memory_blames_no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer(good) as server:
        engine = RemoteEngine(server.settings(), lambda: None)
        Bodies(monkeypatch, MemoryError())
        engine.submit(job(1, BUGGY))
        outcome = endings(engine, 1)[1]
        engine.stop()
    assert isinstance(outcome, Retryable)
    assert outcome.dependency == LOCAL_RESOURCES


def test_an_error_outside_of_all_judgement_ends_its_job_and_not_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeServer(good) as server:
        engine = RemoteEngine(server.settings(max_batch=1), lambda: None)
        ask = engine._client.outcome

        def fail(asked: EngineJob) -> object:
            if asked.question == BUGGY:
                raise ZeroDivisionError
            return ask(asked)

        monkeypatch.setattr(engine._client, "outcome", fail)
        for number, question in enumerate((BUGGY, "what?")):
            engine.submit(job(number, question))
        found = endings(engine, 2)
        engine.stop()
    assert isinstance(found[0], Retryable)
    assert isinstance(found[1], Completion)
