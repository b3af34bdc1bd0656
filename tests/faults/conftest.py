from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.topics import TopicSettings
from tests.faults.harness import Bench


@pytest.fixture
def bench(runtime: LocalRuntime, topics: TopicSettings, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(runtime.kafka_settings, topics, tmp_path)
    yield bench
    bench.stop()
