"""Each alert is fired by its real fault. The durations are a twentieth of the true ones."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.resources import create_bucket, create_topics
from sightstream.pipeline.engine.simulated import CRASH
from sightstream.schemas.wire.topics import TopicSettings, topic_specs
from tests.faults.small_disk import small_disk
from tests.infra.alerts.shorten import write_shortened
from tests.infra.alerts.test_alerts import rules
from tests.infra.watched_run import WatchedRun
from tests.raw_batches import flip_a_bit

pytestmark = pytest.mark.soak

FACTOR = 20
Fault = Callable[[WatchedRun], None]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[WatchedRun]:
    """A broker of its own: its topics and groups have the names that the alerts know."""
    topics = TopicSettings(partitions=4)
    settings: dict[str, object] = {
        "worker_breaker_failures": 2,
        "fetch_total_timeout_s": 2,
        "lookup_session_timeout_s": 6,
    }
    with LocalRuntime(tmp_path / "runtime") as runtime:
        create_topics(runtime.kafka_settings, topic_specs(topics))
        alerts = write_shortened(tmp_path, FACTOR)
        with WatchedRun(runtime, topics, tmp_path / "run", rules=[alerts], settings=settings) as started:
            yield started


def answer(run: WatchedRun, count: int = 5) -> None:
    """Let some requests be answered."""
    run.harness.publish(count)
    run.harness.wait_until_seen(run.harness.published)


def kill_worker(run: WatchedRun) -> None:
    run.harness.workers[-1].kill()
    run.harness.workers[-1].wait()


def delete_records(run: WatchedRun, topic: str) -> None:
    """Let retention remove all that is there."""
    admin = AdminClient(run.runtime.kafka_settings.client_config())
    ends = [end for end in run.harness.history().ends if end.topic == topic]
    for future in admin.delete_records([TopicPartition(topic, end.partition, end.high) for end in ends]).values():
        future.result(30)


def too_little_capacity(run: WatchedRun) -> None:
    run.settings |= {"engine_simulated_s": 5, "engine_max_batch": 1}
    run.start("lag", "worker-0")
    run.harness.publish(100)


def a_worker_that_hangs(run: WatchedRun) -> None:
    run.start("lag", "worker-0")
    answer(run)
    run.harness.workers[-1].send_signal(signal.SIGSTOP)
    run.harness.publish(20)


def no_exporter(run: WatchedRun) -> None:
    run.start("lag")
    run.wait_for(lambda: bool(run.query("kafka_consumergroup_lag_sum")), "a reading")
    run.services["lag"].kill()


def a_store_that_died(run: WatchedRun) -> None:
    run.start("store")
    run.services["store"].kill()


def a_worker_that_dies_again_and_again(run: WatchedRun) -> None:
    for _ in range(4):
        run.start("worker-0")
        kill_worker(run)
        run.wait_for(lambda: run.value(f'up{{instance="{run.instance("worker-0")}"}}') == 0, "a scrape that fails")


def images_that_crash_the_engine(run: WatchedRun) -> None:
    run.start("worker-0")
    run.harness.publish(8, each=lambda number: {"question": f"{CRASH} {number}"})


def images_that_are_not_there(run: WatchedRun) -> None:
    run.start("worker-0")
    run.harness.publish(30, image={"uri": (run.folder / "missing.png").as_uri()})


def an_object_store_that_hangs(run: WatchedRun) -> None:
    create_bucket(run.runtime.s3_settings, "images")
    run.start("worker-0")
    run.runtime.s3.pause()
    run.harness.publish(10, image={"uri": "s3://images/a.png"})


def a_broker_that_hangs_now_and_then(run: WatchedRun) -> None:
    run.settings |= {"worker_transaction_timeout_s": 3, "engine_simulated_s": 1}
    run.start("worker-0")
    failed = 'sum(sightstream_worker_commits_total{outcome!="committed"})'
    for times in range(1, 6):
        run.harness.publish(20)
        run.runtime.kafka.pause()
        run.wait_for(lambda times=times: (run.value(failed) or 0) >= times, "a transaction that fails")  # type: ignore[misc]
        run.runtime.kafka.resume()


def a_damaged_batch(run: WatchedRun) -> None:
    run.harness.publish(4)
    flip_a_bit(run.runtime.folder.path, run.topics.requests, 0, b'"request_id":"r')
    run.start("worker-0")


def requests_that_expire(run: WatchedRun) -> None:
    run.start("worker-0")
    answer(run, 20)
    kill_worker(run)
    run.harness.publish(20)
    delete_records(run, run.topics.requests)
    run.start("worker-1")


def outcomes_that_expire(run: WatchedRun) -> None:
    run.start("worker-0", "store")
    answer(run, 20)
    run.services["store"].stop()
    answer(run, 20)
    delete_records(run, run.topics.results)
    run.start("store")


def a_lookup_without_a_broker(run: WatchedRun) -> None:
    run.start("lookup", "worker-0")
    answer(run)
    run.wait_for(lambda: run.value("sightstream_lookup_ready") == 1, "a lookup that is ready")
    run.runtime.kafka.pause()


def a_transaction_that_stays_open(run: WatchedRun) -> None:
    run.start("lag", "worker-0")
    answer(run)
    lasting = {"transactional.id": "of-others", "transaction.timeout.ms": 55_000}
    producer = Producer(run.runtime.kafka_settings.producer_config() | lasting)
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(run.topics.results, b"x", partition=0)
    producer.flush(30)
    run.closing.callback(producer.abort_transaction, 30)


def a_small_disk(run: WatchedRun) -> None:
    """It has 700 MiB in all. Needs root."""
    disk = run.closing.enter_context(small_disk(run.folder / "disk"))
    run.settings["store_path"] = disk.path / "results.db"
    run.start("store")


def an_engine_that_answers_wrongly(run: WatchedRun) -> None:
    right = run.folder / "right.txt"
    right.write_text("What the simulated engine never says")
    run.settings["engine_canary_file"] = right
    run.start("worker-0")


FAULTS: dict[str, Fault] = {
    "SightstreamLagGrowing": too_little_capacity,
    "SightstreamNoProgress": a_worker_that_hangs,
    "SightstreamLagUnknown": no_exporter,
    "SightstreamProcessDown": a_store_that_died,
    "SightstreamWorkerCrashLoop": a_worker_that_dies_again_and_again,
    "SightstreamEngineRestarts": images_that_crash_the_engine,
    "SightstreamDeadLetters": images_that_are_not_there,
    "SightstreamBreakerOpen": an_object_store_that_hangs,
    "SightstreamTransactionsFail": a_broker_that_hangs_now_and_then,
    "SightstreamPartitionUnreadable": a_damaged_batch,
    "SightstreamRequestsRemovedUnread": requests_that_expire,
    "SightstreamStorePositionLost": outcomes_that_expire,
    "SightstreamLastStableOffsetStuck": a_transaction_that_stays_open,
    "SightstreamDiskNearlyFull": a_small_disk,
    "SightstreamCanaryFailing": an_engine_that_answers_wrongly,
    "SightstreamLookupNotReady": a_lookup_without_a_broker,
}


def fires(run: WatchedRun, alert: str) -> bool:
    return alert in run.alerts("firing")


def test_every_alert_has_its_fault() -> None:
    assert FAULTS.keys() == {rule["alert"] for rule in rules()}


@pytest.mark.parametrize("alert", FAULTS)
def test_an_alert_is_fired_by_its_fault(run: WatchedRun, alert: str) -> None:
    FAULTS[alert](run)
    run.wait_for(lambda: fires(run, alert), f"{alert} to fire")
