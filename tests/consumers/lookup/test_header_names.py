"""Batches are read whole, whatever bytes the names of their headers have."""

from __future__ import annotations

from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.lookup.header_names import ReadableRecords
from tests.raw_batches import GZIP, LZ4, NONE, SNAPPY, ZSTD, RawRecord, build_batch

content = st.none() | st.binary(max_size=300)
headers = st.lists(st.tuples(st.binary(max_size=200), content), max_size=4)
records = st.lists(st.builds(RawRecord, value=content, key=content, headers=headers), min_size=1, max_size=5)


@given(batches=st.lists(records, min_size=1, max_size=3), compression=st.sampled_from([NONE, GZIP, SNAPPY, LZ4, ZSTD]))
def test_every_record_comes_with_its_key_its_value_and_its_readable_headers(
    batches: list[list[RawRecord]], compression: int
) -> None:
    readable = ReadableRecords(b"".join(build_batch(batch, compression) for batch in batches))
    for written in batches:
        assert readable.has_next()
        batch = readable.next_batch()
        assert batch.validate_crc()
        assert (batch.is_control_batch, batch.next_offset) == (False, len(written))
        found = list(batch)
        assert [(r.offset, r.key, r.value) for r in found] == [(n, r.key, r.value) for n, r in enumerate(written)]
        assert [list(r.headers) for r in found] == [[(shown(n), v) for n, v in r.headers] for r in written]
    assert not readable.has_next()


def shown(name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError:
        return "?" * len(name)


def test_aiokafka_alone_still_stops_at_such_a_name() -> None:
    """When it no longer does, header_names.py can go."""
    batch = MemoryRecords(build_batch([RawRecord(b"v", headers=[(b"\xff", b"x")])])).next_batch()
    assert batch is not None
    try:
        next(iter(batch))
    except UnicodeDecodeError:
        return
    raise AssertionError("aiokafka reads it")
