"""The index of markers: the newest word about each letter, and only about letters of this topic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.consumers.redrive.errors import UnreadableMarker
from sightstream.consumers.redrive.letter import Record
from sightstream.consumers.redrive.markers import MarkerIndex, OffsetSet, State
from sightstream.schemas.wire.codec import encode
from sightstream.schemas.wire.dead_letter import RecordId
from sightstream.schemas.wire.redrive import LetterId, MarkerState, RedriveMarker
from tests.consumers.redrive.samples import LETTERS, NOON

coordinates = st.tuples(st.integers(0, 3), st.integers(0, 20_000) | st.integers(0, 2**63 - 1))


@given(st.lists(st.tuples(st.booleans(), coordinates)))
def test_an_offset_set_is_a_set(changes: list[tuple[bool, tuple[int, int]]]) -> None:
    model: set[tuple[int, int]] = set()
    offsets = OffsetSet()
    for is_added, at in changes:
        (model.add if is_added else model.discard)(at)
        (offsets.add if is_added else offsets.discard)(at)
    assert len(offsets) == len(model)
    assert all((at in offsets) == (at in model) for _, at in changes)


def entry(offset: int, state: MarkerState | None, run: str = "r", topic_id: str = "id", topic: str = LETTERS) -> Record:
    value = None if state is None else encode(RedriveMarker(state=state, redrives=1, run=run, at=NOON))
    return Record(RecordId("m", 0, 0), str(LetterId(topic, topic_id, 0, offset)).encode(), value, [])


def index(*entries: Record, run: str | None = None) -> MarkerIndex:
    made = MarkerIndex(LETTERS, "id", run)
    for each in entries:
        made.add(each)
    return made


AT = RecordId(LETTERS, 0, 7)


def test_the_newest_marker_counts() -> None:
    assert index().state(AT) is State.OPEN
    assert index(entry(7, "parked")).state(AT) is State.PARKED
    assert index(entry(7, "parked"), entry(7, "redriven")).state(AT) is State.REDRIVEN
    assert index(entry(7, "redriven"), entry(7, None)).state(AT) is State.OPEN


def test_redriven_is_for_ever_whatever_the_order_of_partitions() -> None:
    assert index(entry(7, "redriven"), entry(7, "parked")).state(AT) is State.REDRIVEN


def test_only_letters_of_this_topic_count() -> None:
    found = index(entry(7, "redriven", topic_id="older"), entry(7, "redriven", topic="other"), entry(8, "redriven"))
    assert found.state(AT) is State.OPEN
    assert found.foreign == 0


def test_a_run_knows_its_own() -> None:
    found = index(entry(7, "redriven", run="mine"), entry(8, "redriven", run="other"), run="mine")
    assert found.is_own(AT)
    assert len(found.own) == 1
    assert len(index(entry(7, "redriven")).own) == 0


@pytest.mark.parametrize("key", [None, b"", b"a/b/c", b"\xff", b"a/b/1/x"])
def test_keys_of_others_are_counted(key: bytes | None) -> None:
    found = index(Record(RecordId("m", 0, 0), key, b"{}", []))
    assert found.foreign == 1


def test_an_unreadable_marker_of_this_topic_is_an_error() -> None:
    broken = Record(RecordId("m", 0, 3), entry(7, None).key, b"{}", [])
    with pytest.raises(UnreadableMarker, match="m/0/3: "):
        index(broken)
    other = Record(RecordId("m", 0, 3), entry(7, None, topic_id="older").key, b"{}", [])
    assert index(other).state(AT) is State.OPEN


def test_a_million_dense_offsets_need_little_memory() -> None:
    offsets = OffsetSet()
    for offset in range(0, 1_000_000, 100):
        offsets.add((0, offset))
    assert sum(len(chunk) for chunk in offsets._chunks.values()) <= 130 * 1024
