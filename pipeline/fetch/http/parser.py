"""Parses the answer to one GET with llhttp, the parser of Node.js, within limits of work.

llhttp refuses framing that two programs could read differently. What it leaves open is bounded here: a server can send
framing for as long as a fetch lasts, and each piece of it costs time of the interpreter.
"""

from __future__ import annotations

from httptools import HttpParserCallbackError, HttpParserError, HttpParserUpgrade, HttpResponseParser

from sightstream.pipeline.errors import Rejected
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, rejected
from sightstream.schemas.wire.dead_letter import Reason

MAX_INTERIM_ANSWERS = 8  # 1xx; a careful server sends one or two
MAX_HEADERS = 100
MAX_TRAILERS = 100
MAX_HEAD_BYTES = 64 * 1024
# Beyond the free ones, a chunk and a read must bring this many bytes on average.
FREE_CHUNKS, MIN_MEAN_CHUNK_BYTES = 1000, 64
FREE_READS, MIN_MEAN_READ_BYTES = 1000, 512
# Framing may weigh as much as the body and this, and no more than this in one run: an extension or a trailer can be
# endless, and llhttp's binding copies a value again for each read that goes on with it.
FREE_FRAMING_BYTES = 2 * MAX_HEAD_BYTES

_SWITCHING_PROTOCOLS = 101
_VERSIONS = ("1.0", "1.1")


class Headers:
    """The headers of one answer, by name in any case. Values are Latin-1 without blanks around them."""

    def __init__(self) -> None:
        self._values: dict[str, list[str]] = {}

    def add(self, name: bytes, value: bytes) -> None:
        self._values.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1").strip(" \t"))

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of `name`, which is in lower case."""
        return self._values.get(name, (default,))[0]

    def only(self, name: str) -> str:
        """Return the one value of `name`, "" where there is none. Raises Rejected for a second one."""
        values = self._values.get(name, [""])
        if len(values) > 1:
            raise _refused(f"a second {name}")
        return values[0]

    def __contains__(self, name: object) -> bool:
        return name in self._values


class ResponseParser:
    """Parses what `feed` gets, interim answers skipped. Not thread safe.

    `has_head` and `is_complete` say how far it came; `status` and `headers` stand once it has the head.
    """

    def __init__(self) -> None:
        self.headers = Headers()
        self.status = 0
        self.has_head = self.is_complete = False
        self.body_bytes = 0
        self._body: list[bytes] = []
        self._headers = self._trailers = self._interim = self._chunks = self._reads = 0
        self._head_bytes = self._received = self._framing_run = 0
        self._keeps_alive = self._has_surplus = False
        self._llhttp = HttpResponseParser(self)
        # A 103 may say `Connection: close`; bytes after the answer itself are noticed by on_message_begin.
        self._llhttp.set_dangerous_leniencies(lenient_keep_alive=True)

    @property
    def is_keepable(self) -> bool:
        """Whether the connection can serve another request: the answer is complete, and nothing came after it."""
        return self.is_complete and self._keeps_alive and not self._has_surplus

    def feed(self, data: memoryview) -> None:
        """Parse the bytes of one read. Raises Rejected for what is not clear HTTP, or costs too much."""
        self._reads += 1
        self._received += len(data)
        body_bytes = self.body_bytes
        try:
            self._llhttp.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.is_complete:
                raise self._refusal(error) from None
            self._has_surplus = True
        self._framing_run = self._framing_run + len(data) if self.body_bytes == body_bytes else 0
        if not self.is_complete:
            self._check_work()

    def finish(self) -> None:
        """End the answer where the connection ended. Raises ConnectionResetError if nothing came, or TransientError."""
        if not self._received:
            raise ConnectionResetError("closed without an answer")
        if not self.has_head or "content-length" in self.headers or "transfer-encoding" in self.headers:
            raise TransientError(FailureKind.BROKEN, "the answer broke off early")
        self.is_complete = True

    def body(self) -> bytes:
        """Return the body that was read so far."""
        return b"".join(self._body)

    def close(self) -> None:
        """Free the body and llhttp's part, which refers back to this object. Nothing can be fed from then on."""
        del self._llhttp, self._body

    def _refusal(self, error: Exception) -> Rejected:
        if isinstance(error, HttpParserCallbackError) and isinstance(error.__context__, Rejected):
            return error.__context__
        if not self._headers and not self.has_head:
            return rejected(Reason.FETCH_REFUSED, f"the host does not speak HTTP: {error}")
        return rejected(Reason.FETCH_REFUSED, f"the host's answer is not framed as HTTP says: {error}")

    def _check_work(self) -> None:
        if not self.has_head and self._received > MAX_HEAD_BYTES:
            raise _refused(f"headers of over {MAX_HEAD_BYTES} bytes")
        if max(self._framing_run, self._received - 2 * self.body_bytes) > FREE_FRAMING_BYTES:
            raise _refused("more framing than body")
        if self._reads > FREE_READS and self._received < self._reads * MIN_MEAN_READ_BYTES:
            raise _refused(f"its answer in pieces of under {MIN_MEAN_READ_BYTES} bytes")

    # --- llhttp calls these; what they raise ends `feed` ---

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise _refused("bytes after its answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.has_head:
            self._trailers += 1
            if self._trailers > MAX_TRAILERS:
                raise _refused(f"more than {MAX_TRAILERS} trailers")
            return
        self._headers += 1
        self._head_bytes += len(name) + len(value)
        if self._headers > MAX_HEADERS:
            raise _refused(f"more than {MAX_HEADERS} headers")
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _refused(f"headers of over {MAX_HEAD_BYTES} bytes")
        self.headers.add(name, value)

    def on_headers_complete(self) -> None:
        self.status = self._llhttp.get_status_code()
        version = self._llhttp.get_http_version()
        if version not in _VERSIONS or self.status == _SWITCHING_PROTOCOLS:
            raise rejected(Reason.FETCH_REFUSED, "the host speaks neither HTTP/1.0 nor HTTP/1.1")
        if 100 <= self.status < 200:
            self._skip_interim()
            return
        if version == "1.0" and "transfer-encoding" in self.headers:
            raise _refused("a transfer-encoding with HTTP/1.0")
        self.has_head = True

    def _skip_interim(self) -> None:
        self._interim += 1
        if self._interim > MAX_INTERIM_ANSWERS:
            raise _refused(f"more than {MAX_INTERIM_ANSWERS} interim answers")
        self.headers, self._headers = Headers(), 0

    def on_body(self, data: bytes) -> None:
        self.body_bytes += len(data)
        self._body.append(data)

    def on_chunk_complete(self) -> None:
        self._chunks += 1
        if self._chunks > FREE_CHUNKS and self.body_bytes < self._chunks * MIN_MEAN_CHUNK_BYTES:
            raise _refused(f"chunks of under {MIN_MEAN_CHUNK_BYTES} bytes")

    def on_message_complete(self) -> None:
        if self.has_head:
            self.is_complete, self._keeps_alive = True, self._llhttp.should_keep_alive()


def _refused(what: str) -> Rejected:
    return rejected(Reason.FETCH_REFUSED, f"the host sent {what}")
