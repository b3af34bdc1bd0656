"""The broker, the images where workers fetch them, and the requests of each phase."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path

from sightstream.infra.lab.bench.engine.stagger import staggered
from sightstream.infra.lab.bench.system.images import draw_images
from sightstream.infra.lab.bench.system.options import QUESTION, SystemOptions
from sightstream.infra.runtime.local import DEFAULT_BUCKET, LocalRuntime
from sightstream.producers.publisher import ImagePublisher
from sightstream.schemas.wire.options import AnalysisOptions
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from sightstream.schemas.wire.topics import TopicSettings

UPLOAD_THREADS = 8


@dataclass(frozen=True, slots=True)
class Phase:
    """Requests whose answers have `tokens` tokens, by id; `sha256s` are those of their images."""

    tokens: int
    request_ids: frozenset[str]
    sha256s: frozenset[str]
    image_bytes: tuple[int, ...]


@dataclass(slots=True)
class Workload:
    """A running broker, and a store where there is one. Images are drawn in order and never used twice."""

    runtime: LocalRuntime
    topics: TopicSettings
    config: Path
    images: Path
    options: SystemOptions
    drawn: int = 0

    def first_files(self, count: int) -> list[Path]:
        """Return the files that the first phase begins with."""
        return draw_images(self.images, range(count), self.options.mix, self.options.seed)

    def publish(self, tokens: int, count: int, slots: int) -> Phase:
        """Draw so many images, put them where workers fetch them, and publish a request for each. Blocks.

        The first `slots` answers are cut to evenly spread lengths.
        """
        numbers = range(self.drawn, self.drawn + count)
        self.drawn = numbers.stop
        files = draw_images(self.images, numbers, self.options.mix, self.options.seed)
        uris = self._placed(files)
        ids = [f"{tokens}-{number:07}" for number in numbers]
        with ImagePublisher(self.runtime.kafka_settings, self.topics) as publisher:
            for name, uri, length in zip(ids, uris, staggered(repeat(tokens), slots), strict=False):
                publisher.publish(_request(name, uri, length))
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        sizes = tuple(file.stat().st_size for file in files)
        return Phase(tokens, frozenset(ids), frozenset(digests), sizes)

    def _placed(self, files: Sequence[Path]) -> list[str]:
        if not self.options.parts.has_store:
            return [file.as_uri() for file in files]
        from sightstream.schemas.connections.s3_client import s3_client

        client = s3_client(self.runtime.s3_settings)
        with ThreadPoolExecutor(UPLOAD_THREADS) as pool:
            list(pool.map(lambda file: client.upload_file(str(file), DEFAULT_BUCKET, file.name), files))
        return [f"s3://{DEFAULT_BUCKET}/{file.name}" for file in files]


def _request(name: str, uri: str, tokens: int) -> ImageRequest:
    return ImageRequest(
        request_id=name,
        product_id=name,
        image=ImageRef(uri=uri),
        question=QUESTION,
        options=AnalysisOptions(max_tokens=tokens),
        submitted_at=datetime.now(UTC),
    )


@contextmanager
def running_workload(options: SystemOptions, folder: Path) -> Iterator[Workload]:
    """Start the broker, and the store if there is one; blocks meanwhile. Both end with the block."""
    parts = options.parts
    with LocalRuntime(folder / "runtime", java=parts.java, jars=parts.jars, has_store=parts.has_store) as runtime:
        topics = TopicSettings(partitions=options.partitions)
        images = options.folder or folder / "images"
        yield Workload(runtime, topics, runtime.prepare(topics), images.resolve(), options)
