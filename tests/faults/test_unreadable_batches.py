"""Record batches that librdkafka can't read, on a real broker with real workers."""

from __future__ import annotations

import hashlib
import signal
import time
from datetime import UTC, datetime

import pytest
from aiokafka.partitioner import murmur2

from sightstream.consumers.kafka.message import headers_of
from sightstream.consumers.worker.unreadable.cases import RETRY_S
from sightstream.consumers.worker.unreadable.reports import MEMORY_BYTES
from sightstream.infra.runtime.local import LocalRuntime
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import Reason, RecordId
from sightstream.schemas.wire.request import ImageRef, ImageRequest
from tests.faults.harness import WorkerHarness, wait_for
from tests.raw_batches import ZSTD, RawRecord, build_bombs, flip_a_bit, produce_batch

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


@pytest.mark.soak
def test_a_batch_beyond_all_memory_is_given_up_after_a_minute_record_by_record(
    harness: WorkerHarness, runtime: LocalRuntime
) -> None:
    """Its records are lost with it, and nothing else: what stands before and behind it is answered."""
    key, bombs = products()[0].encode(), 3
    harness.publish_batch(honest(harness, 5), partition=PARTITION)
    batch = build_bombs(bombs, MEMORY_BYTES // 2, key)
    base = produce_batch(runtime.kafka_settings, harness.topics.requests, PARTITION, batch)
    harness.publish_batch(honest(harness, 5), partition=PARTITION)
    harness.publish(20, product_id=next(name for name in map(str, range(100)) if partition_of(name) != PARTITION))
    started_ms = time.time() * 1000
    worker = harness.start_worker()
    answered = {source for source in harness.wait_outcomes(25).sources if source.partition == PARTITION}
    assert max(source.offset for source in answered) < base, "nothing behind the batch, which is being tried"
    found = harness.wait_outcomes(30 + bombs, timeout_s=RETRY_S + 60)
    given_up = [RecordId(harness.topics.requests, PARTITION, base + number) for number in range(bombs)]
    assert [failure.source for failure in found.failures] == given_up
    assert {failure.reason for failure in found.failures} == {Reason.UNREADABLE_RECORD}
    assert min(letter.timestamp()[1] for letter in found.dead_letters) >= started_ms + RETRY_S * 1000
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0, harness.logs()
    harness.start_worker()
    harness.publish_batch(honest(harness, 5), partition=PARTITION)
    sources = harness.wait_outcomes(35 + bombs).sources
    assert len(sources) == len(set(sources)) == 35 + bombs, "the next worker repeats nothing"
