"""Batches as Kafka stores them come back equal in every compression, and damaged ones are named as such."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sightstream.consumers.worker.unreadable.fetch import Fetched
from sightstream.consumers.worker.unreadable.record_batch import (
    BadBatch,
    BadChecksum,
    BatchHeader,
    Undecodable,
    check_crc,
    decompress,
    first_batch,
    read_header,
    read_records,
)
from tests.raw_batches import GZIP, LZ4, NONE, SNAPPY, ZSTD, RawRecord, build_batch

blobs = st.none() | st.binary(max_size=300)
records = st.lists(
    st.builds(RawRecord, blobs, blobs, st.lists(st.tuples(st.binary(max_size=20), blobs), max_size=4)),
    min_size=1,
    max_size=8,
)
codecs = st.sampled_from([NONE, GZIP, SNAPPY, LZ4, ZSTD])


def read(batch: bytes) -> list[RawRecord]:
    check_crc(batch)
    header = read_header(batch)
    found = list(read_records(decompress(batch, header.codec), header))
    assert [record.offset for record in found] == list(range(header.base, header.end))
    return [RawRecord(_bytes(record.value), _bytes(record.key), record.headers) for record in found]


def _bytes(view: memoryview | None) -> bytes | None:
    return None if view is None else bytes(view)


@given(records, codecs)
@example([RawRecord(b"x" * 5000, b"k", [(b"bad\xff", None)])] * 3, ZSTD)
@settings(deadline=None)
def test_every_record_comes_back_equal(written: list[RawRecord], codec: int) -> None:
    batch = build_batch(written, codec)
    assert read(batch) == written
    assert read(first_batch(batch + b"the next one")) == written


@given(records, codecs, st.data())
@settings(deadline=None)
def test_a_flipped_bit_is_noticed(written: list[RawRecord], codec: int, data: st.DataObject) -> None:
    batch = bytearray(build_batch(written, codec))
    batch[data.draw(st.integers(21, len(batch) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(BadChecksum):
        check_crc(bytes(batch))


@given(st.binary(max_size=200), st.integers(0, 50))
@example(b"\x80" * 20, 3)
@example(b"\x02", 1)
def test_whatever_the_bytes_are_they_are_records_or_undecodable(payload: bytes, count: int) -> None:
    header = BatchHeader(0, 50, count, NONE, -1, is_transactional=False, is_control=False)
    try:
        assert len(list(read_records(memoryview(payload), header))) == count
    except Undecodable:
        return


@given(st.binary(max_size=80), codecs.filter(lambda codec: codec != NONE))
@settings(deadline=None)
def test_bytes_that_are_not_compressed_are_undecodable(payload: bytes, codec: int) -> None:
    batch = build_batch([RawRecord(b"v")])[:61] + payload
    try:
        decompress(batch, codec)
    except Undecodable:
        return


def test_what_is_no_batch_is_bad() -> None:
    batch = bytearray(build_batch([RawRecord(b"v")]))
    batch[16] = 1  # an older format
    with pytest.raises(BadBatch):
        read_header(bytes(batch))
    assert first_batch(b"short") == first_batch(bytes(batch[:-1])) == b""
    with pytest.raises(Undecodable, match="unknown"):
        decompress(bytes(batch), 7)


@pytest.mark.parametrize(
    ("aborted", "expected"),
    [((), False), (((8, 5),), True), (((8, 9),), True), (((8, 20),), False), (((9, 5),), False)],
)
def test_a_batch_of_an_aborted_transaction_is_known(aborted: tuple[tuple[int, int], ...], expected: bool) -> None:
    header = BatchHeader(9, 20, 11, NONE, 8, is_transactional=True, is_control=False)
    assert Fetched(b"", aborted).is_aborted(header) is expected
    plain = BatchHeader(9, 20, 11, NONE, 8, is_transactional=False, is_control=False)
    assert not Fetched(b"", aborted).is_aborted(plain)
