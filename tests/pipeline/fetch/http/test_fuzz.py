"""Whatever bytes a server sends, a fetch ends with an image or with one of our own errors."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sightstream.pipeline.errors import PipelineError
from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.http.client import Network
from sightstream.pipeline.fetch.http.source import HttpSource
from tests.pipeline.fetch.conftest import get
from tests.pipeline.fetch.http.conftest import SETTINGS, SHOP

TLS = ssl.create_default_context()
LINES = st.sampled_from(
    [
        *(
            b"HTTP/1.1 200 OK\r\n",
            b"HTTP/1.0 200\r\n",
            b"HTTP/1.1 302 Found\r\n",
            b"HTTP/1.1 304 x\r\n",
            b"HTTP/1.1 100 C\r\n",
        ),
        *(
            b"HTTP/1.1 503 Busy\r\n",
            b"HTTP/9.9 999 x\r\n",
            b"HTTP/1.1 -1 x\r\n",
            b"ICY 200 OK\r\n",
            b"HTTP/1.1\r\n",
            b"\r\n",
            b"\n",
        ),
        *(b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: \xb2\r\n", b"Content-Length:\r\n"),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: , chunked\r\n",
            b"Content-Encoding: \r\n",
            b" folded\r\n",
        ),
        *(
            b"Location: /x\r\n",
            b"Location: http://[\r\n",
            b"Location: \xff\xfe\r\n",
            b"Location:\r\n",
            b"Location: //\r\n",
        ),
        *(
            b"Retry-After: 1\r\n",
            b"Retry-After: -1\r\n",
            b"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT\r\n",
            b"Retry-After: \xb2\r\n",
        ),
        *(b"Date: Wed, 21 Oct 2015 07:28:00 GMT\r\n", b"Date: x\r\n", b"Date: Mon, 99 Foo 0000 99:99:99 +9999\r\n"),
        *(
            b"Content-Type: image/jpeg\r\n",
            b"Content-Type: \xff;\r\n",
            b'ETag: "x"\r\n',
            b"ETag: \xff\r\n",
            b"no colon\r\n",
        ),
        *(
            b": empty name\r\n",
            b"\0\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
            b"0\r\n\r\n",
            b"-1\r\n",
            b"ffffffffffffffffffff\r\n",
            b"hello",
        ),
    ]
)
ANSWERS = st.one_of(
    st.lists(LINES, max_size=12).map(b"".join),
    st.binary(max_size=200),
    st.lists(st.one_of(LINES, st.binary(max_size=20)), max_size=12).map(
        lambda lines: b"HTTP/1.1 200 OK\r\n" + b"".join(lines)
    ),
)


@settings(max_examples=400, deadline=None)
@given(ANSWERS)
@example(
    b"HTTP/1.1 503 x\r\nRetry-After: Mon, 01 Jan 0001 00:00:00 +2359\r\nDate: Mon, 01 Jan 0001 00:00:00 -0000\r\n\r\n"
)
@example(b"HTTP/1.1 503 x\r\nRetry-After: Wed, 21 Oct 2015 07:28:00\r\nDate: Wed, 21 Oct 2015 07:28:00 GMT\r\n\r\n")
def test_nothing_but_our_own_errors(answer: bytes) -> None:
    ends: list[socket.socket] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        mine, other = socket.socketpair()
        other.sendall(answer)
        other.shutdown(socket.SHUT_WR)
        ends.append(other)
        return mine

    def names(host: str, port: int, **options: Any) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (SHOP, port))]

    source = HttpSource(SETTINGS, network=Network(names, connect, TLS))
    with contextlib.suppress(PipelineError):
        get(Fetcher({"http": source}, SETTINGS), "http://shop.example/", '"x"')
    for end in ends:
        end.close()
