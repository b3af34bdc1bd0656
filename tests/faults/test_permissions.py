"""A broker that refuses a worker one permission at a time: the worker ends, and says which ACL to add."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.resources import create_topics
from sightstream.schemas.wire.topics import TopicSettings, topic_specs
from tests.faults.harness import WorkerHarness

pytestmark = [pytest.mark.real, pytest.mark.soak]

EVERYBODY = "User:ANONYMOUS"
GUARDED = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    """A broker with access control, on which everything is allowed that no rule denies."""
    with LocalRuntime(tmp_path_factory.mktemp("guarded"), extra_broker_properties=GUARDED) as runtime:
        yield runtime


@pytest.fixture
def harness(guarded: LocalRuntime, tmp_path: Path) -> Iterator[WorkerHarness]:
    name = uuid4().hex[:8]
    topics = TopicSettings(
        requests=f"{name}.requests", results=f"{name}.results", dead_letters=f"{name}.dead", partitions=4
    )
    create_topics(guarded.kafka_settings, topic_specs(topics))
    harness = WorkerHarness(guarded.kafka_settings, topics, tmp_path)
    yield harness
    harness.stop()


def rule(kind: ResourceType, name: str, operation: AclOperation, permission: AclPermissionType) -> AclBinding:
    return AclBinding(kind, name, ResourcePatternType.LITERAL, EVERYBODY, "*", operation, permission)


def deny(admin: AdminClient, kind: ResourceType, name: str, operation: AclOperation) -> None:
    """Forbid one operation; a rule that allows the others must stand beside it."""
    rules = [
        rule(kind, name, AclOperation.ALL, AclPermissionType.ALLOW),
        rule(kind, name, operation, AclPermissionType.DENY),
    ]
    for future in admin.create_acls(rules).values():
        future.result(30)


def allow_again(admin: AdminClient, kind: ResourceType, name: str) -> None:
    every = AclBindingFilter(
        kind, name, ResourcePatternType.LITERAL, EVERYBODY, "*", AclOperation.ANY, AclPermissionType.ANY
    )
    for future in admin.delete_acls([every]).values():
        future.result(30)


@pytest.mark.parametrize(
    ("kind", "resource", "operation", "remedy"),
    [
        (ResourceType.TOPIC, "requests", AclOperation.READ, "Read, Describe and DescribeConfigs on the request topic"),
        (ResourceType.TOPIC, "results", AclOperation.WRITE, "Write, Describe and DescribeConfigs on the result and"),
        (ResourceType.TOPIC, "results", AclOperation.DESCRIBE_CONFIGS, "Describe and DescribeConfigs on all three"),
        (ResourceType.GROUP, "group", AclOperation.READ, "Read and Describe on the workers' group"),
        (ResourceType.TRANSACTIONAL_ID, "id", AclOperation.WRITE, "Write and Describe on the transactional ids"),
    ],
)
def test_a_worker_without_a_permission_ends_and_names_it(
    harness: WorkerHarness, kind: ResourceType, resource: str, operation: AclOperation, remedy: str
) -> None:
    admin = AdminClient(harness.kafka.client_config())
    names = {"requests": harness.topics.requests, "results": harness.topics.results, "group": harness.group}
    name = names.get(resource, f"{harness.group}-one")
    harness.publish(4)
    deny(admin, kind, name, operation)
    assert harness.start_worker(name="one").wait(90) == 1, harness.logs()[-3000:]
    assert remedy in harness.logs()
    allow_again(admin, kind, name)
    harness.start_worker(name="one")
    harness.check_exactly_once()
