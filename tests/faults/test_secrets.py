"""A canary in every place where a secret can stand, and none of them in anything that comes out."""

from __future__ import annotations

import io
import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.dead_letter import original_headers
from tests.faults.harness import Bench, Outcomes
from tests.faults.test_worker import free_port

pytestmark = pytest.mark.real

CANARY = "c4n4ry"
STATUSES = (200, 302, 401, 403, 404, 410, 416, 500, 503)


class Host(BaseHTTPRequestHandler):
    """Answers with the status that the path names; its own answers speak of the secret, too."""

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
    """Each fails, or is answered, in a way of its own; each carries the canary where addresses carry secrets."""
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
    """Secrets of ours that nobody accepts, beside ones that work."""
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
        # What is refused for now is given up soon: a dead letter is one of the things to look at.
        "worker_max_attempts": 2,
        "worker_backoff_s": 0.05,
        "worker_retry_timeout_s": 0.5,
        "worker_outage_retry_timeout_s": 0.5,
        "worker_breaker_probe_s": 0.1,
        "fetch_total_timeout_s": 2,
    }


def said(found: Outcomes) -> dict[str, bytes]:
    """All that readers get, but for what a dead letter hands back byte for byte."""
    said = {}
    for message in found.results:
        said[f"result {message.offset()}"] = repr((message.key(), message.headers())).encode() + message.value()
    for message in found.dead_letters:
        theirs = original_headers(message.headers())
        ours: list[Any] = [header for header in message.headers() if header not in theirs]
        said[f"dead letter {message.offset()}"] = repr(ours).encode()
    return said


def test_no_secret_comes_out_anywhere(bench: Bench, runtime: LocalRuntime, host: int) -> None:
    wanted = addresses(host)
    for uri in wanted:
        bench.publish(1, image={"uri": uri})
    metrics = free_port()
    bench.start_worker(worker_metrics_port=metrics, **settings(runtime, host))
    found = bench.wait_outcomes(len(wanted))
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics", timeout=10) as page:
        outputs = {"metrics": page.read(), "log": bench.logs().encode(), **said(found)}
    assert len(found.results) == 1
    told = {name: output for name, output in outputs.items() if CANARY.encode() in output}
    assert not told


def test_a_wrong_setting_is_refused_without_its_value(bench: Bench) -> None:
    wrong = {"cache_kind": "redis", "cache_url": f"nonsense://user:{CANARY}@host", "fetch_max_bytes": CANARY}
    worker = bench.start_worker(**wrong)
    assert worker.wait(60) != 0
    assert "SIGHTSTREAM_" in bench.logs()
    assert CANARY not in bench.logs()
