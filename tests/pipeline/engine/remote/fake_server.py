"""A model server without a model, on loopback: answers as a test wants, and remembers what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pydantic import SecretStr

from sightstream.pipeline.engine.settings import EngineSettings

KEY = "sk-c4n4ry-0123456789"


class Handler(BaseHTTPRequestHandler):
    """One question. An answer is a function of it."""

    protocol_version = "HTTP/1.1"
    server: _HttpServer
    question: Question

    def do_GET(self) -> None:
        self.server.fake.models(self)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fake = self.server.fake
        self.question = question = Question(self.path, dict(self.headers), asked, time.monotonic())
        with fake.lock:
            fake.probes.append(question) if question.is_probe else fake.questions.append(question)
            fake.now += 1
            fake.most = max(fake.most, fake.now)
        try:
            (fake.probe if question.is_probe else fake.answer)(self)
        except OSError:
            self.close_connection = True  # the engine left
        finally:
            with fake.lock:
                fake.now -= 1

    def log_message(self, format: str, *args: object) -> None:
        pass

    def reply(self, status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in ({"Content_Length": str(len(data)), "Content_Type": "application/json"} | headers).items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)


Answer = Callable[[Handler], None]


@dataclass(frozen=True)
class Question:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    at: float

    @property
    def is_probe(self) -> bool:
        """The health check."""
        return bool(self.body["max_tokens"] == 1)


def completion(text: object = "hello", reason: str | None = "stop", **changes: object) -> dict[str, Any]:
    return {
        "id": "c-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    } | changes


def good(handler: Handler) -> None:
    handler.reply(200, completion())


def says(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Answer:
    return lambda handler: handler.reply(status, body, **headers)


def one_model(handler: Handler) -> None:
    handler.reply(200, {"object": "list", "data": [{"id": "eyes-1"}]})


def in_turn(*answers: Answer) -> Answer:
    """Each once, the last for ever."""
    left, lock = list(answers), threading.Lock()

    def answer(handler: Handler) -> None:
        with lock:
            chosen = left.pop(0) if len(left) > 1 else left[0]
        chosen(handler)

    return answer


class _HttpServer(ThreadingHTTPServer):
    fake: FakeServer
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


@dataclass
class FakeServer:
    """`probe` answers the health check, `answer` everything else, `models` the list of models."""

    answer: Answer = good
    probe: Answer = good
    models: Answer = one_model
    questions: list[Question] = field(default_factory=list)
    probes: list[Question] = field(default_factory=list)
    now: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    _scheme: str = "http"

    def __enter__(self) -> FakeServer:
        self._server = _HttpServer(("127.0.0.1", 0), Handler)
        self._server.fake = self
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def speak_tls(self, context: ssl.SSLContext) -> None:
        """From now on."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https"

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/v1"

    def settings(self, **changes: object) -> EngineSettings:
        settings = EngineSettings(
            kind="remote",
            remote_url=self.url,
            remote_model="eyes-1",
            remote_api_key=SecretStr(KEY),
            remote_timeout_s=20,
            start_timeout_s=20,
            max_batch=4,
        )
        return settings.model_copy(update=changes)
