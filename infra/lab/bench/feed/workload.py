"""The workload that all systems under test share: a real broker, and a real object store full of JPEG files."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from sightstream.infra.lab.bench.feed.job import Job
from sightstream.infra.lab.bench.feed.options import FeedOptions
from sightstream.infra.lab.bench.feed.photographs import make_photographs
from sightstream.infra.runtime.local import DEFAULT_BUCKET, LocalRuntime
from sightstream.infra.runtime.resources import create_bucket
from sightstream.producers.publisher import ImagePublisher
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings


@dataclass(frozen=True, slots=True)
class Workload:
    """A running broker and store; `photographs` are JPEG files, and the store holds each under its number."""

    runtime: LocalRuntime
    folder: Path
    options: FeedOptions
    photographs: tuple[bytes, ...]

    def job(self, name: str) -> Job:
        """Create topics for one run, fill the request topic, and describe them."""
        topics = TopicSettings(
            requests=f"{name}.requests",
            results=f"{name}.results",
            dead_letters=f"{name}.dead",
            partitions=self.options.partitions,
        )
        config = self.runtime.prepare(topics)
        self._publish(topics)
        kafka, s3 = self.runtime.kafka_settings, self.runtime.s3_settings
        where = (kafka.bootstrap_servers, topics.requests, topics.results)
        return Job(*where, group_id=name, s3=s3.client_arguments(), config=str(config))

    def _publish(self, topics: TopicSettings) -> None:
        with ImagePublisher(self.runtime.kafka_settings, topics) as publisher:
            for number in range(self.options.images):
                publisher.publish(self._request(number))

    def _request(self, number: int) -> ImageRequest:
        return ImageRequest(
            request_id=f"r-{number}",
            product_id=f"p-{number}",
            image=ImageRef(uri=f"s3://{DEFAULT_BUCKET}/{number % len(self.photographs)}.jpg"),
            question="What does the picture show?",
            submitted_at=datetime.now(UTC),
        )


@contextmanager
def running_workload(options: FeedOptions) -> Iterator[Workload]:
    """Start the broker and the store and fill the store; blocks meanwhile. Everything is removed at the end."""
    with TemporaryDirectory(prefix="sightstream-bench-") as name, LocalRuntime(Path(name) / "runtime") as runtime:
        photographs = make_photographs(options.distinct, options.side_px)
        create_bucket(runtime.s3_settings, DEFAULT_BUCKET)
        from sightstream.schemas.connections.s3_client import s3_client

        client = s3_client(runtime.s3_settings)
        with ThreadPoolExecutor(4) as pool:
            for number, data in enumerate(photographs):
                pool.submit(client.put_object, Bucket=DEFAULT_BUCKET, Key=f"{number}.jpg", Body=data)
        yield Workload(runtime, Path(name), options, photographs)
