"""A server's failures, each by the action that it asks for."""

from __future__ import annotations

import json
import pickle
import socket
import time

import pytest

from sightstream.pipeline.engine.remote.engine import RemoteEngine
from sightstream.pipeline.errors import Fatal, Rejected, Retryable
from sightstream.pipeline.types import Completion
from sightstream.schemas.wire.dead_letter import Reason, Stage
from tests.pipeline.engine.remote.asking import ending, endings, job
from tests.pipeline.engine.remote.fake_server import (
    KEY,
    Answer,
    FakeServer,
    Handler,
    completion,
    good,
    in_turn,
    says,
)


def must_wait(outcome: object) -> Retryable:
    assert isinstance(outcome, Retryable), outcome
    assert (outcome.stage, outcome.dependency) == (Stage.INFER, "model-server")
    return outcome


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529, 204, 206])
def test_what_may_pass_waits_for_the_server(status: int) -> None:
    error = must_wait(ending(says(status, {"error": {"message": "not now"}} if status != 204 else b"")))
    assert str(status) in str(error)


def hang_up(handler: Handler) -> None:
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def half(handler: Handler) -> None:
    handler.reply(200, json.dumps(completion()).encode()[:40], Content_Length="900")
    handler.close_connection = True


def no_http(handler: Handler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n")
    handler.close_connection = True


def many_headers(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 5000 + b"\r\n")
    handler.close_connection = True


def deep(handler: Handler) -> None:
    handler.reply(200, b'{"choices":' + b"[" * 100_000)


GARBAGE: dict[str, Answer] = {
    "hangs up": hang_up,
    "half an answer": half,
    "another protocol": no_http,
    "many headers": many_headers,
    "empty": says(200),
    "a page": says(200, b"<html>Sign in</html>", Content_Type="text/html"),
    "a stream": says(200, b'data: {"choices": []}\n\n', Content_Type="text/event-stream"),
    "compressed": says(200, b"\x1f\x8b\x08", Content_Encoding="gzip"),
    "no object": says(200, b'["hello"]'),
    "no choices": says(200, {"usage": completion()["usage"]}),
    "none chosen": says(200, completion(choices=[])),
    "no usage": says(200, completion(usage=None)),
    "negative": says(200, completion(usage={"prompt_tokens": -1, "completion_tokens": 1})),
    "unending": says(200, completion(reason=None)),
    "ended oddly": says(200, completion(reason="abort")),
    "a number said": says(200, completion(text=5)),
    "half a character": says(200, json.dumps(completion()).encode().replace(b"hello", b"\\ud800")),
    "no text": says(200, json.dumps(completion()).encode().replace(b"hello", b"\xff\xfe")),
    "deep": deep,
    "megabytes": says(200, completion("x" * (5 * 1024**2))),
    "megabytes of nothing": says(200, json.dumps(completion()).encode() + b" " * (5 * 1024**2)),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_no_answer(name: str) -> None:
    error = must_wait(ending(GARBAGE[name]))
    assert len(str(error)) < 400


def trickle(handler: Handler, piece: bytes) -> None:
    for _ in range(200):
        handler.wfile.write(piece)
        handler.wfile.flush()
        time.sleep(0.05)


def slow_body(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n")
    trickle(handler, b" ")


def slow_header(handler: Handler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    trickle(handler, b"x")


def silent(handler: Handler) -> None:
    handler.connection.recv(1)  # until the engine leaves


@pytest.mark.parametrize("answer", [slow_body, slow_header, silent])
def test_a_slow_server_is_left_at_the_time_limit(answer: Answer) -> None:
    start = time.monotonic()
    assert "within 0.5 s" in str(must_wait(ending(answer, remote_timeout_s=0.5)))
    assert time.monotonic() - start < 5


def test_a_server_that_went_away_is_waited_for() -> None:
    with FakeServer() as server:
        engine = RemoteEngine(server.settings(), lambda: None)
        server.close()
        engine.submit(job())
        assert "ConnectionRefusedError" in str(must_wait(endings(engine, 1)[1]))
        engine.stop()


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_request_never_works(status: int) -> None:
    outcome = ending(says(status, {"error": {"message": "bad image"}}))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.stage) == (Reason.ENGINE_REFUSED, Stage.INFER)
    assert "bad image" in str(outcome)
    assert ("SIGHTSTREAM_ENGINE_REMOTE_IMAGE=jpeg" in str(outcome)) == (status == 413)


TOO_LONG = [
    {"error": {"message": "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens."}},
    {"object": "error", "message": "The decoder prompt (length 9000) is longer than the maximum model length of 8192"},
    {"error": {"code": 400, "message": "the request exceeds the available context size, try increasing it"}},
    {"error": {"code": "context_length_exceeded", "message": "too much"}},
    {"message": "The input (9000 tokens) is longer than the model's context length (8192 tokens)."},
    {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096"},
    {"detail": [{"msg": "prompt is too long"}]},
]


@pytest.mark.parametrize("body", TOO_LONG)
def test_a_question_that_leaves_no_room_is_named(body: dict[str, object]) -> None:
    outcome = ending(says(400, body))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.QUESTION_TOO_LONG


@pytest.mark.parametrize("body", [completion(None, "content_filter"), completion(None) | {"choices": [
    {"message": {"content": None, "refusal": "I can't help with that."}, "finish_reason": "stop"}
]}])  # fmt: skip
def test_a_content_filter_refuses_one_request(body: dict[str, object]) -> None:
    outcome = ending(says(200, body))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.ENGINE_REFUSED


STOPS = [
    (401, "SIGHTSTREAM_ENGINE_REMOTE_API_KEY"),
    (403, "SIGHTSTREAM_ENGINE_REMOTE_API_KEY"),
    (404, "SIGHTSTREAM_ENGINE_REMOTE_MODEL"),
    (405, "SIGHTSTREAM_ENGINE_REMOTE_URL"),
    (307, "SIGHTSTREAM_ENGINE_REMOTE_URL"),
]


@pytest.mark.parametrize(("status", "setting"), STOPS)
def test_a_server_that_turns_us_away_ends_the_engine(status: int, setting: str) -> None:
    turned_away = says(status, {"error": "no"}, Location="http://elsewhere.example/v1")
    with FakeServer(turned_away, probe=in_turn(good, turned_away)) as server:
        engine = RemoteEngine(server.settings(), lambda: None)
        engine.submit(job())
        with pytest.raises(Fatal, match=setting):
            endings(engine, 1)
        with pytest.raises(Fatal, match=setting):
            engine.finished(0)


@pytest.mark.parametrize("status", [status for status, _ in STOPS])
def test_a_server_that_turns_one_request_away_ends_only_that(status: int) -> None:
    outcome = ending(says(status, b"blocked by a firewall"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is Reason.ENGINE_REFUSED


def test_a_server_that_refuses_everything_accuses_no_image() -> None:
    blind = says(400, {"error": {"message": "eyes-1 is not a multimodal model"}})
    with FakeServer(blind, probe=in_turn(good, blind)) as server:
        engine = RemoteEngine(server.settings(), lambda: None)
        engine.submit(job())
        with pytest.raises(Fatal, match="not a multimodal model"):
            endings(engine, 1)


def test_while_the_server_is_down_nobody_is_accused() -> None:
    with FakeServer(says(400), probe=in_turn(good, says(503))) as server:
        engine = RemoteEngine(server.settings(), lambda: None)
        engine.submit(job())
        must_wait(endings(engine, 1)[1])


def test_a_redirect_is_not_followed() -> None:
    with FakeServer() as other, FakeServer() as server:
        server.answer = says(307, Location=f"{other.url}/chat/completions")
        engine = RemoteEngine(server.settings(), lambda: None)
        engine.submit(job())
        endings(engine, 1)
        assert (other.questions, other.probes) == ([], [])


ECHO = {"error": {"message": f"Incorrect API key provided: {KEY}", "param": KEY}}


@pytest.mark.parametrize("status", [200, 307, 400, 401, 403, 404, 413, 429, 500])
def test_the_key_is_never_repeated(status: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with FakeServer(says(status, ECHO, Location=f"http://u:{KEY}@elsewhere.example/?key={KEY}")) as server:
        settings = server.settings()
        engine = RemoteEngine(settings, lambda: None)
        engine.submit(job())
        outcome = endings(engine, 1)[1]
        engine.stop()
    assert server.questions[0].headers["Authorization"] == f"Bearer {KEY}"
    shown = f"{outcome} {outcome!r} {settings!r} {settings} {engine.identity!r} {caplog.text}"
    assert KEY not in shown
    assert KEY.encode() not in pickle.dumps(outcome)


def test_a_server_that_asks_for_a_pause_gets_it() -> None:
    with FakeServer(in_turn(says(429, Retry_After="1"), good)) as server:
        engine = RemoteEngine(server.settings(max_batch=3), lambda: None)
        engine.submit(job(1))
        must_wait(endings(engine, 1)[1])
        for number in (2, 3, 4):
            engine.submit(job(number))
        engine.submit(job(5))
        engine.cancel(5)
        outcomes = endings(engine, 4)
        engine.stop()
    assert sorted(number for number, outcome in outcomes.items() if isinstance(outcome, Completion)) == [2, 3, 4]
    first, *others = [question.at for question in server.questions]
    assert len(others) == 3
    assert min(others) - first > 0.9
    assert max(others) - first < 10
