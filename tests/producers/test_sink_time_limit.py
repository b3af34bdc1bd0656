"""A broker call that never returns costs the transactional sink its time limit and no more."""

from __future__ import annotations

import time
from threading import Event
from typing import Any, cast

import pytest

from sightstream.producers.errors import InDoubt
from sightstream.producers.kafka_clients import ClientFactory, OffsetReader, TransactionalProducer
from sightstream.producers.settings import PublisherSettings
from sightstream.producers.transactional_sink import TransactionalSink
from sightstream.schemas.connections.kafka import KafkaSettings


class HangingProducer:
    """Never returns from `init_transactions` until `released`."""

    def __init__(self) -> None:
        self.released = Event()

    def init_transactions(self, timeout_s: float) -> None:
        self.released.wait()

    def abort_transaction(self, timeout_s: float) -> None:
        self.released.wait()

    def purge(self) -> None:
        """Nothing is queued."""


def test_a_call_that_hangs_leaves_the_transaction_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GRACE_S", "CLOSE_S"):
        monkeypatch.setattr(f"sightstream.producers.transactional_sink.{name}", 0.05)
    producer = HangingProducer()

    def no_consumer(config: dict[str, Any]) -> OffsetReader:
        raise AssertionError("the consumer comes after the producer")

    enough = cast("TransactionalProducer", producer)  # open() and close() call no more than it has
    factory = ClientFactory(producer=lambda config: enough, consumer=no_consumer)
    sink = TransactionalSink(KafkaSettings(), PublisherSettings(transaction_timeout_s=1), "t", "job", factory)
    start = time.monotonic()
    with pytest.raises(InDoubt, match="did not answer"):
        sink.open()
    sink.close()
    assert time.monotonic() - start < 10
    producer.released.set()
