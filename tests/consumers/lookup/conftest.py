"""Starts real lookups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sightstream.schemas.wire.topics import TopicSettings
from tests.consumers.lookup.harness import Lookups


@pytest.fixture
def start(config_file: Path, topics: TopicSettings, tmp_path: Path) -> Iterator[Lookups]:
    """`start(folder)` starts a lookup that works in it."""
    lookups = Lookups(config_file, topics, tmp_path)
    yield lookups
    lookups.stop()
    print(lookups.log.read_text())  # noqa: T201 - shown when the test fails
