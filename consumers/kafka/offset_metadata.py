"""The text that a worker commits beside an offset: the ranges beyond it that are finished already.

It is text because Kafka stores it as text: `ss1:` and base64url of unsigned LEB128 numbers. The first number is the
committed offset itself, so that the text is never applied to another offset; then alternate the lengths of unfinished
and finished ranges, from the committed offset upwards. Parallel consumers elsewhere do the same and call it "incomplete
offsets in the commit metadata".
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from itertools import pairwise

PREFIX = "ss1:"
RESET = "reset the group's offsets (docs/how-to/reset-offsets.md)"

# Half-open ranges of offsets, ascending, with a gap between any two.
Ranges = tuple[tuple[int, int], ...]


class UnreadableMetadata(ValueError):
    """The text says something that this version can't read: stop, or what it lists would be answered twice."""


def encode(base: int, finished: Ranges) -> str:
    """Return the text for the ranges `finished`, which lie above `base`; without any, it is empty."""
    if not finished:
        return ""
    bounds = [base, *(bound for span in finished for bound in span)]
    numbers = [base, *(after - before for before, after in pairwise(bounds))]
    packed = b"".join(map(_leb128, numbers))
    return PREFIX + base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode(metadata: str | None, base: int) -> Ranges:
    """Return the finished ranges above `base`. Raises UnreadableMetadata.

    An empty text means none: that is what a tool writes which resets a group's offsets. Any other text than ours is an
    error: after a rollback it is a newer worker's list of what it finished, which this version would answer again.
    """
    if not metadata:
        return ()
    if not metadata.startswith(PREFIX):
        raise UnreadableMetadata(
            f"the metadata committed with offset {base} is of a version that is not known here: run the version that "
            f"wrote it, or answer everything from that offset again: {RESET}"
        )
    try:
        first, *lengths = _numbers(_unpack(metadata.removeprefix(PREFIX)))
    except (ValueError, binascii.Error) as error:
        raise UnreadableMetadata(f"the metadata committed with offset {base} can't be read: {error}; {RESET}") from None
    if first != base or len(lengths) % 2 or not all(lengths):
        raise UnreadableMetadata(
            f"the metadata committed with offset {base} was not written for it, as after MirrorMaker; {RESET}"
        )
    return tuple(_spans(base, lengths))


def _spans(base: int, lengths: list[int]) -> Iterator[tuple[int, int]]:
    position = base
    for unfinished, finished in zip(lengths[::2], lengths[1::2], strict=True):
        yield position + unfinished, position + unfinished + finished
        position += unfinished + finished


def _unpack(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


def _leb128(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _numbers(packed: Iterable[int]) -> Iterator[int]:
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            yield number
            number = shift = 0
    if shift:
        raise ValueError("it ends in the middle of a number")
