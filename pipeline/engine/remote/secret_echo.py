"""Takes a secret out of what a server says, also where the server echoes it in part or in another writing."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import quote

# So many characters in a row are no accident, whatever a secret begins with.
MIN_PART_CHARS = 6
HIDDEN = "[hidden]"
_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}  # changes no length, as lower() does


def hide(text: str, secret: str) -> str:
    """Return the text with each part of the secret replaced: as it is, percent-encoded, in hex or base64."""
    folded, hidden = text.translate(_LOWER), bytearray(len(text))
    for writing in _writings(secret):
        size = min(MIN_PART_CHARS, len(writing))
        parts = {writing[at : at + size] for at in range(len(writing) - size + 1)}
        for at in range(len(folded) - size + 1):
            if folded[at : at + size] in parts:
                hidden[at : at + size] = b"\1" * size
    return "".join(_replaced(text, hidden))


def _writings(secret: str) -> Iterator[str]:
    data = secret.encode()
    for writing in (secret, quote(secret, safe=""), data.hex()):
        yield writing.translate(_LOWER)
    for before in range(3):  # base64 of a text that holds the secret depends on where in it the secret begins
        encoded = base64.b64encode(b"\0" * before + data).decode().rstrip("=")
        inner = encoded[(0, 2, 3)[before] : (len(data) + before) * 8 // 6]
        for writing in (inner, inner.replace("+", "-").replace("/", "_")):
            yield writing.translate(_LOWER)


def _replaced(text: str, hidden: bytearray) -> Iterator[str]:
    for at, letter in enumerate(text):
        if not hidden[at]:
            yield letter
        elif not at or not hidden[at - 1]:
            yield HIDDEN
