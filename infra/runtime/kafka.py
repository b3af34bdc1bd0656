"""Runs Apache Kafka on this machine as one KRaft node that is both broker and controller."""

from __future__ import annotations

import base64
import re
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from sightstream.consumers.private_files import write_private
from sightstream.infra.runtime.errors import RuntimeFailedError
from sightstream.infra.runtime.folder import RuntimeFolder
from sightstream.infra.runtime.ports import LOOPBACK
from sightstream.infra.runtime.service import Program
from sightstream.pipeline.child_environment import PROGRAM, child_environment
from sightstream.schemas.connections.kafka import KafkaSettings

FORMAT_TIMEOUT_S = 60
WARM_UP_ID = "sightstream-warm-up"
JVM_FLAGS = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # the optimizing compiler costs 2 s of processor time at every start
    "-XX:+ExitOnOutOfMemoryError",  # so that a broker without memory dies and is noticed
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)
JAVA_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}  # Java reads the names of folders by it


def broker_properties(folder: RuntimeFolder, ports: Mapping[str, int], extra: Mapping[str, str]) -> dict[str, str]:
    """Return the node's whole configuration; `extra` overrides it."""
    broker, controller = f"{LOOPBACK}:{ports['kafka']}", f"{LOOPBACK}:{ports['controller']}"
    one_copy = {
        f"{topic}.{name}": "1"
        for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic")
        for name in ("replication.factor", "min.isr")
        if f"{topic}.{name}" != "offsets.topic.min.isr"
    }
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        # Static voters: unlike a dynamic quorum's, the controller's port is not on disk and may change.
        "controller.quorum.voters": f"1@{controller}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "BROKER",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "listeners": f"BROKER://{broker},CONTROLLER://{controller}",
        "advertised.listeners": f"BROKER://{broker}",
        "log.dirs": folder.data("kafka").name,  # in the working folder: a list can't hold a path with a comma
        "auto.create.topics.enable": "false",
        **one_copy,
        # Fewer than a cluster has: each one is a directory that the first start creates.
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.num.partitions": "8",
        "share.coordinator.state.topic.num.partitions": "1",
        "num.network.threads": "2",
        "num.io.threads": "4",
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        "log.index.size.max.bytes": str(1024 * 1024),
        "group.initial.rebalance.delay.ms": "0",
        # A killed broker can register again only after its old session has expired.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
        # Notice dead workers fast, and abort their open transactions fast.
        "group.min.session.timeout.ms": "1000",
        "transaction.max.timeout.ms": "60000",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        **extra,
    }


def kafka_program(
    folder: RuntimeFolder,
    properties: Mapping[str, str],
    settings: KafkaSettings,
    java: Path,
    jars: Path,
    cluster_id: str | None = None,
) -> Program:
    """Return the broker's program, after formatting its folder on the first start.

    Brokers of one cluster are given one `cluster_id`. Formatting blocks for a second. Raises RuntimeFailedError.
    """
    file = folder.path / "server.properties"
    write_private(file, "".join(f"{name}={escaped(value)}\n" for name, value in properties.items()))
    start_java = [str(java.absolute()), *JVM_FLAGS, "-cp", f"{jars}/*"]
    if not (folder.data("kafka") / "meta.properties").exists():
        _format([*start_java, "kafka.tools.StorageTool", "format"], file, cluster_id or new_cluster_id())
    return Program(
        name="Kafka",
        command=[*start_java, "kafka.Kafka", file.name],
        log=folder.log("kafka"),
        check_ready=lambda timeout_s: check_kafka(settings, timeout_s),
        environment=JAVA_ENVIRONMENT,
        inherited=child_environment(PROGRAM),
        folder=folder.path,
    )


def escaped(value: str) -> str:
    """Return a value as a file of Java properties holds it."""
    return re.sub(r"^ |\\|[^ -~]", _escaped_units, value)


def _escaped_units(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))


def new_cluster_id() -> str:
    """Return an identity of a new cluster."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _format(command: list[str], properties: Path, cluster_id: str) -> None:
    done = subprocess.run(
        [*command, f"--cluster-id={cluster_id}", f"--config={properties.name}"],  # an id may start with a dash
        capture_output=True,
        text=True,
        timeout=FORMAT_TIMEOUT_S,
        check=False,
        umask=0o077,
        cwd=properties.parent,
        env=child_environment(PROGRAM) | JAVA_ENVIRONMENT,
    )
    if done.returncode != 0:
        raise RuntimeFailedError(f"Kafka's folder could not be formatted:\n{done.stdout}{done.stderr}")


def check_kafka(settings: KafkaSettings, timeout_s: float) -> None:
    """Return if metadata, group offsets and transactions are served; raises KafkaException if not.

    A cold broker creates its topics for offsets and transactions at first use, which takes a second. This check
    triggers it, so that the first worker does not wait for it.
    """
    from confluent_kafka import Consumer, Producer, TopicPartition
    from confluent_kafka.admin import AdminClient

    quiet = settings.client_config() | {"log_level": 0, "reconnect.backoff.max.ms": 200}
    AdminClient(quiet).list_topics(timeout=timeout_s)
    consumer = Consumer(quiet | {"group.id": WARM_UP_ID})
    try:
        consumer.committed([TopicPartition(WARM_UP_ID, 0)], timeout=timeout_s)
    finally:
        consumer.close()
    Producer(quiet | {"transactional.id": WARM_UP_ID}).init_transactions(timeout_s)
