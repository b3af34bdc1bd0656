"""Reading file:// below the roots, and nothing else: links, devices, swaps while it reads."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from sightstream.pipeline.errors import Rejected, Retryable
from sightstream.pipeline.fetch import local_file
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.fetcher import Fetcher
from sightstream.pipeline.fetch.local_file import FileSource, parse_file_url
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.types import Origin
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef
from tests.pipeline.fetch.conftest import get, image_of
from tests.pipeline.fetch.urls import OTHER_SCHEMES

ODD_NAMES = [
    "a b.png",
    "ü.png",
    "100%.png",
    "a%20b.png",
    "q?x=1.png",
    "h#x.png",
    "a+b.png",
    "..png",
    "...",
    "\udcff.png",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "images"
    (root / "folder").mkdir(parents=True)
    (tmp_path / "images-not").mkdir()
    for path in ("images/a b.png", "images/folder/b.png", "images-not/x", "secret"):
        (tmp_path / path).write_bytes(path.encode())
    (root / "link.png").symlink_to(tmp_path / "secret")
    (root / "link-to-folder").symlink_to(tmp_path)
    (root / "inner.png").symlink_to(root / "a b.png")
    (root / "inner-folder").symlink_to(root / "folder")
    (root / "loop").symlink_to(root / "loop")
    (root / "dangling").symlink_to(root / "nobody")
    (root / "environment").symlink_to("/proc/self/environ")
    (root / "descriptors").symlink_to("/proc/self/fd")
    (root / "zero").symlink_to("/dev/zero")
    os.mkfifo(root / "fifo.png")
    (root / "empty.png").touch()
    with (root / "huge.png").open("wb") as file:
        file.truncate(10 * 1024**4)
    return root


def fetcher(root: Path, max_bytes: int = 1000) -> Fetcher:
    limits = FetchSettings(file_roots=(root,), max_bytes=max_bytes)
    return Fetcher({"file": FileSource(limits)}, limits)


def reason(root: Path, uri: str, **more: str) -> Reason:
    image = ImageRef.model_construct(None, uri=uri, **more)  # the wire itself refuses some of them
    with pytest.raises(Rejected) as caught:
        fetcher(root).fetch(image)
    assert str(root) not in str(caught.value)
    return caught.value.reason


def test_a_file_under_the_root_is_read(root: Path) -> None:
    for name in ("a b.png", "inner.png"):
        assert get(fetcher(root), (root / name).as_uri()) == b"images/a b.png"
    for name in ("folder/b.png", "inner-folder/b.png", "folder//b.png", "./folder/b.png"):
        assert get(fetcher(root), f"{root.as_uri()}/{name}") == b"images/folder/b.png"
    assert image_of(fetcher(root).fetch(ImageRef(uri=f"{root.as_uri()}/folder/b.png"), '"x"')).etag is None


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_odd_name_names_its_own_file(root: Path, name: str) -> None:
    (root / name).write_bytes(b"odd")
    assert get(fetcher(root), (root / name).as_uri()) == b"odd"


@pytest.mark.parametrize(
    "path",
    [
        *("../secret", "%2e%2e/secret", "%2E%2e/secret", "x/../../secret", "folder/../../secret", "../images-not/x"),
        *(
            "link.png",
            "link-to-folder/secret",
            "environment",
            "descriptors/0",
            "zero",
            "fifo.png",
            "loop",
            "folder",
            ".",
        ),
        *("/etc/passwd", "/proc/self/environ", "/proc/self" + "/root" + "/etc/passwd", "/dev/zero", "/dev/stdin", "/"),
        *("%2e", "%2e%2e", "folder/..", "images-not/x"),
    ],
)
def test_no_other_file_is_read(root: Path, path: str) -> None:
    uri = f"file://{path}" if path.startswith("/") else f"{root.as_uri()}/{path}"
    assert reason(root, uri) in (Reason.FORBIDDEN_LOCATION, Reason.IMAGE_NOT_FOUND)


def test_each_refusal_has_its_reason(root: Path) -> None:
    base = root.as_uri()
    for path in ("fifo.png", "folder", "zero", "loop", "link.png"):
        assert reason(root, f"{base}/{path}") is Reason.FORBIDDEN_LOCATION
    for path in ("gone.png", "a%20b.png/x", "dangling", "x" * 300, "gone/gone.png", "%FF"):
        assert reason(root, f"{base}/{path}") is Reason.IMAGE_NOT_FOUND
    for path in (
        "%00",
        "a%00.png",
        "folder%2fb.png",
        "folder%2Fb.png",
        "folder/b.png?x",
        "folder/b.png#x",
        "folder\\b.png",
    ):
        assert reason(root, f"{base}/{path}") is Reason.UNSUPPORTED_URI
    for uri in (f"file://elsewhere{root}/a%20b.png", f"file:{root}/a%20b.png", f"file://localhost{root}/a%20b.png"):
        assert reason(root, uri) in (Reason.FORBIDDEN_LOCATION, Reason.UNSUPPORTED_URI)
    assert reason(root, f"{base}/a%20b.png", sha256="0" * 64) is Reason.CHECKSUM_MISMATCH
    assert reason(root, f"{base}/empty.png") is Reason.NOT_AN_IMAGE
    assert reason(root, f"{base}/huge.png") is Reason.IMAGE_TOO_LARGE
    assert reason(root, "ftp://x/y") is Reason.UNSUPPORTED_URI
    assert reason(root, "no scheme at all") is Reason.UNSUPPORTED_URI


def test_a_socket_is_no_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
        assert reason(root, f"{root.as_uri()}/socket.png") is Reason.FORBIDDEN_LOCATION


def test_a_file_that_grows_while_it_is_read_is_capped(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "growing").write_bytes(b"x" * 2000)
    seen = os.fstat
    shrunk = [0, 0, 0, 0, 0, 0, 10, 0, 0, 0]

    def before_it_grew(descriptor: int) -> os.stat_result:
        shrunk[0] = seen(descriptor).st_mode
        return os.stat_result(shrunk)

    monkeypatch.setattr(os, "fstat", before_it_grew)
    source = FileSource(FetchSettings(file_roots=(root,), max_bytes=1000))
    with pytest.raises(Rejected) as caught:
        source.read(ImageRef(uri=f"{root.as_uri()}/growing"), None, Deadline(60))
    assert caught.value.reason is Reason.IMAGE_TOO_LARGE


def test_a_root_that_is_gone_is_tried_again(root: Path) -> None:
    source = fetcher(root)
    root.rename(root.with_name("unmounted"))
    with pytest.raises(Retryable):
        get(source, f"{root.as_uri()}/folder/b.png")


def test_nothing_of_a_file_that_is_too_large_is_read(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightstream.pipeline.fetch.local_file.CHUNK_BYTES", "never read")
    assert reason(root, f"{root.as_uri()}/huge.png") is Reason.IMAGE_TOO_LARGE


@settings(max_examples=300, deadline=None)
@given(OTHER_SCHEMES)
def test_any_text_is_parsed_or_refused(uri: str) -> None:
    with contextlib.suppress(Rejected):
        parse_file_url(uri)


def swap_file(root: Path) -> None:
    (root / "folder" / "b.png").unlink()
    (root / "folder" / "b.png").symlink_to(root.parent / "secret")


def swap_folder(root: Path) -> None:
    (root / "folder").rename(root / "was-folder")
    (root / "folder").symlink_to(root.parent)
    (root.parent / "b.png").write_bytes(b"secret")


def swap_for_fifo(root: Path) -> None:
    (root / "folder" / "b.png").unlink()
    os.mkfifo(root / "folder" / "b.png")


@pytest.mark.parametrize("swap", [swap_file, swap_folder, swap_for_fifo])
@pytest.mark.parametrize(
    ("call", "name", "times"),
    [("stat", "folder", 1), ("open", "folder", 1), ("stat", "b.png", 1), ("stat", "b.png", 2)],
)
def test_what_changes_after_the_check_is_not_read(
    root: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], None], call: str, name: str, times: int
) -> None:
    """The attacker acts right after the folder or the file was looked at, also for the last time, or opened."""
    uri = f"{root.as_uri()}/folder/b.png"
    source = fetcher(root)
    acted = act_after(monkeypatch, call, name, lambda: swap(root), times)
    refused, data = None, b"images/folder/b.png"  # where the folder was open already, it still is the right file
    try:
        data = get(source, uri)
    except Rejected as error:
        refused = error.reason
    assert data == b"images/folder/b.png"
    assert refused in (None, Reason.FORBIDDEN_LOCATION, Reason.IMAGE_NOT_FOUND)
    assert acted


def test_a_link_that_is_replaced_while_it_is_followed_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def swap() -> None:
        (root / "inner-folder").unlink()
        (root / "folder").rename(root / "inner-folder")

    acted = act_after(monkeypatch, "stat", "inner-folder", swap)
    assert reason(root, f"{root.as_uri()}/inner-folder/b.png") is Reason.FORBIDDEN_LOCATION
    assert acted


def act_after(
    monkeypatch: pytest.MonkeyPatch, call: str, name: str, act: Callable[[], None], times: int = 1
) -> list[str]:
    """Call `act` after so many calls of os.`call` for `name`. Returns a list that then has one entry."""
    real, seen, acted = getattr(os, call), list[str](), list[str]()

    def called(*args: Any, **options: Any) -> Any:
        answer = real(*args, **options)
        seen.extend([name] if args[0] == name else [])
        if len(seen) == times and not acted:
            acted.append(name)
            act()
        return answer

    monkeypatch.setattr(os, call, called)
    return acted


@pytest.mark.parametrize("path", ["/elsewhere/x.png", "link.png", "link-to-folder/secret", "environment", "../x"])
def test_nothing_outside_the_roots_is_even_looked_at(root: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    source, seen = fetcher(root), list[str]()

    def spy(call: str) -> Callable[..., Any]:
        real = getattr(os, call)

        def called(*args: Any, **options: Any) -> Any:
            seen.append(str(args[0]))
            return real(*args, **options)

        return called

    for call in ("stat", "lstat", "open", "readlink", "scandir"):
        monkeypatch.setattr(os, call, spy(call))
    uri = f"file://{path}" if path.startswith("/") else f"{root.as_uri()}/{path}"
    with pytest.raises(Rejected) as caught:
        source.fetch(ImageRef(uri=uri))
    assert caught.value.reason is Reason.FORBIDDEN_LOCATION
    assert set(seen) <= {str(root), "link.png", "link-to-folder", "environment"}


@pytest.mark.parametrize("folder", ["/", "//", "/proc", "/proc/self/fd", "/sys", "/dev", "/dev/shm", "/x/../proc"])
def test_the_systems_own_files_are_no_root(folder: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds the system's own files"):
        FetchSettings(file_roots=(Path(folder),))
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(ValueError, match="holds the system's own files"):
        FetchSettings(file_roots=(link,))


def test_without_roots_the_refusal_names_the_setting() -> None:
    with pytest.raises(Rejected, match="file_roots") as caught:
        Fetcher({}, FetchSettings()).fetch(ImageRef(uri="file:///images/a.png"))
    assert caught.value.reason is Reason.UNSUPPORTED_URI


def test_files_of_a_root_that_is_no_longer_mounted_are_waited_for(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, uri = fetcher(root), (root / "a b.png").as_uri()
    assert get(reader, uri) == b"images/a b.png"
    assert reason(root, f"{root.as_uri()}/missing.png") is Reason.IMAGE_NOT_FOUND
    monkeypatch.setattr(local_file, "_device", lambda root: -1)  # what an unmounted folder shows: the disk below it
    with pytest.raises(Retryable) as caught:
        get(reader, f"{root.as_uri()}/missing.png")
    assert (caught.value.dependency, caught.value.otherwise) == (root.as_uri(), None)
    assert get(reader, uri) == b"images/a b.png", "a root mounted anew is taken as it is"
    with pytest.raises(Rejected):
        get(reader, f"{root.as_uri()}/missing.png")


def test_an_empty_root_may_be_one_that_is_not_mounted(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    with pytest.raises(Retryable) as caught:
        get(fetcher(tmp_path / "images"), f"{tmp_path.as_uri()}/images/a.png")
    assert caught.value.dependency == f"{tmp_path.as_uri()}/images"
    assert isinstance(caught.value.otherwise, Rejected)


def test_a_missing_root_is_a_dependency_that_is_down(tmp_path: Path) -> None:
    with pytest.raises(Retryable) as caught:
        get(fetcher(tmp_path / "images"), f"{tmp_path.as_uri()}/images/a.png")
    assert caught.value.dependency == f"{tmp_path.as_uri()}/images"


def test_the_origin_of_a_file_is_read_from_its_path_alone(root: Path) -> None:
    link = root.parent / "link-to-root"
    link.symlink_to(root)
    reader = fetcher(link)
    for spelling in (link, root):
        found = reader.origin(ImageRef(uri=f"{spelling.as_uri()}/x/y.png"))
        assert found == Origin(root.as_uri(), root.as_uri(), True, root.as_uri())
    for uri in (f"{root.as_uri()}/../secret", "file:///etc/passwd", "file://host/x"):
        assert not reader.origin(ImageRef(uri=uri)).is_dependency
