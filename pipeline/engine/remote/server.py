"""Speaks HTTP with an OpenAI-compatible server, bounded in time and bytes.

Each question uses a connection of its own, which costs nothing beside an answer's seconds: the server may close a kept
one just when it is used. Redirects are not followed, so that the key goes to the configured URL only. Proxy variables
are ignored.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable
from email.message import Message
from http.client import HTTPConnection, HTTPException

from sightstream.pipeline.engine.remote.access import api_key, parse_base_url, tls_context
from sightstream.pipeline.engine.remote.deadline import Deadline
from sightstream.pipeline.engine.remote.refusals import error_for, retry_after_s, retryable
from sightstream.pipeline.engine.settings import EngineSettings
from sightstream.pipeline.errors import Fatal

CONNECT_TIMEOUT_S = 10.0
MAX_ANSWER_BYTES = 4 * 1024**2
MAX_PAUSE_S = 60.0


class ModelServer:
    """Sends requests to one server. Thread safe."""

    def __init__(self, settings: EngineSettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Connects to nothing yet. Raises Fatal with the setting to change."""
        self._base_url = parse_base_url(settings.remote_url)
        self._key = api_key(settings)
        self._tls = tls_context(settings) if self._base_url.scheme == "https" else None
        self._clock = clock
        self._lock = threading.Lock()
        self._resume_at = clock()

    @property
    def pause_s(self) -> float:
        """Return how many seconds the server asked us to wait; it may be asked when this is not above 0."""
        return self._resume_at - self._clock()

    def get(self, path: str, limit_s: float) -> bytes:
        """Return the body of a successful response. Blocks `limit_s` at most. Raises Retryable, Rejected or Fatal."""
        return self._ask("GET", path, None, limit_s)

    def post(self, path: str, body: bytes, limit_s: float) -> bytes:
        """Do as `get`; `body` is JSON."""
        return self._ask("POST", path, body, limit_s)

    def _ask(self, method: str, path: str, body: bytes | None, limit_s: float) -> bytes:
        status, headers, data = self._exchange(method, path, body, limit_s)
        if len(data) > MAX_ANSWER_BYTES:
            raise retryable(f"sent more than {MAX_ANSWER_BYTES} bytes")
        if status != 200:
            self._pause(retry_after_s(headers))
            raise error_for(status, headers, data, self._key)
        return data

    def _exchange(self, method: str, path: str, body: bytes | None, limit_s: float) -> tuple[int, Message, bytes]:
        with Deadline(limit_s) as deadline:
            try:
                answer = self._send(method, path, body, deadline)
            except ssl.SSLCertVerificationError as error:
                why = f"{error.verify_message}; set SIGHTSTREAM_ENGINE_REMOTE_CA_FILE to its authority's"
                raise Fatal(f"the model server's certificate is not trusted: {why}") from error
            except (OSError, HTTPException) as error:
                if not deadline.over:
                    raise retryable(f"can't be reached or broke off: {type(error).__name__}") from error
            if deadline.over:
                raise retryable(f"did not answer within {limit_s:.3g} s")
            return answer

    def _send(self, method: str, path: str, body: bytes | None, deadline: Deadline) -> tuple[int, Message, bytes]:
        connection = HTTPConnection(self._base_url.host, self._base_url.port)
        headers = {"Accept": "application/json", "Content-Type": "application/json", "Connection": "close"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            connection.sock = self._connect(deadline)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it may have responded already
                connection.request(method, self._base_url.path + path, body, headers)
            with connection.getresponse() as response:
                return response.status, response.headers, response.read(MAX_ANSWER_BYTES + 1)
        finally:
            connection.close()

    def _connect(self, deadline: Deadline) -> socket.socket:
        address = (self._base_url.host, self._base_url.port)
        connection = deadline.watch(socket.create_connection(address, min(CONNECT_TIMEOUT_S, deadline.left_s())))
        connection.settimeout(deadline.left_s() + 1)  # the deadline itself comes first, with a better message
        return self._tls.wrap_socket(connection, server_hostname=self._base_url.host) if self._tls else connection

    def _pause(self, seconds: float) -> None:
        with self._lock:
            self._resume_at = max(self._resume_at, self._clock() + min(MAX_PAUSE_S, seconds))
