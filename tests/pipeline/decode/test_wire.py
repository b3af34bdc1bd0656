"""Whatever bytes a child sends, the parent reads a sound answer or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.decode.arrangement import Tiling
from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.wire import (
    ANSWER_BYTES,
    FORMATS,
    REASONS,
    Answer,
    Drawn,
    Garbled,
    NoMemory,
    Order,
    Ready,
    Refused,
    picture_bytes,
)

U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
DETAILS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120)
PIXELS = DecodeSettings(max_pixels=1000).limits()
CANVASES = DecodeSettings(max_pixels=1000).limits(Tiling(32, 4))
BODIES = st.one_of(
    st.just(Ready()),
    st.builds(Drawn, U32, U32, st.sampled_from(FORMATS), st.integers(0, 255), st.integers(0, 255)),
    st.builds(Refused, st.sampled_from(REASONS), DETAILS),
    st.builds(NoMemory, DETAILS),
)


@given(U64, BODIES)
def test_what_is_said_is_understood(secret: int, body: Ready | Drawn | Refused | NoMemory) -> None:
    packed = Answer(secret, body).pack()
    assert len(packed) == ANSWER_BYTES
    assert Answer.unpack(packed) == Answer(secret, body)


@given(U64, U64, U64, U64)
def test_orders_are_understood(secret: int, offset: int, kept: int, length: int) -> None:
    order = Order(secret, offset, kept, length)
    assert Order.unpack(order.pack()) == order


def test_a_worn_child_says_so() -> None:
    assert Answer.unpack(Answer(1, Drawn(1, 1, "PNG"), worn=True).pack()).worn


@given(st.binary(min_size=ANSWER_BYTES, max_size=ANSWER_BYTES), st.integers(0, 6), st.integers(0, 12))
def test_any_bytes_are_an_answer_of_the_closed_lists_or_none(noise: bytes, kind: int, number: int) -> None:
    noise = noise[:8] + bytes([kind, number]) + noise[10:]
    try:
        body = Answer.unpack(noise).body
    except Garbled:
        return
    if isinstance(body, Refused):
        assert body.reason in REASONS
    if isinstance(body, Refused | NoMemory):
        assert body.detail.isprintable()
        assert len(body.detail) <= 120


@given(st.binary(max_size=300).filter(lambda data: len(data) != ANSWER_BYTES))
def test_no_other_length_is_an_answer(noise: bytes) -> None:
    with pytest.raises(Garbled):
        Answer.unpack(noise)


@given(U32, U32)
def test_pixels_never_reach_beyond_their_block(width: int, height: int) -> None:
    try:
        assert picture_bytes(Drawn(width, height, "PNG"), PIXELS) in range(3, PIXELS.picture_bytes + 1)
    except Garbled:
        assert width * height > 1000 or not width * height


@given(st.integers(0, 5), st.integers(0, 5))
def test_canvases_never_reach_beyond_their_block(rows: int, columns: int) -> None:
    try:
        assert picture_bytes(Drawn(20, 20, "PNG", rows, columns), CANVASES) in range(1, CANVASES.picture_bytes + 1)
    except Garbled:
        assert rows * columns not in range(1, 5)


def test_a_detail_is_cut_and_kept_to_plain_characters() -> None:
    said = Answer.unpack(Answer(1, Refused(REASONS[0], "é" + "x" * 500)).pack()).body
    assert said == Refused(REASONS[0], "?" + "x" * 119)
    with pytest.raises(Garbled):
        Answer.unpack(Answer(1, Refused(REASONS[0], "red\x1b[31m")).pack())
