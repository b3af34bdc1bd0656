"""Kafka's clients with faults at named points of a commit.

The faults are made where the worker meets librdkafka, so that they need no hook in the product, and find their point
also in a product that is broken on purpose. The points, in the order of a sound commit:

    membership      before the group's metadata is read; a worker that slept here has lost its membership afterwards
    begin           before a transaction begins
    before_produce  before its first record; the membership was checked, and nothing was sent yet
    after_produce   all its records are on the broker, a dead letter among them
    after_offsets   its offsets were sent
    before_commit   before the commit itself
    in_commit       the commit went through, and the worker does not know it yet
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import confluent_kafka
from confluent_kafka import KafkaError, KafkaException

from sightstream.schemas.connections.timeouts import CallTimedOut
from sightstream.schemas.wire.dead_letter import HEADER_PREFIX

NOTICE_TIMEOUT_S = 20
FLUSH_TIMEOUT_S = 10


class Faults:
    """The faults of this process, one after the other; the clients report each step to it.

    A fault is `ACTION@POINT`. The first one waits until `records` records were produced in all, and all wait until the
    file `armed` exists, if one is given. `log` gets a line for each event that a test waits for.
    """

    def __init__(self, faults: list[str], records: int, log: Path, armed: Path | None = None) -> None:
        self._pending = deque(fault.split("@") for fault in faults)
        self._records, self._log, self._armed = records, log, armed
        self._producers: list[FaultyProducer] = []
        self._produced = self._in_transaction = 0
        self._has_dead_letter = False

    def is_next(self, point: str) -> bool:
        if not self._pending or self._pending[0][1] != point or self._produced < self._records:
            return False
        return self._armed is None or self._armed.exists()

    def reach(self, point: str) -> None:
        """Act if this is the point. Raises what the action raises."""
        if self.is_next(point):
            action, _ = self._pending.popleft()
            self.write(f"{action} {point}")
            ACTIONS[action]()

    def write(self, event: str) -> None:
        with self._log.open("a") as log:
            log.write(event + "\n")

    def register(self, producer: FaultyProducer) -> None:
        self._producers.append(producer)

    def begin(self) -> None:
        self._in_transaction, self._has_dead_letter = 0, False
        self.reach("begin")

    def count_produced(self, headers: list[tuple[str, bytes]]) -> None:
        if self._in_transaction == 0:
            self.reach("before_produce")
        self._produced += 1
        self._in_transaction += 1
        self._has_dead_letter |= any(name == HEADER_PREFIX + "reason" for name, _ in headers)

    def end_produce(self) -> None:
        """The worker goes on to offsets or to the commit: bring its records to the broker, if that is the point."""
        if self._has_dead_letter and self.is_next("after_produce"):
            for producer in self._producers:
                producer.flush(FLUSH_TIMEOUT_S)
            self.reach("after_produce")


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    """Freeze this process until it gets SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)


def lose_reply() -> None:
    """Raise what the worker sees when a reply does not come: the call may or may not have gone through."""
    raise CallTimedOut("the reply was lost on purpose")


def lose_coordinator() -> None:
    """Raise what the worker sees when the transaction's coordinator does not say how a call ended."""
    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the coordinator was lost on purpose", False, False, False))


def refuse() -> None:
    """Raise what the worker sees when Kafka wants the transaction aborted."""
    raise KafkaException(KafkaError(KafkaError.INVALID_TXN_STATE, "refused on purpose", False, False, True))


ACTIONS: dict[str, Callable[[], None]] = {
    "kill": kill,
    "stop": stop,
    "lose_reply": lose_reply,
    "lose_coordinator": lose_coordinator,
    "refuse": refuse,
}


class FaultyProducer(confluent_kafka.Producer):
    """A real producer that reports its steps."""

    faults: Faults

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.faults.register(self)

    def begin_transaction(self) -> None:
        self.faults.begin()
        super().begin_transaction()

    def produce(self, *arguments: Any, **named: Any) -> None:
        self.faults.count_produced(named["headers"])
        super().produce(*arguments, **named)

    def send_offsets_to_transaction(self, *arguments: Any) -> None:
        self.faults.end_produce()
        super().send_offsets_to_transaction(*arguments)
        self.faults.reach("after_offsets")

    def commit_transaction(self, *arguments: Any) -> None:
        self.faults.end_produce()
        self.faults.reach("before_commit")
        super().commit_transaction(*arguments)
        self.faults.reach("in_commit")


class FaultyConsumer(confluent_kafka.Consumer):
    """A real consumer that reports its steps."""

    faults: Faults

    def __init__(self, config: dict[str, Any], **named: Any) -> None:
        super().__init__(config, **named)
        self._stranger_config = {name: config[name] for name in ("bootstrap.servers", "group.id")}

    def consumer_group_metadata(self) -> Any:
        if not self.faults.is_next("membership"):
            return super().consumer_group_metadata()
        self.faults.reach("membership")
        self._wait_until_excluded()
        return self._metadata_without_generation()

    def _wait_until_excluded(self) -> None:
        """Wait until the client has learned, after its sleep, that the group counts it as dead."""
        deadline = time.monotonic() + NOTICE_TIMEOUT_S
        while self.memberid() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.faults.write("excluded")

    def _metadata_without_generation(self) -> Any:
        """Return what the client says when it has lost its generation too, as it does after an illegal one.

        In other cases librdkafka keeps the old generation beside the empty member id, and Kafka itself refuses those
        two together. Nothing promises that. Without either, Kafka checks nothing.
        """
        return confluent_kafka.Consumer(self._stranger_config).consumer_group_metadata()

    def commit(self, *arguments: Any, **named: Any) -> Any:
        self.faults.end_produce()
        committed = super().commit(*arguments, **named)
        self.faults.reach("after_offsets")
        return committed

    def pause(self, partitions: list[confluent_kafka.TopicPartition]) -> None:
        super().pause(partitions)
        for at in partitions:
            self.faults.write(f"paused {at.partition}")
