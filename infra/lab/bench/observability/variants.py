"""Takes the metrics or the traces out of the worker, so that the rest can be measured without them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from subprocess import PIPE, Popen
from typing import Any
from unittest.mock import patch

from prometheus_client import Counter, Gauge, Histogram

from sightstream.consumers.worker import records
from sightstream.pipeline.stage_clock import StageClock
from sightstream.schemas.connections.tracing import TracingSettings
from sightstream.schemas.wire.dead_letter import Stage

# A receiver in a process of its own: what it costs is not the worker's.
_RECEIVER = """
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Receiver(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *_): pass
server = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
print(server.server_port, flush=True)
server.serve_forever()
"""


@contextmanager
def without_metrics() -> Iterator[None]:
    """Let every metric do nothing while the block runs; what is left of it is an empty call."""

    def nothing(*_: object, **__: object) -> None: ...

    def itself(metric: Any, *_: object, **__: object) -> Any:
        return metric

    def untimed(*_: object) -> nullcontext[None]:
        return nullcontext()

    changes: list[tuple[type, dict[str, Any]]] = [
        (Counter, {"inc": nothing, "labels": itself}),
        (Gauge, {"set": nothing, "labels": itself}),
        (Histogram, {"observe": nothing, "labels": itself, "time": untimed}),
    ]
    with _patched(changes):
        yield


@contextmanager
def without_traces() -> Iterator[None]:
    """Drop what is done for traces while they are off: times of stages are not kept, and no header is looked at."""

    def record(clock: StageClock, stage: Stage) -> float:  # as it would be without `times`
        now = clock._clock()
        since = max(clock._last, min(now, clock._loaded_at())) if stage is Stage.INFER else clock._last
        spent_s, clock._last = now - since, now
        if stage is Stage.FETCH:
            clock._fetch_s += spent_s
        elif stage is Stage.DECODE:
            clock._decode_s += spent_s
        else:
            clock._infer_s += spent_s
        return spent_s

    with _patched([(StageClock, {"record": record})]), patch.object(records, "trace_headers", lambda _: []):
        yield


@contextmanager
def _patched(changes: list[tuple[type, dict[str, Any]]]) -> Iterator[None]:
    with ExitStack() as stack:
        for owner, methods in changes:
            stack.enter_context(patch.multiple(owner, **methods))
        yield


@contextmanager
def running_receiver() -> Iterator[TracingSettings]:
    """Yield settings that send spans to a receiver on this machine, which accepts all and keeps none."""
    with Popen([sys.executable, "-c", _RECEIVER], stdout=PIPE, text=True) as receiver:
        assert receiver.stdout is not None  # noqa: S101
        try:
            yield TracingSettings(endpoint=f"http://127.0.0.1:{int(receiver.stdout.readline())}/v1/traces")
        finally:
            receiver.kill()
