"""Reads a folder of images and its sub-folders: one request per image, by ending; others are skipped and counted.

The product id comes from the path (producers/sources/product_rule.py). Folders are read one at a time, in order of
names, so memory holds the names of one folder and its parents. Links to files count as files; linked folders and
hidden files are skipped.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from sightstream.producers.sources.image_files import Skipped, is_image
from sightstream.producers.sources.item import Item
from sightstream.producers.sources.product_rule import check_rule, product_of
from sightstream.schemas.image_formats import START_BYTES


class Folder:
    """Names the files by `file://` and absolute path, so workers must see the same path."""

    def __init__(self, path: Path, product_from: str = "parent") -> None:
        check_rule(product_from)
        self.location = path.resolve().as_uri()
        self.size: int | None = None
        self.skipped = Skipped()
        self._root = path.resolve()
        self._product_from = product_from

    def items(self) -> Iterator[Item]:
        yield from self._walk(self._root)

    def _walk(self, folder: Path) -> Iterator[Item]:
        try:
            with os.scandir(folder) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            yield Item(self._relative(folder), b"unreadable", problem=f"the folder can't be read: {error.strerror}")
            return
        for entry in entries:
            path = Path(entry.path)
            if entry.name.startswith("."):
                self.skipped.add("hidden", self._relative(path))
            elif entry.is_dir(follow_symlinks=False):
                yield from self._walk(path)
            elif path.is_dir():
                self.skipped.add("linked folders", self._relative(path))
            elif is_image(self._relative(path), partial(_start, path), self.skipped):
                yield self._item(path)

    def _item(self, path: Path) -> Item:
        relative = self._relative(path)
        try:
            state = path.stat()
            fields = {"image": {"uri": path.as_uri()}, "product_id": product_of(relative, self._product_from)}
        except OSError as error:
            return Item(relative, os.fsencode(relative), problem=f"the file can't be read: {error.strerror}")
        except ValueError as error:
            return Item(relative, os.fsencode(relative), problem=str(error))
        raw = b"%s\0%d\0%d" % (os.fsencode(relative), state.st_size, state.st_mtime_ns)
        return Item(relative, raw, fields)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _start(path: Path) -> bytes:
    """Return the first bytes of a file; none of one that can't be read, or of a pipe, which might block."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(handle, "rb") as file:
        return file.read(START_BYTES) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
