"""The doctor on a real broker with passwords and ACLs: what was set up wrongly on purpose, and what it finds."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from sightstream.consumers.lookup.settings import LookupSettings
from sightstream.consumers.store.database import Database
from sightstream.consumers.store.settings import StoreSettings
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra.doctor import broker_connection
from sightstream.infra.doctor.doctor import AREAS, Options, areas
from sightstream.infra.doctor.report import AreaReport, examine
from sightstream.infra.doctor.roles import Grant, Kind, Names, Role, grants
from sightstream.infra.runtime.local import DEFAULT_BUCKET
from sightstream.infra.runtime.resources import create_bucket, create_topics
from sightstream.schemas.wire.topics import TopicSettings, topic_specs
from tests.infra.doctor.configured import configure
from tests.infra.doctor.guarded_broker import GOOD, PASSWORD, GuardedBroker, guarded_broker
from tests.producers.secure_listeners import free_port

pytestmark = pytest.mark.real

PARTITIONS = 2
NOWHERE = "s3://product-images/no-such-image.png"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedBroker]:
    found = guarded_broker(tmp_path_factory.mktemp("guarded"))
    with found.runtime:
        create_bucket(found.runtime.s3_settings, DEFAULT_BUCKET)
        found.allow_to_look_at_the_cluster(GOOD)
        yield found


@dataclass
class Setup:
    """A good set-up, of which a test then makes one thing wrong."""

    broker: GuardedBroker
    folder: Path
    topics: TopicSettings
    environment: dict[str, str]
    monkeypatch: pytest.MonkeyPatch
    clock: Callable[[], float] = time.time
    image: str | None = None

    @property
    def names(self) -> Names:
        groups = (WorkerSettings().group_id, StoreSettings().group_id, LookupSettings().group_id)
        return Names(self.topics, *groups)

    def use(self, topics: TopicSettings) -> None:
        """Use these topics, with all permissions, whether there are such topics or not."""
        self.topics = topics
        self.broker.allow(GOOD, [grant for role in Role for grant in grants(role, self.names)])
        self.set(**{f"topics_{key}": value for key, value in topics.model_dump().items()})

    def rename(self, topic: str, name: str) -> None:
        self.use(self.topics.model_copy(update={topic: name}))

    def set(self, **variables: object) -> None:
        self.environment |= {f"SIGHTSTREAM_{name.upper()}": str(value) for name, value in variables.items()}

    def alter(self, topic: str, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        self.broker.admin.incremental_alter_configs([resource])[resource].result(30)

    def create(self, **topics: TopicSettings) -> None:
        for name, other in topics.items():
            specs = [spec for spec in topic_specs(other) if spec.name == getattr(other, name)]
            create_topics(self.broker.runtime.kafka_settings, specs)

    def use_user_without(self, role: Role, kind: Kind, operation: str) -> None:
        """Allow a user all that the role needs, but not this operation on the first resource of this kind."""
        needed = grants(role, self.names)
        lacking = next(grant for grant in needed if grant.kind is kind and operation in grant.operations)
        rest = tuple(one for one in lacking.operations if one != operation)
        allowed = [grant for grant in needed if grant != lacking]
        self.broker.allow(f"poor-{role}", [*allowed, *([Grant(role, kind, lacking.name, rest)] if rest else [])])
        self.set(kafka_sasl_username=f"poor-{role}")

    def examine(self, only: tuple[str, ...] = AREAS, roles: frozenset[Role] = frozenset(Role)) -> list[AreaReport]:
        configure(self.monkeypatch, self.environment)
        options = Options(roles, frozenset(AREAS) - set(only), self.image, clock=self.clock)
        return [examine(area) for area in areas(options)]


def new_topics(broker: GuardedBroker) -> TopicSettings:
    name = uuid4().hex[:12]
    topics = TopicSettings(
        requests=f"{name}.requests",
        results=f"{name}.results",
        dead_letters=f"{name}.dead",
        redrives=f"{name}.redrives",
        partitions=PARTITIONS,
    )
    create_topics(broker.runtime.kafka_settings, topic_specs(topics))
    return topics


@pytest.fixture(scope="module")
def topics(broker: GuardedBroker) -> TopicSettings:
    """Topics that no test changes."""
    return new_topics(broker)


@pytest.fixture
def setup(broker: GuardedBroker, topics: TopicSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    found = Setup(broker, tmp_path, topics, {}, monkeypatch)
    s3 = broker.runtime.s3_settings
    assert s3.secret_access_key is not None
    found.set(
        kafka_bootstrap_servers=f"127.0.0.1:{broker.port}",
        kafka_security_protocol="SASL_PLAINTEXT",
        kafka_sasl_mechanism="PLAIN",
        kafka_sasl_username=GOOD,
        kafka_sasl_password=PASSWORD,
        s3_endpoint_url=s3.endpoint_url,
        s3_access_key_id=s3.access_key_id,
        s3_secret_access_key=s3.secret_access_key.get_secret_value(),
        s3_bucket=DEFAULT_BUCKET,
        engine_kind="simulated",
        worker_offset_metadata_limit_bytes=2000,
        worker_state_dir=tmp_path,
        store_path=tmp_path / "results.db",
    )
    found.use(topics)
    return found


def found(reports: list[AreaReport]) -> list[str]:
    return [finding.id for report in reports for finding in report.findings]


def test_a_good_set_up_is_silent_and_all_of_it_was_looked_at(setup: Setup) -> None:
    reports = setup.examine()
    assert found(reports) == [], [finding for report in reports for finding in report.findings]
    assert [report.area for report in reports] == list(AREAS)
    assert [report.unchecked for report in reports if report.unchecked] == []
    assert PASSWORD not in str(reports)
    facts = {fact.name: fact.value for report in reports for fact in report.facts}
    assert facts["Kafka"].startswith("4.")
    assert "1 broker" in facts["cluster"]


Seed = Callable[[Setup], None]


def no_sasl(setup: Setup) -> None:
    setup.monkeypatch.setattr(broker_connection, "CONNECT_TIMEOUT_S", 1.0)
    setup.set(kafka_security_protocol="PLAINTEXT")


def misleading_listener(setup: Setup) -> None:
    setup.set(kafka_security_protocol="PLAINTEXT", kafka_bootstrap_servers=f"127.0.0.1:{setup.broker.misleading_port}")


def nobody_listens(setup: Setup) -> None:
    setup.monkeypatch.setattr(broker_connection, "CONNECT_TIMEOUT_S", 1.0)
    setup.set(kafka_bootstrap_servers=f"127.0.0.1:{free_port()}")


def secret_in_a_file(setup: Setup) -> None:
    file = setup.folder / "settings.toml"
    file.write_text(f"[kafka]\nsasl_password = '{PASSWORD}'\n")
    file.chmod(0o644)
    del setup.environment["SIGHTSTREAM_KAFKA_SASL_PASSWORD"]
    setup.set(config=file)


def no_password(setup: Setup) -> None:
    del setup.environment["SIGHTSTREAM_KAFKA_SASL_PASSWORD"]


def other_partitions(setup: Setup) -> None:
    name = f"{setup.topics.results}.other"
    setup.create(results=setup.topics.model_copy(update={"results": name, "partitions": PARTITIONS + 1}))
    setup.rename("results", name)


def outcome_without_offsets(setup: Setup) -> None:
    producer = Producer(setup.broker.runtime.kafka_settings.producer_config())
    producer.produce(setup.topics.results, value=b"{}", key=b"p")
    assert producer.flush(30) == 0


def database_of_other_topics(setup: Setup) -> None:
    with Database(Path(setup.environment["SIGHTSTREAM_STORE_PATH"])) as database:
        database.check_topics({setup.topics.results: "an earlier one"})


def database_of_a_newer_version(setup: Setup) -> None:
    path = Path(setup.environment["SIGHTSTREAM_STORE_PATH"])
    Database(path).close()
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")


def damaged_database(setup: Setup) -> None:
    Path(setup.environment["SIGHTSTREAM_STORE_PATH"]).write_bytes(b"no database at all" * 100)


def fast_clock(setup: Setup) -> None:
    setup.clock = lambda: time.time() + 120


def missing_image(setup: Setup) -> None:
    setup.image = NOWHERE


CONNECTION, TOPICS = ("broker",), ("topics",)
SEEDED: dict[str, tuple[str, tuple[str, ...], Seed]] = {
    "a misspelt variable": ("settings-wrong", (), lambda s: s.set(kafka_bootstrap="x")),
    "a value out of bounds": ("settings-wrong", (), lambda s: s.set(topics_partitions=0)),
    "a secret that others can read": ("settings-file-readable", ("settings",), secret_in_a_file),
    "a group for two services": ("group-shared", ("settings",), lambda s: s.set(worker_group_id="sightstream-store")),
    "a password that is not set": ("settings-wrong", (), no_password),
    "an authority's file that is not there": (
        "kafka-file-missing", ("settings",), lambda s: s.set(kafka_ssl_ca_location="/no/such/file")),
    "a port on which nothing listens": (
        "broker-unreachable", CONNECTION, nobody_listens),
    "a host that has no address": (
        "broker-name", CONNECTION, lambda s: s.set(kafka_bootstrap_servers="broker.invalid:9092")),
    "no password where one is asked for": ("broker-protocol", CONNECTION, no_sasl),
    "a wrong password": ("broker-credentials", CONNECTION, lambda s: s.set(kafka_sasl_password="wrong")),
    "an advertised address that leads nowhere": (
        "broker-address", CONNECTION, misleading_listener),
    "a session longer than the broker allows": (
        "session-timeout", CONNECTION,
        lambda s: s.set(worker_session_timeout_s=2000, worker_max_poll_interval_s=3000)),
    "a transaction longer than the broker allows": (
        "transaction-timeout", CONNECTION, lambda s: s.set(worker_transaction_timeout_s=80)),
    "more metadata than the broker allows": (
        "offset-metadata-limit", CONNECTION, lambda s: s.set(worker_offset_metadata_limit_bytes=3500)),
    "a topic that is not there": ("topic-missing", TOPICS, lambda s: s.rename("results", f"{s.topics.results}.no")),
    "topics with different partitions": ("topic-partitions-differ", TOPICS, other_partitions),
    "partitions that are set wrongly": ("topic-partitions-setting", TOPICS, lambda s: s.set(topics_partitions=5)),
    "compacted requests": (
        "topic-compacted", TOPICS, lambda s: s.alter(s.topics.requests, "cleanup.policy", "compact")),
    "outcomes that do not fit": (
        "topic-record-size", TOPICS, lambda s: s.alter(s.topics.results, "max.message.bytes", "1000000")),
    "requests that are deleted after an hour": (
        "topic-retention-short", TOPICS, lambda s: s.alter(s.topics.requests, "retention.ms", "3600000")),
    "requests that are deleted by size": (
        "topic-retention-by-size", TOPICS, lambda s: s.alter(s.topics.requests, "retention.bytes", "1000000")),
    "an unclean election": (
        "topic-unclean-election", TOPICS,
        lambda s: s.alter(s.topics.results, "unclean.leader.election.enable", "true")),
    "no topic of redrives": ("redrives-missing", TOPICS, lambda s: s.rename("redrives", f"{s.topics.redrives}.no")),
    "redrives that are forgotten": (
        "redrives-not-compacted", TOPICS, lambda s: s.alter(s.topics.redrives, "cleanup.policy", "delete")),
    "outcomes, and a group without offsets": ("group-offsets-lost", TOPICS, outcome_without_offsets),
    "a clock two minutes fast": ("clock-skew", ("clock",), fast_clock),
    "a store that is not there": (
        "s3-unreachable", ("s3",), lambda s: s.set(s3_endpoint_url=f"http://127.0.0.1:{free_port()}")),
    "a wrong key": ("s3-credentials", ("s3",), lambda s: s.set(s3_secret_access_key="wrong")),
    "a bucket that is not there": ("s3-bucket", ("s3",), lambda s: s.set(s3_bucket="nowhere")),
    "a cache that is not there": (
        "cache-unreachable", ("cache",), lambda s: s.set(cache_kind="redis", cache_url=f"redis://:{PASSWORD}@[::1]:1")),
    "a folder that is a file": ("folder-not-writable", ("disk",), lambda s: s.set(worker_state_dir="/dev/null/x")),
    "a database that is none": ("database-damaged", ("database",), damaged_database),
    "a newer database": ("database-newer", ("database",), database_of_a_newer_version),
    "a database of other topics": ("database-other-topics", ("database",), database_of_other_topics),
    "no checkpoint": ("model-missing", ("model",), lambda s: s.set(engine_kind="slots")),
    "an image that is not there": ("image-unanswered", ("image",), missing_image),
}  # fmt: skip


@pytest.mark.parametrize("name", SEEDED)
def test_a_misconfiguration_is_named(setup: Setup, name: str) -> None:
    finding, only, seed = SEEDED[name]
    if only == TOPICS:
        setup.use(new_topics(setup.broker))
    seed(setup)
    reports = setup.examine(only)
    assert set(found(reports)) == {finding}, reports
    assert PASSWORD not in str(reports)


LACKING = {
    Role.PUBLISHER: (Kind.TOPIC, "Write"),
    Role.BULK_PUBLISHER: (Kind.GROUP, "Read"),
    Role.WORKER: (Kind.TRANSACTIONAL_ID, "Write"),
    Role.STORE: (Kind.GROUP, "Read"),
    Role.REDRIVE: (Kind.TOPIC, "DescribeConfigs"),
    Role.LAG: (Kind.GROUP, "Describe"),
}


@pytest.mark.parametrize("role", LACKING)
def test_a_permission_that_a_role_lacks_is_named(setup: Setup, role: Role) -> None:
    kind, operation = LACKING[role]
    setup.use_user_without(role, kind, operation)
    reports = setup.examine(("permissions",), frozenset({role}))
    assert found(reports) == [f"acl-{role}"], reports
    assert f"refuses poor-{role} {operation} on the {kind}" in reports[0].findings[0].detail


def test_behind_a_broker_that_is_away_nothing_is_called_good(setup: Setup) -> None:
    setup.set(kafka_sasl_password="wrong")
    reports = setup.examine(("broker", "topics", "permissions", "clock"))
    assert found(reports) == ["broker-credentials"]
    assert [bool(report.unchecked) for report in reports] == [False, True, True, True]
