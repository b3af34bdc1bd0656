"""Record batches that librdkafka can't read, on a real broker with real workers."""

from __future__ import annotations

import hashlib
import signal
from datetime import UTC, datetime

import pytest
from aiokafka.partitioner import murmur2

from sightstream.consumers.kafka.message import headers_of
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from tests.faults.harness import WorkerHarness, wait_for
from tests.raw_batches import ZSTD, RawRecord, flip_a_bit

pytestmark = pytest.mark.real

PARTITION, PARTITIONS = 1, 4


def partition_of(product: str) -> int:
    return int((murmur2(product.encode()) & 0x7FFFFFFF) % PARTITIONS)


def products() -> list[str]:
    """Some products of partition 1."""
    return [name for name in (f"p{number}" for number in range(100)) if partition_of(name) == PARTITION][:5]


BOMB = RawRecord(bytes(110 * 10**6), key=products()[0].encode())


def honest(harness: WorkerHarness, count: int) -> list[RawRecord]:
    """Requests as `publish` sends them, for a batch made by hand."""
    records, names = [], products()
    for number in range(count):
        request = ImageRequest(
            request_id=f"b{number}",
            product_id=names[number % len(names)],
            image=ImageRef(uri=harness.image()),
            question="What is it?",
            submitted_at=datetime.now(UTC),
        )
        records.append(RawRecord(encode(request), key=request.product_id.encode()))
    return records


def test_a_bomb_costs_its_neighbours_in_the_batch_nothing(harness: WorkerHarness) -> None:
    """Librdkafka can't decompress the batch: without help, nothing behind it would ever be answered."""
    neighbours = honest(harness, 49)
    harness.publish_batch(neighbours[:3], partition=PARTITION)
    base = harness.publish_batch([*neighbours[:20], BOMB, *neighbours[20:]], ZSTD, partition=PARTITION)
    harness.publish_batch(neighbours[:5], partition=PARTITION)
    harness.publish(20)
    harness.start_worker()
    found = harness.check_exactly_once()
    assert len(found.results) == 3 + 49 + 5 + 20
    (letter,), (failure,) = found.dead_letters, found.failures
    assert (failure.reason, failure.source.offset) == (Reason.UNREADABLE_RECORD, base + 20)
    headers = dict(headers_of(letter) or [])
    assert headers["sightstream-omitted-bytes"] == str(len(BOMB.value or b"") + len(BOMB.key or b"")).encode()
    assert headers["sightstream-omitted-sha256"] == hashlib.sha256(BOMB.value or b"").hexdigest().encode()
    assert letter.partition() == PARTITION


def test_rotten_bytes_stop_their_partition_alone_and_are_never_passed_over(
    harness: WorkerHarness, runtime: LocalRuntime
) -> None:
    """With the checksum wrong the client would report garbage, and without the check it would be answered."""
    marker = b'"request_id":"b3"'
    harness.publish_batch(honest(harness, 5), partition=PARTITION)
    flip_a_bit(runtime.folder.path, harness.topics.requests, PARTITION, marker)
    harness.publish_batch(honest(harness, 5), partition=PARTITION)
    healthy = next(name for name in map(str, range(100)) if partition_of(name) != PARTITION)
    for _ in range(20):
        harness.publish(1, product_id=healthy)
    worker = harness.start_worker()
    harness.wait_outcomes(20)
    wait_for(lambda: "checksum" in harness.logs(), "a line about the checksum")
    found = harness.outcomes()
    assert {source.partition for source in found.sources} == {partition_of(healthy)}
    assert found.dead_letters == []
    assert worker.poll() is None
    # The worker asks again only after a minute: its successor finds the partition repaired.
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0, harness.logs()
    flip_a_bit(runtime.folder.path, harness.topics.requests, PARTITION, marker)
    harness.start_worker()
    assert len(harness.check_exactly_once().results) == 30
