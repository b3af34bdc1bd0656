"""Reads file:// below the configured roots."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote_to_bytes

from sightstream.pipeline.errors import PipelineError, Rejected
from sightstream.pipeline.fetch.deadline import Deadline
from sightstream.pipeline.fetch.errors import FailureKind, TransientError, check_size, rejected
from sightstream.pipeline.fetch.file_reads import FileReads
from sightstream.pipeline.fetch.image_source import NO_ORIGIN, Body
from sightstream.pipeline.fetch.settings import FetchSettings
from sightstream.pipeline.stages import Server, UnlimitedServer
from sightstream.pipeline.types import Origin
from sightstream.schemas.wire.dead_letter import Reason
from sightstream.schemas.wire.request import ImageRef

CHUNK_BYTES = 1024**2
GROUP = "file roots"  # all roots together leave preparation threads to the rest: a read that hangs holds one for long

_FOLLOW_NO_LINK = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40  # as Linux
_NO_WAIT = os.O_NONBLOCK | os.O_NOCTTY
_REPLACED = {errno.ELOOP, errno.EINVAL}  # a link where none was, and none where one was
_NO_SUCH_FILE = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EISDIR}


class FileSource:
    """Reads regular files below the roots. Thread safe.

    Links are followed by their text, one after the other, as long as each leads below a root: nothing outside the roots
    is opened or even looked at, for that alone can mount a disk or wait for a server.
    """

    kind = "file"

    def __init__(self, settings: FetchSettings) -> None:
        self._max_bytes = settings.max_bytes
        roots = [root.resolve() for root in settings.file_roots]
        spellings = [*(Path(os.path.abspath(root)) for root in settings.file_roots), *roots]
        self._root_of = dict(zip(spellings, (*roots, *roots), strict=True))
        self._origins = [(str(spelling), _origin(root)) for spelling, root in self._root_of.items()]
        self._reads = {root: FileReads() for root in roots}
        self._devices: dict[Path, int] = {}  # of each root, when a file below it was last opened

    def origin(self, image: ImageRef) -> Origin:
        """Return the root, by the text of the path alone: to look at the disk could block."""
        try:
            path = os.path.normpath(parse_file_url(image.uri))
        except PipelineError:
            return NO_ORIGIN
        above = (origin for root, origin in self._origins if path == root or path.startswith(f"{root}/"))
        return next(above, NO_ORIGIN)

    def server(self, image: ImageRef) -> Server:
        return UnlimitedServer(self.origin(image).server, GROUP)

    def read(self, image: ImageRef, known_etag: str | None, deadline: Deadline) -> Body:
        path = Path(parse_file_url(image.uri))
        if ".." in path.parts:
            raise _outside()
        root, _ = self._locate(path)
        return Body(self._reads[root].run(str(path), lambda: self._read(path, deadline), deadline))

    def _read(self, path: Path, deadline: Deadline) -> bytes:
        root, descriptor = self._open(path)
        with _translated_errors(), os.fdopen(descriptor, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            self._devices[root] = _device(root)  # remembered only here: a root mounted anew is taken as it is
            check_size(status.st_size, self._max_bytes)
            data = bytearray()
            while chunk := file.read(CHUNK_BYTES):
                data += chunk
                check_size(len(data), self._max_bytes)
                deadline.remaining_s()
            return bytes(data)

    def _open(self, path: Path) -> tuple[Path, int]:
        """Return the root that the file lies in, and a descriptor of it. Raises Rejected or TransientError."""
        for _ in range(_MAX_LINKS):
            root, parts = self._locate(path)
            try:
                with _translated_errors():
                    found = _walk(root, parts)
            except Rejected as error:
                with _translated_errors():
                    raise self._or_outage(root, error) from None
            if isinstance(found, int):
                return root, found
            path = found
        raise rejected(Reason.FORBIDDEN_LOCATION, f"more than {_MAX_LINKS} links on the way to the file")

    def _locate(self, path: Path) -> tuple[Path, tuple[str, ...]]:
        """Return the root and the parts of the path below it, by its text alone. Raises Rejected."""
        path = Path(os.path.normpath(path))
        for spelling, root in self._root_of.items():
            if path.is_relative_to(spelling) and path != spelling:
                return root, path.relative_to(spelling).parts
        raise _outside()

    def _or_outage(self, root: Path, error: Rejected) -> PipelineError:
        """Return `error`, or the outage that it probably is: no file is found because the root is not mounted."""
        if error.reason is not Reason.IMAGE_NOT_FOUND:
            return error
        if self._devices.get(root, _device(root)) != _device(root):
            return TransientError(FailureKind.BROKEN, "a folder of [fetch] file_roots is no longer mounted")
        if _is_empty(root):
            detail = "a folder of [fetch] file_roots is empty: is it mounted?"
            return TransientError(FailureKind.BROKEN, detail, otherwise=error)
        return error


def _origin(root: Path) -> Origin:
    return Origin(root.as_uri(), root.as_uri(), is_dependency=True, server=root.as_uri())


def parse_file_url(uri: str) -> str:
    """Return the path that a file:// reference names. Raises Rejected for a host, query, fragment or odd escape."""
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
        raise rejected(Reason.FORBIDDEN_LOCATION, "file:// reads from this machine only: write file:///path")
    return named


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Turn the system's errors into those of the fetch stage."""
    try:
        yield
    except PermissionError:
        raise rejected(Reason.ACCESS_DENIED, "the worker's user has no permission to read the file") from None
    except OSError as error:
        if error.errno in _NO_SUCH_FILE:
            raise rejected(Reason.IMAGE_NOT_FOUND, "there is no such file") from None
        if error.errno in _REPLACED:
            raise rejected(Reason.FORBIDDEN_LOCATION, "the file was replaced after its check") from None
        raise TransientError(FailureKind.BROKEN, f"the file can't be read: {error.strerror}") from error


def _outside() -> Rejected:
    return rejected(Reason.FORBIDDEN_LOCATION, "the file is not below a folder of [fetch] file_roots")


def _walk(root: Path, parts: tuple[str, ...]) -> int | Path:
    """Return a descriptor of a regular file, or the path that the first link on the way leads to.

    Goes from folder to folder by descriptor and follows no link: what is replaced after a look at it is refused. Never
    waits for a FIFO.
    """
    folder = _open_root(root)
    try:
        for number, part in enumerate(parts):
            if stat.S_ISLNK(os.stat(part, dir_fd=folder, follow_symlinks=False).st_mode):
                target = os.readlink(part, dir_fd=folder)
                return root.joinpath(*parts[:number], target, *parts[number + 1 :])
            if number < len(parts) - 1:
                below = os.open(part, _FOLLOW_NO_LINK | os.O_DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = below
        return _open_file(parts[-1], folder)
    finally:
        os.close(folder)


def _open_root(root: Path) -> int:
    """Open a root. A missing one is probably not mounted, which is no fault of the image: raises TransientError."""
    try:
        return os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise TransientError(
            FailureKind.BROKEN, f"a folder of [fetch] file_roots can't be opened: {error.strerror}"
        ) from error


def _device(root: Path) -> int:
    return root.stat().st_dev


def _is_empty(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return next(entries, None) is None


def _open_file(name: str, folder: int) -> int:
    """Open a regular file. Checks before, because opening a device can have effects, and after, because of swaps."""
    _check_regular(os.stat(name, dir_fd=folder, follow_symlinks=False))
    descriptor = os.open(name, _FOLLOW_NO_LINK | _NO_WAIT, dir_fd=folder)
    try:
        _check_regular(os.fstat(descriptor))
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise rejected(Reason.FORBIDDEN_LOCATION, "not a regular file")
