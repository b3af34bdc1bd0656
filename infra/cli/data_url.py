"""Turns the image of a data URL into a file, for commands that take a path."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote_to_bytes

SCHEME = "data:"


def data_of(url: str) -> bytes:
    """Return the bytes that stand in a data URL (RFC 2397). Raises ValueError."""
    head, comma, payload = url.partition(",")
    if not comma:
        raise ValueError("a data URL has a comma before its data: data:image/png;base64,iVBORw0...")
    data = unquote_to_bytes(payload)
    return base64.b64decode(data, validate=True) if head.endswith(";base64") else data


@contextmanager
def file_of(data: bytes) -> Iterator[Path]:
    """Write the data into a folder of its own, which goes when the block ends."""
    with TemporaryDirectory(prefix="sightstream-ask-") as folder:
        file = Path(folder).resolve() / "image"
        file.write_bytes(data)
        yield file
