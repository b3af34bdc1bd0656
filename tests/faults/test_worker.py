"""Real workers on a real broker: whatever happens to them, every request has exactly one outcome."""

from __future__ import annotations

import hashlib
import signal
import socket
import urllib.request

import pytest
from confluent_kafka import Producer

from sightstream.pipeline.engine.simulated import CRASH, HANG
from sightstream.schemas.wire.dead_letter import Reason
from tests.faults.harness import Bench, read_topic, wait_for

pytestmark = pytest.mark.real


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_one_worker_answers_everything_and_leaves_cleanly(bench: Bench) -> None:
    bench.publish(40)
    port = free_port()
    worker = bench.start_worker(worker_metrics_port=port)
    found = bench.check_exactly_once()
    assert len(found.results) == 40
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page:
        assert b"sightstream_worker_results_total 40.0" in page.read()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0, bench.logs()


def test_what_can_not_be_answered_becomes_a_dead_letter_with_its_bytes(bench: Bench) -> None:
    headers = [("traceparent", b"00-1"), ("sightstream-reason", b"forged")]
    bench.publish_raw(b"{not json\xff", headers=headers)
    bench.publish_raw(None)
    bench.publish_raw(b"x" * 300_000)
    bench.publish_raw(b"{}", headers=[(b"bad\xff\xfe", b"v")])
    huge = b"x" * (3 * 1024**2)
    bench.publish_raw(huge, compression="zstd")
    (bench.folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 not really")
    (bench.folder / "text.jpg").write_text("hello")
    bench.publish(1, image={"uri": (bench.folder / "missing.png").as_uri()})
    bench.publish(1, image={"uri": (bench.folder / "broken.jpg").as_uri()})
    bench.publish(1, image={"uri": (bench.folder / "text.jpg").as_uri()})
    bench.publish(1, image={"uri": "file:///etc/passwd"})
    bench.publish(1, image={"uri": "http://169.254.169.254/latest/meta-data"})
    bench.publish(1, image={"uri": "gopher://x/y"})
    bench.publish(5)
    bench.start_worker()
    found = bench.check_exactly_once()
    assert len(found.results) == 5
    assert sorted(f.reason for f in found.failures) == sorted(
        [
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
    omitted = next(m for m in found.dead_letters if any(n == "sightstream-omitted-bytes" for n, _ in m.headers()))
    assert dict(omitted.headers())["sightstream-omitted-sha256"] == hashlib.sha256(huge).hexdigest().encode()
    garbage = next(m for m in found.dead_letters if (m.value() or b"").startswith(b"{not"))
    assert (garbage.key(), garbage.value()) == (b"k", b"{not json\xff")
    assert garbage.headers()[0] == ("traceparent", b"00-1")
    assert [value for name, value in garbage.headers() if name == "sightstream-reason"] == [b"malformed"]


@pytest.mark.parametrize("round_", range(2))
def test_a_worker_killed_in_mid_batch_loses_nothing(bench: Bench, round_: int) -> None:
    bench.settings = {"engine_simulated_s": "0.15"}  # so that there is work left
    bench.publish(300)
    first, _ = bench.start_worker(), bench.start_worker()
    bench.wait_outcomes(40 + 60 * round_)
    first.kill()
    at_kill = len(bench.outcomes().sources)
    assert at_kill < 300, "the kill came too late to prove anything"
    bench.check_exactly_once()


def test_the_only_worker_killed_and_restarted_under_its_name(bench: Bench) -> None:
    bench.publish(200)
    for count in (20, 70, 120):
        worker = bench.start_worker(name=f"{bench.group}-only")
        bench.wait_outcomes(count)
        worker.kill()
        worker.wait()
    bench.start_worker(name=f"{bench.group}-only")
    bench.check_exactly_once()


def test_a_worker_asleep_past_its_session_can_not_answer_twice(bench: Bench) -> None:
    bench.settings = {"engine_simulated_s": "0.15"}  # so that there is work left
    bench.publish(300)
    sleeper, _ = bench.start_worker(), bench.start_worker()
    bench.wait_outcomes(40)
    sleeper.send_signal(signal.SIGSTOP)
    before = len(bench.outcomes().sources)
    assert before < 300
    bench.wait_outcomes(300)
    sleeper.send_signal(signal.SIGCONT)
    bench.publish(100)
    bench.check_exactly_once()


def test_workers_that_come_and_go_share_the_partitions(bench: Bench) -> None:
    bench.settings = {"engine_simulated_s": "0.2"}  # for those who join
    bench.publish(400)
    bench.start_worker()
    bench.wait_outcomes(30)
    for _ in range(3):
        joining = bench.start_worker()
        bench.wait_shares(2)
        seen = len(bench.outcomes().sources)
        bench.wait_outcomes(min(bench.published, seen + 30))
        joining.send_signal(signal.SIGTERM)
        assert joining.wait(40) == 0, bench.logs()
    bench.check_exactly_once()


def test_poison_costs_itself_and_its_neighbours_are_answered(bench: Bench) -> None:
    bench.publish(20)
    bench.publish(1, question=CRASH)
    bench.publish(20)
    bench.publish(1, question=HANG)
    bench.publish(20)
    bench.start_worker(engine_hang_timeout_s=2)
    found = bench.check_exactly_once()
    assert [f.reason for f in found.failures] == [Reason.ENGINE_CRASH] * 2
    assert len(found.results) == 60


def test_requests_of_aborted_transactions_are_never_answered(bench: Bench) -> None:
    bench.publish(10)
    producer = Producer(bench.kafka.producer_config() | {"transactional.id": f"{bench.group}-shop"})
    producer.init_transactions(30)
    for commit in (False, True, False):
        producer.begin_transaction()
        for number in range(5):
            producer.produce(bench.topics.requests, key=b"p", value=b"aborted" if not commit else b"kept %d" % number)
        producer.commit_transaction(30) if commit else producer.abort_transaction(30)
    bench.published += 5
    bench.start_worker()
    found = bench.check_exactly_once()
    assert sorted(m.value() for m in found.dead_letters) == [b"kept %d" % n for n in range(5)]


def test_an_unreachable_engine_ends_the_worker_with_a_clear_word(bench: Bench) -> None:
    bench.publish(5)
    worker = bench.start_worker(engine_kind="generate", engine_checkpoint=bench.folder / "nothing-here")
    assert worker.wait(60) == 1
    assert "name the folder of an Mllama checkpoint" in bench.logs()
    bench.start_worker()
    bench.check_exactly_once()


def test_no_transaction_stays_open_behind_the_workers(bench: Bench) -> None:
    bench.publish(50)
    worker = bench.start_worker()
    bench.check_exactly_once()
    worker.send_signal(signal.SIGTERM)
    worker.wait(30)
    committed = read_topic(bench.kafka, bench.topics.results)
    everything = read_topic(bench.kafka, bench.topics.results, "read_uncommitted")
    wait_for(lambda: len(committed) == len(everything) == 50, "as many committed as written")


def test_partitions_that_left_while_paused_are_read_when_they_come_back(bench: Bench) -> None:
    """librdkafka keeps a partition's pause over its revocation and its next assignment (#1849)."""
    bench.settings = {"engine_simulated_s": "0.5", "flow_max_in_flight": "1", "engine_max_batch": "1"}
    bench.publish(24)
    bench.start_worker()
    bench.wait_outcomes(4)
    second = bench.start_worker()
    bench.wait_outcomes(12)
    second.kill()
    bench.check_exactly_once()
