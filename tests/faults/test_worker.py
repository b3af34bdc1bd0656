"""Real workers on a real broker: whatever happens to them, every request has exactly one outcome."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import urllib.request

import pytest
from confluent_kafka import Producer

from sightstream.consumers.kafka.message import headers_of
from sightstream.pipeline.engine.simulated import CRASH, HANG
from sightstream.schemas.wire.dead_letter import Reason
from tests.faults.harness import WorkerHarness, wait_for
from tests.faults.topic_reader import read_topic
from tests.raw_batches import RawRecord

pytestmark = pytest.mark.real


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_one_worker_answers_everything_and_leaves_cleanly(harness: WorkerHarness) -> None:
    harness.publish(40)
    port = free_port()
    worker = harness.start_worker(worker_metrics_port=port)
    found = harness.check_exactly_once()
    assert len(found.results) == 40
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        assert b"sightstream_worker_results_total 40.0" in page.read()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0, harness.logs()


def test_a_request_without_an_answer_becomes_a_dead_letter_with_its_bytes(harness: WorkerHarness) -> None:
    headers: list[tuple[str, str | bytes | None]] = [("traceparent", b"00-1"), ("sightstream-reason", b"forged")]
    harness.publish_raw(b"{not json\xff", headers=headers)
    harness.publish_raw(None)
    harness.publish_raw(b"x" * 300_000)
    harness.publish_batch([RawRecord(b"{}", headers=[(b"bad\xff\xfe", b"v"), (b"fine", b"v")])])
    harness.publish_raw(b'{"many": 1}', headers=[("h", b"")] * 99_000)
    huge = b"x" * (3 * 1024**2)
    harness.publish_raw(huge, compression="zstd")
    (harness.folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    (harness.folder / "text.jpg").write_text("hello")
    harness.publish(1, image={"uri": (harness.folder / "missing.png").as_uri()})
    harness.publish(1, image={"uri": (harness.folder / "broken.jpg").as_uri()})
    harness.publish(1, image={"uri": (harness.folder / "text.jpg").as_uri()})
    harness.publish(1, image={"uri": "file:///etc/passwd"})
    harness.publish(1, image={"uri": "http://169.254.169.254/latest/meta-data"})
    harness.publish(1, image={"uri": "gopher://x/y"})
    harness.publish(5)
    harness.start_worker()
    found = harness.check_exactly_once()
    assert len(found.results) == 5
    assert sorted(f.reason for f in found.failures) == sorted(
        [
            Reason.MALFORMED,
            Reason.MALFORMED,
            Reason.MALFORMED,
            Reason.MALFORMED,
            Reason.REQUEST_TOO_LARGE,
            Reason.REQUEST_TOO_LARGE,
            Reason.IMAGE_NOT_FOUND,
            Reason.IMAGE_CORRUPT,
            Reason.NOT_AN_IMAGE,
            Reason.FORBIDDEN_LOCATION,
            Reason.FORBIDDEN_LOCATION,
            Reason.UNSUPPORTED_URI,
        ]
    )
    omitted = next(h for m in found.dead_letters if "sightstream-omitted-bytes" in (h := dict(headers_of(m) or [])))
    assert omitted["sightstream-omitted-sha256"] == hashlib.sha256(huge).hexdigest().encode()
    bad_names, many = (f for f in found.failures if "the headers are left out here" in f.detail)
    assert "not UTF-8" in bad_names.detail
    assert "99000 headers are over the cap" in many.detail
    garbage = next(m for m in found.dead_letters if (m.value() or b"").startswith(b"{not"))
    assert (garbage.key(), garbage.value()) == (b"k", b"{not json\xff")
    garbage_headers = headers_of(garbage) or []
    assert garbage_headers[0] == ("traceparent", b"00-1")
    assert [value for name, value in garbage_headers if name == "sightstream-reason"] == [b"malformed"]


@pytest.mark.parametrize("round_", range(2))
def test_a_worker_killed_in_mid_batch_loses_nothing(harness: WorkerHarness, round_: int) -> None:
    harness.settings = {"engine_simulated_s": "0.15"}  # so that there is work left
    harness.publish(300)
    first, _ = harness.start_worker(), harness.start_worker()
    harness.wait_outcomes(40 + 60 * round_)
    first.kill()
    at_kill = len(harness.outcomes().sources)
    assert at_kill < 300, "the kill came too late to prove anything"
    harness.check_exactly_once()


def test_the_only_worker_killed_and_restarted_under_its_name(harness: WorkerHarness) -> None:
    harness.publish(200)
    for count in (20, 70, 120):
        worker = harness.start_worker(name=f"{harness.group}-only")
        harness.wait_outcomes(count)
        worker.kill()
        worker.wait()
    harness.start_worker(name=f"{harness.group}-only")
    harness.check_exactly_once()


def test_a_worker_asleep_past_its_session_can_not_answer_twice(harness: WorkerHarness) -> None:
    harness.settings = {"engine_simulated_s": "0.15"}  # so that there is work left
    harness.publish(300)
    sleeper, _ = harness.start_worker(), harness.start_worker()
    harness.wait_outcomes(40)
    sleeper.send_signal(signal.SIGSTOP)
    before = len(harness.outcomes().sources)
    assert before < 300
    harness.wait_outcomes(300)
    sleeper.send_signal(signal.SIGCONT)
    harness.publish(100)
    harness.check_exactly_once()


def test_workers_that_come_and_go_divide_the_partitions(harness: WorkerHarness) -> None:
    harness.settings = {"engine_simulated_s": "0.2"}  # so that there is work left for a worker that joins
    harness.publish(400)
    harness.start_worker()
    harness.wait_outcomes(30)
    for _ in range(3):
        joining = harness.start_worker()
        harness.wait_for_owners(2)
        seen = len(harness.outcomes().sources)
        harness.wait_outcomes(min(harness.published, seen + 30))
        joining.send_signal(signal.SIGTERM)
        assert joining.wait(40) == 0, harness.logs()
    harness.check_exactly_once()


def test_a_stop_of_the_whole_process_group_still_drains(harness: WorkerHarness) -> None:
    """Supervisors signal all processes of a worker at once; its children must not go first."""
    harness.settings = {"engine_simulated_s": "0.6", "flow_max_in_flight": "40"}
    harness.publish(40)
    worker = harness.start_worker()
    at_stop = len(harness.wait_outcomes(4).sources)
    os.killpg(worker.pid, signal.SIGTERM)
    assert at_stop < 32, "the stop came too late to prove anything"
    assert worker.wait(40) == 0, harness.logs()
    assert len(harness.outcomes().results) == 40
    assert "the engine's process ended" not in harness.logs()


def test_poison_costs_itself_and_its_neighbours_are_answered(harness: WorkerHarness) -> None:
    harness.publish(20)
    harness.publish(1, question=CRASH)
    harness.publish(20)
    harness.publish(1, question=HANG)
    harness.publish(20)
    harness.start_worker(engine_hang_timeout_s=2)
    found = harness.check_exactly_once()
    assert [f.reason for f in found.failures] == [Reason.ENGINE_CRASH] * 2
    assert len(found.results) == 60


def test_requests_of_aborted_transactions_are_never_answered(harness: WorkerHarness) -> None:
    harness.publish(10)
    producer = Producer(harness.kafka.producer_config() | {"transactional.id": f"{harness.group}-shop"})
    producer.init_transactions(30)
    for commit in (False, True, False):
        producer.begin_transaction()
        for number in range(5):
            producer.produce(harness.topics.requests, key=b"p", value=b"aborted" if not commit else b"kept %d" % number)
        producer.flush(30)  # an abort must find the records on the broker
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    harness.published += 5
    harness.start_worker()
    found = harness.check_exactly_once()
    assert sorted(m.value() or b"" for m in found.dead_letters) == [b"kept %d" % n for n in range(5)]


def test_an_unreachable_engine_ends_the_worker_with_a_clear_message(harness: WorkerHarness) -> None:
    harness.publish(5)
    worker = harness.start_worker(engine_kind="generate", engine_checkpoint=harness.folder / "nothing-here")
    assert worker.wait(60) == 1
    assert (
        "nothing-here has no config.json; set SIGHTSTREAM_ENGINE_CHECKPOINT to a checkpoint's folder" in harness.logs()
    )
    harness.start_worker()
    harness.check_exactly_once()


def test_no_transaction_stays_open_behind_the_workers(harness: WorkerHarness) -> None:
    harness.publish(50)
    worker = harness.start_worker()
    harness.check_exactly_once()
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    committed = read_topic(harness.kafka, harness.topics.results)
    everything = read_topic(harness.kafka, harness.topics.results, "read_uncommitted")
    wait_for(lambda: len(committed) == len(everything) == 50, "as many committed as written")


def test_partitions_that_left_while_paused_are_read_when_they_come_back(harness: WorkerHarness) -> None:
    """librdkafka keeps a partition's pause over its revocation and its next assignment (#1849)."""
    harness.settings = {"engine_simulated_s": "0.5", "flow_max_in_flight": "1", "engine_max_batch": "1"}
    harness.publish(24)
    harness.start_worker()
    harness.wait_outcomes(4)
    second = harness.start_worker()
    harness.wait_outcomes(12)
    second.kill()
    harness.check_exactly_once()
