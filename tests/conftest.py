"""A real Kafka and a real S3 for the whole test session. When they cannot start, the tests that ask for them fail."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from sightstream.infra.runtime.local import LocalRuntime
    from sightstream.schemas.wire.topics import TopicSettings

# hypothesis fails an example that takes longer than 200 ms, which on a busy machine any may.
settings.register_profile("any-speed", deadline=None)
settings.load_profile("any-speed")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import a file whose tests are all left out: many of the slow ones load torch."""
    left_out = [mark for mark in ("real", "slow") if f"not {mark}" in config.option.markexpr]
    if collection_path.suffix != ".py" or not left_out:
        return None
    source = collection_path.read_text(encoding="utf-8")
    return any(f"\npytestmark = pytest.mark.{mark}\n" in source for mark in left_out) or None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, those that wait between those that compute; short ones fill up the end.

    The tests of a file stay together, and in their order.
    """
    marked = {mark: {item.path for item in items if item.get_closest_marker(mark)} for mark in ("real", "slow")}
    waiting, computing = marked["real"], marked["slow"] - marked["real"]
    short = {item.path for item in items} - waiting - computing
    order: dict[Path, float] = {}
    for start, files in ((0, waiting), (0, computing), (1, short)):
        order |= {path: start + number / len(files) for number, path in enumerate(sorted(files))}
    items.sort(key=lambda item: order[item.path])


def pytest_runtest_teardown() -> None:
    """Undo the logging of a command that ran in this process: its handler writes to one test's standard error."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one) is logging.StreamHandler]:
        root.removeHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("sightstream").setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRuntime]:
    """One broker and one object store. Tests that break either start a LocalRuntime of their own."""
    from sightstream.infra.runtime.local import LocalRuntime

    with LocalRuntime(tmp_path_factory.mktemp("runtime")) as started:
        yield started


@pytest.fixture
def make_topics(runtime: LocalRuntime) -> Callable[..., TopicSettings]:
    """`make_topics(partitions=4)` creates the topics of a pipeline with names of their own."""
    from sightstream.infra.runtime.resources import create_topics
    from sightstream.schemas.wire.topics import TopicSettings, topic_specs

    def make(partitions: int = 4) -> TopicSettings:
        name = uuid4().hex[:12]
        settings = TopicSettings(
            requests=f"{name}.requests",
            results=f"{name}.results",
            dead_letters=f"{name}.dead-letters",
            redrives=f"{name}.redrives",
            partitions=partitions,
        )
        create_topics(runtime.kafka_settings, topic_specs(settings))
        return settings

    return make


@pytest.fixture
def topics(make_topics: Callable[..., TopicSettings]) -> TopicSettings:
    """Fresh topics of four partitions."""
    return make_topics()


@pytest.fixture
def s3_client(runtime: LocalRuntime) -> Any:
    """boto3's client for the session's object store."""
    from sightstream.schemas.connections.s3_client import s3_client

    return s3_client(runtime.s3_settings)


@pytest.fixture
def bucket(runtime: LocalRuntime) -> str:
    """A fresh, empty bucket."""
    from sightstream.infra.runtime.resources import create_bucket

    name = f"test-{uuid4().hex[:12]}"
    create_bucket(runtime.s3_settings, name)
    return name


@pytest.fixture
def config_file(runtime: LocalRuntime, topics: TopicSettings, bucket: str, tmp_path: Path) -> Path:
    """A settings file for `sightstream --config`: the session's broker and store, fresh topics, a fresh bucket."""
    from sightstream.infra.runtime.config_file import write_config

    file = tmp_path / "runtime.toml"
    s3 = runtime.s3_settings.model_copy(update={"bucket": bucket})
    write_config(file, runtime.kafka_settings, s3, topics)
    return file
