"""One harness per test, on the session's broker and topics of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.commit_harness import CommitHarness
from tests.faults.harness import WorkerHarness


@pytest.fixture
def harness(runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path) -> Iterator[WorkerHarness]:
    harness = WorkerHarness(runtime.kafka_settings, topics, tmp_path)
    yield harness
    harness.stop()


@pytest.fixture
def commits(
    runtime: LocalRuntime, make_topics: Callable[..., TopicSettings], tmp_path: Path
) -> Iterator[CommitHarness]:
    """Two partitions: most tests fill only the first, so that one slow image holds all the others back."""
    harness = CommitHarness(runtime.kafka_settings, make_topics(2), tmp_path)
    yield harness
    harness.stop()
