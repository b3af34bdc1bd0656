"""Three real brokers with three copies of everything, and an object store; each can be killed, frozen and restarted."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from random import randrange
from types import TracebackType
from uuid import uuid4

from confluent_kafka.admin import AdminClient, ConsumerGroupDescription

from sightstream.infra.bootstrap.java import find_java
from sightstream.infra.bootstrap.kafka_jars import ensure_kafka_jars
from sightstream.infra.runtime.errors import RuntimeFailedError
from sightstream.infra.runtime.folder import Ownership, RuntimeFolder
from sightstream.infra.runtime.kafka import broker_properties, kafka_program, new_cluster_id
from sightstream.infra.runtime.local import s3_settings_of
from sightstream.infra.runtime.object_store import object_store_program
from sightstream.infra.runtime.ports import LOOPBACK, free_ports
from sightstream.infra.runtime.resources import create_topics
from sightstream.infra.runtime.service import Program, Service
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.wire.topics import TopicSettings, topic_specs
from tests.faults.harness import wait_for

NODES = (1, 2, 3)
START_TIMEOUT_S = 120.0
REPLICATED = {
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "share.coordinator.state.topic.replication.factor": "3",
    "share.coordinator.state.topic.min.isr": "2",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "unclean.leader.election.enable": "false",
}
TRANSACTION_TOPIC = "__transaction_state"


@dataclass(frozen=True, slots=True)
class Node:
    """Where one broker listens."""

    number: int
    host: str
    port: int
    controller_port: int

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"


class Cluster:
    """A context manager: all is ready inside it and has ended after it. `hosts` are addresses of this machine."""

    def __init__(self, folder: Path, hosts: Sequence[str] | None = None) -> None:
        hosts = hosts or own_loopback_addresses()
        self.folder = RuntimeFolder(folder.resolve())
        ports = free_ports(2 * len(NODES))
        self.nodes = [Node(n, host, ports.pop(), ports.pop()) for n, host in zip(NODES, hosts, strict=True)]
        self.brokers: dict[int, Service] = {}
        servers = ",".join(node.address for node in self.nodes)
        self.kafka_settings = KafkaSettings(bootstrap_servers=servers, security_protocol="PLAINTEXT")
        self._ownership: Ownership | None = None
        self._admin: AdminClient | None = None

    def __enter__(self) -> Cluster:
        self._ownership = self.folder.own()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start(self) -> None:
        identity = self.folder.identity()
        self.s3_settings = s3_settings_of(identity)
        self.s3 = self._run(object_store_program(self.folder, identity, self.s3_settings))
        cluster_id = new_cluster_id()
        for node in self.nodes:
            self.brokers[node.number] = self._run(self._program(node, cluster_id))
        for service in self._services():
            service.wait_until_ready(START_TIMEOUT_S)

    def _program(self, node: Node, cluster_id: str) -> Program:
        folder = RuntimeFolder(self.folder.path / f"node-{node.number}")
        folder.create()
        voters = ",".join(f"{each.number}@{each.host}:{each.controller_port}" for each in self.nodes)
        own = {
            "node.id": str(node.number),
            "controller.quorum.voters": voters,
            "listeners": f"BROKER://{node.address},CONTROLLER://{node.host}:{node.controller_port}",
            "advertised.listeners": f"BROKER://{node.address}",
        }
        ports = {"kafka": node.port, "controller": node.controller_port}
        properties = broker_properties(folder, ports, REPLICATED | own)
        settings = KafkaSettings(bootstrap_servers=node.address, security_protocol="PLAINTEXT")
        java, jars = find_java(None), ensure_kafka_jars()
        program = kafka_program(folder, properties, settings, java, jars, cluster_id)
        small = ["-Xmx256m" if word.startswith("-Xmx") else word for word in program.command]
        return replace(program, name=f"Kafka {node.number}", command=small)

    def _run(self, program: Program) -> Service:
        assert self._ownership is not None
        service = Service(program, self._ownership.children_lock)
        service.start()
        return service

    def _services(self) -> list[Service]:
        return [*self.brokers.values(), *([self.s3] if hasattr(self, "s3") else [])]

    def stop(self) -> None:
        """Kill everything: what a cluster leaves behind is of no use."""
        for service in self._services():
            with suppress(RuntimeFailedError):
                service.kill()
            service.stop()
        if self._ownership is not None:
            self._ownership.release()
            self._ownership = None

    # --- what runs where ----------------------------------------------------------------------------------

    @property
    def admin(self) -> AdminClient:
        self._admin = self._admin or AdminClient(self.kafka_settings.client_config() | {"log_level": 0})
        return self._admin

    def create_topics(self, partitions: int = 6) -> TopicSettings:
        """Create the three topics, with the broker's clock in their records."""
        name = uuid4().hex[:10]
        settings = TopicSettings(
            requests=f"{name}.requests",
            results=f"{name}.results",
            dead_letters=f"{name}.dead-letters",
            partitions=partitions,
            replication_factor=3,
        )
        broker_clock = {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "2"}
        create_topics(
            self.kafka_settings,
            [replace(spec, config=spec.config | broker_clock) for spec in topic_specs(settings)],
        )
        return settings

    def leader(self, topic: str, partition: int = 0) -> int:
        """Return the node that leads the partition."""
        return int(self.admin.list_topics(topic, timeout=30).topics[topic].partitions[partition].leader)

    def group_coordinator(self, group: str) -> int:
        found: ConsumerGroupDescription = self.admin.describe_consumer_groups([group])[group].result(30)
        return int(found.coordinator.id)

    def transaction_coordinator(self, transactional_id: str) -> int:
        """Return the node that leads the partition of the transaction log which Kafka chooses by the id's hash."""
        count = len(self.admin.list_topics(TRANSACTION_TOPIC, timeout=30).topics[TRANSACTION_TOPIC].partitions)
        return self.leader(TRANSACTION_TOPIC, (java_hash(transactional_id) & 0x7FFFFFFF) % count)

    def wait_until_whole(self, topics: Iterable[str], timeout_s: float = 120) -> None:
        """Wait until every copy of these topics and of Kafka's own has caught up: the next fault may hit any broker."""

        def whole() -> bool:
            found = self.admin.list_topics(timeout=30).topics
            names = [*topics, TRANSACTION_TOPIC, "__consumer_offsets"]
            return all(len(p.isrs) == len(NODES) for name in names for p in found[name].partitions.values())

        wait_for(whole, "all copies in sync", timeout_s)


def own_loopback_addresses() -> list[str]:
    """Return three addresses of the loopback interface that nobody else uses.

    While a broker is down, another program that looks for a free port can be given the broker's on 127.0.0.1.
    """
    if sys.platform != "linux":  # others have only 127.0.0.1
        return [LOOPBACK] * 3
    middle = f"{randrange(1, 255)}.{randrange(1, 255)}"
    return [f"127.{middle}.{node}" for node in NODES]


def java_hash(text: str) -> int:
    """Return Java's String.hashCode as an unsigned number, for texts of ASCII."""
    value = 0
    for char in text:
        value = (31 * value + ord(char)) & 0xFFFFFFFF
    return value
