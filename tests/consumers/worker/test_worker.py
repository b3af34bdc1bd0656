"""The settings that a worker's consumer gets from ours, and what one turn of its loop makes of a backlog."""

from __future__ import annotations

from unittest.mock import MagicMock

from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.consumers.worker.worker import Worker, consumer_config
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


class TurningWorker(Worker):
    """Works through a backlog of requests whose outcomes are all there whenever it looks for them."""

    def __init__(self, backlog: int) -> None:
        self.backlog, self.more_expected = backlog, list[bool]()
        self._assignment = self.hand = MagicMock(unpublished=0, unfinished=0)
        self._intake, self._outcomes, self._committer = MagicMock(), MagicMock(), MagicMock()
        self._topic_watch, self._lost_positions, self._load_metrics = MagicMock(), MagicMock(), MagicMock()
        self._progress_log, self._on_turn = MagicMock(), MagicMock()
        self._flow, self._retry_queue = MagicMock(held_bytes=0), MagicMock(__len__=lambda _: 0)
        self._intake.poll = self._start_one
        self._outcomes.collect = lambda timeout_s: setattr(self.hand, "unfinished", 0)
        self._committer.commit_if_due = self._note

    def _start_one(self, timeout_s: float) -> bool:
        self._intake.is_drained = not self.backlog
        if self.backlog:
            self.backlog -= 1
            self.hand.unfinished += 1
            self.hand.unpublished += 1
        return True

    def _note(self, more_expected: bool) -> None:
        self.more_expected.append(more_expected)

    def turn(self, times: int) -> None:
        for _ in range(times):
            self._run_once()


def test_while_requests_wait_on_the_topic_more_is_expected_although_all_in_hand_is_finished() -> None:
    worker = TurningWorker(backlog=3)
    worker.turn(5)
    assert worker.more_expected == [True, True, True, False, False]
