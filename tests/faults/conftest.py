"""One harness per test, on the session's broker and topics of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.harness import WorkerHarness


@pytest.fixture
def harness(runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path) -> Iterator[WorkerHarness]:
    harness = WorkerHarness(runtime.kafka_settings, topics, tmp_path)
    yield harness
    harness.stop()
