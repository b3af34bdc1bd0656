"""Which addresses may be dialled: none that lies inside our own network, however it is written."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from sightstream.pipeline.fetch.refusals import rejected
from sightstream.pipeline.fetch.trouble import Transient, Trouble
from sightstream.schemas.wire.dead_letter import Reason

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
GetAddresses = Callable[..., list[tuple[Any, ...]]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Global by the registry, yet special: IETF protocol assignments, such as the NAT64 discovery address.
_SPECIAL = [
    ipaddress.ip_network("192.0.0.0/24"),
    ipaddress.ip_network("168.63.129.16/32"),  # a cloud's host agent, reachable from its machines alone
    ipaddress.ip_network("3fff::/20"),
]
_UNICAST_6 = ipaddress.ip_network("2000::/3")
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


def resolve(host: str, port: int, allow_private: bool, getaddrinfo: GetAddresses | None = None) -> tuple[str, ...]:
    """The addresses of `host`, in the resolver's order, each to be dialled as it is; blocks on DNS.

    Raises Rejected if the name is unknown or any of its answers is not public, Transient if DNS does not answer.
    """
    try:
        answers = (getaddrinfo or socket.getaddrinfo)(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            raise rejected(Reason.IMAGE_NOT_FOUND, "no such host") from None
        raise Transient(Trouble.BROKEN, "the host's name could not be resolved") from error
    except (UnicodeError, OSError) as error:
        raise rejected(Reason.UNSUPPORTED_URI, "the host's name can't be read") from error
    addresses = tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))
    if not addresses:
        raise rejected(Reason.IMAGE_NOT_FOUND, "the host has no address")
    if not allow_private and not all(is_public(ipaddress.ip_address(address)) for address in addresses):
        raise rejected(Reason.FORBIDDEN_LOCATION, "the host is not on the public internet")
    return addresses


def is_public(address: Address) -> bool:
    """Whether `address`, and the IPv4 address that it may carry inside, is a public unicast one."""
    inner = _carried(address)
    if inner is not None:
        return is_public(inner)
    special = any(address in network for network in _SPECIAL if network.version == address.version)
    special = special or (address.version == 6 and address not in _UNICAST_6)
    return address.is_global and not address.is_multicast and not special


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo
