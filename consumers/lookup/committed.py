"""A Faust that reads committed records only.

Faust asks for that only in its exactly-once mode, which commits offsets without fencing; an ordinary app shows
records of aborted transactions. So the consumer's isolation level is set between its making and its start. The names
touched here are private: faust-streaming and aiokafka are pinned, and a test on a real broker holds it.
"""

from __future__ import annotations

from typing import Any

import faust
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

READ_COMMITTED = "read_committed"


class CommittedConsumerThread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        if not hasattr(consumer, "_isolation_level"):
            raise RuntimeError("this aiokafka is unknown here: aborted records could be shown; install the pinned one")
        consumer._isolation_level = READ_COMMITTED
        return consumer


class CommittedConsumer(Consumer):
    def _new_consumer_thread(self) -> CommittedConsumerThread:
        return CommittedConsumerThread(self, loop=self.loop, beacon=self.beacon)


class CommittedTransport(Transport):
    Consumer = CommittedConsumer


class CommittedApp(faust.App):
    """A Faust app whose consumer never sees an aborted record."""

    def _new_transport(self) -> CommittedTransport:
        return CommittedTransport(self.conf.broker_consumer, self)
