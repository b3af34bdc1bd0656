"""Creates what a pipeline needs on any broker and in any object store: topics and a bucket."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sightstream.infra.runtime.errors import RuntimeFailedError
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.topics import TopicSpec

TIMEOUT_S = 60.0
TRY_S = 10.0  # a broker that was frozen can delay one request for half a minute while the next one succeeds
POLL_S = 0.05


def create_topics(kafka: KafkaSettings, specs: Sequence[TopicSpec]) -> list[str]:
    """Create the missing topics, wait until the broker serves them, and return their names.

    Raises RuntimeFailedError when a topic exists with another partition count or cannot be created, and when the
    broker cannot be reached.
    """
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    reasons: list[str] = []
    admin = AdminClient(kafka.client_config() | {"log_level": 0}, error_cb=lambda error: reasons.append(error.str()))
    try:
        return _create(admin, specs)
    except KafkaException as error:
        admin.poll(0)  # runs error_cb
        why = reasons[0] if reasons else error.args[0].str()
        raise RuntimeFailedError(f"the broker at {kafka.bootstrap_servers} cannot be used: {why}") from error


def _create(admin: Any, specs: Sequence[TopicSpec]) -> list[str]:
    from confluent_kafka.admin import NewTopic

    missing = _missing(admin, specs)
    left = {s.name: NewTopic(s.name, s.partitions, s.replication_factor, config=s.config) for s in missing}
    deadline = time.monotonic() + TIMEOUT_S
    while left:
        futures = admin.create_topics(list(left.values()), operation_timeout=TRY_S, request_timeout=TRY_S)
        left = {name: left[name] for name, future in futures.items() if not _is_created(name, future, deadline)}
    _wait_until_served(admin, specs)
    return [spec.name for spec in missing]


def _missing(admin: Any, specs: Sequence[TopicSpec]) -> list[TopicSpec]:
    existing = admin.list_topics(timeout=TIMEOUT_S).topics
    for spec in specs:
        if spec.name in existing and (found := len(existing[spec.name].partitions)) != spec.partitions:
            raise RuntimeFailedError(
                f"topic {spec.name} has {found} partitions and {spec.partitions} are wanted; a pipeline's topics must "
                f"all have the same count: ask for {found}, or use other topic names"
            )
    return [spec for spec in specs if spec.name not in existing]


def _is_created(name: str, future: Any, deadline: float) -> bool:
    """Return True if the topic exists now, False if the attempt timed out and there is time for another."""
    from confluent_kafka import KafkaError, KafkaException

    try:
        future.result()
    except KafkaException as error:
        code = error.args[0].code()
        if code in (KafkaError._TIMED_OUT, KafkaError.REQUEST_TIMED_OUT) and time.monotonic() < deadline:
            return False
        if code != KafkaError.TOPIC_ALREADY_EXISTS:  # another process or an earlier attempt created it: fine
            raise RuntimeFailedError(f"topic {name} could not be created: {error.args[0].str()}") from error
    return True


def _wait_until_served(admin: Any, specs: Sequence[TopicSpec]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while _missing(admin, specs) or not _have_leaders(admin, specs):
        if time.monotonic() > deadline:
            raise RuntimeFailedError(f"topics {[spec.name for spec in specs]} have no leader after {TIMEOUT_S:.0f} s")
        time.sleep(POLL_S)


def _have_leaders(admin: Any, specs: Sequence[TopicSpec]) -> bool:
    topics = admin.list_topics(timeout=TIMEOUT_S).topics
    if any(spec.name not in topics for spec in specs):  # each call may ask another broker, which knows it later
        return False
    return all(partition.leader >= 0 for spec in specs for partition in topics[spec.name].partitions.values())


def create_bucket(s3: S3Settings, bucket: str) -> None:
    """Create the bucket unless we already have it. Raises botocore's ClientError if we may not use it."""
    from sightstream.schemas.connections.s3_client import s3_client

    client = s3_client(s3)
    try:
        client.head_bucket(Bucket=bucket)
    except client.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        client.create_bucket(Bucket=bucket)
