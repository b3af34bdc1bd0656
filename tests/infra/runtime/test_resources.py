"""Topics and buckets, on the real thing."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource
from pydantic import SecretStr

from sightstream.infra.runtime import resources
from sightstream.infra.runtime.errors import RuntimeFailedError
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.resources import create_bucket, create_topics
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.s3_client import s3_client as make_s3_client
from sightstream.schemas.wire.topics import MAX_REQUEST_RECORD_BYTES, TopicSettings, topic_specs

pytestmark = pytest.mark.real


def test_topics_have_the_asked_size(runtime: LocalRuntime, make_topics: Callable[..., TopicSettings]) -> None:
    topics = make_topics(partitions=3)
    admin = AdminClient(runtime.kafka_settings.client_config())
    found = admin.list_topics(timeout=10).topics
    assert {len(found[name].partitions) for name in (topics.requests, topics.results, topics.dead_letters)} == {3}
    resource = ConfigResource(ConfigResource.Type.TOPIC, topics.requests)
    config = admin.describe_configs([resource])[resource].result(10)
    assert config["max.message.bytes"].value == str(MAX_REQUEST_RECORD_BYTES)


def test_the_topic_of_markers_is_compacted_so_that_none_expires(runtime: LocalRuntime, topics: TopicSettings) -> None:
    admin = AdminClient(runtime.kafka_settings.client_config())
    resource = ConfigResource(ConfigResource.Type.TOPIC, topics.redrives)
    assert admin.describe_configs([resource])[resource].result(10)["cleanup.policy"].value == "compact"


def test_creating_again_changes_nothing(runtime: LocalRuntime, topics: TopicSettings) -> None:
    assert create_topics(runtime.kafka_settings, topic_specs(topics)) == []


def test_another_partition_count_is_refused(runtime: LocalRuntime, topics: TopicSettings) -> None:
    other = topic_specs(topics.model_copy(update={"partitions": 5}))
    with pytest.raises(RuntimeFailedError, match=f"{topics.requests} has 4 partitions and 5 are wanted"):
        create_topics(runtime.kafka_settings, other)


def test_a_bad_topic_name_is_named(runtime: LocalRuntime, topics: TopicSettings) -> None:
    bad = topic_specs(topics.model_copy(update={"requests": "no spaces please"}))
    with pytest.raises(RuntimeFailedError, match="topic no spaces please could not be created"):
        create_topics(runtime.kafka_settings, bad)


def test_an_unreachable_broker_is_named(topics: TopicSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resources, "TIMEOUT_S", 1.0)
    nowhere = KafkaSettings(bootstrap_servers="127.0.0.1:1")
    with pytest.raises(RuntimeFailedError, match=r"the broker at 127\.0\.0\.1:1 cannot be used: .*refused"):
        create_topics(nowhere, topic_specs(topics))


def timed_out() -> Future[None]:
    future: Future[None] = Future()
    future.set_exception(KafkaException(KafkaError(KafkaError._TIMED_OUT)))
    return future


class SlowAdmin:
    """The real admin client, whose first creation is never sent."""

    def __init__(self, real: AdminClient) -> None:
        self.real, self.tries = real, 0
        self.list_topics = real.list_topics

    def create_topics(self, new: list[Any], **timeouts: float) -> dict[str, Any]:
        self.tries += 1
        return {topic.topic: timed_out() for topic in new} if self.tries == 1 else self.real.create_topics(new)


def test_a_lost_creation_is_tried_again(runtime: LocalRuntime) -> None:
    slow = SlowAdmin(AdminClient(runtime.kafka_settings.client_config()))
    specs = topic_specs(
        TopicSettings(requests="lost", results="lost.r", dead_letters="lost.d", redrives="lost.m", partitions=1)
    )
    assert resources._create(slow, specs) == ["lost", "lost.r", "lost.d", "lost.m"]
    assert slow.tries == 2


class UnevenAdmin:
    """A cluster whose second answer comes from a broker that does not know the topics yet."""

    def __init__(self, real: AdminClient) -> None:
        self.real, self.asked = real, 0

    def list_topics(self, timeout: float) -> Any:
        self.asked += 1
        found = self.real.list_topics(timeout=timeout)
        if self.asked == 2:
            found.topics = {}
        return found


def test_a_broker_that_does_not_know_the_topics_yet_is_asked_again(
    runtime: LocalRuntime, topics: TopicSettings
) -> None:
    uneven = UnevenAdmin(AdminClient(runtime.kafka_settings.client_config()))
    resources._wait_until_served(uneven, topic_specs(topics))
    assert uneven.asked > 2


def test_a_creation_that_never_gets_through_is_an_error() -> None:
    with pytest.raises(RuntimeFailedError, match=r"topic lost could not be created: .*[Tt]imed out"):
        resources._is_created("lost", timed_out(), deadline=0.0)


def test_unknown_topics_are_not_made_up(runtime: LocalRuntime) -> None:
    AdminClient(runtime.kafka_settings.client_config()).list_topics("never.created", timeout=10)
    assert "never.created" not in AdminClient(runtime.kafka_settings.client_config()).list_topics(timeout=10).topics


def test_a_bucket_is_created_once(runtime: LocalRuntime, bucket: str, s3_client: Any) -> None:
    s3_client.put_object(Bucket=bucket, Key="kept", Body=b"bytes")
    create_bucket(runtime.s3_settings, bucket)
    assert s3_client.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"bytes"


def test_a_missing_bucket_is_an_error(s3_client: Any) -> None:
    with pytest.raises(ClientError, match="NoSuchBucket"):
        s3_client.put_object(Bucket="nobody-made-me", Key="x", Body=b"")


def test_a_wrong_secret_is_refused(runtime: LocalRuntime) -> None:
    stranger = runtime.s3_settings.model_copy(update={"secret_access_key": SecretStr("guess")})
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        make_s3_client(stranger).list_buckets()
    anonymous = runtime.s3_settings.model_copy(update={"access_key_id": "nobody"})
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        make_s3_client(anonymous).list_buckets()


def test_the_settings_file_leads_other_commands_here(
    runtime: LocalRuntime, config_file: Path, topics: TopicSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sightstream.infra.settings import load
    from sightstream.schemas.connections.kafka import KafkaSettings
    from sightstream.schemas.connections.s3 import S3Settings

    monkeypatch.setenv("SIGHTSTREAM_CONFIG", str(config_file))
    assert load(KafkaSettings) == runtime.kafka_settings
    assert load(TopicSettings) == topics
    assert load(S3Settings).client_arguments() == runtime.s3_settings.client_arguments()
    assert config_file.stat().st_mode & 0o777 == 0o600
