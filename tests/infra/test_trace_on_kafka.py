"""One request, from a shop's own span to the store: a real broker, worker, store and OTLP receiver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.producers.publisher import ImagePublisher
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.waiting import wait_for
from tests.otlp_receiver import running_receiver
from tests.readme.pages import ROOT

pytestmark = pytest.mark.real

SHOP = SpanContext(0xA << 100, 0xB, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def publish(runtime: LocalRuntime, topics: TopicSettings, uri: str) -> None:
    request = ImageRequest(
        request_id="r-1", product_id="p-1", image=ImageRef(uri=uri), question="?", submitted_at=datetime.now(UTC)
    )
    with ImagePublisher(runtime.kafka_settings, topics) as publisher, trace.use_span(NonRecordingSpan(SHOP)):
        publisher.publish(request)


def follow(environment: dict[str, str], *options: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "sightstream", "trace", "r-1", *options, "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_one_request_is_followed_by_spans_and_by_its_records_alone(
    runtime: LocalRuntime, topics: TopicSettings, config_file: Path, tmp_path: Path
) -> None:
    image = ROOT / "docs/img/sku-17-front.jpg"
    with running_receiver() as received:
        environment = os.environ | {
            "SIGHTSTREAM_CONFIG": str(config_file),
            "SIGHTSTREAM_ENGINE_KIND": "simulated",
            "SIGHTSTREAM_FETCH_FILE_ROOTS": json.dumps([str(image.parent)]),
            "SIGHTSTREAM_WORKER_GROUP_ID": f"of.{topics.requests}",
            "SIGHTSTREAM_WORKER_STATE_DIR": str(tmp_path),
            "SIGHTSTREAM_STORE_PATH": str(tmp_path / "results.db"),
            "SIGHTSTREAM_STORE_GROUP_ID": f"store.{topics.requests}",
            "SIGHTSTREAM_TRACING_ENDPOINT": received.url,
            "SIGHTSTREAM_TRACING_EXPORT_INTERVAL_S": "0.1",
        }
        assert follow(environment, "--product", "p-1")[0] == 1
        publish(runtime, topics, image.as_uri())
        code, found = follow(environment, "--since", "1h")
        assert (code, found["state"]) == (0, "waiting")
        processes = [
            subprocess.Popen([sys.executable, "-m", "sightstream", verb], env=environment)
            for verb in ("worker", "store")
        ]
        try:
            wait_for(lambda: received.named("store"), 120)
            wait_for(lambda: received.named("commit"), 120)
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(60)
        code, found = follow(environment, "--product", "p-1")
    assert (code, found["state"]) == (0, "answered")
    assert sorted(event["kind"] for event in found["events"]) == ["request", "result", "row"]
    trace_id = f"{SHOP.trace_id:032x}"
    assert {event["details"].get("trace_id", trace_id) for event in found["events"]} == {trace_id}
    assert len(found["read"]) == 3  # one partition of each topic
    (whole,) = received.named(f"process {topics.requests}")
    (stored,) = received.named("store")
    assert whole.parent_span_id == SHOP.span_id.to_bytes(8)
    assert {span.trace_id.hex() for span in received.spans} == {trace_id}
    assert stored.parent_span_id == whole.span_id
    assert {"fetch", "decode", "infer", "commit"} <= {
        span.name for span in received.spans if span.parent_span_id == whole.span_id
    }
    assert received.services == {"sightstream-worker", "sightstream-store"}
