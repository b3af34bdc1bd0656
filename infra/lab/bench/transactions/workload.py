"""Topics and requests of one run, a worker of either side, and the results as a reader sees them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sightstream.infra.errors import CommandError
from sightstream.infra.lab.bench.transactions.options import MODULES, TransactionsOptions
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.infra.runtime.service import Program, Service
from sightstream.producers.publisher import ImagePublisher
from sightstream.schemas.connections.client_log import client_logger
from sightstream.schemas.connections.settings_file import CONFIG_VARIABLE
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings

if TYPE_CHECKING:
    from confluent_kafka import Consumer

IMAGE = "image.png"
IMAGE_SIDE_PX = 64
POLL_S = 0.02
BATCH_RECORDS = 1000


@dataclass(slots=True)
class Stream:
    """Publishes requests by number and sees their results; all times are of this process's clock."""

    publisher: ImagePublisher
    consumer: Consumer
    image_uri: str
    published_at: dict[str, float] = field(default_factory=dict)
    seen_at: dict[str, float] = field(default_factory=dict)

    def publish(self, number: int, question: str = "What does the picture show?", image_uri: str | None = None) -> None:
        request = ImageRequest(
            request_id=f"r-{number}",
            product_id=f"p-{number}",
            image=ImageRef(uri=image_uri or self.image_uri),
            question=question,
            submitted_at=datetime.now(UTC),
        )
        self.publisher.publish(request)
        self.published_at[request.request_id] = time.monotonic()

    def read(self, timeout_s: float) -> None:
        """Note the results that have come; a second one for a request is not counted again."""
        messages = self.consumer.consume(BATCH_RECORDS, timeout_s)
        now = time.monotonic()
        for message in messages:
            if message.error() is None and (value := message.value()) is not None:
                self.seen_at.setdefault(json.loads(value)["request_id"], now)

    def read_until(self, count: int, deadline: float, worker: Service) -> None:
        """Read until `count` requests have results. Raises CommandError when that takes too long."""
        while len(self.seen_at) < count:
            if time.monotonic() > deadline or not worker.running:
                end = worker.program.log.read_text(errors="replace")[-2000:]
                raise CommandError(f"{len(self.seen_at)} of {count} results; the worker died or was too slow\n{end}")
            self.read(POLL_S)

    def latencies_s(self, numbers: range) -> list[float]:
        names = [f"r-{number}" for number in numbers]
        return [self.seen_at[name] - self.published_at[name] for name in names]


def make_topics(runtime: LocalRuntime, name: str, partitions: int) -> tuple[TopicSettings, Path]:
    """Create the topics of one run; return them and the settings file that names them."""
    topics = TopicSettings(
        requests=f"{name}.requests",
        results=f"{name}.results",
        dead_letters=f"{name}.dead",
        redrives=f"{name}.redrives",
        partitions=partitions,
    )
    return topics, runtime.prepare(topics)


@contextmanager
def open_stream(runtime: LocalRuntime, topics: TopicSettings, image_uri: str) -> Iterator[Stream]:
    from confluent_kafka import Consumer, TopicPartition

    config = runtime.kafka_settings.client_config() | {
        "group.id": "bench",  # never joined
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
    }
    consumer = Consumer(config, logger=client_logger(__name__))
    consumer.assign([TopicPartition(topics.results, partition, 0) for partition in range(topics.partitions)])
    try:
        with ImagePublisher(runtime.kafka_settings, topics) as publisher:
            yield Stream(publisher, consumer, image_uri)
    finally:
        consumer.close()


def make_image(folder: Path) -> Path:
    """Write a small image: fetching and decoding it must not hide what a commit costs."""
    from PIL import Image

    file = folder / IMAGE
    Image.new("RGB", (IMAGE_SIDE_PX, IMAGE_SIDE_PX), "teal").save(file)
    return file


def unthrottled_worker(config: Path, name: str) -> dict[str, str]:
    """Return the environment of a worker without a cache and with an engine that answers at once."""
    return {
        CONFIG_VARIABLE: str(config),
        "SIGHTSTREAM_WORKER_GROUP_ID": name,
        "SIGHTSTREAM_WORKER_NAME": name,
        "SIGHTSTREAM_ENGINE_KIND": "simulated",
        "SIGHTSTREAM_ENGINE_SIMULATED_S": "0",
        "SIGHTSTREAM_ENGINE_MAX_BATCH": "64",
        "SIGHTSTREAM_CACHE_KIND": "none",
        "SIGHTSTREAM_CACHE_COALESCE_IN_FLIGHT": "false",
    }


@contextmanager
def running_worker(runtime: LocalRuntime, side: str, config: Path, name: str, image: Path) -> Iterator[Service]:
    """Run a worker without a cache and with an engine that answers at once; everything else is the default."""
    environment = {
        **unthrottled_worker(config, name),
        "SIGHTSTREAM_FETCH_FILE_ROOTS": json.dumps([str(image.parent)]),
    }
    command = [sys.executable, "-m", *MODULES[side]]
    worker = runtime.run(Program(side, command, image.parent / f"{name}.log", lambda _: None, environment))
    try:
        yield worker
    finally:
        worker.stop()


def check_options(options: TransactionsOptions) -> None:
    """Raise CommandError when the figures would mean nothing."""
    if options.results * (1 - options.warm_fraction) < BATCH_RECORDS:
        raise CommandError(f"ask for more --results: fewer than {BATCH_RECORDS} would count")
