"""The settings that a worker's consumer gets from ours."""

from __future__ import annotations

from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.worker import consumer_config
from sightstream.schemas.connections.kafka import KafkaSettings


def test_seconds_become_librdkafkas_milliseconds() -> None:
    config = consumer_config(WorkerSettings(session_timeout_s=6.5, max_poll_interval_s=60), KafkaSettings())
    assert (config["session.timeout.ms"], config["heartbeat.interval.ms"]) == (6500, 1300)
    assert config["max.poll.interval.ms"] == 60_000
    assert consumer_config(WorkerSettings(session_timeout_s=1), KafkaSettings())["heartbeat.interval.ms"] == 300


def test_only_transactions_commit_offsets() -> None:
    config = consumer_config(WorkerSettings(), KafkaSettings())
    assert config["enable.auto.commit"] is False
    assert config["enable.auto.offset.store"] is False
    assert config["isolation.level"] == "read_committed"


def test_a_frozen_broker_is_given_up_long_before_the_clients_default_of_a_minute() -> None:
    settings = WorkerSettings(transaction_timeout_s=15)
    timeout_ms = consumer_config(settings, KafkaSettings())["socket.timeout.ms"]
    assert isinstance(timeout_ms, int)
    assert timeout_ms <= settings.session_timeout_s * 1000
