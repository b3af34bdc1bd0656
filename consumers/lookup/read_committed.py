"""A Faust app that reads committed records only, whatever bytes the names of their headers have.

Faust asks for that only in its exactly-once mode, which commits offsets without fencing; an ordinary app shows records
of aborted transactions. So the consumer's isolation level is set after the consumer is made and before it starts. The
names touched here are private: faust-streaming and aiokafka are pinned, and a test on a real broker checks the effect.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sightstream.consumers.lookup.header_names import accept_any_header_name

if TYPE_CHECKING:  # Faust ships no types: these declare the parts that are used here.

    class AIOKafkaConsumerThread:
        def __init__(self, consumer: object, *, loop: object, beacon: object) -> None: ...
        def _create_worker_consumer(self, transport: object) -> object: ...

    class Consumer:
        loop: object
        beacon: object

    class Transport:
        def __init__(self, urls: object, app: object) -> None: ...

    class App:
        def __init__(self, id: str, **settings: object) -> None: ...
        def __getattr__(self, name: str) -> Any: ...  # Faust's whole interface

else:
    from faust import App
    from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport

READ_COMMITTED = "read_committed"


class ReadCommittedThread(AIOKafkaConsumerThread):
    def _create_worker_consumer(self, transport: object) -> object:
        consumer = super()._create_worker_consumer(transport)
        if not hasattr(consumer, "_isolation_level"):
            raise RuntimeError("aborted records could be shown: this aiokafka is unknown here; install the pinned one")
        consumer._isolation_level = READ_COMMITTED
        accept_any_header_name()
        return consumer


class ReadCommittedConsumer(Consumer):
    def _new_consumer_thread(self) -> ReadCommittedThread:
        return ReadCommittedThread(self, loop=self.loop, beacon=self.beacon)


class ReadCommittedTransport(Transport):
    Consumer = ReadCommittedConsumer


class ReadCommittedApp(App):
    """A Faust app whose consumer never sees an aborted record."""

    def _new_transport(self) -> ReadCommittedTransport:
        return ReadCommittedTransport(self.conf.broker_consumer, self)
