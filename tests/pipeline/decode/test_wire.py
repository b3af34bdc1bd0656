"""Whatever bytes a child sends, the parent reads a valid reply or raises ProtocolError."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightstream.pipeline.decode.settings import DecodeSettings
from sightstream.pipeline.decode.tiles import Tiling
from sightstream.pipeline.decode.wire import (
    FORMATS,
    REASONS,
    REPLY_BYTES,
    DecodedImage,
    DecodeReply,
    DecodeRequest,
    MemoryShortage,
    ProtocolError,
    Ready,
    Rejection,
    ReplyBody,
    output_bytes,
)

U8 = st.integers(0, 255)
U32, U64 = st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
DETAILS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=120)
PIXELS = DecodeSettings(max_pixels=1000).limits()
CANVASES = DecodeSettings(max_pixels=1000).limits(Tiling(32, 4))
BODIES = st.one_of(
    st.just(Ready()),
    st.builds(DecodedImage, U32, U32, st.sampled_from(FORMATS), U8, U8, st.booleans()),
    st.builds(Rejection, st.sampled_from(REASONS), DETAILS),
    st.builds(MemoryShortage, DETAILS),
)


@given(U64, BODIES)
def test_a_reply_is_read_as_it_was_packed(secret: int, body: ReplyBody) -> None:
    packed = DecodeReply(secret, body).pack()
    assert len(packed) == REPLY_BYTES
    assert DecodeReply.unpack(packed) == DecodeReply(secret, body)


@given(st.builds(DecodeRequest, U64, U64, U64, U64, st.integers(0, 255)))
def test_a_request_is_read_as_it_was_packed(request: DecodeRequest) -> None:
    assert DecodeRequest.unpack(request.pack()) == request


def test_a_child_can_ask_to_be_recycled() -> None:
    assert DecodeReply.unpack(DecodeReply(1, DecodedImage(1, 1, "PNG"), needs_recycling=True).pack()).needs_recycling


@given(st.binary(min_size=REPLY_BYTES, max_size=REPLY_BYTES), st.integers(0, 6), st.integers(0, 12))
def test_any_bytes_are_a_reply_of_the_closed_lists_or_an_error(noise: bytes, kind: int, number: int) -> None:
    noise = noise[:8] + bytes([kind, number]) + noise[10:]
    try:
        body = DecodeReply.unpack(noise).body
    except ProtocolError:
        return
    if isinstance(body, Rejection):
        assert body.reason in REASONS
    if isinstance(body, Rejection | MemoryShortage):
        assert body.detail.isprintable()
        assert len(body.detail) <= 120


@given(st.binary(max_size=300).filter(lambda data: len(data) != REPLY_BYTES))
def test_no_other_length_is_a_reply(noise: bytes) -> None:
    with pytest.raises(ProtocolError):
        DecodeReply.unpack(noise)


@given(U32, U32)
def test_pixels_never_exceed_their_block(width: int, height: int) -> None:
    try:
        assert output_bytes(DecodedImage(width, height, "PNG"), PIXELS) in range(3, PIXELS.output_bytes + 1)
    except ProtocolError:
        assert width * height > 1000 or not width * height


@given(st.integers(0, 5), st.integers(0, 5))
def test_canvases_never_exceed_their_block(rows: int, columns: int) -> None:
    try:
        assert output_bytes(DecodedImage(20, 20, "PNG", rows, columns), CANVASES) in range(1, CANVASES.output_bytes + 1)
    except ProtocolError:
        assert rows * columns not in range(1, 5)


def test_a_detail_is_truncated_and_limited_to_printable_ascii() -> None:
    body = DecodeReply.unpack(DecodeReply(1, Rejection(REASONS[0], "é" + "x" * 500)).pack()).body
    assert body == Rejection(REASONS[0], "?" + "x" * 119)
    with pytest.raises(ProtocolError):
        DecodeReply.unpack(DecodeReply(1, Rejection(REASONS[0], "red\x1b[31m")).pack())
