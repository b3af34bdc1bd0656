"""The stage that all contestants share: a real broker and a real object store, full of pictures."""

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
from sightstream.infra.lab.bench.feed.pictures import draw
from sightstream.infra.runtime.local import DEFAULT_BUCKET, LocalRuntime
from sightstream.infra.runtime.resources import create_bucket
from sightstream.producers.publisher import ImagePublisher
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings


@dataclass(frozen=True, slots=True)
class Scene:
    """`pictures` are JPEG files; the store holds each under its number."""

    runtime: LocalRuntime
    folder: Path
    options: FeedOptions
    pictures: tuple[bytes, ...]

    def job(self, name: str) -> Job:
        """Topics of its own, the one of requests already full."""
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
        return Job(*where, group=name, s3=s3.client_arguments(), config=str(config))

    def _publish(self, topics: TopicSettings) -> None:
        with ImagePublisher(self.runtime.kafka_settings, topics) as publisher:
            for number in range(self.options.images):
                publisher.publish(self._request(number))

    def _request(self, number: int) -> ImageRequest:
        return ImageRequest(
            request_id=f"r-{number}",
            product_id=f"p-{number}",
            image=ImageRef(uri=f"s3://{DEFAULT_BUCKET}/{number % len(self.pictures)}.jpg"),
            question="What does the picture show?",
            submitted_at=datetime.now(UTC),
        )


@contextmanager
def scene(options: FeedOptions) -> Iterator[Scene]:
    """Blocks while it is set up; all of it is gone at the end."""
    with TemporaryDirectory(prefix="sightstream-bench-") as name, LocalRuntime(Path(name) / "runtime") as runtime:
        pictures = draw(options.distinct, options.side)
        create_bucket(runtime.s3_settings, DEFAULT_BUCKET)
        from sightstream.schemas.connections.s3_client import s3_client

        client = s3_client(runtime.s3_settings)
        with ThreadPoolExecutor(4) as pool:
            for number, data in enumerate(pictures):
                pool.submit(client.put_object, Bucket=DEFAULT_BUCKET, Key=f"{number}.jpg", Body=data)
        yield Scene(runtime, Path(name), options, pictures)
