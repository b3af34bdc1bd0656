"""file:// under configured roots."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from pipeline.errors import Retryable
from pipeline.fetch.refusals import rejected, split
from schemas.dead_letter import Reason, Stage
from schemas.request import ImageRef

CHUNK = 1024**2


class FileSource:
    """Reads regular files whose real path lies under one of `roots`."""

    def __init__(self, roots: tuple[Path, ...]) -> None:
        self._roots = [root.resolve() for root in roots]

    def open(self, image: ImageRef) -> Iterator[bytes]:
        path = self._inside(image.uri)
        with os.fdopen(_open(path), "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    def dependency(self, image: ImageRef) -> str | None:
        return None

    def _inside(self, uri: str) -> Path:
        host, quoted = split(uri)
        named = unquote(quoted)
        if "\0" in named:
            raise rejected(Reason.UNSUPPORTED_URI, "no file can have this name")
        path = Path(os.path.realpath(named))
        if host or ".." in Path(named).parts or not any(path.is_relative_to(root) for root in self._roots):
            raise rejected(Reason.FORBIDDEN_LOCATION, "the file is not under a folder that file:// may read")
        return path


def _open(path: Path) -> int:
    """A descriptor of a regular file; never follows a link at the last step, never waits for a FIFO."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        raise rejected(Reason.IMAGE_NOT_FOUND, "there is no such file") from None
    except PermissionError:
        raise rejected(Reason.ACCESS_DENIED, "the file can't be read by this user") from None
    except OSError as error:
        raise Retryable(Stage.FETCH, f"the file can't be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise rejected(Reason.FORBIDDEN_LOCATION, "not a regular file")
    return descriptor
