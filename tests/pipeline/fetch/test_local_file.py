from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.errors import Rejected
from pipeline.fetch.fetcher import Fetcher
from pipeline.fetch.local_file import FileSource
from pipeline.fetch.settings import FetchSettings
from pipeline.types import FetchedImage
from schemas.dead_letter import Reason
from schemas.request import ImageRef


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    root.mkdir()
    (root / "a b.png").write_bytes(b"image")
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "link.png").symlink_to(tmp_path / "secret")
    (root / "inner.png").symlink_to(root / "a b.png")
    os.mkfifo(root / "fifo.png")
    (root / "empty.png").touch()
    return root


def fetch(root: Path, uri: str, **more: str) -> bytes:
    settings = FetchSettings(file_roots=(root,), max_bytes=1000)
    found = Fetcher({"file": FileSource(settings)}, settings).fetch(ImageRef(uri=uri, **more))
    assert isinstance(found, FetchedImage)
    return found.data


def reason(root: Path, uri: str, **more: str) -> Reason:
    with pytest.raises(Rejected) as caught:
        fetch(root, uri, **more)
    return caught.value.reason


def test_a_file_under_the_root_is_read(root: Path) -> None:
    assert fetch(root, (root / "a b.png").as_uri()) == b"image"
    assert fetch(root, (root / "inner.png").as_uri()) == b"image"


@pytest.mark.parametrize(
    "path",
    ["../secret", "%2e%2e/secret", "x/../../secret", "link.png", "/etc/passwd", "/proc/self/environ", "."],
)
def test_nothing_else_is(root: Path, path: str) -> None:
    uri = f"file://{path}" if path.startswith("/") else f"{root.as_uri()}/{path}"
    assert reason(root, uri) is Reason.FORBIDDEN_LOCATION


def test_refusals_say_why(root: Path) -> None:
    assert reason(root, f"{root.as_uri()}/fifo.png") is Reason.FORBIDDEN_LOCATION
    assert reason(root, f"{root.as_uri()}/gone.png") is Reason.IMAGE_NOT_FOUND
    assert reason(root, f"{root.as_uri()}/a%20b.png/x") is Reason.IMAGE_NOT_FOUND
    assert reason(root, f"file://elsewhere{root}/a%20b.png") is Reason.FORBIDDEN_LOCATION
    assert reason(root, f"{root.as_uri()}/a%20b.png", sha256="0" * 64) is Reason.CHECKSUM_MISMATCH
    assert reason(root, f"{root.as_uri()}/empty.png") is Reason.NOT_AN_IMAGE
    assert reason(root, f"{root.as_uri()}/%00") is Reason.UNSUPPORTED_URI
    assert reason(root, "ftp://x/y") is Reason.UNSUPPORTED_URI
    assert reason(root, "no scheme at all") is Reason.UNSUPPORTED_URI
