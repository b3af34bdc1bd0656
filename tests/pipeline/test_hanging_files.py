"""Files that hang, as on a network file system whose server is away, cost nobody else a place."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.local_file import FileSource
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.stages import Server
from sightstream.pipeline.types import FetchedImage, NotModified
from sightstream.schemas.wire.request import ImageRef
from sightstream.schemas.wire.result import ImageResult
from tests.pipeline.test_flow import FakeFetcher, FlowHarness, request

ROOTS = ("disk", "share", "archive")
TIMEOUT_S = 0.5


class WithFiles(FakeFetcher):
    """Reads file:// with the real source, and all else from a fake store."""

    def __init__(self, roots: tuple[Path, ...]) -> None:
        super().__init__()
        settings = FetchSettings(file_roots=roots, total_timeout_s=TIMEOUT_S)
        self.files = Fetcher({"file": FileSource(settings)}, settings)

    def fetch(self, image: ImageRef, known_etag: str | None = None) -> FetchedImage | NotModified:  # type: ignore[override]
        return self.files.fetch(image) if image.uri.startswith("file:") else super().fetch(image)

    def server(self, image: ImageRef) -> Server:
        return self.files.server(image) if image.uri.startswith("file:") else super().server(image)


class Disks:
    """Folders with files; while `hanging`, to open one of them whose name begins with `hang` waits."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.roots = tuple(folder / name for name in ROOTS)
        self.works = threading.Event()
        for root in self.roots:
            root.mkdir()
            (root / "fine").write_bytes(b"fine")
            for number in range(12):
                (root / f"hang{number}").write_bytes(b"late")
        real = os.open

        def opened(path: Any, *args: Any, **options: Any) -> int:
            if str(path).startswith("hang"):
                assert self.works.wait(60)
            return real(path, *args, **options)

        monkeypatch.setattr(os, "open", opened)


@pytest.fixture
def disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disks]:
    disks = Disks(tmp_path, monkeypatch)
    yield disks
    disks.works.set()


@pytest.fixture
def harness(disks: Disks) -> Iterator[FlowHarness]:
    harness = FlowHarness(prepare_threads=16)
    harness.flow._fetcher = harness.fetcher = WithFiles(disks.roots)
    yield harness
    harness.flow.stop()


def test_images_of_a_store_end_beside_files_that_hang(harness: FlowHarness, disks: Disks) -> None:
    """There are 22 preparation threads, and 36 files of three roots that hang."""
    uris = [(root / f"hang{number}").as_uri() for number in range(12) for root in disks.roots]
    for uri in uris:
        harness.flow.submit(uri, request(image=ImageRef(uri=uri)))
    for number in range(200):
        harness.flow.submit(number, request(number))
    ended = {outcome.ticket: outcome.result for outcome in harness.collect(236)}
    assert not disks.works.is_set(), "all of them still hang"
    assert all(isinstance(ended[number], ImageResult) for number in range(200))
    for root in disks.roots:
        of_root = [ended[uri] for uri in uris if uri.startswith(root.as_uri())]
        assert [result.dependency for result in of_root if isinstance(result, Retryable)] == [root.as_uri()] * 12


def test_a_file_that_hung_is_read_once_its_disk_works_again(harness: FlowHarness, disks: Disks) -> None:
    uri = (disks.roots[0] / "hang0").as_uri()
    for ticket in ("first", "again"):
        harness.flow.submit(ticket, request(image=ImageRef(uri=uri)))
        (outcome,) = harness.collect(1)
        assert isinstance(outcome.result, Retryable)
    fine = (disks.roots[0] / "fine").as_uri()
    harness.flow.submit("fine", request(image=ImageRef(uri=fine)))
    (outcome,) = harness.collect(1)
    assert isinstance(outcome.result, ImageResult), "the root's other files are read meanwhile"
    disks.works.set()
    while isinstance(outcome.result, Retryable | Rejected) or outcome.ticket == "fine":
        harness.flow.submit("at last", request(image=ImageRef(uri=uri)))
        (outcome,) = harness.collect(1)
    assert isinstance(outcome.result, ImageResult)
