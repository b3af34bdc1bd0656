"""The Python on the pages compiles; the examples that embed the publisher publish, on a real broker."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.topic_reader import read_topic
from tests.readme.pages import ROOT, blocks, name, pages

EMBEDDING = [
    ROOT / "README.md",
    ROOT / "docs/how-to/embed-the-publisher.md",
    ROOT / "docs/how-to/define-a-task.md",
]


@pytest.mark.parametrize("page", pages(), ids=name)
def test_every_python_block_compiles(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, name(page), "exec")


@pytest.mark.real
@pytest.mark.parametrize("page", EMBEDDING, ids=name)
def test_the_embedded_publisher_publishes(
    page: Path, runtime: LocalRuntime, topics: TopicSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTSTREAM_KAFKA_BOOTSTRAP_SERVERS", runtime.kafka_settings.bootstrap_servers)
    monkeypatch.setenv("SIGHTSTREAM_TOPICS_REQUESTS", topics.requests)
    monkeypatch.setenv("SIGHTSTREAM_TOPICS_PARTITIONS", str(topics.partitions))
    examples = blocks(page, "python")
    for example in examples:
        exec(compile(example, name(page), "exec"), {})  # noqa: S102 - our own page
    records = read_topic(runtime.kafka_settings, topics.requests)
    assert [record.key() for record in records] == [b"sku-17"] * len(examples)


def test_the_upload_example_signs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("SIGHTSTREAM_S3_ACCESS_KEY_ID", "id")
    monkeypatch.setenv("SIGHTSTREAM_S3_SECRET_ACCESS_KEY", "secret")
    page = ROOT / "docs/how-to/browser-uploads.md"
    (example,) = blocks(page, "python")
    exec(compile(example, name(page), "exec"), {})  # noqa: S102 - our own page
    assert "s3://product-images/uploads/" in capsys.readouterr().out


@pytest.mark.real
def test_the_web_service_publishes(
    runtime: LocalRuntime, topics: TopicSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTSTREAM_KAFKA_BOOTSTRAP_SERVERS", runtime.kafka_settings.bootstrap_servers)
    monkeypatch.setenv("SIGHTSTREAM_TOPICS_REQUESTS", topics.requests)
    monkeypatch.setenv("SIGHTSTREAM_TOPICS_PARTITIONS", str(topics.partitions))
    (example,) = blocks(ROOT / "docs/how-to/publish-from-a-service.md", "python")
    page: dict[str, Any] = {"__name__": "page"}
    exec(compile(example, "page", "exec"), page)  # noqa: S102 - our own page
    with TestClient(page["app"]) as client:
        accepted = client.post("/products/sku-17/images", params={"uri": "s3://product-images/sku-17/front.jpg"})
        refused = client.post("/products/sku-17/images", params={"uri": "front.jpg"})
    assert (accepted.status_code, refused.status_code) == (202, 422)
    (record,) = read_topic(runtime.kafka_settings, topics.requests)
    assert record.key() == b"sku-17"
