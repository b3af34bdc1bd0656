"""A server that answers every request with 500, in the place of another one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class _Failing(BaseHTTPRequestHandler):
    def _fail(self) -> None:
        self.send_response(500)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = _fail

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: there are thousands of requests."""


@contextmanager
def failing_server(url: str) -> Iterator[None]:
    """Listen at the address of `url` while the block runs; nobody else may listen there."""
    at = urlsplit(url)
    with ThreadingHTTPServer((at.hostname or "", at.port or 0), _Failing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
