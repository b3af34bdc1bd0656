"""Reads one record batch of Kafka's format 2 from raw bytes, without copies of what its caller does not keep."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

# Base offset, length, leader epoch, magic, checksum, attributes, last offset delta, two timestamps, producer's id and
# epoch, base sequence, number of records. All of it is outside the compressed part.
_HEADER = struct.Struct(">qiibIhiqqqhii")
_LENGTH = struct.Struct(">qi")
_BEFORE_CHECKED = struct.calcsize(">qiibI")
_CODEC, _TRANSACTIONAL, _CONTROL = 0x07, 0x10, 0x20
_MAGIC = 2

RawHeaders = list[tuple[bytes, bytes | None]]


class BadBatch(Exception):
    """The bytes are no record batch of format 2."""


class BadChecksum(BadBatch):
    """The bytes are not those that the broker was sent."""


class Undecodable(BadBatch):
    """The checksum is right, but the batch can't be decompressed, or what comes out is no list of records."""


@dataclass(frozen=True, slots=True)
class BatchHeader:
    """`end` is the offset behind the batch. `count` is smaller than its span where records were compacted away."""

    base: int
    end: int
    count: int
    codec: int
    producer_id: int
    is_transactional: bool
    is_control: bool


@dataclass(frozen=True, slots=True)
class RawRecord:
    """A record whose key and value are views into the batch."""

    offset: int
    key: memoryview | None
    value: memoryview | None
    headers: RawHeaders

    @property
    def size_bytes(self) -> int:
        """Size of key and value."""
        return len(self.key or b"") + len(self.value or b"")


def first_batch(fetched: bytes) -> bytes:
    """Return the first batch of a fetch, b"" when there is no whole one."""
    if len(fetched) < _LENGTH.size:
        return b""
    _, length = _LENGTH.unpack_from(fetched)
    end = _LENGTH.size + length
    return fetched[:end] if _HEADER.size <= end <= len(fetched) else b""


def read_header(batch: bytes) -> BatchHeader:
    """Return the header, which is readable whatever the records are. Raises BadBatch."""
    base, _, _, magic, _, attributes, last, _, _, producer_id, _, _, count = _HEADER.unpack_from(batch)
    if magic != _MAGIC or base < 0 or last < 0 or not 0 <= count <= last + 1:
        raise BadBatch(f"no record batch of format {_MAGIC}")
    return BatchHeader(
        base=base,
        end=base + last + 1,
        count=count,
        codec=attributes & _CODEC,
        producer_id=producer_id,
        is_transactional=bool(attributes & _TRANSACTIONAL),
        is_control=bool(attributes & _CONTROL),
    )


def check_crc(batch: bytes) -> None:
    """Raise BadChecksum unless the batch is as it was sent."""
    from aiokafka.record.util import calc_crc32c

    expected, found = _HEADER.unpack_from(batch)[4], calc_crc32c(batch[_BEFORE_CHECKED:])
    if expected != found:
        raise BadChecksum(f"checksum {found:#010x} instead of {expected:#010x}")


def decompress(batch: bytes, codec: int) -> memoryview:
    """Return the records' bytes. Raises Undecodable or MemoryError; the process may die of a lack of memory."""
    import cramjam
    from aiokafka import codec as codecs

    decoders = {
        0: lambda data: data,
        1: codecs.gzip_decode,
        2: codecs.snappy_decode,
        3: codecs.lz4_decode,
        4: lambda data: memoryview(cramjam.zstd.decompress(data)),  # unlike aiokafka's, without a second copy
    }
    if codec not in decoders:
        raise Undecodable(f"compression {codec} is unknown here")
    try:
        return memoryview(decoders[codec](batch[_HEADER.size :])).cast("B")
    except MemoryError:
        raise
    except Exception as error:  # each codec has errors of its own
        raise Undecodable(f"it can't be decompressed: {type(error).__name__}") from error


def read_records(payload: memoryview, header: BatchHeader) -> Iterator[RawRecord]:
    """Yield the records in order. Raises Undecodable where the bytes are none."""
    reader, previous = _Reader(payload), header.base - 1
    for _ in range(header.count):
        record = reader.record(header.base)
        if not previous < record.offset < header.end:
            raise Undecodable("its offsets are not in order")
        previous = record.offset
        yield record
    if reader.at != len(payload):
        raise Undecodable("bytes are left behind its last record")


class _Reader:
    """Reads Kafka's variable-length fields one after another."""

    def __init__(self, data: memoryview) -> None:
        self._data, self.at = data, 0

    def record(self, base: int) -> RawRecord:
        length = self._number()
        end = self.at + length
        if length < 0 or end > len(self._data):
            raise Undecodable("a record ends outside of the batch")
        self.at += 1  # attributes, of which there are none yet
        self._number()  # the timestamp's distance
        offset = base + self._number()
        record = RawRecord(offset, self._bytes(end), self._bytes(end), self._headers(end))
        if self.at != end:
            raise Undecodable("a record does not end where it says")
        return record

    def _headers(self, end: int) -> RawHeaders:
        count = self._number()
        if not 0 <= count <= end - self.at:
            raise Undecodable("an impossible number of headers")
        return [(bytes(self._bytes(end) or b""), _kept(self._bytes(end))) for _ in range(count)]

    def _bytes(self, end: int) -> memoryview | None:
        length = self._number()
        if length < 0:
            return None
        if self.at + length > end:
            raise Undecodable("a field ends outside of its record")
        self.at += length
        return self._data[self.at - length : self.at]

    def _number(self) -> int:
        """Read a zigzag varint of up to ten bytes."""
        number = shift = 0
        while shift < 70:
            if self.at >= len(self._data):
                raise Undecodable("it ends in the middle of a record")
            byte = self._data[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)
            shift += 7
        raise Undecodable("a number does not end")


def _kept(view: memoryview | None) -> bytes | None:
    return None if view is None else bytes(view)
