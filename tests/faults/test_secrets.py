"""A canary wherever a secret can be, and none of them in any output."""

from __future__ import annotations

import io
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from PIL import Image

from sightstream.consumers.kafka.message import headers_of
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.dead_letter import original_headers
from tests.faults.harness import Outcomes, WorkerHarness
from tests.faults.test_worker import free_port

pytestmark = pytest.mark.real

CANARY = "c4n4ry"
STATUSES = (200, 302, 401, 403, 404, 410, 416, 500, 503)


class Host(BaseHTTPRequestHandler):
    """Answers with the status that the path names; its own answers contain the secret, too."""

    def do_GET(self) -> None:
        status = int(self.path.strip("/").partition("?")[0].partition("/")[0])
        body = png() if status == 200 else f"<Error><Message>{self.path} {CANARY}</Message></Error>".encode()
        self.send_response(status, f"no {CANARY}-reason" if status != 200 else "OK")
        if status == 302:
            self.send_header("Location", f"http://10.0.0.1/{CANARY}?{CANARY}={CANARY}")
        self.send_header("Content-Type", "image/png" if status == 200 else "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (30, 30), "navy").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def host() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Host)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def addresses(port: int) -> list[str]:
    """Return addresses that fail or succeed, each in its own way, with the canary where addresses carry secrets."""
    signed = f"X-Amz-Signature={CANARY}&token={CANARY}#{CANARY}"
    return [
        *(f"http://127.0.0.1:{port}/{status}?{signed}" for status in STATUSES),
        f"http://user:{CANARY}@127.0.0.1:{port}/200",
        f"http://{CANARY}:x@example.invalid/?{signed}",
        f"http://no-such-host.invalid/a.jpg?{signed}",
        f"http://127.0.0.1:1/a.jpg?{signed}",
        f"http://127.0.0.1:{port}\\@example.com/?{signed}",
        f"http://[::1/?{signed}",
        f"http://10.0.0.1/?{signed}",
        f"gopher://{CANARY}:x@host/?{signed}",
        f"file:///etc/passwd?{signed}",
        f"s3://no-such-bucket/a.jpg?{signed}",
        f"s3://user:{CANARY}@bucket/a.jpg?{signed}",
        f"{CANARY}",
    ]


def settings(runtime: LocalRuntime, port: int) -> dict[str, object]:
    """Return settings with secrets that no service accepts, beside ones that work."""
    return {
        "fetch_allow_private_addresses": "true",
        "fetch_allowed_ports": json.dumps([80, 443, port, 1]),
        "s3_endpoint_url": runtime.s3_settings.endpoint_url,
        "s3_access_key_id": f"AK{CANARY}",
        "s3_secret_access_key": CANARY,
        "s3_session_token": CANARY,
        "cache_kind": "redis",
        "cache_url": f"redis://user:{CANARY}@127.0.0.1:1/0",
        "cache_signing_key": CANARY,
        "engine_remote_api_key": CANARY,
        # Failures that may pass are given up soon: a dead letter is one of the outputs to check.
        "worker_max_attempts": 2,
        "worker_backoff_s": 0.05,
        "worker_retry_timeout_s": 0.5,
        "worker_outage_retry_timeout_s": 0.5,
        "worker_breaker_probe_s": 0.1,
        "fetch_total_timeout_s": 2,
    }


def outputs_of(found: Outcomes) -> dict[str, bytes]:
    """Return everything that readers get, except the request that a dead letter contains byte for byte."""
    outputs = {}
    for message in found.results:
        about = repr((message.key(), headers_of(message))).encode()
        outputs[f"result {message.offset()}"] = about + (message.value() or b"")
    for message in found.dead_letters:
        headers = headers_of(message) or []
        theirs = original_headers(headers)
        ours = [header for header in headers if header not in theirs]
        outputs[f"dead letter {message.offset()}"] = repr(ours).encode()
    return outputs


def test_no_secret_comes_out_anywhere(harness: WorkerHarness, runtime: LocalRuntime, host: int) -> None:
    wanted = addresses(host)
    for uri in wanted:
        harness.publish(1, image={"uri": uri})
    metrics = free_port()
    harness.settings = settings(runtime, host)
    harness.start_worker(worker_metrics_port=metrics)
    found = harness.wait_outcomes(len(wanted))
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as page:
        outputs = {"metrics": page.read(), "log": harness.logs().encode(), **outputs_of(found)}
    assert len(found.results) == 1
    leaks = {name: output for name, output in outputs.items() if CANARY.encode() in output}
    assert not leaks


def test_a_wrong_setting_is_refused_without_its_value(harness: WorkerHarness) -> None:
    wrong = {"cache_kind": "redis", "cache_url": f"nonsense://user:{CANARY}@host", "fetch_max_bytes": CANARY}
    worker = harness.start_worker(**wrong)
    assert worker.wait(60) != 0
    assert "SIGHTSTREAM_" in harness.logs()
    assert CANARY not in harness.logs()
