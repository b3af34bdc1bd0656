"""A real OpenAI-compatible server, `transformers serve`, in a process of its own with the embedded model."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from multiprocessing.process import BaseProcess
from pathlib import Path

from sightstream.pipeline.orphan import exit_with_parent

START_TIMEOUT_S = 120

_spawn = multiprocessing.get_context("spawn")


@contextmanager
def running_model_server(checkpoint: Path) -> Iterator[str]:
    """Yields the server's base address; blocks until it answers."""
    port = _unused_port()
    process = _spawn.Process(target=_serve, args=(str(checkpoint), port), name="model-server", daemon=True)
    process.start()
    try:
        _wait_until_up(process, port)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.join()


def _serve(checkpoint: str, port: int) -> None:
    exit_with_parent()
    os.environ |= {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    from transformers.cli.serve import Serve  # not its command, which loads a chat client that wants more packages

    Serve(checkpoint, device="cpu", dtype="float32", host="127.0.0.1", port=port)


def _wait_until_up(process: BaseProcess, port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.is_alive(), f"the server ended with code {process.exitcode}"
        try:
            with closing(HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
                connection.request("GET", "/health")
                assert connection.getresponse().status == 200
                return
        except OSError:
            process.join(0.2)
    raise AssertionError("the server does not answer")


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
