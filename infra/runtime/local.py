"""Runs a real Kafka and a real S3 from one folder; both end when the process that owns them ends."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from pydantic import SecretStr

from sightstream.infra.bootstrap.java import find_java
from sightstream.infra.bootstrap.kafka_jars import ensure_kafka_jars
from sightstream.infra.runtime.config_file import write_config
from sightstream.infra.runtime.folder import Identity, Ownership, RuntimeFolder
from sightstream.infra.runtime.kafka import broker_properties, kafka_program
from sightstream.infra.runtime.object_store import object_store_program
from sightstream.infra.runtime.ports import LOOPBACK
from sightstream.infra.runtime.resources import create_bucket, create_topics
from sightstream.infra.runtime.service import Program, Service
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.topics import TopicSettings, topic_specs

DEFAULT_FOLDER = Path(".sightstream")
DEFAULT_BUCKET = "product-images"


class LocalRuntime:
    """A context manager: Kafka and S3 are ready inside it and have ended after it; the data stays in the folder.

    `kafka` and `s3` can be killed, paused and restarted one by one. If this process is killed, both end as well.
    `java` and `jars` are used in place of those that the set-up installed. Without `has_store` there is no S3.
    """

    kafka: Service
    s3: Service

    def __init__(
        self,
        folder: Path = DEFAULT_FOLDER,
        *,
        extra_broker_properties: Mapping[str, str] | None = None,
        java: Path | None = None,
        jars: Path | None = None,
        has_store: bool = True,
        start_timeout_s: float = 120.0,
    ) -> None:
        self.folder = RuntimeFolder(folder.resolve())
        self._extra = dict(extra_broker_properties or {})
        self._java, self._jars, self._has_store = java, jars, has_store
        self._start_timeout_s = start_timeout_s
        self._ownership: Ownership | None = None
        self._servers: list[Service] = []
        self._clients: list[Service] = []

    def __enter__(self) -> LocalRuntime:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start both and block until they are ready. Raises FolderInUseError or RuntimeFailedError."""
        self._ownership = self.folder.own()
        try:
            self._start()
        except BaseException:  # also on an interrupt: leave no process behind
            self.stop()
            raise

    def _start(self) -> None:
        identity = self.folder.identity()
        self.kafka_settings = KafkaSettings(
            bootstrap_servers=f"{LOOPBACK}:{identity.ports['kafka']}", security_protocol="PLAINTEXT"
        )
        self.s3_settings = s3_settings_of(identity)
        if self._has_store:
            self.s3 = self._serve(object_store_program(self.folder, identity, self.s3_settings))
        properties = broker_properties(self.folder, identity.ports, self._extra)
        java, jars = find_java(self._java), self._jars or ensure_kafka_jars()
        self.kafka = self._serve(kafka_program(self.folder, properties, self.kafka_settings, java, jars))
        for service in self._servers:
            service.wait_until_ready(self._start_timeout_s)

    def run(self, program: Program) -> Service:
        """Start one more program, which ends before Kafka and S3 do, however this process ends.

        Raises RuntimeFailedError when it cannot be executed.
        """
        return self._start_service(program, self._clients)

    def _serve(self, program: Program) -> Service:
        return self._start_service(program, self._servers)

    def _start_service(self, program: Program, group: list[Service]) -> Service:
        assert self._ownership is not None  # noqa: S101 (started)
        service = Service(program, self._ownership.children_lock)
        group.append(service)
        service.start()
        return service

    def prepare(self, topics: TopicSettings, bucket: str = DEFAULT_BUCKET, *, with_data: bool = False) -> Path:
        """Create topics and bucket, write the settings file for every other command, and return its path.

        `with_data` lets results and the lookup's table lie in the runtime's folder, too.
        """
        create_topics(self.kafka_settings, topic_specs(topics))
        if self._has_store:
            create_bucket(self.s3_settings, bucket)
        s3 = self.s3_settings.model_copy(update={"bucket": bucket})
        data = self.folder.path if with_data else None
        write_config(self.folder.config_file, self.kafka_settings, s3, topics, data)
        return self.folder.config_file

    def check(self) -> None:
        """Raise RuntimeFailedError, with the end of its log, if Kafka or the object store has died."""
        for service in self._servers:
            service.check()

    def stop(self) -> None:
        """End everything within a few seconds; does nothing when nothing runs."""
        for together in (self._clients, self._servers):  # clients first: they commit and leave their groups
            for service in together:
                service.begin_stop()
            for service in together:
                service.stop()
            together.clear()
        if self._ownership is not None:
            self.folder.config_file.unlink(missing_ok=True)
            self._ownership.release()
            self._ownership = None


def s3_settings_of(identity: Identity) -> S3Settings:
    """Return how a client reaches the object store of this identity."""
    return S3Settings(
        endpoint_url=f"http://{LOOPBACK}:{identity.ports['s3.port']}",
        access_key_id=identity.access_key_id,
        secret_access_key=SecretStr(identity.secret_access_key),
        path_style=True,
    )
