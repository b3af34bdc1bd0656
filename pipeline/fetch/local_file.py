"""file:// under configured roots."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes

from sightstream.pipeline.fetch.refusals import check_size, rejected
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.fetch.source import Body
from sightstream.pipeline.fetch.time_limit import TimeLimit
from sightstream.pipeline.fetch.trouble import Transient, Trouble
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef

CHUNK = 1024**2

_STEP = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_WAIT = os.O_NONBLOCK | os.O_NOCTTY
_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EISDIR}


class FileSource:
    """Reads regular files whose real path lies under one of the roots. Thread safe."""

    kind = "file"

    def __init__(self, settings: FetchSettings) -> None:
        self._max_bytes = settings.max_bytes
        self._roots = [root.resolve() for root in settings.file_roots]

    def dependency(self, image: ImageRef) -> str | None:
        return None

    def read(self, image: ImageRef, known_etag: str | None, limit: TimeLimit) -> Body:
        root, steps = self._inside(named_path(image.uri))
        with _translated(), os.fdopen(_open(root, steps), "rb", buffering=0) as file:
            check_size(os.fstat(file.fileno()).st_size, self._max_bytes)
            data = bytearray()
            while chunk := file.read(CHUNK):
                data += chunk
                check_size(len(data), self._max_bytes)
                limit.left_s()
            return Body(bytes(data))

    def _inside(self, named: Path) -> tuple[Path, tuple[str, ...]]:
        """A root and the steps from there to the real path, links followed."""
        path = Path(os.path.realpath(named))
        root = next((root for root in self._roots if path.is_relative_to(root)), None)
        if root is None or ".." in named.parts or path == root:
            raise rejected(Reason.FORBIDDEN_LOCATION, "the file is not under a folder that file:// may read")
        return root, path.relative_to(root).parts


def named_path(uri: str) -> Path:
    """The path that a file:// reference names. Raises Rejected for a host, a query, a fragment, an odd escape."""
    quoted = uri.partition("://")[2]
    if "?" in quoted or "#" in quoted or "%2f" in quoted.lower() or "\\" in quoted:
        raise rejected(Reason.UNSUPPORTED_URI, "write file:///path, with %3F and %23 for ? and # in names")
    try:
        named = os.fsdecode(unquote_to_bytes(quoted))
        os.fsencode(named)
    except ValueError:
        raise rejected(Reason.UNSUPPORTED_URI, "no file can have this name") from None
    if "\0" in named:
        raise rejected(Reason.UNSUPPORTED_URI, "no file can have this name")
    if not named.startswith("/"):
        raise rejected(Reason.FORBIDDEN_LOCATION, "file:// reads this machine alone: write file:///path")
    return Path(named)


@contextmanager
def _translated() -> Iterator[None]:
    """The system's errors in our words."""
    try:
        yield
    except PermissionError:
        raise rejected(Reason.ACCESS_DENIED, "the file can't be read by this user") from None
    except OSError as error:
        if error.errno in _NO_SUCH_FILE:
            raise rejected(Reason.IMAGE_NOT_FOUND, "there is no such file") from None
        if error.errno == errno.ELOOP:
            raise rejected(Reason.FORBIDDEN_LOCATION, "the file became a link while it was looked at") from None
        raise Transient(Trouble.BROKEN, f"the file can't be read: {error.strerror}") from error


def _open(root: Path, steps: tuple[str, ...]) -> int:
    """A descriptor of a regular file.

    Walks from folder to folder by descriptor and follows no link: what was a folder when the path was judged and is a
    link now, is refused. Never waits for a FIFO.
    """
    folder = _open_root(root)
    try:
        for step in steps[:-1]:
            below = os.open(step, _STEP | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        return _open_file(steps[-1], folder)
    finally:
        os.close(folder)


def _open_root(root: Path) -> int:
    """A root that is missing is a mount that is missing: no fault of the image."""
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise Transient(Trouble.BROKEN, f"the folder of the files can't be opened: {error.strerror}") from error


def _open_file(name: str, folder: int) -> int:
    """Looks before it opens, for opening a device may do things, and again after, for the file may be another."""
    _check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False))
    descriptor = os.open(name, _STEP | _NO_WAIT, dir_fd=folder)
    try:
        _check_regular(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise rejected(Reason.FORBIDDEN_LOCATION, "not a regular file")
