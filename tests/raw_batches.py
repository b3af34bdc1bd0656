"""Record batches that no ordinary client writes: raw header names, and any content in any compression."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cramjam
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NotLeaderForPartitionError
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.util import calc_crc32c, encode_varint
from aiokafka.structs import TopicPartition

from sightstream.schemas.connections.kafka import KafkaSettings

ZEROS = bytes(16 * 1024**2)
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)


class RawName(str):
    """A header name with any bytes: the builder writes what `encode` returns."""

    raw: bytes

    def __new__(cls, raw: bytes) -> RawName:
        name = super().__new__(cls, raw.decode("latin-1"))
        name.raw = raw
        return name

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return self.raw


@dataclass(frozen=True, slots=True)
class RawRecord:
    value: bytes | None
    key: bytes | None = b"k"
    headers: list[tuple[bytes, bytes | None]] = field(default_factory=list)


def build_batch(records: Iterable[RawRecord], compression: int = NONE) -> bytes:
    """Return one record batch of version 2 that holds all `records`."""
    builder = _DefaultRecordBatchBuilderPy(2, compression, 0, -1, -1, -1, 2**30)
    for index, record in enumerate(records):
        headers: list[tuple[str, bytes | None]] = [(RawName(name), value) for name, value in record.headers]
        assert builder.append(index, None, record.key, record.value, headers) is not None
    return bytes(builder.build())


def build_bombs(count: int, size_bytes: int, key: bytes) -> bytes:
    """Return one batch of records of so many zeros each. They are compressed piece by piece: this needs no memory."""
    packer = cramjam.zstd.Compressor()
    for number in range(count):
        # Attributes, the timestamp's distance, the offset's, key and value; no headers.
        start = b"\0\0" + _varint(number) + _varint(len(key)) + key + _varint(size_bytes)
        packer.compress(_varint(len(start) + size_bytes + 1) + start)
        for left in range(size_bytes, 0, -len(ZEROS)):
            packer.compress(ZEROS[:left])
        packer.compress(b"\0")
    now_ms = int(time.time() * 1000)
    checked = struct.pack(">hiqqqhii", ZSTD, count - 1, now_ms, now_ms, -1, -1, -1, count) + bytes(packer.finish())
    return struct.pack(">qiibI", 0, len(checked) + 9, 0, 2, calc_crc32c(checked)) + checked


def _varint(number: int) -> bytes:
    written = bytearray()
    encode_varint(number, written.append)
    return bytes(written)


def produce_batch(kafka: KafkaSettings, topic: str, partition: int, batch: bytes) -> int:
    """Append the batch as it is and return its base offset."""
    return asyncio.run(_produce(kafka.bootstrap_servers, topic, partition, batch))


async def _produce(bootstrap_servers: str, topic: str, partition: int, batch: bytes) -> int:
    client = AIOKafkaClient(bootstrap_servers=bootstrap_servers)
    await client.bootstrap()
    try:
        await client._wait_on_metadata(topic)
        request = ProduceRequest(
            transactional_id=None, required_acks=-1, timeout=30_000, topics=[(topic, [(partition, batch)])]
        )
        for _ in range(100):
            leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
            response = await client.send(leader, request)
            ((_, (answer, *_)),) = response.topics
            if answer[1] != NotLeaderForPartitionError.errno:
                break
            await asyncio.sleep(0.1)  # the topic was made a moment ago
            await client.force_metadata_update()
        assert answer[1] == 0, f"the broker refused the batch: error {answer[1]}"
        return int(answer[2])
    finally:
        await client.close()


def flip_a_bit(runtime: Path, topic: str, partition: int, marker: bytes) -> None:
    """Change one bit of a stored record that holds `marker`; calling it again repairs it."""
    (segment,) = runtime.glob(f"**/{topic}-{partition}/*.log")
    content = segment.read_bytes()
    flipped = content.find(bytes([marker[0] ^ 1]) + marker[1:])
    at = content.find(marker) if flipped < 0 else flipped
    assert at >= 0
    with segment.open("r+b") as file:
        file.seek(at)
        file.write(bytes([content[at] ^ 1]))
