"""The operations that the broker allows this user, against those that each role needs. Asking changes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AclOperation, AdminClient, TopicDescription

from sightstream.infra.doctor.kafka_requests import NoAnswer, Requests, ask
from sightstream.infra.doctor.roles import Grant, Kind
from sightstream.infra.doctor.types import Finding, Items, Unchecked
from sightstream.schemas.connections.kafka import KafkaSettings

TIMEOUT_S = 10.0
# Kafka's error codes of refusals.
REFUSALS = {29, 30, 31, 53}
_OPERATIONS = {
    "Read": AclOperation.READ,
    "Write": AclOperation.WRITE,
    "Describe": AclOperation.DESCRIBE,
    "DescribeConfigs": AclOperation.DESCRIBE_CONFIGS,
}


def check_permissions(admin: AdminClient, kafka: KafkaSettings, wanted: Iterable[Grant]) -> Items:
    """Look at what the roles need; topics that do not exist are passed over. Blocks."""
    every = list(wanted)
    allowed = _topic_operations(admin, {one.name for one in every if one.kind is Kind.TOPIC})
    grants = [one for one in every if one.kind is not Kind.TOPIC or one.name in allowed]
    try:
        errors = ask(kafka, lambda requests: _probe(requests, grants))
    except NoAnswer as error:
        yield Unchecked(f"permissions on groups and transactional ids: {error}")
        errors = {}
    yield from missing_permissions(kafka.sasl_username, grants, allowed, errors)


def missing_permissions(
    user: str | None, grants: Iterable[Grant], allowed: Mapping[str, set[str]], errors: Mapping[Grant, int]
) -> Items:
    """Compare what is needed with the operations `allowed` on each topic, and with the `errors` of the others."""
    for grant in grants:
        if grant.kind is Kind.TOPIC:
            missing = [name for name in grant.operations if name not in allowed.get(grant.name, set())]
        else:
            missing = list(grant.operations) if errors.get(grant) in REFUSALS else []
        if missing:
            yield Finding(
                f"acl-{grant.role}",
                f"Kafka refuses {user or 'this user'} {', '.join(missing)} on the {grant.resource}; allow it, or leave "
                f"out the role {grant.role} with --role (docs/how-to/your-kafka-tls.md lists what each needs)",
            )


def _topic_operations(admin: AdminClient, names: set[str]) -> dict[str, set[str]]:
    """Return the operations that are allowed on each topic that exists, none on one that this user may not see."""
    if not names:
        return {}
    asked = admin.describe_topics(
        TopicCollection(sorted(names)), request_timeout=TIMEOUT_S, include_authorized_operations=True
    )
    found: dict[str, set[str]] = {}
    for name, future in asked.items():
        try:
            topic: TopicDescription = future.result(TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                found[name] = set()
            continue
        except TimeoutError:
            continue
        given = set(topic.authorized_operations or ())
        found[name] = {text for text, operation in _OPERATIONS.items() if operation in given}
    return found


async def _probe(requests: Requests, grants: list[Grant]) -> dict[Grant, int]:
    return {grant: await _error(requests, grant) for grant in grants if grant.kind is not Kind.TOPIC}


def _error(requests: Requests, grant: Grant) -> Awaitable[Any]:
    if grant.kind is Kind.TRANSACTIONAL_ID:
        return requests.write_transactional_id(grant.name)
    return requests.read_group(grant.name) if "Read" in grant.operations else requests.describe_group(grant.name)
