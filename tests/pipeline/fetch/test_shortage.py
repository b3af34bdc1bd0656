"""A machine without file handles blames neither the image nor the host that it comes from."""

from __future__ import annotations

import errno
import os
import resource
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sightstream.pipeline.errors import PipelineError, Rejected, Retryable
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, rejected
from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.http.client import Network
from sightstream.pipeline.fetch.http.source import HttpSource
from sightstream.pipeline.fetch.local_file import FileSource
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.own_parts import LOCAL_RESOURCES
from sightstream.pipeline.shortage import shortage_behind
from sightstream.schemas.wire.dead_letter import Reason, Stage
from sightstream.schemas.wire.request import ImageRef
from tests.pipeline.fetch.conftest import image_of

SETTINGS = FetchSettings(allow_private_addresses=True, max_retries=0, allowed_ports=[80])


@contextmanager
def no_file_handles() -> Iterator[None]:
    """Let this process open nothing more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = [os.open(os.devnull, os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened[0] + 1, hard))  # it has the lowest free number
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for handle in opened:
            os.close(handle)


def is_local(error: PipelineError) -> bool:
    return isinstance(error, Retryable) and (error.stage, error.dependency) == (Stage.FETCH, LOCAL_RESOURCES)


def error_of(fetcher: Fetcher, uri: str) -> PipelineError:
    with no_file_handles(), pytest.raises(PipelineError) as caught:
        fetcher.fetch(ImageRef(uri=uri))
    return caught.value


def test_a_file_that_can_not_be_opened_for_want_of_handles_waits(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"image")
    settings = FetchSettings(file_roots=[tmp_path], max_retries=0)
    fetcher = Fetcher({"file": FileSource(settings)}, settings)
    uri = (tmp_path / "a.png").as_uri()
    assert is_local(error_of(fetcher, uri))
    assert image_of(fetcher.fetch(ImageRef(uri=uri))).data == b"image"


def test_a_host_that_can_not_be_connected_to_for_want_of_handles_is_not_down() -> None:
    fetcher = Fetcher({"http": HttpSource(SETTINGS)}, SETTINGS)
    assert is_local(error_of(fetcher, "http://127.0.0.1/a.png"))


def test_a_name_that_can_not_be_resolved_for_want_of_handles_is_not_wrong() -> None:
    """The C library says "system error" then, which Python raises as the OSError of its number."""

    def fail(*_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    network = Network(fail, socket.create_connection, ssl.create_default_context())
    fetcher = Fetcher({"http": HttpSource(SETTINGS, network=network)}, SETTINGS)
    with pytest.raises(PipelineError) as caught:
        fetcher.fetch(ImageRef(uri="http://shop.example/a.png"))
    assert is_local(caught.value)


def test_a_slow_socket_is_no_shortage() -> None:
    """It says EAGAIN, too."""
    slow = TransientError(FailureKind.SLOW, "slow")
    slow.__cause__ = BlockingIOError(errno.EAGAIN, "slow")
    assert shortage_behind(slow, Stage.FETCH) is None


def test_an_error_without_a_shortage_behind_it_stays() -> None:
    assert shortage_behind(rejected(Reason.IMAGE_NOT_FOUND, "gone"), Stage.FETCH) is None
    assert isinstance(rejected(Reason.IMAGE_NOT_FOUND, "gone"), Rejected)


def test_threads_that_can_not_be_started_are_a_shortage(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    fetcher = Fetcher({"http": HttpSource(SETTINGS)}, SETTINGS)
    with pytest.raises(RuntimeError, match="can't start new thread"):  # which the flow judges
        fetcher.fetch(ImageRef(uri="http://shop.example/a.png"))
