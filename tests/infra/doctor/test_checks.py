"""Each check on its own, where a whole set-up can't be brought into the state that it looks for."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from confluent_kafka import KafkaError
from pydantic import SecretStr

from sightstream.consumers.kafka.broker import Topic
from sightstream.consumers.store.settings import StoreSettings
from sightstream.consumers.worker.settings import WorkerSettings
from sightstream.infra.doctor.broker_check import check_limits, check_release, check_transaction_log
from sightstream.infra.doctor.broker_connection import unreachable_addresses, unreached
from sightstream.infra.doctor.clock_check import skew
from sightstream.infra.doctor.disk_check import check_disks
from sightstream.infra.doctor.findings import FINDINGS
from sightstream.infra.doctor.gpu_check import Card, Cards, check_gpu, driver_version
from sightstream.infra.doctor.kafka_requests import release
from sightstream.infra.doctor.model_check import check_model
from sightstream.infra.doctor.object_store_check import check_object_store
from sightstream.infra.doctor.report import Area, as_document, as_lines, examine
from sightstream.infra.doctor.settings_check import check_kafka_settings
from sightstream.infra.doctor.topic_check import topic_findings
from sightstream.infra.doctor.types import Fact, Finding, Item, Unchecked
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.producers.settings import PublisherSettings
from sightstream.schemas.connections.kafka import KafkaSettings
from sightstream.schemas.connections.s3 import S3Settings
from sightstream.schemas.wire.topics import TopicSettings

ROOT = Path(__file__).parents[3]
CHECKPOINT = ROOT / "infra/lab/demo_model/checkpoint"
GIB = 1024**3


def ids(items: Iterable[Item]) -> list[str]:
    return [item.id for item in items if isinstance(item, Finding)]


def facts(items: Iterable[Item]) -> dict[str, str]:
    return {item.name: item.value for item in items if isinstance(item, Fact)}


def test_every_finding_that_the_code_can_yield_is_listed() -> None:
    sources = [*(ROOT / "infra/doctor").glob("*_check.py"), ROOT / "infra/doctor/broker_connection.py"]
    sources += [ROOT / "infra/doctor/doctor.py", ROOT / "infra/doctor/report.py"]
    sources += [ROOT / "consumers/kafka/topic_rules.py"]
    text = "\n".join(source.read_text(encoding="utf-8") for source in sources)
    used = set(re.findall(r"\"([a-z0-9]+(?:-[a-z0-9]+)+)\"", text)) & set(FINDINGS)
    roles = {name for name in FINDINGS if name.startswith("acl-")}
    assert used | roles == set(FINDINGS)
    assert set(re.findall(r"(?:Finding|TopicProblem)\(\s*\"([^\"]+)\"", text)) <= set(FINDINGS)


def test_the_page_lists_every_finding() -> None:
    page = (ROOT / "docs/how-to/doctor.md").read_text(encoding="utf-8").partition("## Findings")[2]
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert sorted(re.findall(r"`([^`]+)`", " ".join(cells))) == sorted(FINDINGS)


@pytest.mark.parametrize(
    ("errors", "finding"),
    [
        ([(KafkaError._TRANSPORT, "Connect failed: Connection refused")], "broker-unreachable"),
        ([(KafkaError._TIMED_OUT, "Timed out")], "broker-unreachable"),
        ([], "broker-unreachable"),
        ([(KafkaError._RESOLVE, "Name or service not known")], "broker-name"),
        ([(KafkaError._SSL, "SSL handshake failed: certificate verify failed")], "broker-certificate"),
        ([(KafkaError._SSL, "SSL handshake failed: Disconnected: connecting to a PLAINTEXT listener?")],
         "broker-protocol"),
        ([(KafkaError._TRANSPORT, "might be caused by incorrect security.protocol configuration")], "broker-protocol"),
        ([(KafkaError._TRANSPORT, "Connection refused"), (KafkaError._AUTHENTICATION, "no")], "broker-credentials"),
    ],
)  # fmt: skip
def test_a_broker_that_is_not_reached_says_why(errors: list[tuple[int, str]], finding: str) -> None:
    assert unreached("b:9092", errors, is_listening=False).id == finding


def test_what_listens_and_does_not_answer_speaks_another_protocol() -> None:
    assert unreached("b:9092", [(KafkaError._ALL_BROKERS_DOWN, "1/1 down")], is_listening=True).id == "broker-protocol"


def test_the_release_of_kafka() -> None:
    assert [release(level) for level in (7, 11, 14, 19, 25, 27)] == ["3.4 or older", "3.5", "3.6", "3.7", "4.0", "4.1"]
    assert ids(check_release(11)) == ["broker-old"]
    assert ids(check_release(12)) == []
    assert [type(item) for item in check_release(None)] == [Unchecked]


def test_an_address_that_can_not_be_dialled() -> None:
    def dial(address: tuple[str, int], timeout_s: float) -> Any:
        raise TimeoutError("timed out")

    assert ids(unreachable_addresses([("b", 1), ("c", 2)], dial)) == ["broker-address", "broker-address"]


GOOD_LIMITS: dict[str, str | None] = {
    "group.min.session.timeout.ms": "6000",
    "group.max.session.timeout.ms": "1800000",
    "transaction.max.timeout.ms": "900000",
    "offset.metadata.max.bytes": "4096",
    "offsets.retention.minutes": "10080",
}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("offsets.retention.minutes", "60", ["offsets-retention"]),
        ("transaction.max.timeout.ms", "1000", ["transaction-timeout", "transaction-timeout"]),
        ("group.min.session.timeout.ms", "20000", ["session-timeout"]),
        ("offset.metadata.max.bytes", None, []),
    ],
)
def test_limits_of_the_broker(name: str, value: str | None, expected: list[str]) -> None:
    settings = WorkerSettings(), StoreSettings(), PublisherSettings()
    assert ids(check_limits(GOOD_LIMITS, *settings)) == []
    assert ids(check_limits(GOOD_LIMITS | {name: value}, *settings)) == expected


def test_the_copies_of_the_transaction_log() -> None:
    config = {"transaction.state.log.replication.factor": "1", "offsets.topic.replication.factor": "3"}
    assert ids(check_transaction_log(config, brokers=1)) == []
    assert ids(check_transaction_log(config, brokers=3)) == ["transaction-log-copies"]


def topic_ids(copies: int, **config: str | None) -> set[str]:
    topics = TopicSettings(partitions=4)
    names = (topics.requests, topics.results, topics.dead_letters)
    given = {"max.message.bytes": "2097152", "cleanup.policy": "delete", "min.insync.replicas": "2"}
    given |= {name.replace("_", "."): value for name, value in config.items()}  # type: ignore[misc]
    found = {name: Topic(name, 4, copies) for name in names}
    return set(ids(topic_findings(topics, WorkerSettings(), found, dict.fromkeys(names, given), names)))


def test_the_copies_of_the_topics() -> None:
    assert topic_ids(copies=3) == set()
    assert topic_ids(copies=1, min_insync_replicas="1") == set()
    assert topic_ids(copies=3, min_insync_replicas="1") == {"topic-single-copy"}
    assert topic_ids(copies=2) == {"topic-no-spare-copy"}
    assert topic_ids(copies=3, max_message_bytes=None) == {"topic-config-hidden"}


def test_a_password_in_clear_is_for_this_machine_only() -> None:
    def check(servers: str) -> list[str]:
        kafka = KafkaSettings(
            bootstrap_servers=servers,
            security_protocol="SASL_PLAINTEXT",
            sasl_username="u",
            sasl_password=SecretStr("p"),
        )
        return ids(check_kafka_settings(kafka))

    assert check("127.0.0.1:1,localhost:2") == []
    assert check("127.0.0.1:1, broker:9092") == ["kafka-password-in-clear"]


def test_a_clock_is_compared_within_the_time_of_asking() -> None:
    assert ids(skew("there", 100, 104, 101)) == []
    assert ids(skew("there", 100, 106.5, 101)) == ["clock-skew"]
    assert ids(skew("there", 100, 94, 101)) == ["clock-skew"]
    assert ids(skew("there", 100, 105, 130)) == []


class FakeS3:
    """Refuses one method with a code."""

    def __init__(self, refused: str, code: str) -> None:
        self._refused, self._code = refused, code

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: object) -> dict[str, Any]:
            if name == self._refused:
                raise ClientError({"Error": {"Code": self._code}}, name)
            return {}

        return call


@pytest.mark.parametrize(
    ("refused", "code", "expected"),
    [
        ("put_object", "AccessDenied", ["s3-write"]),
        ("get_object", "AccessDenied", ["s3-read"]),
        ("delete_object", "AccessDenied", ["s3-delete"]),
        ("put_object", "RequestTimeTooSkewed", ["clock-skew"]),
        ("put_object", "InvalidAccessKeyId", ["s3-credentials"]),
        ("none", "", []),
    ],
)
def test_what_the_object_store_refuses(refused: str, code: str, expected: list[str]) -> None:
    settings = S3Settings(bucket="b", endpoint_url="http://127.0.0.1:1")
    assert ids(check_object_store(settings, lambda *_, **__: FakeS3(refused, code))) == expected


def test_without_a_bucket_the_object_store_is_not_looked_at() -> None:
    assert [type(item) for item in check_object_store(S3Settings())] == [Unchecked]


def test_a_profile_that_does_not_exist() -> None:
    assert ids(check_object_store(S3Settings(bucket="b", profile="no-such-profile"))) == ["s3-settings"]


@pytest.mark.parametrize(
    ("left", "size", "expected"),
    [(GIB, 20 * GIB, ["disk-full"]), (3 * GIB, 200 * GIB, ["disk-full"]), (100 * GIB, 200 * GIB, [])],
)
def test_a_disk_that_is_nearly_full(tmp_path: Path, left: int, size: int, expected: list[str]) -> None:
    assert ids(check_disks({"[store] path": tmp_path / "new"}, lambda _: (left, size))) == expected


CARD = Card("H100", (9, 0), 79 * GIB, 80 * GIB)


@pytest.mark.parametrize(
    ("settings", "cards", "driver", "expected"),
    [
        ({}, (CARD,), "570.1", []),
        ({"device": "cuda"}, (), None, ["gpu-missing"]),
        ({"device": "cuda"}, (), "470.1", ["gpu-driver"]),
        ({"device": "auto"}, (), "470.1", ["gpu-driver"]),
        ({"device": "auto"}, (), None, ["gpu-cpu-only"]),
        ({"device": "cpu"}, (), "470.1", []),
        ({}, (Card("T4", (7, 5), 15 * GIB, 16 * GIB),), "570.1", ["gpu-bfloat16"]),
        ({"memory_gib": 2}, (CARD,), "570.1", ["gpu-memory"]),
        ({"kind": "simulated"}, (), None, []),
    ],
)
def test_a_gpu_that_does_not_fit(
    tmp_path: Path, settings: dict[str, Any], cards: tuple[Card, ...], driver: str | None, expected: list[str]
) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(3 * GIB)  # a hole: nothing is written
    engine = EngineSettings(checkpoint=tmp_path, **settings)
    assert ids(check_gpu(engine, lambda: Cards(cards, "12.8", driver))) == expected


def test_a_gpu_that_can_not_be_looked_at() -> None:
    def fail() -> Cards:
        raise OSError

    assert [type(item) for item in check_gpu(EngineSettings(), fail)] == [Unchecked]


def test_the_version_of_the_driver(tmp_path: Path) -> None:
    file = tmp_path / "version"
    assert driver_version(file) is None
    file.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.124.06  Wed Feb 26\nGCC version: 12.2.0\n")
    assert driver_version(file) == "570.124.06"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The smallest folder that passes for a checkpoint."""
    header = json.dumps({"w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "model-1.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + b"abcd")
    (tmp_path / "config.json").write_text('{"model_type": "mllama"}')
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "preprocessor_config.json").write_text('{"size": {"height": 56, "width": 56}, "max_image_tiles": 4}')
    return tmp_path


def check_checkpoint(folder: Path, sha256: str | None = None) -> list[Item]:
    return list(check_model(EngineSettings(checkpoint=folder), sha256))


def test_a_good_checkpoint_has_its_digest_and_its_licence_shown(checkpoint: Path) -> None:
    (checkpoint / "README.md").write_text("---\nlicense: llama3.2\nlicense_name: community\n---\n")
    (checkpoint / "LICENSE.txt").write_text("...")
    items = check_checkpoint(checkpoint)
    assert ids(items) == []
    assert facts(items)["licence"] == "license llama3.2; license_name community; see LICENSE.txt"
    assert re.search(r"sha256 [0-9a-f]{64}$", facts(items)["weights"])


def test_the_checkpoint_of_the_demo_is_good() -> None:
    assert ids(check_checkpoint(CHECKPOINT)) == []


def test_what_is_wrong_with_a_checkpoint(checkpoint: Path) -> None:
    assert "says nothing about its licence" in facts(check_checkpoint(checkpoint))["licence"]
    assert ids(check_checkpoint(checkpoint, "0" * 64)) == ["model-digest"]
    (checkpoint / "tokenizer.json").unlink()
    (checkpoint / "preprocessor_config.json").unlink()
    assert ids(check_checkpoint(checkpoint)) == ["model-tokenizer", "model-image-processor"]
    assert ids(check_checkpoint(checkpoint / "nowhere")) == ["model-missing"]


@pytest.mark.parametrize("damage", ["shorter", "longer", "no header", "missing"])
def test_weights_that_were_not_copied_whole(checkpoint: Path, damage: str) -> None:
    file = checkpoint / "model-1.safetensors"
    whole = file.read_bytes()
    if damage == "missing":
        index = {"weight_map": {"w": file.name, "v": "model-2.safetensors"}}
        (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    else:
        file.write_bytes({"shorter": whole[:-1], "longer": whole + b"x", "no header": b"\xff" * 20}[damage])
    assert ids(check_checkpoint(checkpoint)) == ["model-incomplete"]


def test_a_check_that_fails_itself_is_a_finding() -> None:
    def fail() -> Any:
        yield Fact("before", "it")
        raise ZeroDivisionError("a secret")

    report = examine(Area("disk", fail))
    assert [finding.id for finding in report.findings] == ["check-failed"]
    assert report.facts == (Fact("before", "it"),)
    assert "a secret" not in str(report)


def test_the_report_as_text_and_as_json() -> None:
    items: list[Item] = [Finding("disk-full", "it is\nfull"), Fact("disk", "small"), Unchecked("why not")]
    report = examine(Area("disk", lambda: iter(items)))
    assert list(as_lines(report)) == [
        "disk: 1 finding(s)",
        "  ERROR disk-full: it is\\nfull",
        "  not looked at: why not",
        "  disk: small",
    ]
    assert as_document([report]) == {
        "findings": [{"id": "disk-full", "severity": "error", "area": "disk", "detail": "it is\nfull"}],
        "areas": [{"area": "disk", "facts": [{"name": "disk", "value": "small"}], "unchecked": ["why not"]}],
    }
