"""Host names in one spelling, so that a list of allowed ones can be compared with them."""

from __future__ import annotations

import ipaddress
import re

_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_MAX_CHARS = 253


def canonical_host(host: str) -> str:
    """Lower case, IDNA, without a trailing dot; addresses in their usual form, IPv6 without brackets.

    Raises ValueError for what is no name, and for what programs read apart: numbers that are no plain dotted quad,
    letters that one edition of IDNA maps away and another keeps.
    """
    if host.startswith("["):
        return ipaddress.IPv6Address(host.removeprefix("[").removesuffix("]")).compressed
    name = host.lower().removesuffix(".")
    ascii_name = name if name.isascii() else _to_ascii(name)
    labels = ascii_name.split(".")
    if len(ascii_name) > _MAX_CHARS or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("not a host name")
    if _NUMBER.fullmatch(labels[-1]):
        return str(ipaddress.IPv4Address(ascii_name))
    return ascii_name


def _to_ascii(name: str) -> str:
    """Only where both editions of IDNA, 2003 and 2008, give one name."""
    import idna

    older, newer = name.encode("idna").decode("ascii"), idna.encode(name, strict=True).decode("ascii")
    if older != newer:
        raise ValueError("the name has letters that stand for others")
    return newer


def canonical_pattern(pattern: str) -> str:
    """The same for a name that may start with `*.`, which stands for one or more labels. Raises ValueError."""
    if pattern.startswith("*."):
        return "*." + canonical_host(pattern.removeprefix("*."))
    return canonical_host(pattern)


def matches(host: str, pattern: str) -> bool:
    """Both canonical."""
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern
