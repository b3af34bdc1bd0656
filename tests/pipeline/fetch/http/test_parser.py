"""The parser of HTTP answers: the same result however the bytes are split, and a bound on the work."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.fetch.http.parser import FREE_FRAMING_BYTES, FREE_READS, MIN_MEAN_READ_BYTES, ResponseParser
from tests.pipeline.fetch.http.hostile_server import CHUNKED, EARLY_HINTS, chunks

HEAD = b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: "x"\r\n\r\n'
ANSWERS = [
    HEAD % 5 + b"hello",
    EARLY_HINTS.replace("\n", "\r\n").encode() + HEAD % 5 + b"hello",
    CHUNKED.replace("\n", "\r\n").encode() + chunks(5, 3, b"0\r\nX: y\r\n\r\n"),
    CHUNKED.replace("\n", "\r\n").encode() + b"1_0\r\n",
    b"HTTP/1.0 404 Not Found\r\n\r\nhello",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
    HEAD % 5 + b"helloHTTP/1.1 200 OK\r\n",
    b"SSH-2.0-x\r\n",
]

Result = tuple[int, bytes, bool, bool] | str


def result(pieces: list[bytes]) -> Result:
    """Return (status, body, is_complete, is_keepable), or the message of the error."""
    parser = ResponseParser()
    try:
        for piece in pieces:
            if not parser.is_complete:
                parser.feed(memoryview(piece))
        return parser.status, parser.body(), parser.is_complete, parser.is_keepable
    except PipelineError as error:
        return str(error)
    finally:
        parser.close()


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ANSWERS[:6]), st.lists(st.integers(0, 120), max_size=6))
def test_an_answer_is_read_alike_however_it_is_split(answer: bytes, cuts: list[int]) -> None:
    ends = sorted({*cuts, 0, len(answer)})
    pieces = [answer[start:end] for start, end in pairwise(ends)]
    assert result([piece for piece in pieces if piece]) == result([answer])


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (0, (200, b"hello", True, True)),
        (1, (200, b"hello", True, True)),
        (2, (200, b"xxxxx" * 3, True, True)),
        (4, (404, b"hello", False, False)),
        (5, (304, b"", True, True)),
        (6, (200, b"hello", True, False)),
    ],
)
def test_an_answer_and_whether_its_connection_can_serve_another(number: int, expected: Result) -> None:
    assert result([ANSWERS[number]]) == expected


def test_the_headers_of_an_interim_answer_are_not_those_of_the_answer() -> None:
    parser = ResponseParser()
    parser.feed(memoryview(ANSWERS[1]))
    assert "link" not in parser.headers
    assert parser.headers.get("etag") == '"x"'


def test_bytes_that_come_in_tiny_pieces_cost_more_than_they_are_worth() -> None:
    parser, honest = ResponseParser(), ResponseParser()
    for one in (parser, honest):
        one.feed(memoryview(HEAD % 10**9))
    for _ in range(FREE_READS - 1):
        parser.feed(memoryview(b"x"))
    with pytest.raises(Rejected, match="in pieces of under"):
        parser.feed(memoryview(b"x"))
    for _ in range(2 * FREE_READS):
        honest.feed(memoryview(bytes(MIN_MEAN_READ_BYTES + 1)))


def test_a_body_buys_no_endless_trailer() -> None:
    parser = ResponseParser()
    parser.feed(memoryview(CHUNKED.replace("\n", "\r\n").encode() + chunks(1 << 20, 1, b"0\r\nX: ")))
    for _ in range(FREE_FRAMING_BYTES // 1000):
        parser.feed(memoryview(b"x" * 1000))
    with pytest.raises(Rejected, match="more framing than body"):
        parser.feed(memoryview(b"x" * 1000))
