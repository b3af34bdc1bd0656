"""Looks at a checkpoint's weights without loading torch: digest, size, and whether all are there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_HEADER_BYTES = 8  # a safetensors file begins with the length of its header
_MAX_HEADER_BYTES = 100 * 1024**2


def weights_digest(folder: Path) -> str:
    """Return one sha256 over the names and contents of the folder's safetensors files. Reads all of them."""
    files = sorted(folder.glob("*.safetensors"))
    with ThreadPoolExecutor(4) as pool:
        digests = pool.map(_digest, files)
        lines = [f"{file.name} {digest}\n" for file, digest in zip(files, digests, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def weights_bytes(folder: Path) -> int:
    """Return the size of all safetensors files."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def incomplete_weights(folder: Path) -> Iterator[str]:
    """Yield what is wrong with each file that is missing or cut off, as a copy that was interrupted leaves it."""
    for index in sorted(folder.glob("*.safetensors.index.json")):
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        yield from (f"{name} is missing" for name in sorted(named) if not (folder / name).is_file())
    for file in sorted(folder.glob("*.safetensors")):
        size, needed = file.stat().st_size, _needed_bytes(file)
        if size != needed:
            yield f"{file.name} has {size} bytes instead of {needed or 'a header and tensors'}"


def _needed_bytes(file: Path) -> int | None:
    """Return the size that the file's header speaks of, None where there is no header."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(_HEADER_BYTES), "little")
        if length > _MAX_HEADER_BYTES:
            return None
        try:
            header = json.loads(stream.read(length))
            ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return None
    return _HEADER_BYTES + length + max(ends, default=0)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
