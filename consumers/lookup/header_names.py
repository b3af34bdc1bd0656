"""Makes aiokafka read records with a header name that is not UTF-8.

Kafka takes any bytes for a header's name. aiokafka raises UnicodeDecodeError instead of such a record and then can't go
on behind it, so one record of a foreign producer would stop the lookup for ever. Here the batch is read once more, with
`?` in place of such a name; the record's key, value and other headers stay as they are. The names touched here are
private: aiokafka is pinned, and a test on a real broker checks the effect.
"""

from __future__ import annotations

from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecordBatch, _DefaultRecordBatchPy
from aiokafka.record.legacy_records import LegacyRecordBatch
from aiokafka.record.memory_records import _MemoryRecordsPy
from aiokafka.record.util import decode_varint

_ATTRIBUTES_BYTES = 1


def accept_any_header_name() -> None:
    """Make every aiokafka consumer of this process do so. Raises RuntimeError for an aiokafka that is unknown here."""
    if not hasattr(fetcher, "MemoryRecords"):
        raise RuntimeError("a header name could stop the lookup: this aiokafka is unknown here; install the pinned one")
    fetcher.MemoryRecords = ReadableRecords


class ReadableRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """The batches of one fetch."""

    def next_batch(self) -> Any:
        raw = bytes(self._next_slice)
        self._cache_next()
        magic = raw[self.MAGIC_OFFSET]
        return ReadableBatch(raw) if magic >= 2 else LegacyRecordBatch(raw, magic)


class ReadableBatch:
    """An iterator over the records of a batch, read by aiokafka's fast reader as far as that gets."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._batch: Any = DefaultRecordBatch(raw)
        self._records_read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> ReadableBatch:
        iter(self._batch)
        return self

    def __next__(self) -> Any:
        try:
            record = next(self._batch)
        except UnicodeDecodeError:
            self._batch = repaired_batch(self._raw)
            for _ in range(self._records_read):
                next(self._batch)
            record = next(self._batch)
        self._records_read += 1
        return record


def repaired_batch(raw: bytes) -> Any:
    """Return aiokafka's plain reader of a batch, with each header name that is not UTF-8 replaced."""
    batch = iter(_DefaultRecordBatchPy(raw))
    position = batch._pos
    for _ in range(batch._num_records):
        position = _replace_names(batch._buffer, position)
    return batch


def _replace_names(buffer: bytearray, position: int) -> int:
    """Replace the names of one record that are not UTF-8, and return where the record ends."""
    length, position = decode_varint(buffer, position)
    end = position + length
    position += _ATTRIBUTES_BYTES
    for _ in ("timestamp", "offset"):
        _, position = decode_varint(buffer, position)
    for _ in ("key", "value"):
        position = _field_end(buffer, position)[1]
    headers, position = decode_varint(buffer, position)
    for _ in range(headers):
        start, position = _field_end(buffer, position)
        if not _is_text(buffer[start:position]):
            buffer[start:position] = b"?" * (position - start)
        position = _field_end(buffer, position)[1]
    return int(end)


def _field_end(buffer: bytearray, position: int) -> tuple[int, int]:
    """Return where the content of a field begins and ends; a length of -1 means null."""
    length, start = decode_varint(buffer, position)
    return start, start + max(length, 0)


def _is_text(name: bytearray) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True
