"""Measures how deep JSON is nested without parsing it, because parsing it recurses."""

from __future__ import annotations

import re

# A string matches as a whole, so that a bracket inside it does not count. An unclosed one matches, too: starting again
# at its next quote would cost quadratic time for a record of quotes alone.
_STRUCTURE = re.compile(rb'"(?:[^"\\]|\\.)*+"?+|[\[{]|[\]}]', re.DOTALL)


def is_deeper(value: bytes, max_depth: int) -> bool:
    """Return whether objects and lists are nested deeper than `max_depth`, in linear time for any bytes."""
    if value.count(b"[") + value.count(b"{") <= max_depth:
        return False  # nearly every record has too few brackets to be too deep
    depth = 0
    for match in _STRUCTURE.finditer(value):
        first = match.group()[:1]
        depth += (first in b"[{") - (first in b"]}")
        if depth > max_depth:
            return True
    return False
