"""A dependency of the workers fails: an outage costs time, never an answer and never a dead letter."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.ports import choose_ports
from sightstream.infra.runtime.resources import create_bucket, create_topics
from sightstream.schemas.connections.s3_client import s3_client
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.topics import TopicSettings, topic_specs
from tests.faults.harness import WorkerHarness, wait_for

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    """A broker and a store that the tests here may break."""
    with LocalRuntime(tmp_path_factory.mktemp("fragile")) as runtime:
        yield runtime


@pytest.fixture
def harness(fragile: LocalRuntime, tmp_path: Path) -> Iterator[WorkerHarness]:
    name = os.urandom(4).hex()
    topics = TopicSettings(
        requests=f"{name}.requests", results=f"{name}.results", dead_letters=f"{name}.dead", partitions=4
    )
    create_topics(fragile.kafka_settings, topic_specs(topics))
    s3 = fragile.s3_settings
    secret = s3.secret_access_key.get_secret_value() if s3.secret_access_key else ""
    harness = WorkerHarness(fragile.kafka_settings, topics, tmp_path)
    harness.settings = {
        "s3_endpoint_url": s3.endpoint_url or "",
        "s3_access_key_id": s3.access_key_id or "",
        "s3_secret_access_key": secret,
        "fetch_connect_timeout_s": "1",
        "fetch_total_timeout_s": "2",
        "worker_max_attempts": "3",
        "worker_breaker_probe_s": "0.5",
    }
    yield harness
    harness.stop()


def put_image(fragile: LocalRuntime, harness: WorkerHarness) -> str:
    harness.image()
    create_bucket(fragile.s3_settings, "images")
    s3_client(fragile.s3_settings).upload_file(harness.folder / "good.png", "images", "good.png")
    return "s3://images/good.png"


def test_an_object_store_that_is_down_is_waited_for(fragile: LocalRuntime, harness: WorkerHarness) -> None:
    uri = put_image(fragile, harness)
    harness.publish(20, image={"uri": uri})
    harness.start_worker()
    harness.wait_outcomes(20)
    fragile.s3.kill()
    harness.publish(100, image={"uri": uri})
    down_since = time.monotonic()
    wait_for(lambda: time.monotonic() - down_since > 12, "twelve seconds of outage")
    assert len(harness.outcomes().sources) == 20, "no request can have been answered, none may have been given up"
    fragile.s3.restart()
    found = harness.check_exactly_once()
    assert len(found.results) == 120
    assert not found.dead_letters


@contextmanager
def image_host(port: int, folder: Path) -> Iterator[None]:
    """Serve the files of a folder on a port that was closed before."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def test_a_listed_host_that_is_down_holds_only_its_own_requests(fragile: LocalRuntime, harness: WorkerHarness) -> None:
    port = choose_ports()["kafka"]
    harness.settings |= {
        "fetch_allowed_hosts": '["127.0.0.1"]',
        "fetch_allowed_ports": f"[{port}]",
        "fetch_allow_private_addresses": "true",
        "worker_max_unpublished": 64,
        "worker_breaker_failures": 3,
    }
    harness.image()
    for product in range(6):
        harness.publish(5, product_id=f"down-{product}", image={"uri": f"http://127.0.0.1:{port}/good.png"})
    harness.publish(300)
    harness.start_worker()
    harness.wait_outcomes(300)
    assert not harness.outcomes().dead_letters
    assert len(harness.outcomes().results) == 300, "those of the host that is down wait"
    for product in range(6):
        harness.publish(5, product_id=f"down-{product}", image={"uri": f"http://127.0.0.1:{port}/good.png"})
    harness.publish(40)
    with image_host(port, harness.folder):
        found = harness.check_exactly_once()
    assert len(found.results) == 400
    assert not found.dead_letters


def test_a_misspelt_bucket_ends_its_requests_and_a_deleted_one_is_waited_for(
    fragile: LocalRuntime, harness: WorkerHarness
) -> None:
    uri = put_image(fragile, harness)
    harness.publish(20, image={"uri": "s3://misspelt/good.png"})
    harness.publish(20, image={"uri": uri})
    worker = harness.start_worker(worker_breaker_failures=3)
    found = harness.wait_outcomes(40)
    assert len(found.results) == 20
    assert {failure.reason for failure in found.failures} == {Reason.IMAGE_NOT_FOUND}
    client = s3_client(fragile.s3_settings)
    client.delete_object(Bucket="images", Key="good.png")
    client.delete_bucket(Bucket="images")
    harness.publish(20, image={"uri": uri})
    harness.publish(20, product_id="of another bucket")  # the requests of one product wait for each other
    found = harness.wait_outcomes(60)
    assert len(found.results) == 40, "only the files were answered"
    worker.send_signal(signal.SIGSTOP)  # or it could ask between the two: for a missing object in a bucket that is back
    assert put_image(fragile, harness) == uri
    worker.send_signal(signal.SIGCONT)
    found = harness.check_exactly_once()
    assert (len(found.results), len(found.dead_letters)) == (60, 20)


def test_a_missing_object_is_not_an_outage(fragile: LocalRuntime, harness: WorkerHarness) -> None:
    uri = put_image(fragile, harness)
    harness.publish(30, image={"uri": "s3://images/gone.png"})
    harness.publish(10, image={"uri": uri})
    harness.start_worker()
    found = harness.check_exactly_once()
    assert {failure.reason for failure in found.failures} == {Reason.IMAGE_NOT_FOUND}
    assert len(found.results) == 10


def test_a_broker_killed_and_restarted_loses_and_doubles_nothing(fragile: LocalRuntime, harness: WorkerHarness) -> None:
    harness.publish(200)
    harness.start_worker()
    harness.start_worker()
    harness.wait_outcomes(40)
    fragile.kafka.kill()
    fragile.kafka.restart()
    harness.wait_outcomes(120)
    fragile.kafka.pause()
    stopped_at = time.monotonic()
    wait_for(lambda: time.monotonic() - stopped_at > 8, "eight seconds of a stopped broker")
    fragile.kafka.resume()
    harness.check_exactly_once()
