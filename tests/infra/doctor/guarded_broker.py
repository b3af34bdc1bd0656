"""A broker with passwords and ACLs, and a listener whose advertised address leads nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from confluent_kafka import KafkaError, TopicCollection
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)
from pydantic import SecretStr

from sightstream.infra.doctor.roles import PROBE, Grant, Kind, Role
from sightstream.infra.runtime.kafka import broker_properties
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.connections.kafka import KafkaSettings
from tests.consumers.waiting import wait_for
from tests.producers.secure_listeners import free_port

PASSWORD = "c4n4ry-password"
GOOD = "good"
USERS = (GOOD, *(f"poor-{role}" for role in Role))
OFFSET_METADATA_MAX_BYTES = 3000
_KINDS = {
    Kind.TOPIC: ResourceType.TOPIC,
    Kind.GROUP: ResourceType.GROUP,
    Kind.TRANSACTIONAL_ID: ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


@dataclass(frozen=True)
class GuardedBroker:
    """On the runtime's own port, where nobody is asked for a password, everything is allowed."""

    runtime: LocalRuntime
    port: int
    misleading_port: int

    @cached_property
    def admin(self) -> AdminClient:
        return AdminClient(self.runtime.kafka_settings.client_config())

    def allow(self, user: str, grants: Sequence[Grant]) -> None:
        wanted = {
            rule(user, _KINDS[grant.kind], grant.name, _OPERATIONS[operation])
            for grant in grants
            for operation in grant.operations
        }
        for future in self.admin.create_acls(list(wanted)).values():
            future.result(30)
        self._wait_until_allowed(user, {grant.name for grant in grants if grant.kind is Kind.TOPIC})

    def _wait_until_allowed(self, user: str, topics: set[str]) -> None:
        """Wait until the broker, which applies rules a moment later, has applied those."""
        admin = AdminClient(self.settings(user).client_config())

        def is_allowed(future: Future[object]) -> bool:
            error = future.exception(30)
            return error is None or error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART

        wait_for(lambda: all(map(is_allowed, admin.describe_topics(TopicCollection(sorted(topics))).values())))

    def settings(self, user: str) -> KafkaSettings:
        return KafkaSettings(
            bootstrap_servers=f"127.0.0.1:{self.port}",
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_username=user,
            sasl_password=SecretStr(PASSWORD),
        )

    def allow_to_look_at_the_cluster(self, user: str) -> None:
        operations = (AclOperation.DESCRIBE, AclOperation.DESCRIBE_CONFIGS)
        wanted = [rule(user, ResourceType.BROKER, "kafka-cluster", operation) for operation in operations]
        for future in self.admin.create_acls(wanted).values():
            future.result(30)


def rule(user: str, kind: ResourceType, name: str, operation: AclOperation) -> AclBinding:
    prefix = name.removesuffix(PROBE)
    pattern = ResourcePatternType.LITERAL if prefix == name else ResourcePatternType.PREFIXED
    return AclBinding(kind, prefix, pattern, f"User:{user}", "*", operation, AclPermissionType.ALLOW)


def guarded_broker(folder: Path) -> GuardedBroker:
    """Return a broker that is not started yet."""
    port, misleading = free_port(), free_port()
    plain = LocalRuntime(folder).folder
    base = broker_properties(plain, plain.identity().ports, {})
    listeners = f"GUARDED://127.0.0.1:{port},MISLEADING://127.0.0.1:{misleading}"
    users = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
    extra = {
        "listeners": f"{base['listeners']},{listeners}",
        "advertised.listeners": f"{base['advertised.listeners']},"
        f"GUARDED://127.0.0.1:{port},MISLEADING://127.0.0.1:{free_port()}",
        "listener.security.protocol.map": f"{base['listener.security.protocol.map']},"
        "GUARDED:SASL_PLAINTEXT,MISLEADING:PLAINTEXT",
        "listener.name.guarded.sasl.enabled.mechanisms": "PLAIN",
        "listener.name.guarded.plain.sasl.jaas.config": "org.apache.kafka.common.security.plain.PlainLoginModule "
        f'required username="admin" password="admin" {users};',
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "offset.metadata.max.bytes": str(OFFSET_METADATA_MAX_BYTES),
    }
    return GuardedBroker(LocalRuntime(folder, extra_broker_properties=extra), port, misleading)
